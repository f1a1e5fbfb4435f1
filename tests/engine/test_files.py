"""Checkpoint files: what goes in comes out; a failure leaves the old file; nothing else is read.

Proves R1.5.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import inspect
import json
import math
import os
import pickle
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import load_file, save_file

import groundup as gu
from groundup.engine import files
from groundup.engine.dtypes import SUPPORTED

from .drawing import laid_out, of_any_dtype

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
arrays = of_any_dtype(max_side=3)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def example() -> dict[str, gu.Tensor]:
    return {"weight": gu.arange(6.0).reshape(2, 3), "bias": gu.tensor([1, 2])}


def check_is_example(path: Path) -> None:
    tensors, metadata = gu.load(path)
    assert {name: x.tolist() for name, x in tensors.items()} == {
        "weight": [[0, 1, 2], [3, 4, 5]],
        "bias": [1, 2],
    }
    assert metadata == {"epoch": 3}


# What goes in comes out


@in_one_folder
@given(data=st.data(), metadata=json_values)
def test_round_trip(path: Path, data: st.DataObject, metadata: Any) -> None:
    """Every dtype, size and layout, any name, any JSON."""
    given_arrays = {
        name: data.draw(laid_out(array))
        for name, array in data.draw(st.dictionaries(names, arrays, max_size=3)).items()
        if name != "__metadata__"
    }
    gu.save({name: gu.as_tensor(a) for name, a in given_arrays.items()}, path, metadata)
    tensors, found = gu.load(path)
    assert found == metadata
    assert set(tensors) == set(given_arrays)
    for name, array in given_arrays.items():
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(tensors[name].array, array)


@pytest.mark.parametrize("dtype", SUPPORTED, ids=lambda d: d.name)
def test_bits_survive(path: Path, dtype: np.dtype) -> None:
    """NaN payloads, negative zeros and denormal numbers included."""
    bits = np.random.default_rng(0).integers(0, 256, 64, np.uint8)
    array = (bits % 2).astype(bool) if dtype.kind == "b" else bits.view(dtype)
    gu.save({"x": gu.as_tensor(array)}, path)
    assert gu.load(path)[0]["x"].array.tobytes() == array.tobytes()


def test_metadata_may_hold_numbers_that_json_lacks(path: Path) -> None:
    gu.save({}, path, metadata=[math.inf, math.nan])
    tensors, (infinite, nan) = gu.load(path)
    assert tensors == {}
    assert infinite == math.inf
    assert math.isnan(nan)


def test_a_tensor_in_a_graph_is_saved_by_its_values(path: Path) -> None:
    w = gu.ones(2, requires_grad=True)
    gu.save({"w": w, "twice": w * 2, "view": w.expand(3, 2).T}, path)
    tensors, _ = gu.load(path)
    assert tensors["twice"].tolist() == [2, 2]
    assert tensors["view"].shape == (2, 3)
    assert not any(x.requires_grad for x in tensors.values())


def test_what_was_loaded_can_be_changed_and_leaves_the_file_alone(path: Path) -> None:
    gu.save(example(), path, {"epoch": 3})
    tensors, _ = gu.load(path)
    tensors["weight"].zero_()
    check_is_example(path)


def test_a_generator_and_its_place_in_the_stream_fit_in_the_metadata(path: Path) -> None:
    """R1.3: state is saved with the tensors."""
    g = gu.Generator(7)
    g.words(5)
    gu.save({}, path, metadata={"generator": g.get_state()})
    expected = g.words(3).tolist()
    other = gu.Generator()
    other.set_state(gu.load(path)[1]["generator"])
    assert other.words(3).tolist() == expected


def test_strings_and_paths_and_new_folders(tmp_path: Path) -> None:
    place = tmp_path / "a" / "b" / "c"
    gu.save(example(), str(place), {"epoch": 3})
    check_is_example(place)
    gu.save({}, place)
    assert gu.load(os.fspath(place)) == ({}, None)


# Other programs


def test_other_programs_read_our_files(path: Path) -> None:
    gu.save(example(), path, {"epoch": 3})
    np.testing.assert_array_equal(load_file(path)["weight"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("metadata", [None, {"format": "pt", "note": "x"}])
def test_we_read_files_of_other_programs(path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"w": np.ones((2, 2), np.float16)}, path, metadata)
    tensors, found = gu.load(path)
    assert found == metadata
    assert tensors["w"].dtype == gu.float16


def raw(header: object, body: bytes = b"") -> bytes:
    """A safetensors file, byte by byte: length of the header, header, tensors."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize("kind", ["U16", "U32", "U64", "C64", "F8_E4M3"])
def test_dtypes_that_we_do_not_have_are_named(path: Path, kind: str) -> None:
    size = {"U16": 2, "U32": 4, "F8_E4M3": 1}.get(kind, 8)
    tensor = {"dtype": kind, "shape": [1], "data_offsets": [0, size]}
    path.write_bytes(raw({"layer.weight": tensor}, bytes(size)))
    with pytest.raises(gu.CheckpointError, match=rf"'layer\.weight' has dtype {kind}.*F16, F32"):
        gu.load(path)


# A failure leaves the old file

FAILURES: list[tuple[str, Callable[[pytest.MonkeyPatch], None]]] = []


