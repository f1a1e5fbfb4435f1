"""What PyTorch's database of operators has no entry for: conversion, facts, operators, transforms.

Each line is one expression that both libraries evaluate (R1.1, R1.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")

from tests.peers.comparison import assert_close, assert_same_results, flat, name_of  # noqa: E402


def x(m: Any) -> Any:
    return m.tensor([[1.0, -2.0, 3.5], [0.0, 5.0, -6.0]])


def n(m: Any) -> Any:
    return m.tensor([[1, 2, 3], [4, 5, 7]])


def facts(value: Any) -> Any:
    """A shape as a tuple, a dtype as a word."""
    if isinstance(value, torch.Size):
        return list(value)
    if isinstance(value, torch.dtype | np.dtype):
        return value.name if isinstance(value, np.dtype) else name_of(value)
    return list(value) if isinstance(value, tuple) else value


EXPRESSIONS: dict[str, list[Callable[[Any], Any]]] = {
    "Tensor.shape": [lambda m: facts(x(m).shape), lambda m: facts(m.tensor(1).shape)],
    "Tensor.dtype": [lambda m: facts(x(m).dtype), lambda m: facts(n(m).dtype)],
    "Tensor.ndim": [lambda m: x(m).ndim, lambda m: m.tensor(1).ndim],
    "Tensor.dim": [lambda m: x(m).dim(), lambda m: m.tensor(1).dim()],
    "Tensor.numel": [lambda m: x(m).numel(), lambda m: m.zeros(0, 3).numel()],
    "Tensor.size": [lambda m: facts(x(m).size()), lambda m: x(m).size(-1), lambda m: x(m).size(0)],
    "Tensor.is_leaf": [
        lambda m: x(m).is_leaf,
        lambda m: (x(m).requires_grad_() * 2).is_leaf,
        lambda m: x(m).requires_grad_().is_leaf,
    ],
    "Tensor.is_contiguous": [lambda m: x(m).is_contiguous(), lambda m: x(m).T.is_contiguous()],
    "Tensor.is_floating_point": [lambda m: x(m).is_floating_point(), lambda m: (n(m) > 2).dim()],
    "Tensor.tolist": [lambda m: x(m).tolist(), lambda m: m.tensor(True).tolist()],
    "Tensor.numpy": [lambda m: x(m).numpy().tolist(), lambda m: n(m).T.numpy().tolist()],
    "Tensor.__array__": [
        lambda m: np.asarray(x(m)).tolist(),
        lambda m: str(np.asarray(n(m)).dtype),
    ],
    "Tensor.__bool__": [lambda m: bool(m.tensor([0.0])), lambda m: bool(m.tensor(2))],
    "Tensor.__float__": [lambda m: float(m.tensor([2.5])), lambda m: float(m.tensor(True))],
    "Tensor.__int__": [lambda m: int(m.tensor(2.5)), lambda m: int(m.tensor([-7]))],
    "Tensor.__index__": [lambda m: [10, 20, 30][m.tensor(1)], lambda m: list(range(m.tensor(3)))],
    "Tensor.__len__": [lambda m: len(x(m)), lambda m: len(m.zeros(0, 3))],
    "Tensor.__iter__": [lambda m: list(x(m)), lambda m: [a + b for a, b in n(m).T]],
    "Tensor.__contains__": [lambda m: 5.0 in x(m), lambda m: 4.5 in x(m)],
    "Tensor.__format__": [lambda m: f"{m.tensor(2.345):.2f}", lambda m: f"{m.tensor(7):03d}"],
    "Tensor.requires_grad_": [
        lambda m: x(m).requires_grad_().requires_grad,
        lambda m: x(m).requires_grad_().requires_grad_(False).requires_grad,
    ],
    "Tensor.copy_": [
        lambda m: x(m).copy_(n(m)),
        lambda m: x(m).copy_(m.tensor([7.0, 8.0, 9.0])),
        lambda m: n(m).to(m.float64).copy_(x(m)),
    ],
    "Tensor.cpu": [lambda m: x(m).cpu()],
    "Tensor.type_as": [lambda m: x(m).type_as(n(m)), lambda m: n(m).type_as(x(m))],
    "Tensor.__rfloordiv__": [lambda m: 7 // n(m), lambda m: 7.5 // x(m)[0]],
    "Tensor.__rmod__": [lambda m: 7 % n(m), lambda m: 7.5 % x(m)[0]],
    "Tensor.expand_as": [lambda m: x(m)[:1].expand_as(n(m))],
    "as_tensor": [lambda m: m.as_tensor(x(m)), lambda m: m.as_tensor([1, 2], dtype=m.float64)],
    "from_numpy": [lambda m: m.from_numpy(np.arange(6.0).reshape(2, 3)[:, ::2])],
    "tensor": [lambda m: m.tensor(np.float64(2.5)), lambda m: m.tensor([[1, 2], [3, 4]])],
    "detach": [
        lambda m: x(m).detach(),
        lambda m: (x(m).requires_grad_() * 2).detach().requires_grad,
    ],
    "F.dropout1d": [
        lambda m: m.nn.functional.dropout1d(x(m)[None], 0.5, False),
        lambda m: m.nn.functional.dropout1d(x(m)[None], 1.0),
    ],
    "rand": [lambda m: facts(m.rand(2, 3).shape), lambda m: facts(m.rand(2).dtype)],
    "relu": [lambda m: m.relu(x(m)), lambda m: m.relu(n(m))],
    "randperm": [lambda m: m.randperm(9).sort()[0], lambda m: m.randperm(0)],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_both_evaluate_to_the_same(name: str) -> None:
    for i, expression in enumerate(EXPRESSIONS[name]):
        ours, theirs = expression(gu), expression(torch)
        if isinstance(theirs, list | torch.Tensor):
            assert_same_results(flat(ours), flat(theirs), 1.0)
        else:
            assert type(ours) is type(theirs), f"{name} {i}"
            assert ours == theirs, f"{name} {i}"


# An operator written with a sign is its method, and its method the function of that name.
OPERATORS = {
    "__add__": "add",
    "__sub__": "sub",
    "__mul__": "mul",
    "__truediv__": "div",
    "__floordiv__": "floor_divide",
    "__mod__": "remainder",
    "__pow__": "pow",
    "__neg__": "neg",
    "__abs__": "abs",
    "__eq__": "eq",
    "__ne__": "ne",
    "__lt__": "lt",
    "__le__": "le",
    "__gt__": "gt",
    "__ge__": "ge",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__invert__": "bitwise_not",
    "__matmul__": "matmul",
}
IN_PLACE = ("add", "sub", "mul", "pow")


def test_operators_are_the_functions_that_were_compared() -> None:
    for operator, name in OPERATORS.items():
        assert getattr(gu.Tensor, operator) is getattr(gu, name) is getattr(gu.Tensor, name)
    for name in IN_PLACE:
        assert getattr(gu.Tensor, f"__i{name}__") is getattr(gu.Tensor, f"{name}_")
    assert gu.Tensor.__itruediv__ is gu.Tensor.div_


def test_methods_are_the_functions_that_were_compared() -> None:
    shared = {
        name
        for name in vars(gu)
        if not name.startswith("_") and callable(getattr(gu.Tensor, name, None))
    }
    dtypes = {"bfloat16", "bool", "double", "float", "half", "int", "long"}
    apart = dtypes | {"grad"}  # of a tensor, and the function
    assert len(shared) > 100
    for name in shared - apart:
        assert getattr(gu, name) is getattr(gu.Tensor, name), name


def _energy(m: Any) -> Callable[[Any], Any]:
    return lambda v: ((v**3).sum() * v.exp().mean() + (v[0] * v[1]).sin()).tanh() * 3


def _field(m: Any) -> Callable[[Any], Any]:
    return lambda v: m.stack([v.prod(0), (v * v).sum(), v[0] / v[2]])


POINT = (0.3, -0.7, 1.1)
DIRECTION = (0.5, 2.0, -1.5)


def _vectors(m: Any) -> tuple[Any, Any]:
    return m.tensor(POINT, dtype=m.float64), m.tensor(DIRECTION, dtype=m.float64)


TRANSFORMS = {
    "jacobian": lambda m, a: a.jacobian(_field(m), _vectors(m)[0]),
    "hessian": lambda m, a: a.hessian(_energy(m), _vectors(m)[0]),
    "hvp": lambda m, a: a.hvp(_energy(m), *_vectors(m)),
    "vjp": lambda m, a: a.vjp(_field(m), *_vectors(m)),
    "jvp": lambda m, a: a.jvp(_field(m), *_vectors(m)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_functions(name: str) -> None:
    ours = flat(TRANSFORMS[name](gu, gu))
    theirs = flat(TRANSFORMS[name](torch, torch.autograd.functional))
    assert_same_results(ours, theirs, 1.0)


def test_gradients_accumulate_in_leaves() -> None:
    found = []
    for m in (gu, torch):
        a = m.tensor([1.0, 2.0], requires_grad=True)
        b = m.tensor([[3.0], [4.0]], requires_grad=True)
        for _ in range(2):
            ((a * b).sin() + a).mean().backward()
        (a * a).backward(m.tensor([1.0, -1.0]))
        found.append((a.grad, b.grad))
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, "accumulated gradient")


def test_grad_takes_what_pytorch_takes() -> None:
    found = []
    for m, grad in ((gu, gu.grad), (torch, torch.autograd.grad)):
        a = m.tensor([1.0, 2.0], requires_grad=True)
        b = m.tensor(3.0, requires_grad=True)
        unused = m.tensor(1.0, requires_grad=True)
        y = a.exp() * b
        (first,) = grad(y.sum(), a, create_graph=True)
        second = grad(first.sum(), [a, b], retain_graph=True)
        both = grad([y, first], [a, b], [m.ones(2), m.tensor([math.pi, 0.0])], retain_graph=True)
        some = grad(y.sum(), [a, unused], allow_unused=True)
        assert some[1] is None
        found.append([first, *second, *both, some[0]])
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs, "gradient")
