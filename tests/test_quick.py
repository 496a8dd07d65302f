"""What loads slowly and is of no use stays out of our commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAID = """
import sys
{first}
from lethe.quick import without_pandas
{call}
import pyarrow as pa
import pyarrow.compute as pc
pc.is_in(pa.array(["a"]), value_set=pa.array(["a", "b"]))
print("pandas" in sys.modules)
import pandas
print(pandas.DataFrame({{"a": [1]}})["a"].sum())
"""


@pytest.mark.parametrize(
    ("first", "call", "loaded"),
    [
        ("", "without_pandas()", False),
        ("", "", True),
        ("import pandas", "without_pandas()", True),
    ],
)
def test_pandas_stays_out_and_can_be_loaded(first: str, call: str, loaded: bool) -> None:
    pytest.importorskip("pandas")
    code = SAID.format(first=first, call=call)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [str(loaded), "1"], done.stderr


has_threads = pytest.mark.skipif(
    not Path("/proc/self/task").exists() or len(os.sched_getaffinity(0)) < 2,
    reason="needs /proc and more than one processor",
)
SIGNED = """
import sys
from lethe.console import extra
with extra("client"):
    import filter_service.client
print("boto3" in sys.modules)
import boto3
print("boto3" in sys.modules)
"""


def test_releases_are_checked_without_a_cloud() -> None:
    pytest.importorskip("boto3")
    done = subprocess.run(
        [sys.executable, "-c", SIGNED], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


THREADS = """
import os
from lethe.quick import without_threads
{call}
import numpy as np
print(len(os.listdir("/proc/self/task")) > 1)
print("OPENBLAS_NUM_THREADS" in os.environ)
print((np.ones((2, 2)) @ np.ones(2)).sum())
"""


@has_threads
@pytest.mark.parametrize(
    ("call", "said", "several"),
    [("without_threads()", None, False), ("", None, True), ("without_threads()", "2", True)],
)
def test_numpy_starts_no_threads(call: str, said: str | None, several: bool) -> None:
    """Unless somebody has said how many; and nothing stays behind in the environment."""
    code = THREADS.format(call=call)
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    if said is not None:
        environment["OPENBLAS_NUM_THREADS"] = said
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.split() == [str(several), str(said is not None), "4.0"], done.stderr


@has_threads
def test_commands_start_without_threads() -> None:
    """Those that read or write a corpus: there are no more than if nobody wanted any of numpy."""
    code = """
import os
from lethe.console import corpus_extra
with corpus_extra():
    import pyarrow
    import numpy
print(len(os.listdir("/proc/self/task")))
"""
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    counts = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=one
        ).stdout
        for one in (environment, environment | {"OPENBLAS_NUM_THREADS": "1"})
    ]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("then", ["", "import duckdb; duckdb.sql('select 1').fetchall()"])
def test_nothing_is_said_at_the_end(then: str) -> None:
    """Some packages take for leaked what nobody looked for."""
    if then:
        pytest.importorskip("duckdb")
    code = (
        f"from lethe.console import corpus_extra\nwith corpus_extra():\n    import pyarrow\n{then}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
