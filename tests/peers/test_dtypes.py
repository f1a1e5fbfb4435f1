"""Every result has the dtype that PyTorch gives it (R1.1): promotion, casts, no silent float64.

Operations of two operands are tried with all pairs of dtypes and with all ranks of operands, a
tensor with dimensions, one without, and a Python number, because the three weigh differently.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")

from tests.peers.comparison import assert_close, name_of  # noqa: E402

NAMES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64",
)  # fmt: skip
NUMBERS = {"bool": True, "int": 2, "float": 1.5}
REFUSALS = (IndexError, RuntimeError, TypeError, ValueError)
ALLOWED = {
    "with a bool tensor is not supported": "a boolean counts as 0 or 1 in a difference",
    "Boolean inputs not supported": "what is not negative stays",
    "not implemented for": "PyTorch lacks the kernel, mostly for booleans",
    "does not support bool input": "the first true (false) element",
    "only supports a 0-dimensional value tensor": "the value of `masked_fill` may broadcast",
}
"""What PyTorch refuses, by words of its message, and what it means here."""
Function = Callable[..., Any]


def tensors(library: Any, name: str, *shape: int) -> Any:
    """Small values that every dtype holds and that are safe to divide by."""
    values = (np.arange(1, 1 + int(np.prod(shape))) % 3 + 1).reshape(shape)
    if name == "bfloat16":  # which PyTorch takes from no array
        return library.from_numpy(np.asarray(values.astype(np.float32))).bfloat16()
    return library.from_numpy(np.asarray(values.astype(name)))


def ranks(left: str, right: str) -> Iterator[tuple[Any, Any]]:
    """Both libraries' pairs of operands of two dtypes, in all combinations of ranks."""
    shapes: tuple[tuple[int, ...], ...] = ((3,), ())
    for a, b in itertools.product(shapes, shapes):
        yield tuple((tensors(m, left, *a), tensors(m, right, *b)) for m in (gu, torch))


