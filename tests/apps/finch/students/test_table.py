"""A table in blocks against one array."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from groundup.apps.finch.students.table import WIDTH, Table

BITS = 5


@given(st.data())
def test_it_is_as_one_array(data: st.DataObject) -> None:
    table, plain = Table(BITS), np.zeros((1 << BITS, 0), np.float32)
    rows = st.lists(st.integers(0, (1 << BITS) - 1), unique=True).map(np.array)
    for _ in range(data.draw(st.integers(1, 12))):
        found = data.draw(rows).astype(np.int64)
        count = data.draw(st.integers(1, 3 * WIDTH))
        column = data.draw(st.integers(0, count - 1))
        table.widen(count)
        plain = np.pad(plain, ((0, 0), (0, table.columns - plain.shape[1])))
        match data.draw(st.sampled_from(["put", "add", "clear", "scale"])):
            case "put":
                values = np.random.default_rng(count).normal(size=(len(found), count))
                table.put(found, values.astype(np.float32))
                plain[found, :count] = values
            case "add":
                table.add(found, column, 2.0)
                plain[found, column] += 2
            case "clear":
                table.clear(column)
                plain[:, column] = 0
            case "scale":
                table.scale(0.5)
                plain *= np.float32(0.5)
        assert np.array_equal(table.take(found, count), plain[found, :count])
    again = Table(BITS)
    again.widen(table.columns)
    for entry in table.entries():
        again.enter(*entry)
    everything = np.arange(1 << BITS)
    assert np.array_equal(again.take(everything, table.columns), plain)
    assert set(np.flatnonzero(plain.any(axis=1))) <= set(table.written.tolist())


def test_without_columns_there_is_nothing() -> None:
    assert Table(BITS).take(np.array([1, 2]), 0).shape == (2, 0)
