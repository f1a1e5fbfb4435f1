"""Each primitive as ONNX operators, computed by ONNX Runtime and here. R4.3."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.engine import primitives
from groundup.engine.panels import PACKINGS, panels
from groundup.engine.primitive import Primitive

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tests.peers.test_onnx import assert_same  # noqa: E402

from groundup.io.onnx import ExportError, export_onnx  # noqa: E402
from groundup.io.onnx.fusions import WEIGHT  # noqa: E402
from groundup.io.onnx.operators import MAPPINGS, WITHOUT  # noqa: E402


def every() -> dict[str, Primitive]:
    """The primitives that there are, by name."""
    found = {}
    for info in pkgutil.iter_modules(primitives.__path__):
        module = importlib.import_module(f"{primitives.__name__}.{info.name}")
        found |= {x.name: x for x in vars(module).values() if isinstance(x, Primitive)}
    return found


EVERY = every()


class Call(nn.Module):
    """One primitive."""

    def __init__(self, name: str, static: dict[str, Any]) -> None:
        self.primitive, self.static = EVERY[name], static

    def forward(self, *inputs: gu.Tensor) -> gu.Tensor:
        """What it gives."""
        return self.primitive(*inputs, **self.static)


class Formula(nn.Module):
    """A function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def forward(self, *x: gu.Tensor) -> Any:
        """What it gives."""
        return self.function(*x)


def array(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.randn(shape, generator=gu.Generator(seed))


def whole(*shape: int, low: int = -5, high: int = 6, seed: int = 0) -> gu.Tensor:
    return gu.randint(low, high, shape, generator=gu.Generator(seed))


def truth(*shape: int, seed: int = 0) -> gu.Tensor:
    return array(*shape, seed=seed) > 0


X, Y = array(3, 4), array(3, 4, seed=1)
P, Q = whole(3, 4), whole(3, 4, seed=1)
K = whole(3, 4, low=1)
A, B = truth(3, 4), truth(3, 4, seed=1)
HALVES = gu.tensor([-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 3.2])
ROW, COLUMN = array(4), array(3, 1)
KEEP = {"dims": (0, 2), "keepdim": True}
DROP = {"dims": (1,), "keepdim": False}
CUBE = array(2, 3, 4)
ARITHMETIC = [({}, X, Y), ({}, P, Q), ({}, ROW, COLUMN)]
COMPARED = [*ARITHMETIC, ({}, A, B)]
LOGICAL = [({}, A, B)]
BITS = [({}, A, B), ({}, P, Q)]
UNARY = [({}, X)]
POSITIVE = [({}, X.abs() + 0.1)]
ROUNDED = [({}, HALVES), ({}, P)]
SIGNED = [({}, X), ({}, P)]
REDUCED = [(KEEP, CUBE), (DROP, CUBE), (DROP, P)]
PLANE = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}

