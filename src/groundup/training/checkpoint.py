"""Checkpoints: all that a training run depends on, in one file, restored whole or not at all.

A checkpoint has named parts. A part is anything with ``state_dict`` and ``load_state_dict``
(model, optimizer, schedule, weight average, loader), a ``Generator``, or a plain value. All go to
one safetensors file: the tensors by name (``model/0.weight``), the rest as JSON in its header.
The file is replaced atomically, and reading it runs no code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..engine.files import CheckpointError, load, save
from ..engine.random import Generator
from ..engine.state import pack, unpack
from ..engine.tensor import Tensor
from ..nn.module import Module

KIND = "groundup.training checkpoint"


def save_checkpoint(path: str | os.PathLike[str], **parts: Any) -> None:
    """Write the state of several things to one file.

    Args:
        path: the file; an old one is replaced when the new one is complete.
        **parts: by name: objects with ``state_dict`` and ``load_state_dict``, generators, or plain
            values (numbers, strings, None, tensors, and lists, tuples and dictionaries of them).

    Raises:
        TypeError: a state holds something else; nothing is written.
        OSError: the file cannot be written; an old one is untouched.

    Example:
        >>> import tempfile
        >>> from groundup.training import load_checkpoint
        >>> model = nn.Linear(2, 1)
        >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/run.safetensors"
        ...     save_checkpoint(path, model=model, optimizer=optimizer, step=7)
        ...     values = load_checkpoint(path, model=model, optimizer=optimizer)
        >>> values
        {'step': 7}
    """
    tensors: dict[str, Tensor] = {}
    records = {
        name: {
            "class": type(part).__name__ if _has_state(part) else None,
            "state": pack(_state(part), name, tensors),
        }
        for name, part in parts.items()
    }
    save(tensors, path, metadata={"kind": KIND, "parts": records})


def load_checkpoint(path: str | os.PathLike[str], **parts: Any) -> dict[str, Any]:
    """Put the state from a file back into the things that it was taken from, or into their likes.

    Args:
        path: a file that ``save_checkpoint`` wrote.
        **parts: the objects and generators to restore, under the names that they were saved with.
            Parts of the file that are not named are left alone.

    Returns:
        The plain values of the file by name.

    Raises:
        CheckpointError: the file cannot be read, lacks a part, or a part does not fit (another
            architecture, another dtype, another kind of optimizer). Nothing is changed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_checkpoint(f"{folder}/a.safetensors", model=nn.Linear(2, 1))
        ...     try:
        ...         load_checkpoint(f"{folder}/a.safetensors", model=nn.Linear(2, 3))
        ...     except gu.CheckpointError as error:
        ...         print("weight has shape (1, 2), expected (3, 2)" in str(error))
        True
    """
    name = os.fspath(path)
    tensors, metadata = load(path)
    if not isinstance(metadata, Mapping) or metadata.get("kind") != KIND:
        raise CheckpointError(
            f"{name}: safetensors, but not a checkpoint of training; gu.load reads its tensors"
        )
    records = metadata["parts"]
    # Copies with their own memory: nothing that is restored hangs on the file's buffer.
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    before = {part_name: _copy(part_name, part) for part_name, part in parts.items()}
    touched: list[str] = []
    try:
        for part_name, part in parts.items():
            touched.append(part_name)
            _restore(part_name, part, records, tensors)
    except Exception as error:
        for part_name in touched:
            _put(parts[part_name], before[part_name])
        raise CheckpointError(f"{name}: {error}") from error
    plain = (key for key, record in records.items() if record["class"] is None)
    return {key: unpack(records[key]["state"], tensors) for key in plain}


def _restore(
    name: str, part: Any, records: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    if name not in records:
        raise ValueError(f"has no part {name!r}; its parts are {', '.join(records) or 'none'}")
    saved, kind = records[name]["class"], type(part).__name__
    state = unpack(records[name]["state"], tensors)
    if isinstance(part, Module):  # its class may have another name by now; names and shapes decide
        _same_dtypes(name, part.state_dict(), state)
    elif saved != kind:
        raise ValueError(f"part {name!r} is the state of {saved}, but {kind} is to be restored")
    try:
        _put(part, state)
    except Exception as error:
        raise ValueError(f"part {name!r} does not fit this {kind}: {error}") from error


def _same_dtypes(name: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    wrong = [
        f"{key} is {given[key].dtype.name}, here it is {own[key].dtype.name}"
        for key in own
        if key in given and given[key].dtype != own[key].dtype
    ]
    if wrong:
        raise ValueError(
            f"part {name!r} has other dtypes: {'; '.join(wrong)}; use Module.to(dtype)"
        )


def _has_state(part: Any) -> bool:
    return isinstance(part, Generator) or hasattr(part, "state_dict")


def _state(part: Any) -> Any:
    if isinstance(part, Generator):
        return part.get_state()
    return part.state_dict() if _has_state(part) else part


def _copy(name: str, part: Any) -> Any:
    """The state with memory of its own, so that it outlives a change of the part."""
    tensors: dict[str, Tensor] = {}
    packed = pack(_state(part), name, tensors)
    return unpack(packed, {key: tensor.clone() for key, tensor in tensors.items()})


def _put(part: Any, state: Any) -> None:
    if isinstance(part, Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)
