"""Exported files hold every point; the event files are read by a reader written here.

The official reader is in tests/peers/test_tensorboard.py.
"""

import csv
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groundup.runs import StorageError, Store, UnknownRunError, export_csv, export_tensorboard

NUMBERS = [0.1, -1e300, 5e-324, float("inf"), float("-inf"), float("nan"), 1 / 3]


@pytest.fixture
def run_id(store: Store) -> str:
    with store.start("digits", {"rate": 0.1, "name": 'a "b", ü'}, seed=1) as run:
        for step, value in enumerate(NUMBERS):
            run.log(step * 10, loss=value, **{'odd, "name"': float(step)})
        run.log(5, loss=2.5)
    return run.id


def test_csv_reads_back_bit_for_bit(store: Store, run_id: str, tmp_path: Path) -> None:
    other = store.start("other")
    other.log(-3, loss=0.5)
    other.finish()
    path = export_csv(store, [run_id, other.id[-6:]], tmp_path / "new" / "points.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {run_id, other.id}
    for name in ("loss", 'odd, "name"'):
        points = store.points(run_id, name)
        mine = [row for row in rows if (row["run"], row["series"]) == (run_id, name)]
        assert [int(row["step"]) for row in mine] == points.steps.tolist()
        assert [float(row["time"]) for row in mine] == points.times.tolist()
        values = np.array([float(row["value"]) for row in mine])
        assert values.tobytes() == points.values.tobytes()
    assert len(rows) == 2 * len(NUMBERS) + 2


def test_a_file_that_cannot_be_written(store: Store, run_id: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        export_csv(store, [run_id], tmp_path / "file" / "points.csv")
    with pytest.raises(UnknownRunError):
        export_csv(store, ["nobody"], tmp_path / "points.csv")
    assert not (tmp_path / "points.csv").exists()


# A reader of TensorBoard's files: records of a length, its checksum, data, its checksum, in which
# an event is a protocol buffer: fields of a number and a type, one after the other.


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(content: bytes) -> Iterator[bytes]:
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert struct.unpack("<I", content[8:12]) == (masked(content[:8]),)
        data, content = content[12 : 12 + length], content[12 + length :]
        assert struct.unpack("<I", content[:4]) == (masked(data),)
        content = content[4:]
        yield data


def varint(data: bytes) -> tuple[int, bytes]:
    value = shift = 0
    for place, byte in enumerate(data):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, data[place + 1 :]
    raise AssertionError("a number without an end")


def message(data: bytes) -> dict[int, list[bytes | int]]:
    found: dict[int, list[bytes | int]] = {}
    value: bytes | int
    while data:
        key, data = varint(data)
        kind = key & 7
        if kind == 0:
            value, data = varint(data)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                assert kind == 2
                size, data = varint(data)
            value, data = data[:size], data[size:]
        found.setdefault(key >> 3, []).append(value)
    return found


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    (path,) = folder.glob("events.out.tfevents.*")
    found: dict[str, list[tuple[int, float, float]]] = {}
    for place, record in enumerate(records(path.read_bytes())):
        event = message(record)
        if place == 0:
            assert event[3] == [b"brain.Event:2"]
        for summary in event.get(5, []):
            for value in message(bytes(summary))[1]:  # type: ignore[arg-type]
                parts = message(bytes(value))  # type: ignore[arg-type]
                if 2 in parts:
                    (time,) = struct.unpack("<d", bytes(event[1][0]))  # type: ignore[arg-type]
                    (number,) = struct.unpack("<f", bytes(parts[2][0]))  # type: ignore[arg-type]
                    step = event.get(2, [0])[0]
                    tag = bytes(parts[1][0]).decode()  # type: ignore[arg-type]
                    assert isinstance(step, int)
                    found.setdefault(tag, []).append((step, time, number))
    return found


def test_the_checksum_is_the_one_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, appendix B.4


def test_tensorboard_files_hold_every_point(store: Store, run_id: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    (folder,) = export_tensorboard(store, [run_id[:9]], tmp_path / "tensorboard")
    assert folder == tmp_path / "tensorboard" / run_id
    found = read_scalars(folder)
    assert set(found) == {"loss", 'odd, "name"'}
    for name, rows in found.items():
        points = store.points(run_id, name)
        assert [row[0] for row in rows] == points.steps.tolist()
        assert [row[1] for row in rows] == points.times.tolist()
        values = np.array([row[2] for row in rows], np.float32)
        with np.errstate(over="ignore"):
            expected = points.values.astype(np.float32)
        assert np.array_equal(values, expected, equal_nan=True)


def test_an_old_export_is_replaced_as_a_whole(
    store: Store, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = pytest.importorskip("tensorboardX.event_file_writer")
    (folder,) = export_tensorboard(store, [run_id], tmp_path)
    before = read_scalars(folder)

    write = writers.EventsWriter.write_event

    def full(writer: Any, event: Any) -> None:
        if event.step:  # the first events fit
            raise OSError(28, "No space left on device")
        write(writer, event)

    with monkeypatch.context() as patch:
        patch.setattr(writers.EventsWriter, "write_event", full)
        with pytest.raises(StorageError, match="No space left on device"):
            export_tensorboard(store, [run_id], tmp_path)
    assert str(read_scalars(folder)) == str(before)
    with store.resume(run_id) as run:
        run.log(100, loss=1.0)
    export_tensorboard(store, [run_id], tmp_path)
    assert len(read_scalars(folder)["loss"]) == len(before["loss"]) + 1
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == [run_id]
