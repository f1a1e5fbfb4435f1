"""Writing an ONNX model: checked, and as a whole or not at all.

One file holds at most 2 GB. Larger weights go to a second one, whose name has a hash of them: the
model that a crash leaves, old or new, refers to weights that belong to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ...engine.files import write_atomically
from .writer import onnx_type

Array = NDArray[Any]
LIMIT = 2_000_000_000
"""Bytes of weights that go into the model's own file."""
INSIDE = 1024
"""Bytes of an array that goes there in any case."""
ALIGNMENT = 4096
"""Weights begin at multiples of this, so that they can be mapped into memory."""


def write(model: onnx.ModelProto, arrays: Mapping[str, Array], path: Path) -> None:
    """Add the constants to a model, check it and write it.

    Args:
        model: the model; it is changed.
        arrays: its constants by name.
        path: of the file.
    """
    outside: list[Array] = []
    large = sum(a.nbytes for a in arrays.values()) > LIMIT
    offset = 0
    digest = hashlib.sha256()
    for name, array in arrays.items():
        tensor = model.graph.initializer.add(name=name, data_type=onnx_type(array.dtype))
        tensor.dims.extend(array.shape)
        if not large or array.nbytes <= INSIDE:
            tensor.raw_data = bytes(_bytes(array))
            continue
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": "", "offset": offset, "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        outside.append(array)
        digest.update(_bytes(array))
        offset += array.nbytes + _gap(array.nbytes)
    onnx.checker.check_model(_without_outside(model) if outside else model, full_check=True)
    if outside:
        weights = f"{path.name}.{digest.hexdigest()[:12]}"
        for tensor in model.graph.initializer:
            if tensor.external_data:
                tensor.external_data[0].value = weights
        write_atomically(path.with_name(weights), _pieces(outside))
    write_atomically(path, model.SerializeToString())


def _without_outside(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inputs in the places of the weights that are not in it, to be checked."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    outside = [tensor for tensor in graph.initializer if tensor.external_data]
    for x in outside:
        graph.input.append(onnx.helper.make_tensor_value_info(x.name, x.data_type, x.dims))
        graph.initializer.remove(x)
    return found


def _gap(length: int) -> int:
    return -length % ALIGNMENT


def _pieces(arrays: list[Array]) -> Iterator[bytes | memoryview]:
    for array in arrays:
        yield _bytes(array)
        yield bytes(_gap(array.nbytes))


def _bytes(array: Array) -> memoryview:
    """The bytes of an array, the lowest of each number first."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return memoryview(ordered.reshape(-1).view(np.uint8)).cast("B")  # type: ignore[arg-type]
