"""A mind's state as the bytes of one safetensors file, with a checksum.

A state is a dictionary of arrays and a JSON value. The JSON is an array of bytes among the others,
because a header may have at most 100 MB; the header has the version of the format, whose state it
is, when it was saved, and a SHA-256 of names, types, shapes and values. Reading runs no code.

The library reads and checks the file. It is written piece by piece here: to make one string of all
would keep the interpreter from questions for a quarter of a second.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load

from ..errors import FinchError

FORMAT = 2
CONTENT = "content.json"
"""The name of the array that is JSON."""
HEADER = "finch"
TYPES = {
    "bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64",
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
}  # fmt: skip
"""Names of types in NumPy and in the file."""


class DamagedError(FinchError):
    """The bytes are not what was written."""


@dataclass(frozen=True)
class State:
    """What a mind is made from again.

    Attributes:
        arrays: by name.
        content: anything that JSON can hold.
        saved: when, in seconds since 1970.

    Example:
        >>> state = State({"w": np.ones(2)}, {"step": 3})
        >>> read("ab", "cd", b"".join(pieces("ab", "cd", state))).content
        {'step': 3}
    """

    arrays: Mapping[str, NDArray[Any]]
    content: Any
    saved: float = field(default=0.0, compare=False)


def pieces(scope: str, task: str, state: State) -> list[bytes | memoryview]:
    """A state as a file's content, in pieces.

    Raises:
        FinchError: an array has a type that safetensors does not have, or the content is no JSON.
    """
    try:
        text = json.dumps(state.content, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FinchError(f"the state of task {task} is no JSON: {error}") from error
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in {**state.arrays, CONTENT: np.frombuffer(text, np.uint8)}.items():
        array = np.asarray(value)
        if array.dtype.name not in TYPES or name == "__metadata__":
            raise FinchError(
                f"the state of task {task}: {name!r} has dtype {array.dtype}, expected numbers"
            )
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        arrays[name] = np.ascontiguousarray(little).reshape(array.shape)
    if CONTENT in state.arrays:
        raise FinchError(f"the state of task {task}: an array may not be called {CONTENT!r}")
    header = {
        "format": FORMAT,
        "scope": scope,
        "task": task,
        "saved": state.saved,
        "sha256": _checksum(arrays),
    }
    about: dict[str, Any] = {"__metadata__": {HEADER: json.dumps(header)}}
    end = 0
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # each at its multiple
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        about[name] = {
            "dtype": TYPES[array.dtype.name], "shape": array.shape,
            "data_offsets": [begin, end],
        }  # fmt: skip
    head = json.dumps(about).encode()
    head += b" " * (-len(head) % 8)
    return [len(head).to_bytes(8, "little"), head, *(_bytes(arrays[name]) for name in names)]


def read(scope: str, task: str, raw: bytes) -> State:
    """A state from a file's content.

    Raises:
        DamagedError: it is cut off, altered, or of another task.
        FinchError: a newer version wrote it.
    """
    header = _header(raw)
    if header["format"] > FORMAT:
        raise FinchError(
            f"what was learned of task {task} has format {header['format']}, this Finch reads up "
            f"to {FORMAT}; upgrade it"
        )
    if (header["scope"], header["task"]) != (scope, task):
        raise DamagedError(f"it is of task {header['task']!r} in scope {header['scope']!r}")
    try:
        deserialize(raw)  # names what is wrong; what follows may rely on sizes
        arrays = load(raw)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"it is cut off or altered ({error})") from error
    if _checksum(arrays) != header["sha256"] or CONTENT not in arrays:
        raise DamagedError("its checksum is wrong")
    content = json.loads(arrays.pop(CONTENT).tobytes())
    return State(arrays, content, float(header["saved"]))


def _header(raw: bytes) -> dict[str, Any]:
    try:
        length = int.from_bytes(raw[:8], "little")
        if not 0 < length <= len(raw) - 8:
            raise ValueError("it is cut off")
        header = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][HEADER])
        if type(header["format"]) is not int or header["format"] < 1:
            raise ValueError(f"format {header['format']!r}")
        return {name: header[name] for name in ("format", "scope", "task", "saved", "sha256")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"its header cannot be read ({error})") from error


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.name}\0{array.shape}\0".encode())
        digest.update(_bytes(array))
    return digest.hexdigest()


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
