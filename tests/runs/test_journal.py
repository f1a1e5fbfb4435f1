"""The journal: what is appended is read again, whatever happens to bytes elsewhere in the file."""

import errno
import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from groundup.runs import RunningError, journal
from groundup.runs.journal import Journal, decode, read_events, unowned

POINTS = st.fixed_dictionaries(
    {
        "step": st.integers(-(2**63) + 1, 2**63 - 1),
        "time": st.floats(allow_nan=False, allow_infinity=False),
        "values": st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), st.floats(), max_size=4
        ),
    }
)


def spelled(events: list[journal.Event]) -> list[str]:
    """Comparable also where they hold NaN."""
    return [repr(sorted(event.items())) for event in events]


@given(st.lists(POINTS, max_size=8), st.integers(1, 400))
def test_points_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, points: list[journal.Event], most: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.jsonl"
    writer = Journal(path)
    for event in points:
        writer.append_point(event["step"], event["time"], event["values"])
    writer.close()
    assert spelled([json.loads(line) for line in path.read_text().splitlines()]) == spelled(points)
    found, place = [], 0
    while place < path.stat().st_size:
        events, place = read_events(path, place, most)
        found += events
    assert spelled(found) == spelled(points)


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=30)), max_size=5),
    st.integers(0, 5000),
)
def test_damage_costs_only_the_lines_that_it_meets(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, bytes]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "events.jsonl"
    lines = [
        journal.encode({"step": i, "time": i + 0.5, "values": {"loss": i * 1.5}}) for i in range(80)
    ]
    content = bytearray("".join(f"{line}\n" for line in lines).encode())
    original = bytes(content)
    for place, noise in damage:
        content[place : place + len(noise)] = noise[: max(0, len(content) - place)]
    content = content[: len(content) - cut] if cut < len(content) else content
    path.write_bytes(content)
    events, _ = read_events(path, 0)
    found = spelled(events)
    start = 0
    for line in lines:
        end = start + len(line) + 1
        before = start == 0 or content[start - 1 : start] == b"\n"
        if before and content[start:end] == original[start:end]:
            assert spelled([json.loads(line)])[0] in found
        start = end


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b'{"step":1,"time":1.0}',
        b'{"step":1.5,"time":1.0,"values":{}}',
        b'{"step":true,"time":1.0,"values":{}}',
        b'{"step":1,"time":NaN,"values":{}}',
        b'{"step":1,"time":1.0,"values":{"a":"0.5"}}',
        b'{"step":1,"time":1.0,"values":{"a":null}}',
        b'{"step":9223372036854775808,"time":1.0,"values":{}}',
        b'{"step":1,"time":1.0,"values":{"\\ud800":1.0}}',
        b'{"event":"end","time":1.0,"status":"fine","error":null}',
        b'{"event":["end"],"time":1.0}',
        b'{"event":"from a later version","time":1.0}',
        b"[" * 100_000,
        b"1" * 5000,
        b"\xff\xfe{}",
    ],
)
def test_nonsense_is_no_event(line: bytes) -> None:
    assert decode(line) is None


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = Journal(path)
    with unowned(path) as free:
        assert not free
    with pytest.raises(RunningError, match="another process holds"):
        Journal(path, wait=0.05)
    writer.close()
    with unowned(path) as free:
        assert free
        with pytest.raises(RunningError):  # nobody may begin while a reader closes the books
            Journal(path, wait=0.05)
    Journal(path).close()


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = Journal(path)
    writer.append_point(1, 1.0, {"loss": 1.0})
    writer.append_point(2, 2.0, {"loss": 2.0})
    writer.close()
    os.truncate(path, path.stat().st_size - 7)
    assert [event["step"] for event in read_events(path, 0)[0]] == [1]
    writer = Journal(path)
    writer.append_point(3, 3.0, {"loss": math.nan})
    writer.close()
    assert [event["step"] for event in read_events(path, 0)[0]] == [1, 3]


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_a_full_disk_leaves_no_part_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    path = tmp_path / "events.jsonl"
    writer = Journal(path)
    writer.append_point(1, 1.0, {"loss": 1.0})
    before = path.read_bytes()
    real, calls = os.write, []

    def nearly_full(handle: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1 and taken:
            return real(handle, data[:taken])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="No space left"):
            writer.append_point(2, 2.0, {"loss": 2.0})
    assert path.read_bytes() == before
    writer.append_point(3, 3.0, {"loss": 3.0})
    writer.close()
    assert [event["step"] for event in read_events(path, 0)[0]] == [1, 3]


def test_a_line_that_the_disk_takes_in_portions_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    writer = Journal(path)
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
        writer.append_point(2, 2.0, {"loss": 2.0})
    writer.close()
    assert [event["step"] for event in read_events(path, 0)[0]] == [2]