CASES: dict[str, list[Any]] = {
    "cast": [
        ({"dtype": gu.int64}, HALVES), ({"dtype": gu.float32}, P), ({"dtype": gu.bool}, P),
        ({"dtype": gu.float64}, X), ({"dtype": gu.float32}, A),
    ],
    "neg": SIGNED, "add": ARITHMETIC, "sub": ARITHMETIC, "mul": ARITHMETIC,
    "div": [({}, X, Y)],
    "floor_divide": [({}, X, Y), ({}, P, K), ({}, P, -K)],
    "remainder": [({}, X, Y), ({}, P, K), ({}, P, -K)],
    "pow": [({}, X.abs(), Y), ({}, X, gu.tensor(2.0))],
    "maximum": [*ARITHMETIC, ({}, A, B)], "minimum": [*ARITHMETIC, ({}, A, B)],
    "lerp": [({}, X, Y, gu.tensor(0.3))],
    "addcdiv": [({}, X, Y, X.abs() + 1, gu.tensor(-0.1))],
    "eq": [*COMPARED, ({}, X, X)], "ne": [*COMPARED, ({}, X, X)],
    "lt": COMPARED, "le": COMPARED, "gt": COMPARED, "ge": COMPARED,
    "logical_and": LOGICAL, "logical_or": LOGICAL, "logical_xor": LOGICAL,
    "logical_not": [({}, A)],
    "bitwise_and": BITS, "bitwise_or": BITS, "bitwise_xor": BITS,
    "bitwise_not": [({}, A), ({}, P)],
    "where": [({}, A, X, Y), ({}, A, P, Q), ({}, A, B, ~B), ({}, A, X, gu.tensor(0.0))],
    "clamp": [
        ({"low": -0.5, "high": 0.5}, X), ({"low": None, "high": 0.5}, X),
        ({"low": -2, "high": None}, P),
    ],
    "sign": SIGNED, "abs": SIGNED, "relu": SIGNED,
    "floor": ROUNDED, "ceil": ROUNDED, "round": ROUNDED, "trunc": ROUNDED,
    "exp": UNARY, "expm1": UNARY, "sin": UNARY, "cos": UNARY, "tanh": UNARY, "erf": UNARY,
    "sigmoid": UNARY, "barrier": [({}, X, gu.tensor(1.0))], "softplus": [({}, 30 * X)],
    "log": POSITIVE, "log1p": POSITIVE, "sqrt": POSITIVE, "rsqrt": POSITIVE,
    "reshape": [({"shape": (2, 6)}, X), ({"shape": (-1,)}, X), ({"shape": ()}, array(1, 1))],
    "permute": [({"order": (2, 0, 1)}, CUBE)],
    "expand": [({"shape": (2, 3, 4)}, COLUMN), ({"shape": (5,)}, array())],
    "sum_to": [({"shape": (3, 1)}, CUBE), ({"shape": (4,)}, CUBE)],
    "flip": [({"dims": (0, 2)}, CUBE)],
    "slice": [({"key": (slice(None), slice(1, 3), slice(0, 4, 2))}, CUBE)],
    "unslice": [({"shape": (5, 4), "key": (slice(1, 4), slice(0, 4))}, X)],
    "pad": [
        ({"widths": ((1, 0), (0, 2)), "value": 0.0}, X),
        ({"widths": ((1, 0), (0, 2)), "value": -float("inf")}, X),
        ({"widths": ((1, 0), (0, 2)), "value": 7}, P),
    ],
    "cat": [({"dim": 1}, X, Y, X), ({"dim": 0}, P, Q)],
    "index": [
        ({"dims": (1,)}, CUBE, whole(2, 5, low=0, high=3)),
        ({"dims": (1, 2)}, CUBE, whole(5, low=0, high=3), whole(2, 1, low=0, high=4)),
        ({"dims": (0, 2)}, CUBE, whole(5, low=0, high=2), whole(5, low=0, high=4)),
        ({"dims": (0,)}, P, whole(2, low=0, high=3).to(gu.int32)),
        ({"dims": (0,)}, P, whole(2, low=0, high=3).to(gu.uint8)),
    ],
    "index_put": [
        ({"dims": (1,)}, CUBE, array(2, 2, 4), gu.tensor([2, 0])),
        ({"dims": (0, 2)}, CUBE, array(3), gu.tensor([1, 0]), gu.tensor([3, 3])),
        ({"dims": (1, 2)}, CUBE, gu.tensor(5.0), gu.tensor([1, 0]), gu.tensor([3, 3])),
    ],
    "index_add": [
        ({"dims": (0,), "shape": (4, 4)}, X, gu.tensor([1, 3, 1])),
        ({"dims": (1, 2), "shape": (2, 3, 4)}, array(2, 2), gu.tensor([1, 1]), gu.tensor([3, 3])),
    ],
    "gather": [({"dim": 1}, X, whole(3, 2, low=0, high=4))],
    "scatter_add": [({"dim": 1, "shape": (3, 6)}, X, whole(3, 4, low=0, high=6))],
    "argsort": [({"dim": 1}, X), ({"dim": 0}, P)],
    "sum": REDUCED, "amax": [*REDUCED, (DROP, A)], "amin": [*REDUCED, (DROP, A)],
    "any": [(DROP, A), (DROP, P)], "all": [(DROP, A), (DROP, P)],
    "argmax": [({"dim": 1}, CUBE), ({"dim": 0}, P)],
    "argmin": [({"dim": 1}, CUBE), ({"dim": 0}, P)],
    "cumsum": [({"dim": 1}, CUBE), ({"dim": 0}, P)],
    "softmax": [({"dim": 1}, CUBE)], "log_softmax": [({"dim": 1}, CUBE)],
    "cross_entropy": [
        ({"dim": 1, "ignored": -100}, CUBE, gu.tensor([[0, 2, 1, -100], [2, 1, 0, 0]])),
    ],
    "class_residual": [
        ({"dim": 1, "ignored": -100}, CUBE, gu.tensor([[0, 2, 1, -100], [2, 1, 0, 0]])),
    ],
    "logsumexp": [
        (KEEP, 100 * CUBE), (DROP, CUBE),
        (DROP, gu.tensor([[-float("inf")] * 2, [0.0, -float("inf")]])),
    ],
    "standardize": [
        ({"dims": (1, 2), "eps": 1e-5}, CUBE),
        ({"dims": (0, 2), "eps": 1e-5}, CUBE, array(1, 3, 1), array(1, 3, 1).abs()),
    ],
    "matmul": [
        ({}, CUBE, array(4, 2)), ({}, array(4), array(4)),
        ({}, array(2, 1, 3, 4), array(5, 4, 2)),
    ],
    "linear": [({}, X, array(5, 4)), ({}, X, array(5, 4), array(5))],
    "conv": [(PLANE, array(2, 4, 7, 6), array(6, 2, 3, 2))],
    "conv_input": [(PLANE | {"size": (7, 6)}, array(2, 6, 4, 4), array(6, 2, 3, 2))],
    "windows": [
        ({"dims": (0, 2), "size": (2, 3), "step": (1, 2), "dilation": (2, 1)}, array(4, 2, 7)),
        ({"dims": (1,), "size": (3,), "step": (2,), "dilation": (1,)}, whole(2, 7)),
    ],
}  # fmt: skip
"""For each primitive its static arguments and inputs."""


