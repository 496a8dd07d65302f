"""What loads slowly and is of no use stays out of our commands."""

from __future__ import annotations

import subprocess
import sys

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
