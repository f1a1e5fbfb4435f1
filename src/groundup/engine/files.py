"""Checkpoint files: tensors and JSON in one safetensors file, written whole or not at all.

A file holds named tensors, and in its header a format version and any JSON value ("metadata"). It
is written beside its final place, flushed to the disk, and renamed over the old file, so a crash
leaves either the old file or the new one. Reading runs no code from the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from .base import TensorBase, as_array, wrap
from .tensor import Tensor

FORMAT = 1
"""Version of the layout; a reader accepts this and older ones."""

_HEADER = "groundup"
_READABLE = ("BOOL", "U8", "I8", "I16", "I32", "I64", "F16", "BF16", "F32", "F64")


class CheckpointError(ValueError):
    """A file that cannot be used: missing, truncated, foreign, or of a newer format.

    Example:
        >>> gu.load("no such file")
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such file: there is no such file
    """


def write_atomically(
    path: str | os.PathLike[str],
    content: bytes | Iterable[bytes | memoryview],
    *,
    durable: bool = True,
) -> None:
    """Put bytes in a file so that a crash at any moment leaves the old content or the new.

    Args:
        path: the file; its folder is made if missing.
        content: all of it, or its pieces.
        durable: whether to wait until the disk has it. Without, a crash of the system (rather
            than of the program) may leave a damaged file.

    Raises:
        OSError: the disk is full or the place cannot be written; the old file is untouched.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(pathlib.Path(folder) / "note", b"hello")
        ...     (pathlib.Path(folder) / "note").read_bytes()
        b'hello'
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in [content] if isinstance(content, bytes) else content:
                file.write(piece)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save(tensors: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Any = None) -> None:
    """Write named tensors, and anything that JSON can hold, to one safetensors file.

    Args:
        tensors: names to tensors (a ``state_dict``).
        path: the file, replaced as a whole if it exists.
        metadata: a JSON value that ``load`` gives back.

    Raises:
        TypeError: a value is not a tensor, or the metadata does not fit in JSON; nothing is
            written.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gu.save({"w": gu.ones(2)}, f"{folder}/w.safetensors", metadata={"epoch": 3})
        ...     tensors, metadata = gu.load(f"{folder}/w.safetensors")
        >>> tensors["w"].tolist(), metadata
        ([1.0, 1.0], {'epoch': 3})
    """
    for name, value in tensors.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"save: name {name!r}; expected a string, and not '__metadata__'")
        if not isinstance(value, TensorBase):
            raise TypeError(f"save: {name!r} is {type(value).__name__}, expected a tensor")
    try:
        header = json.dumps({"format": FORMAT, "metadata": metadata}, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"save: the metadata does not fit in JSON: {error}") from error
    arrays = {
        name: np.ascontiguousarray(as_array(value)).reshape(value.shape)
        for name, value in tensors.items()
    }
    write_atomically(path, to_bytes(arrays, metadata={_HEADER: header}))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], Any]:
    """Read a file that ``save`` (or any other writer of safetensors) made.

    Returns:
        (tensors by name, metadata); the metadata of a foreign file is its header's dictionary of
        strings, or None.

    Raises:
        CheckpointError: the file is missing, truncated, not safetensors, or of a newer format.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gu.save({"w": gu.ones(2)}, f"{folder}/w.safetensors")
        ...     gu.load(f"{folder}/w.safetensors")[0]["w"].tolist()
        [1.0, 1.0]
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise CheckpointError(f"{name}: there is no such file")
    try:
        with safe_open(name, framework="numpy") as file:
            header = file.metadata()
            for key in file.keys():  # noqa: SIM118
                if (kind := file.get_slice(key).get_dtype()) not in _READABLE:
                    raise CheckpointError(
                        f"{name}: tensor {key!r} has dtype {kind}, which groundup does not have; "
                        f"it reads {', '.join(_READABLE)}"
                    )
            tensors = {key: wrap(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
    except CheckpointError:
        raise
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        size = os.path.getsize(name)
        raise CheckpointError(
            f"{name}: not a readable safetensors file ({size} bytes; {error}); "
            "it may be truncated or of another kind"
        ) from error
    if header is None or _HEADER not in header:
        return tensors, header
    try:
        content = json.loads(header[_HEADER])
        version, metadata = content["format"], content["metadata"]
        if type(version) is not int or version < 1:
            raise ValueError(f"format {version!r}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{name}: its groundup header is damaged ({error})") from error
    if version > FORMAT:
        raise CheckpointError(
            f"{name}: format {version}, but this version of groundup reads up to {FORMAT}; "
            "upgrade groundup to read it"
        )
    return tensors, metadata
