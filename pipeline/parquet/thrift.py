"""Thrift's compact protocol, as far as Parquet's footers and page headers need it.

A struct is read without knowing its definition, into its fields by number; written again unchanged
it gives the same octets. Source: Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

from typing import Any, NamedTuple

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(
    13
)
_INTEGERS = {_I16, _I32, _I64}
_DEEPEST = 32


class Value(NamedTuple):
    """A value with its type on the wire."""

    kind: int
    value: Any
    """int, bool, bytes, `Struct`, or a list of values without types."""
    of: int = 0
    """Type of a list's elements."""


Struct = dict[int, Value]
"""Fields by number, in the order in which they came."""


Octets = bytes | memoryview


class Malformed(ValueError):
    """Octets that are no such struct."""


def integer(number: int, *, wide: bool = True) -> Value:
    """An i64, or an i32."""
    return Value(_I64 if wide else _I32, number)


def short(number: int) -> Value:
    """An i16."""
    return Value(_I16, number)


def structs(items: list[Struct]) -> Value:
    """A list of structs."""
    return Value(_LIST, items, _STRUCT)


def struct(fields: Struct) -> Value:
    """A struct as a field."""
    return Value(_STRUCT, fields)


def read_struct(data: Octets, at: int = 0) -> tuple[Struct, int]:
    """The struct at an offset, and where it ends.

    Raises:
        Malformed: there is none.
    """
    try:
        return _struct(data, at, 0)
    except IndexError:
        raise Malformed("it is cut off") from None


def written(fields: Struct) -> bytes:
    """The octets of a struct."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


# Footers have tens of thousands of values: this is written for speed.


def _struct(data: Octets, at: int, depth: int) -> tuple[Struct, int]:
    if depth > _DEEPEST:
        raise Malformed("it is nested too deeply")
    fields: Struct = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == _STOP:
            return fields, at
        kind = head & 15
        if head > 15:
            number += head >> 4
        else:
            number, at = _zigzag(data, at)
        if kind in _INTEGERS:
            octet = data[at]
            if octet < 128:
                at += 1
                found: Any = (octet >> 1) ^ -(octet & 1)
            else:
                found, at = _zigzag(data, at)
            fields[number] = Value(kind, found)
        elif kind in {_TRUE, _FALSE}:
            fields[number] = Value(kind, kind == _TRUE)
        elif kind in {_LIST, _SET}:
            fields[number], at = _list(data, at, kind, depth)
        else:
            found, at = _plain(data, at, kind, depth)
            fields[number] = Value(kind, found)


def _plain(data: Octets, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _zigzag(data, at)
    if kind == _STRUCT:
        return _struct(data, at, depth + 1)
    if kind == _BINARY:
        size, at = _varint(data, at)
        return _octets(data, at, size)
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return _octets(data, at, 8)
    raise Malformed(f"it has a value of type {kind}")


def _list(data: Octets, at: int, kind: int, depth: int) -> tuple[Value, int]:
    head = data[at]
    at += 1
    size, of = head >> 4, head & 15
    if size == 15:
        size, at = _varint(data, at)
    items = []
    for _ in range(size):
        if of in {_TRUE, _FALSE}:
            item, at = data[at], at + 1
        else:
            item, at = _plain(data, at, of, depth)
        items.append(item)
    return Value(kind, items, of), at


def _octets(data: Octets, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        raise Malformed("it is cut off")
    return bytes(data[at:end]), end


def _varint(data: Octets, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        octet = data[at]
        at += 1
        found |= (octet & 127) << shift
        if octet < 128:
            return found, at
        shift += 7
        if shift > 63:
            raise Malformed("it has a number that is too large")


def _zigzag(data: Octets, at: int) -> tuple[int, int]:
    found, at = _varint(data, at)
    return (found >> 1) ^ -(found & 1), at


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number, value in fields.items():
        delta = number - last
        if 0 < delta < 16:
            out.append(delta << 4 | value.kind)
        else:
            out.append(value.kind)
            _write_zigzag(out, number)
        last = number
        _write_value(out, value)
    out.append(_STOP)


def _write_value(out: bytearray, value: Value) -> None:
    if value.kind in {_TRUE, _FALSE}:
        return
    if value.kind in {_LIST, _SET}:
        size = len(value.value)
        if size < 15:
            out.append(size << 4 | value.of)
        else:
            out.append(15 << 4 | value.of)
            _write_varint(out, size)
        for item in value.value:
            _write_plain(out, value.of, item)
        return
    _write_plain(out, value.kind, value.value)


def _write_plain(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_zigzag(out, value)
    elif kind == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == _STRUCT:
        _write_struct(out, value)
    elif kind == _DOUBLE:
        out += value
    else:
        out.append(value)


def _write_zigzag(out: bytearray, number: int) -> None:
    _write_varint(out, (number << 1) ^ (number >> 63))


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
