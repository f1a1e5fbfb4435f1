"""GGUF files: metadata and (mostly quantised) tensors of a model in one file, read where they lie.

Layout, little-endian: "GGUF", version, number of tensors, number of metadata entries; the entries
(key, type, value); for each tensor its name, sizes (the fastest first), type and offset; then,
aligned, the tensors. The file is mapped into memory: nothing is read before it is asked for.

Nothing in a file is believed: every length is compared with the bytes that are left before anything
is allocated, and every tensor must lie within the file, apart from all others.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.files import CheckpointError
from .blocks import PACKINGS, Packing, unpack

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_DIMENSIONS = 4
DEEPEST = 4
"""Arrays of arrays are read to this depth."""

# Types of tensors by number; those without a packing are named in the error.
_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 24: "I8", 25: "I16",
    26: "I32", 27: "I64", 28: "F64", 30: "BF16",
}  # fmt: skip
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True)
class PackedTensor:
    """A tensor as it stands in the file.

    Attributes:
        name: its name.
        shape: rows first, as NumPy has it.
        packing: how it is packed.
        data: its bytes, a view of the file.

    Example:
        >>> from groundup.io.blocks import PACKINGS
        >>> PackedTensor("w", (2,), PACKINGS["F32"], np.zeros(8, np.uint8)).unpacked()
        array([0., 0.], dtype=float32)
    """

    name: str
    shape: tuple[int, ...]
    packing: Packing
    data: NDArray[np.uint8]

    def unpacked(self) -> NDArray[np.float32]:
        """Its numbers, in the shape that it has."""
        return unpack(self.data, self.packing).reshape(self.shape)


@dataclass(frozen=True)
class GGUF:
    """What a file holds.

    Attributes:
        path: of the file.
        metadata: values by key, such as ``general.architecture``.
        tensors: by name.
        mapped: the file's memory.

    Example:
        >>> read_gguf("no such file")
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such file: there is no such file
    """

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, PackedTensor]
    mapped: mmap.mmap

    def release(self) -> None:
        """Let the system take back the memory of what was read; reading it again reads the file."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)


def read_gguf(path: str | os.PathLike[str]) -> GGUF:
    """Open a GGUF file.

    Args:
        path: of the file, version 2 or 3.

    Returns:
        Its metadata, and tensors that are read when they are used.

    Raises:
        CheckpointError: no such file, no GGUF file, a version or type of tensor that is not
            supported, or contents that contradict themselves or the size of the file.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "m.gguf"
        ...     _ = path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
        ...     read_gguf(path).metadata
        {}
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < 24:
                raise CheckpointError(f"{path}: {size} bytes, too few for a GGUF file")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    try:
        return _read(path, mapped)
    except _DamageError as error:
        raise CheckpointError(f"{path}: damaged or not a GGUF file: {error}") from None


class _DamageError(Exception):
    """What is wrong with the content."""


class _Reader:
    """Takes values from the beginning of a file on, and never more than there is."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.view) - self.at

    def take(self, count: int, what: str) -> memoryview:
        if count > self.left:
            raise _DamageError(f"{what} needs {count:,} bytes at {self.at:,}, {self.left:,} remain")
        self.at += count
        return self.view[self.at - count : self.at]

    def number(self, code: str, what: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code), what))[0]

    def text(self, what: str) -> str:
        length = self.number("<Q", f"the length of {what}")
        try:
            return str(self.take(length, what), "utf-8")
        except UnicodeDecodeError as error:
            raise _DamageError(f"{what} is not UTF-8 ({error.reason})") from None

    def value(self, kind: int, what: str, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind], what)
        if kind == _STRING:
            return self.text(what)
        if kind != _ARRAY or depth == DEEPEST:
            raise _DamageError(f"{what} has the unknown type {kind}")
        inner = self.number("<I", f"the type of {what}")
        count = self.number("<Q", f"the length of {what}")
        if inner in _SCALARS:
            code = _SCALARS[inner]
            data = self.take(count * struct.calcsize(code), what)
            return np.frombuffer(data, "?" if code == "<?" else code).tolist()
        if count > self.left // 8:
            raise _DamageError(
                f"{what} is said to have {count:,} parts, {self.left:,} bytes remain"
            )
        if inner == _STRING:
            return self.texts(count, what)
        return [self.value(inner, what, depth + 1) for _ in range(count)]

    def texts(self, count: int, what: str) -> list[str]:
        """As `text` so many times; a vocabulary has many."""
        view, at, end = self.view, self.at, len(self.view)
        found = []
        for number in range(count):
            begin = at + 8
            at = begin + int.from_bytes(view[at:begin], "little")
            if begin > end or at > end:
                raise _DamageError(f"part {number} of {what} ends at {at:,}, after the file")
            found.append(view[begin:at])
        self.at = at
        try:
            return [str(part, "utf-8") for part in found]
        except UnicodeDecodeError as error:
            raise _DamageError(f"{what} is not UTF-8 ({error.reason})") from None


