"""Names of hosts in a table that is searched by hash."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.optout import ready as made
from pipeline.optout.policy_file import SCHEMA
from pipeline.optout.ready import HostTable


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=30),
    bits=st.sampled_from([0, 1, 2, 64]),
    data=st.data(),
)
def test_names_are_found_whatever_they_hash_to(
    names: list[str], bits: int, data: st.DataObject
) -> None:
    """Names of one hash stand side by side, and are told apart by what they are."""
    whole = made.hash_of
    try:
        made.hash_of = lambda name: whole(name) & ((1 << bits) - 1)
        owners = [data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)) for _ in names]
        table = HostTable(made._host_table(sources_of(names, owners), below=False))
        for name, expected in zip(names, owners, strict=True):
            position = table.position(name)
            assert position is not None
            assert table.name(position) == name
            assert [owner for owner, _ in table.entries(name)] == sorted(set(expected))
            assert table.position(name + "x") is None or name + "x" in names
        assert len(table) == len(names)
    finally:
        made.hash_of = whole


def sources_of(names: list[str], owners: list[list[int]]) -> pa.Table:
    """Four sources, each with the names that it speaks for."""
    hosts: list[list[dict[str, Any]]] = [[] for _ in range(4)]
    for name, mine in zip(names, owners, strict=True):
        for owner in sorted(set(mine)):
            hosts[owner].append({"host": name, "subdomains": False, "date": None})
    plain = {"signal": "robots", "file": "robots.txt", "sha256": "", "status": "ok"}
    rows = [
        {**plain, "hosts": h, "rulesets": [], "second": 1 << n, "third": n, "needs": n}
        for n, h in enumerate(hosts)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def test_the_sieve_of_a_name_is_that_of_all_its_sources() -> None:
    table = HostTable(
        made._host_table(sources_of(["a", "b", "c"], [[0], [1, 3], [2]]), below=False)
    )
    found = {}
    for name in ("a", "b", "c"):
        position = table.position(name)
        assert position is not None
        found[name] = tuple(int(column[position]) for column in table.meshes)
    assert found == {"a": (1, 0, 0), "b": (0b1010, 3, 3), "c": (0b100, 2, 2)}