def outcome(call: Callable[[], Any]) -> Any:
    """The result, or the error if that is one that explains a wrong call."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*degrees of freedom")
            return call()
    except REFUSALS as error:
        return error


def agree(name: str, ours: Any, theirs: Any) -> None:
    """Both give the same result, or both refuse."""
    if isinstance(theirs, Exception):
        if any(words in str(theirs) for words in ALLOWED):
            return
        assert isinstance(ours, Exception), f"{name} gave {ours!r}, PyTorch refuses: {theirs}"
        return
    assert not isinstance(ours, Exception), f"{name} refused ({ours}), PyTorch gives {theirs!r}"
    assert_close(ours, theirs, name)


# What two operands may be given to.
BINARY: dict[str, Function] = {
    "+": lambda _m, a, b: a + b,
    "-": lambda _m, a, b: a - b,
    "*": lambda _m, a, b: a * b,
    "/": lambda _m, a, b: a / b,
    "//": lambda _m, a, b: a // b,
    "%": lambda _m, a, b: a % b,
    "**": lambda _m, a, b: a**b,
    "==": lambda _m, a, b: a == b,
    "!=": lambda _m, a, b: a != b,
    "<": lambda _m, a, b: a < b,
    "<=": lambda _m, a, b: a <= b,
    ">": lambda _m, a, b: a > b,
    ">=": lambda _m, a, b: a >= b,
    "&": lambda _m, a, b: a & b,
    "|": lambda _m, a, b: a | b,
    "^": lambda _m, a, b: a ^ b,
    "where": lambda m, a, b: m.where(m.tensor([True, False, True]), a, b),
}
TENSORS_ONLY: dict[str, Function] = {
    "cat": lambda m, a, b: m.cat([a.reshape(-1), b.reshape(-1)]),
    "stack": lambda m, a, b: m.stack([a.expand(3), b.expand(3)]),
    "maximum": lambda m, a, b: m.maximum(a, b),
    "minimum": lambda m, a, b: m.minimum(a, b),
    "logical_and": lambda m, a, b: m.logical_and(a, b),
    "logical_or": lambda m, a, b: m.logical_or(a, b),
    "logical_xor": lambda m, a, b: m.logical_xor(a, b),
    "div floor": lambda m, a, b: m.div(a, b, rounding_mode="floor"),
    "div trunc": lambda m, a, b: m.div(a, b, rounding_mode="trunc"),
    "result_type": lambda m, a, b: m.zeros(2, dtype=result_type(m, a, b)),
    "promote_types": lambda m, a, b: m.zeros(2, dtype=m.promote_types(a.dtype, b.dtype)),
    "type_as": lambda _m, a, b: a.type_as(b),
}
FIRST_TENSOR: dict[str, Function] = {
    "clamp min": lambda m, a, b: m.clamp(a, min=b),
    "clamp max": lambda m, a, b: m.clamp(a, max=b),
    "masked_fill": lambda m, a, b: m.masked_fill(a, m.tensor([True, False, True]), b),
    "add alpha": lambda m, a, b: m.add(a, b, alpha=1 if a.dtype == m.bool else 2),
    "rsub": lambda m, a, b: m.rsub(a, b),
}


def result_type(m: Any, a: Any, b: Any) -> Any:
    return m.result_type([a, b]) if m is gu else m.result_type(a, b)


@pytest.mark.parametrize("right", NAMES)
@pytest.mark.parametrize("left", NAMES)
def test_two_tensors(left: str, right: str) -> None:
    for name, function in (BINARY | TENSORS_ONLY | FIRST_TENSOR).items():
        for ours, theirs in ranks(left, right):
            what = f"{name} of {left} {ours[0].shape} and {right} {ours[1].shape}"
            mine = outcome(lambda f=function, x=ours: f(gu, *x))
            other = outcome(lambda f=function, x=theirs: f(torch, *x))
            agree(what, mine, other)


@pytest.mark.parametrize("number", NUMBERS.values())
@pytest.mark.parametrize("dtype", NAMES)
def test_a_tensor_and_a_number(dtype: str, number: Any) -> None:
    for shape in ((3,), ()):
        ours, theirs = tensors(gu, dtype, *shape), tensors(torch, dtype, *shape)
        for name, function in (BINARY | FIRST_TENSOR).items():
            mine = outcome(lambda f=function, x=ours: f(gu, x, number))
            other = outcome(lambda f=function, x=theirs: f(torch, x, number))
            if name == "**" and dtype == "bool" and number is True:
                assert isinstance(mine, TypeError)  # PyTorch has it for numbers, not for tensors
                continue
            agree(f"{name} of {dtype} {shape} and {number}", mine, other)
        for name, function in BINARY.items():
            mine = outcome(lambda f=function, x=ours: f(gu, number, x))
            other = outcome(lambda f=function, x=theirs: f(torch, number, x))
            agree(f"{name} of {number} and {dtype} {shape}", mine, other)


# Reductions of one tensor, and what makes fractions.
METHODS = """
    sum mean var std prod amax amin max min argmax argmin any all norm
    abs neg sign square floor ceil round trunc reciprocal exp expm1 log log1p sqrt rsqrt sin cos
    tanh erf sigmoid relu isnan isinf isfinite logical_not bitwise_not
    float double half bfloat16 int long bool clone
