"""Dictionary columns without the values of rows that are gone.

Arrow keeps a dictionary whole when rows are taken out, and Parquet writes it whole: the texts of
dropped documents would stand in the file, for anybody to read who does not go by the rows.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def compacted(table: pa.Table) -> pa.Table:
    """``table`` with dictionaries that hold each value of its rows once, and nothing else."""
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            parts = [_compact(part) for part in table.column(at).chunks]
        elif _holds_dictionary(field.type):
            parts = [pa.array(part.to_pylist(), field.type) for part in table.column(at).chunks]
        else:
            continue
        table = table.set_column(at, field, pa.chunked_array(parts, field.type))
    return table


def _compact(part: pa.DictionaryArray) -> pa.DictionaryArray:
    """The values keep their order, which has a meaning where the type is ordered."""
    if pc.count_distinct(part.dictionary, mode="all").as_py() != len(part.dictionary):
        return part.dictionary_decode().dictionary_encode().cast(part.type)
    used = pc.unique(part.indices).drop_null()
    if len(used) == len(part.dictionary):
        return part
    used = used.take(pc.sort_indices(used))
    return pa.DictionaryArray.from_arrays(
        pc.index_in(part.indices, value_set=used).cast(part.type.index_type),
        part.dictionary.take(used),
        ordered=part.type.ordered,
    )


def _holds_dictionary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return True
    return any(_holds_dictionary(kind.field(i).type) for i in range(kind.num_fields))