def _read(path: Path, mapped: mmap.mmap) -> GGUF:
    view = memoryview(mapped)
    reader = _Reader(view)
    if bytes(reader.take(4, "the first word")) != MAGIC:
        raise _DamageError("it does not begin with 'GGUF'")
    version = reader.number("<I", "the version")
    if version not in VERSIONS:
        raise CheckpointError(
            f"{path}: version {version} of GGUF; versions {' and '.join(map(str, VERSIONS))} are "
            "supported"
        )
    tensors = reader.number("<Q", "the number of tensors")
    entries = reader.number("<Q", "the number of entries")
    metadata: dict[str, Any] = {}
    for number in range(entries):
        key = reader.text(f"key {number}")
        kind = reader.number("<I", f"the type of {key!r}")
        metadata[key] = reader.value(kind, repr(key))
    infos = [_info(reader, number) for number in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise _DamageError(f"general.alignment is {alignment!r}, expected a power of two")
    begin = -(-reader.at // alignment) * alignment
    found: dict[str, PackedTensor] = {}
    data = np.frombuffer(view, np.uint8)
    spans = []
    for name, shape, kind, offset in infos:
        if name in found:
            raise _DamageError(f"two tensors are called {name!r}")
        packing = PACKINGS.get(_TYPES.get(kind, ""))
        if packing is None:
            raise CheckpointError(
                f"{path}: tensor {name!r} has type {_TYPES.get(kind, kind)}; supported are "
                f"{', '.join(PACKINGS)}"
            )
        row = shape[-1] if shape else 1
        if row % packing.weights:
            raise _DamageError(
                f"a row of {name!r} has {row} numbers, no multiple of {packing.weights} as "
                f"{packing.name} needs"
            )
        count = 1
        for extent in shape:
            count *= extent  # whole numbers in Python do not overflow
        nbytes = count // packing.weights * packing.nbytes
        first, last = begin + offset, begin + offset + nbytes
        if last > len(view):
            raise _DamageError(
                f"{name!r} {shape} would end at byte {last:,} of {len(view):,}; is the file cut?"
            )
        spans.append((first, last, name))
        found[name] = PackedTensor(name, shape, packing, data[first:last])
    spans.sort()
    for (_, end, one), (start, _, other) in pairwise(spans):
        if start < end:
            raise _DamageError(f"{one!r} and {other!r} overlap")
    return GGUF(path, metadata, found, mapped)


def _info(reader: _Reader, number: int) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.text(f"the name of tensor {number}")
    count = reader.number("<I", f"the dimensions of {name!r}")
    if count > MOST_DIMENSIONS:
        raise _DamageError(f"{name!r} has {count} dimensions, at most {MOST_DIMENSIONS} exist")
    sizes = [reader.number("<Q", f"a size of {name!r}") for _ in range(count)]
    kind = reader.number("<I", f"the type of {name!r}")
    offset = reader.number("<Q", f"the place of {name!r}")
    return name, tuple(reversed(sizes)), kind, offset
