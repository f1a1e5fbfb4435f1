"""Points come back bit for bit, in whatever portions they came; thinned, what shows is kept."""

import math
import sqlite3
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.runs import Points, Store, UnknownRunError, schema, series
from groundup.runs.errors import Damaged

VALUES = st.one_of(
    st.floats(width=64),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308]),
)
STEPS = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def tables() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection, 0)
    yield connection
    connection.close()


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


def clear(db: sqlite3.Connection) -> None:
    db.execute("DELETE FROM series")
    db.execute("DELETE FROM pieces")


@given(
    st.lists(st.integers(1, 1300), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
    st.integers(0, 4000),
)
def test_portions_do_not_show(
    tables: sqlite3.Connection, portions: list[int], seed: int, after: int
) -> None:
    clear(tables)
    rng = np.random.default_rng(seed)
    n = sum(portions)
    steps = rng.integers(-50, 50, n).cumsum()
    times, values = rng.normal(size=n).cumsum(), rng.normal(size=n)
    values[rng.random(n) < 0.01] = np.nan
    start = 0
    for portion in portions:
        part = slice(start, start + portion)
        columns = (steps[part].tolist(), times[part].tolist(), values[part].tolist())
        series.append(tables, 1, "loss", columns)
        # A neighbour with the next number must never be touched.
        series.append(tables, 2, "loss", ([start], [0.5], [1.5]))
        start += portion
    found = series.read(tables, 1, "loss")
    assert found is not None
    assert same(found.steps, steps)
    assert same(found.times, times)
    assert same(found.values, values)
    tail = series.read(tables, 1, "loss", after=after)
    assert tail is not None
    assert same(tail.values, values[after:])
    low, high = sorted((int(steps[seed % n]), int(steps[after % n])))
    middle = series.read(tables, 1, "loss", steps=(low, high))
    assert middle is not None
    assert same(middle.values, values[(steps >= low) & (steps <= high)])
    (info,) = series.infos(tables, 1)
    assert (info.count, info.last_step) == (n, steps[-1])
    assert info.low == np.nanmin(values)
    assert info.high == np.nanmax(values)
    rows = tables.execute("SELECT count(*) FROM pieces WHERE key < ?", (2 * series.KEYS,))
    assert rows.fetchone()[0] == -(-n // series.PIECE), "portions leave holes in the pieces"


@given(st.lists(st.tuples(STEPS, VALUES), min_size=1, max_size=30))
def test_any_number_survives(tables: sqlite3.Connection, pairs: list[tuple[int, float]]) -> None:
    clear(tables)
    steps, values = [list(column) for column in zip(*pairs, strict=True)]
    series.append(tables, 1, "x", (steps, [0.0] * len(steps), values))  # type: ignore[arg-type]
    found = series.read(tables, 1, "x")
    assert found is not None
    assert same(found.steps, np.array(steps, "i8"))
    assert same(found.values, np.array(values, "f8"))
    (info,) = series.infos(tables, 1)
    assert np.array_equal([info.last_value], [values[-1]], equal_nan=True)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=1500), st.integers(-5, 45))
def test_rewind_is_forgetting(tables: sqlite3.Connection, steps: list[int], last: int) -> None:
    clear(tables)
    values = [float(i) for i in range(len(steps))]
    for name in ("a/loss", "b/loss"):
        series.append(tables, 1, name, (steps, values, values))
    series.rewind(tables, 1, last, "a/")
    kept = [value for step, value in zip(steps, values, strict=True) if step <= last]
    found = series.read(tables, 1, "a/loss")
    assert (found is None) == (not kept)
    if found is not None:
        assert found.values.tolist() == kept
        assert series.infos(tables, 1)[0].high == max(kept)
    other = series.read(tables, 1, "b/loss")
    assert other is not None
    assert other.values.tolist() == values
    pieces = -(-len(kept) // series.PIECE) + -(-len(values) // series.PIECE)
    assert tables.execute("SELECT count(*) FROM pieces").fetchone() == (pieces,)


@given(st.integers(1, 5000), st.integers(5, 300), st.integers(0, 2**32 - 1), st.booleans())
def test_thinning_keeps_what_shows(n: int, most: int, seed: int, gaps: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_cauchy(n)
    if gaps:
        values[rng.random(n) < rng.choice([0.001, 0.5, 1.0])] = np.nan
        values[rng.random(n) < 0.01] = np.inf
    whole = Points(np.arange(n) * 3, np.arange(n) / 7, values)
    found = whole.thinned(most)
    assert len(found) == n if n <= most else len(found) <= most
    places = found.steps // 3
    assert (np.diff(places) > 0).all(), "out of order, or twice"
    assert same(found.values, values[places])
    assert same(found.times, whole.times[places])
    assert (places[0], places[-1]) == (0, n - 1)
    assert np.isnan(found.values).any() == np.isnan(values).any()
    if not np.isnan(values).all():
        assert np.nanmax(found.values) == np.nanmax(values)
        assert np.nanmin(found.values) == np.nanmin(values)


def test_every_peak_of_a_stretch_is_kept() -> None:
    values = np.sin(np.arange(100_000) / 50)
    peaks = np.arange(500, 100_000, 1000)
    values[peaks] = 5.0
    found = Points(np.arange(100_000), np.zeros(100_000), values).thinned(1000)
    assert np.isin(peaks, found.steps).all()


def test_thinning_to_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 4 points, expected at least 5"):
        Points(np.arange(9), np.arange(9.0), np.arange(9.0)).thinned(4)


def test_a_changed_byte_in_a_piece_is_noticed(tables: sqlite3.Connection) -> None:
    clear(tables)
    columns = (list(range(700)), [0.0] * 700, [0.5] * 700)
    series.append(tables, 1, "loss", columns)
    ((data,),) = tables.execute("SELECT data FROM pieces LIMIT 1").fetchall()
    for place in (0, 5000, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        tables.execute("UPDATE pieces SET data = ? WHERE key % ? = 0", (changed, series.KEYS))
        with pytest.raises(Damaged, match="checksum"):
            series.read(tables, 1, "loss")
    tables.execute("DELETE FROM pieces WHERE key % ? = 0", (series.KEYS,))
    with pytest.raises(Damaged, match="lacks a piece"):
        series.read(tables, 1, "loss")


def test_reading_by_name(store: Store) -> None:
    with store.start("digits") as run:
        for step in range(20):
            run.log(step, loss=1.0 / (step + 1), lr=0.1)
    assert store.points(run.id, "loss", after=18).steps.tolist() == [18, 19]
    assert store.points(run.id, "loss", steps=(3, 5)).steps.tolist() == [3, 4, 5]
    assert len(store.points(run.id, "loss", most=10)) <= 10
    assert len(store.points(run.id, "loss", after=100)) == 0
    with pytest.raises(UnknownRunError, match=r"no series 'los'; did you mean 'loss'\?"):
        store.points(run.id, "los")
    with pytest.raises(ValueError, match="expected one of them"):
        store.points(run.id, "loss", after=1, steps=(0, 1))
