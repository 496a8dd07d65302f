"""Thrift's compact protocol, as far as Parquet's footers and page headers need it.

A struct is read without knowing its definition, into its fields by number; written again unchanged
it gives the same octets. Source: Apache Thrift, "Thrift Compact protocol encoding".
"""

from __future__ import annotations

from collections.abc import Callable
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


def read_struct(data: bytes | memoryview, at: int = 0) -> tuple[Struct, int]:
    """The struct at an offset, and where it ends.

    Raises:
        Malformed: there is none.
    """
    try:
        reader = _Reader(data, at)
        return reader.struct(0), reader.at
    except IndexError:
        raise Malformed("it is cut off") from None


def written(fields: Struct) -> bytes:
    """The octets of a struct."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self.data = data
        self.at = at
        self._by_kind: dict[int, Callable[[int], Any]] = {
            _BYTE: self._byte,
            _DOUBLE: lambda _: self._octets(8),
            _BINARY: lambda _: self._octets(self._varint()),
            _STRUCT: self.struct,
            **dict.fromkeys(_INTEGERS, lambda _: self._zigzag()),
        }

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise Malformed("it is nested too deeply")
        fields: Struct = {}
        number = 0
        while (head := self._next()) != _STOP:
            delta, kind = head >> 4, head & 15
            number = number + delta if delta else self._zigzag()
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Value:
        if kind in {_TRUE, _FALSE}:
            return Value(kind, kind == _TRUE)
        if kind in {_LIST, _SET}:
            return self._list(kind, depth)
        return Value(kind, self._plain(kind, depth))

    def _plain(self, kind: int, depth: int) -> Any:
        if kind not in self._by_kind:
            raise Malformed(f"it has a value of type {kind}")
        return self._by_kind[kind](depth + 1)

    def _list(self, kind: int, depth: int) -> Value:
        head = self._next()
        size, of = head >> 4, head & 15
        if size == 15:
            size = self._varint()
        if of in {_TRUE, _FALSE}:
            return Value(kind, [self._next() for _ in range(size)], of)
        return Value(kind, [self._plain(of, depth) for _ in range(size)], of)

    def _next(self) -> int:
        found = self.data[self.at]
        self.at += 1
        return found

    def _byte(self, _: int) -> int:
        return self._next()

    def _octets(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed("it is cut off")
        found = bytes(self.data[self.at : end])
        self.at = end
        return found

    def _varint(self) -> int:
        found = shift = 0
        while True:
            octet = self._next()
            found |= (octet & 127) << shift
            if octet < 128:
                return found
            shift += 7
            if shift > 63:
                raise Malformed("it has a number that is too large")

    def _zigzag(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)


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