def failure(name: str) -> Callable:
    def register(function: Callable) -> Callable:
        FAILURES.append((name, function))
        return function

    return register


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@failure("write")
def _(patch: pytest.MonkeyPatch) -> None:
    """Half of the content is written, then the disk is full."""
    fdopen = os.fdopen

    def half_full(handle: int, mode: str) -> Any:
        file = fdopen(handle, mode)
        write = file.write

        class Half:
            def __enter__(self) -> Half:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def write(self, content: bytes) -> None:
                write(content[: len(content) // 2])
                no_space()

        return Half()

    patch.setattr(files.os, "fdopen", half_full)


@failure("fsync")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files.os, "fsync", no_space)


@failure("rename")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(files.os, "replace", no_space)


@failure("interrupt")
def _(patch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    patch.setattr(files.os, "replace", interrupt)


@pytest.mark.parametrize(("name", "fail"), FAILURES, ids=[name for name, _ in FAILURES])
@pytest.mark.parametrize("exists", [True, False])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fail: Callable, exists: bool
) -> None:
    if exists:
        gu.save(example(), path, {"epoch": 3})
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    with monkeypatch.context() as patch:
        fail(patch)
        with pytest.raises(KeyboardInterrupt if name == "interrupt" else OSError):
            gu.save({"other": gu.ones(1000)}, path)
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
    gu.save(example(), path, {"epoch": 3})
    check_is_example(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"x": np.ones(2)}, None, "'x' is ndarray, expected a tensor"),
        ({"x": None}, None, "'x' is NoneType, expected a tensor"),
        ({1: gu.ones(1)}, None, "name 1; expected a string"),
        ({"__metadata__": gu.ones(1)}, None, "'__metadata__'"),
        ({}, {"a": object()}, "metadata does not fit in JSON: .*object"),
        ({}, {"a": {1, 2}}, "metadata does not fit in JSON: .*set"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_the_file_is_touched(
    path: Path, tensors: dict, metadata: object, message: str
) -> None:
    gu.save(example(), path, {"epoch": 3})
    with pytest.raises(TypeError, match=f"^save: .*{message}"):
        gu.save(tensors, path, metadata)
    check_is_example(path)
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, synced, renamed, and the folder synced: in this order."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_replace(*args: Any) -> None:
        steps.append("rename")
        replace(*args)

    monkeypatch.setattr(files.os, "fsync", note_fsync)
    monkeypatch.setattr(files.os, "replace", note_replace)
    gu.save({}, path)
    assert steps == ["file", "rename", "folder"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_and_links_are_kept(path: Path) -> None:
    gu.save({}, path)
    assert not path.stat().st_mode & 0o111
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    gu.save(example(), link, {"epoch": 3})
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    check_is_example(path)


# What is not a checkpoint


def refuse(path: Path, content: bytes, message: str = "not a readable safetensors file") -> None:
    """The content is refused with the file's name, and the file is left as it is."""
    path.write_bytes(content)
    with pytest.raises(gu.CheckpointError, match=message) as caught:
        gu.load(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_cut_off_at_any_length_is_refused(path: Path) -> None:
    gu.save(example(), path, {"epoch": 3})
    content = path.read_bytes()
    for length in range(len(content)):
        refuse(path, content[:length], rf"\({length} bytes; .*truncated")
    path.write_bytes(content)
    check_is_example(path)
    refuse(path, content + b"x")


@in_one_folder
@given(content=st.binary(max_size=200))
def test_any_other_bytes_are_refused(path: Path, content: bytes) -> None:
    refuse(path, content)


def test_a_flipped_bit_anywhere_is_an_error_of_ours_or_none(path: Path) -> None:
    """The format has no checksum, so a wrong number may be read; nothing else may happen."""
    gu.save(example(), path, {"epoch": 3})
    content = bytearray(path.read_bytes())
    for i in range(len(content)):
        for bit in (0, 3, 6):
            content[i] ^= 1 << bit
            path.write_bytes(content)
            with contextlib.suppress(gu.CheckpointError):
                tensors, _ = gu.load(path)
                assert all(x.dtype in SUPPORTED for x in tensors.values())
            content[i] ^= 1 << bit


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"format": 2, "metadata": None}, "format 2, but this version .* up to 1; upgrade"),
        ({"format": 0, "metadata": None}, "header is damaged .*format 0"),
        ({"format": "1", "metadata": None}, "header is damaged"),
        ({"format": True, "metadata": None}, "header is damaged"),
        ({"format": 1}, "header is damaged .*metadata"),
        ({"metadata": None}, "header is damaged .*format"),
        ([1], "header is damaged"),
        (None, "header is damaged"),
    ],
)
def test_newer_formats_and_damaged_headers_are_refused(
    path: Path, header: object, message: str
) -> None:
    refuse(path, raw({"__metadata__": {"groundup": json.dumps(header)}}), message)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_header_that_is_not_json_is_refused(path: Path, text: str) -> None:
    refuse(path, raw({"__metadata__": {"groundup": text}}), "header is damaged")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "missing", tmp_path):
        with pytest.raises(gu.CheckpointError, match=r"there is no such file"):
            gu.load(place)


def test_a_pickle_is_refused_and_not_run(path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(path.with_name("exploded")),)

    refuse(path, pickle.dumps({"weight": Bomb()}))
    assert list(path.parent.iterdir()) == [path]
    imported = {
        alias.name
        for node in ast.walk(ast.parse(inspect.getsource(files)))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"pickle", "marshal", "shelve"}


def test_an_error_of_ours_is_a_value_error() -> None:
    assert issubclass(gu.CheckpointError, ValueError)