"""
UNARY: dict[str, Function] = {
    name: (lambda _m, x, name=name: getattr(x, name)()) for name in METHODS.split()
} | {
    "cumsum": lambda _m, x: x.cumsum(0),
    "sum over dim": lambda _m, x: x.sum(0),
    "prod over dim": lambda _m, x: x.prod(0),
    "logsumexp": lambda _m, x: x.logsumexp(0),
    "softmax": lambda _m, x: x.softmax(0),
    "log_softmax": lambda _m, x: x.log_softmax(0),
    "argsort": lambda _m, x: x.argsort(dim=0, stable=True),
    "tril": lambda _m, x: x.expand(3, 3).tril(),
    "zeros_like": lambda m, x: m.zeros_like(x),
    "ones_like": lambda m, x: m.ones_like(x),
    "full_like": lambda m, x: m.full_like(x, 1),
}


@pytest.mark.parametrize("dtype", NAMES)
def test_functions_of_one_tensor(dtype: str) -> None:
    for shape in ((3,), ()):
        ours, theirs = tensors(gu, dtype, *shape), tensors(torch, dtype, *shape)
        for name, function in UNARY.items():
            if dtype == "uint8" and name in ("any", "all"):
                assert function(gu, ours).dtype == gu.bool  # uint8 in PyTorch, its older boolean
                continue
            mine = outcome(lambda f=function, x=ours: f(gu, x))
            other = outcome(lambda f=function, x=theirs: f(torch, x))
            agree(f"{name} of {dtype} {shape}", mine, other)


@pytest.mark.parametrize("to", NAMES)
@pytest.mark.parametrize("dtype", NAMES)
def test_reductions_and_softmax_in_another_dtype(dtype: str, to: str) -> None:
    ours, theirs = tensors(gu, dtype, 3), tensors(torch, dtype, 3)
    for name in ("sum", "mean", "prod", "cumsum", "softmax", "log_softmax"):
        dim = () if name in ("sum", "mean", "prod") else (0,)
        mine = outcome(lambda n=name, d=dim: getattr(ours, n)(*d, dtype=np.dtype(to)))
        other = outcome(lambda n=name, d=dim: getattr(theirs, n)(*d, dtype=getattr(torch, to)))
        agree(f"{name} of {dtype} in {to}", mine, other)


@pytest.mark.parametrize("right", NAMES)
@pytest.mark.parametrize("left", NAMES)
def test_a_change_in_place_keeps_the_dtype_or_is_refused(left: str, right: str) -> None:
    for name in ("add_", "sub_", "mul_", "div_", "copy_"):
        for ours, theirs in ranks(left, right):
            if ours[0].shape != (3,):
                continue
            if left == "uint8" and right.startswith("int"):
                continue  # refused here: signed numbers may not fit
            mine = outcome(lambda n=name, x=ours: getattr(x[0].clone(), n)(x[1]))
            other = outcome(lambda n=name, x=theirs: getattr(x[0].clone(), n)(x[1]))
            agree(f"{name} of {left} with {right}", mine, other)


PYTHON_DATA = (
    *(1, -1, 1.5, True, float("inf")),
    *([], [1, 2], [1, 2.5], [True, False], [True, 2], [[1.0], [2.0]], [[], []], (1, (2)), [[[1]]]),
)


@pytest.mark.parametrize("data", PYTHON_DATA, ids=repr)
def test_tensors_of_python_numbers(data: Any) -> None:
    agree("tensor", gu.tensor(data), torch.tensor(data))
    agree("as_tensor", gu.as_tensor(data), torch.as_tensor(data))
    for dtype in NAMES:
        mine = outcome(lambda d=dtype: gu.tensor(data, dtype=np.dtype(d)))
        if data == float("inf") and dtype[0] not in "fb":
            continue  # undefined in C
        agree(f"tensor in {dtype}", mine, torch.tensor(data, dtype=getattr(torch, dtype)))


@pytest.mark.parametrize("dtype", [name for name in NAMES if name != "bfloat16"])
def test_tensors_of_arrays_keep_the_dtype(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    agree("from_numpy", gu.from_numpy(array), torch.from_numpy(array))
    agree("tensor", gu.tensor(array), torch.tensor(array))
    agree("as_tensor", gu.as_tensor(array), torch.as_tensor(array))
    assert gu.tensor(array).dtype.name == name_of(torch.tensor(array).dtype) == dtype


CREATION: dict[str, Function] = {
    "zeros": lambda m: m.zeros(2),
    "ones": lambda m: m.ones((2, 3)),
    "full of a float": lambda m: m.full((2,), 1.5),
    "full of an integer": lambda m: m.full((2,), 1),
    "full of a truth value": lambda m: m.full((2,), True),
    "arange": lambda m: m.arange(3),
    "arange of floats": lambda m: m.arange(0.0, 1.0, 0.25),
    "arange with one float": lambda m: m.arange(0, 3, 1.0),
    "linspace": lambda m: m.linspace(0, 1, 5),
    "eye": lambda m: m.eye(2, 3),
}


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_the_default_dtype_is_that_of_what_python_makes(default: str) -> None:
    gu.set_default_dtype(default)
    torch.set_default_dtype(getattr(torch, default))
    try:
        assert gu.get_default_dtype().name == name_of(torch.get_default_dtype()) == default
        for name, function in CREATION.items():
            agree(name, function(gu), function(torch))
        for dtype in NAMES:
            for name, function in UNARY.items():
                if (name, dtype) in (("any", "uint8"), ("all", "uint8")):
                    continue
                mine = outcome(lambda f=function, d=dtype: f(gu, tensors(gu, d, 3)))
                other = outcome(lambda f=function, d=dtype: f(torch, tensors(torch, d, 3)))
                agree(f"{name} of {dtype}", mine, other)
            mine = outcome(lambda d=dtype: tensors(gu, d, 3) * 1.5)
            agree(f"{dtype} by a number", mine, tensors(torch, dtype, 3) * 1.5)
    finally:
        gu.set_default_dtype("float32")
        torch.set_default_dtype(torch.float32)