def panels_of(rows: int, columns: int) -> gu.Tensor:
    """Packed weights, as a buffer holds them."""
    blocks = np.random.default_rng(0).integers(0, 256, (rows, columns // 32, 34), np.uint8)
    blocks[..., :2] = np.float16(0.01).tobytes()[0], np.float16(0.01).tobytes()[1]
    return gu.tensor(panels(blocks.reshape(rows, -1), PACKINGS["Q8_0"]))


SIZES = {"packing": "Q8_0", "rows": 12, "columns": 64}
PACKED: dict[str, Any] = {
    "packed_linear": lambda w, x: EVERY["packed_linear"](x, w, **SIZES),
    "packed_product": lambda w, x: EVERY["packed_product"](EVERY["rounded"](x), w, **SIZES),
    "packed_rows": lambda w, x: EVERY["packed_rows"](w, gu.argmax(x, 1), **SIZES),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_weights_are_unpacked_once(name: str, tmp_path: Path) -> None:
    model = Formula(lambda x: PACKED[name](model.weight, x) + 0 * PACKED[name](model.weight, x))
    model.weight = nn.Buffer(panels_of(12, 64))
    path = export_onnx(model, array(5, 64), tmp_path / "one.onnx")
    weights = {x.name: x for x in onnx.load(path).graph.initializer}
    assert tuple(weights["weight"].dims) == (12, 64)
    assert sum(x.dims[-1:] == [64] for x in weights.values()) == 1
    x = gu.eye(64)[:12] if name == "packed_rows" else array(3, 64)
    assert_same(path, model, (x,), atol=0.01)  # x is rounded to eight bits here, and not there


@pytest.mark.parametrize("name", CASES)
def test_runtime_agrees(name: str, tmp_path: Path) -> None:
    for static, *inputs in CASES[name]:
        model = Call(name, static)
        path = export_onnx(model, tuple(inputs), tmp_path / "one.onnx", dynamic={})
        assert_same(path, model, tuple(inputs))


def test_every_primitive_is_mapped_and_compared() -> None:
    assert MAPPINGS.keys() | WEIGHT.keys() == CASES.keys() | PACKED.keys()
    assert EVERY.keys() - MAPPINGS.keys() - WEIGHT.keys() == set(WITHOUT)


# Static arguments and constants that depend on the sizes.
VARYING: Mapping[str, Any] = {
    "reshape": lambda x: x.reshape(x.shape[1], x.shape[0] * 4).flatten(),
    "slice": lambda x: x[1:, -2:] + x[: x.shape[0] - 1, : x.shape[1] - 1][:, :1],
    "pad": lambda x: gu.cat([x, gu.zeros(x.shape[0], 2, 4)], 1),
    "arange": lambda x: (
        x.mean(2) * gu.arange(2, x.shape[1] + 2) - gu.arange(x.shape[0]).unsqueeze(1)
    ),
    "steps": lambda x: gu.arange(0, 3 * x.shape[1], 3) + x.sum(2),
    "fraction": lambda x: x / x.shape[1] + 0.5 * x.shape[0] + 1 / (x.shape[0] * x.shape[1]),
    "mean": lambda x: (x.mean(), x.var(1), x.std()),
    "expand": lambda x: x.sum(2).unsqueeze(2).expand(*x.shape[:2], x.shape[1]),
    "diagonal": lambda x: gu.tril(x @ x.mT),
    "sort": lambda x: (x.sort(1)[0], x.argsort(1, descending=True), x.flip(1).cumsum(1)),
    "index": lambda x: x[gu.arange(x.shape[0]), 1],
    "windows": lambda x: x.unfold(1, 3, 1),
    "full": lambda x: gu.full((x.shape[1],), 0.5).cumsum(0) + x.mean(2),
}  # fmt: skip


@pytest.mark.parametrize("name", VARYING)
def test_numbers_that_depend_on_sizes(name: str, tmp_path: Path) -> None:
    model = Formula(VARYING[name])
    both = {"x_0": {0: "batch", 1: "length"}}
    path = export_onnx(model, array(2, 6, 4), tmp_path / "one.onnx", dynamic=both)
    for shape in ((2, 6, 4), (5, 9, 4), (3, 4, 4)):
        assert_same(path, model, (array(*shape, seed=2),))


W = gu.ones(2, 3, 3, requires_grad=True)
STATE = gu.zeros(3)


def remembered(x: gu.Tensor) -> gu.Tensor:
    STATE.add_(1)
    return x * STATE.sum()


def gradient(x: gu.Tensor) -> gu.Tensor:
    with gu.enable_grad():
        return gu.grad(gu.nn.functional.conv1d(x, W, padding=1).sum(), W)[0]


REFUSED: list[tuple[Any, str]] = [
    (lambda x: gu.randn(5) + x, r"primitives.py:\d+: random numbers are drawn"),
    (lambda x: x if x.sum() > 0 else -x, r"primitives.py:\d+: the values of a tensor were asked"),
    (lambda x: x.mean(1)[: x.shape[0] // 2], r"primitives.py:\d+: slice: the end of a slice is 1"),
    (lambda x: x * 2 if x.shape[0] > 5 else x, r"primitives.py:\d+: the program is not the same"),
    (lambda x: [x] * x.shape[0], "the number of results depends on the sizes"),
    (lambda x: 3, "no tensor is returned"),
    (remembered, r"primitives.py:\d+: the forward pass changes a tensor of shape \(3,\)"),
    (
        lambda x: x.sum(2).T * gu.tensor([i**0.5 for i in range(x.shape[0])]),
        r"primitives.py:\d+: array: values that are made on the way are \[0.* of shape \(2,\)",
    ),
    (gradient, r"primitives.py:\d+: the primitive 'conv_weight', the gradient of a convolution"),
]


@pytest.mark.parametrize(("function", "words"), REFUSED)
def test_what_cannot_be_exported_is_said_with_its_line(
    function: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=words):
        export_onnx(Formula(function), array(2, 3, 5), tmp_path / "one.onnx")
    assert not list(tmp_path.iterdir())
