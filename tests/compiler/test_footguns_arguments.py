"""What goes wrong in compilers that trace: arguments and results of many kinds (R1.4)."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.engine.compiler.trace.trace import TraceError

from .footguns import traces


class Pair(NamedTuple):
    a: gu.Tensor
    b: Any


@dataclasses.dataclass
class Batch:
    x: gu.Tensor
    name: str


def test_nested_structures() -> None:
    def f(tree: Any, *, scale: float, batch: Batch) -> Any:
        y = tree["list"][0] + tree["pair"].a * scale + batch.x
        return {"y": y, "pair": Pair(y * 2, None), "rest": [1, "a", (y.sum(),)], "batch": batch}

    tree = {"list": [gu.ones(2), 3], "pair": Pair(gu.ones(2), "x")}
    batch = Batch(gu.ones(2), "b")
    out, same = gu.compile(f)(tree, scale=2.0, batch=batch), f(tree, scale=2.0, batch=batch)
    assert out["y"].tolist() == same["y"].tolist() == [4, 4]
    assert isinstance(out["pair"], Pair)
    assert out["pair"].a.tolist() == [8, 8]
    assert out["rest"][:2] == [1, "a"]
    assert out["rest"][2][0].item() == 8
    assert out["batch"].name == "b"
    assert out["batch"].x is batch.x


def test_keyword_arguments_and_another_order() -> None:
    f = gu.compile(lambda a, b=None, **more: a - b + more.get("c", 0))
    one, two = gu.ones(1), gu.full((1,), 2.0)
    assert f(one, b=two).item() == -1
    assert f(b=two, a=one).item() == -1
    assert f(two, one, c=one).item() == 2


def test_numpy_array_as_an_argument() -> None:
    f = gu.compile(lambda x: gu.from_numpy(x) * 2)
    with pytest.raises(TraceError, match=r"a NumPy array of shape \(2,\) .* gu.from_numpy"):
        f(np.ones(2))
    g = gu.compile(lambda x, n: x * float(n))
    assert g(gu.ones(1), np.float32(3)).item() == 3
    assert g(gu.ones(1), np.float32(4)).item() == 4


def test_module_as_an_argument_and_method() -> None:
    class Net(nn.Module):
        def __init__(self, by: float) -> None:
            self.by = by

        @gu.compile
        def forward(self, x: gu.Tensor) -> gu.Tensor:
            return x * self.by

    one, two = Net(1.0), Net(2.0)
    assert [net(gu.ones(1)).item() for net in (one, two, one)] == [1, 2, 1]
    f = gu.compile(lambda net, x: net(x) + 1)
    assert [f(net, gu.ones(1)).item() for net in (one, two)] == [2, 3]
    two.by = 5.0
    assert f(two, gu.ones(1)).item() == 6


def test_shapes_and_dtypes_in_turn_do_not_lead_to_new_traces() -> None:
    f = gu.compile(lambda x: (x * 2).sum(0))
    given = [gu.ones(2, 3), gu.ones(4, 1), gu.ones(3, dtype=gu.float64), gu.arange(4)]
    for _ in range(3):
        for x in given:
            out, same = f(x), (x * 2).sum(0)
            assert out.dtype == same.dtype
            assert out.tolist() == same.tolist()
    assert traces(f) == len(given)


def test_same_tensor_twice() -> None:
    f = gu.compile(lambda a, b: a * 2 + b)
    x, y = gu.ones(1), gu.full((1,), 5.0)
    assert [f(x, x).item(), f(x, y).item(), f(y, x).item(), f(y, y).item()] == [3, 7, 11, 15]


def test_inputs_that_are_not_contiguous_or_empty() -> None:
    f = gu.compile(lambda x: (x * 2 + x.sum(0)).t())
    whole = gu.arange(24, dtype=gu.float32).reshape(4, 6)
    views = [whole.t(), whole[:, ::2], whole[1:3], whole[:1].expand(4, 6), whole.flip(0)]
    for x in [*views, gu.zeros(0, 3), gu.zeros(3, 0)]:
        for _ in range(2):
            assert f(x).tolist() == (x * 2 + x.sum(0)).t().tolist()


def test_float64_and_integer_functions() -> None:
    def f(x: gu.Tensor, i: gu.Tensor) -> tuple[gu.Tensor, ...]:
        return x.exp().sum() / 3, i // 3 + i % 2, (i * i).sum(), i > 2, i.max()

    x, i = gu.linspace(0, 1, 7, dtype=gu.float64), gu.arange(-4, 5)
    for ours, same in zip(gu.compile(f)(x, i), f(x, i), strict=True):
        assert ours.dtype == same.dtype
        np.testing.assert_allclose(ours.numpy(), same.numpy(), rtol=1e-14)


def test_nested_compiled_functions_and_recursion() -> None:
    factor = 2.0

    @gu.compile
    def inner(x: gu.Tensor) -> gu.Tensor:
        return x * factor

    @gu.compile
    def outer(x: gu.Tensor, depth: int = 3) -> gu.Tensor:
        return inner(x) if depth == 0 else outer(x + 1, depth - 1)

    assert outer(gu.ones(1)).item() == 8
    factor = 3.0
    assert outer(gu.ones(1)).item() == 12


def test_function_of_no_tensors() -> None:
    assert gu.compile(lambda: 3)() == 3
    assert gu.compile(lambda: gu.ones(2) * 3)().tolist() == [3, 3]
