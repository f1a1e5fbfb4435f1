"""One operation on the same inputs in groundup and in PyTorch: values, dtypes, gradients.

Compared are the structure, shapes, dtypes and values of the results and whether they require a
gradient; then the gradients of every input that requires one, for random cotangents; then the
derivatives of those gradients along random directions, with respect to inputs and cotangents.

A result that needs no gradient counts as a constant, an input that a result does not depend on has
a gradient of zero: that is how ``None`` on one side meets zeros on the other. Where an input holds
NaN only results are compared, where a result does only gradients: what follows, nobody defines.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import groundup as gu

torch = pytest.importorskip("torch")

PRECISION = {"float64": 1e-9, "float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
"""Agreement relative to the largest magnitude (or to 1, whichever is larger)."""
SECOND = 100
"""By how much the second derivatives may lie further apart than values and gradients."""
STORAGE = ("device", "layout", "memory_format", "non_blocking", "out", "pin_memory")
"""Arguments that say where and how PyTorch stores a result; they are dropped."""

Pairs = list[tuple[Any, gu.Tensor]]


def name_of(dtype: Any) -> str:
    """``torch.float32`` -> ``float32``."""
    return str(dtype).removeprefix("torch.")


def as_leaves(x: Any, seen: dict[int, Any]) -> Any:
    """PyTorch's arguments with each tensor as a leaf of its own, of the same memory and strides."""
    if isinstance(x, torch.Tensor):
        if id(x) not in seen:
            seen[id(x)] = x.detach().requires_grad_(x.requires_grad)
        return seen[id(x)]
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        return type(x)(as_leaves(part, seen) for part in x)
    if isinstance(x, dict):
        return {key: as_leaves(part, seen) for key, part in x.items()}
    return x


class Translation:
    """Turns PyTorch's arguments into ours, with the same strides and on the same memory.

    Args:
        copy: give ours memory of its own.

    Attributes:
        tensors: (theirs, ours) for each tensor met.
    """

    def __init__(self, copy: bool = False) -> None:
        self.copy = copy
        self.tensors: Pairs = []

    @property
    def leaves(self) -> Pairs:
        """The tensors that require a gradient."""
        return [(b, a) for b, a in self.tensors if b.requires_grad]

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return self._tensor(x)
        if isinstance(x, torch.dtype):
            return np.dtype(name_of(x))
        if isinstance(x, torch.Size):
            return tuple(x)
        if isinstance(x, torch.device):
            return str(x)
        if isinstance(x, list | tuple):
            return type(x)(self(part) for part in x)
        if isinstance(x, dict):
            return {key: self(part) for key, part in x.items() if key not in STORAGE}
        if isinstance(x, slice):
            return slice(self(x.start), self(x.stop), self(x.step))
        return x

    def _tensor(self, x: Any) -> gu.Tensor:
        for theirs, ours in self.tensors:
            if theirs is x:
                return ours
        array = x.detach().numpy()
        ours = gu.from_numpy(array.copy(order="K") if self.copy else array)
        if x.requires_grad:
            ours.requires_grad_()
        self.tensors.append((x, ours))
        return ours


def flat(result: Any) -> list[Any]:
    """The tensors, numbers and truth values of a result, in order."""
    if isinstance(result, list | tuple) and not isinstance(result, torch.Size):
        return [leaf for part in result for leaf in flat(part)]
    return [result]


def assert_close(ours: gu.Tensor, theirs: Any, what: str, tolerance: float = 1.0) -> None:
    """Shapes and dtypes are equal, values agree; NaN is equal to NaN.

    Args:
        what: named in the message of a failure.
        tolerance: multiplies ``PRECISION``.
    """
    shape, dtype = tuple(theirs.shape), name_of(theirs.dtype)
    assert ours.shape == shape, f"{what}: shape {ours.shape}, expected {shape}"
    assert ours.dtype.name == dtype, f"{what}: dtype {ours.dtype}, expected {dtype}"
    if dtype == "bfloat16":  # which NumPy does not know
        ours, theirs = ours.float(), theirs.float()
    found, expected = ours.array, theirs.detach().numpy(force=True)
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    relative = PRECISION[dtype] * tolerance
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(found, expected, relative, relative * scale, err_msg=what)


def assert_same_results(ours: Sequence[Any], theirs: Sequence[Any], tolerance: float) -> None:
    """As many results, of the same kinds, with the same values."""
    assert len(ours) == len(theirs), f"{len(ours)} results, expected {len(theirs)}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(b, torch.Tensor):
            assert_close(a, b, f"result {i}", tolerance)
        else:
            assert type(a) is type(b), f"result {i} is {type(a)}, expected {type(b)}"
            assert a == b or (a != a and b != b), f"result {i} is {a}, expected {b}"


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    order: int = 2,
    tolerance: float = 1.0,
    copy: bool = False,
    values: bool = True,
    pick: Callable[[list[Any]], list[Any]] = list,
) -> int:
    """Call both with the same arguments and compare what they return, and its derivatives.

    Args:
        args, kwargs: PyTorch's.
        order: compare derivatives up to this order, 0 to 2.
        tolerance: multiplies ``PRECISION``.
        copy: the function changes its arguments; they are compared afterwards too.
        values: whether values and derivatives are compared, or only shapes and dtypes.
        pick: chooses among the results.

    Returns:
        The order of derivatives that there were to compare.

    Raises:
        AssertionError: they differ.
    """
    args, kwargs = as_leaves((tuple(args), kwargs), {})
    translate = Translation(copy)
    mine_args, mine_kwargs = translate(tuple(args)), translate(kwargs)
    with np.errstate(all="ignore"):
        mine = pick(flat(ours(*mine_args, **mine_kwargs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = pick(flat(theirs(*args, **kwargs)))
    if not values:
        found = [(x.shape, x.dtype.name) for x in mine]
        assert found == [(tuple(x.shape), name_of(x.dtype)) for x in other]
        return 0
    assert_same_results(mine, other, tolerance)
    if copy:
        for b, a in translate.tensors:
            assert_close(a, b, "argument afterwards", tolerance)
    results = [
        (b, a)
        for b, a in zip(other, mine, strict=True)
        if isinstance(b, torch.Tensor) and b.dtype.is_floating_point
    ]
    for i, (b, a) in enumerate(results):
        assert b.requires_grad or not a.requires_grad, f"result {i} should not require a gradient"
    results = [(b, a) for b, a in results if b.requires_grad]
    if not (order and results and translate.leaves) or _any_nan(translate.tensors):
        return 0
    if order == 2 and _any_nan(results):
        order = 1
    with np.errstate(all="ignore"):
        return _compare_gradients(results, translate.leaves, order, tolerance)


def _any_nan(tensors: Pairs) -> bool:
    return any(b.is_floating_point() and bool(b.isnan().any()) for b, _ in tensors)


def _compare_gradients(results: Pairs, inputs: Pairs, order: int, tolerance: float) -> int:
    rng = np.random.default_rng(0)
    cotangents = [_random_like(a, rng) for _, a in results]
    gradients = _gradients(results, inputs, cotangents, order > 1)
    if gradients is None:
        return 0
    _assert_same_gradients(gradients, inputs, "gradient", tolerance)
    if order == 1:
        return 1
    first = [(b, a) for b, a in gradients if a is not None or b is not None]
    directions = [_random_like(a if b is None else b, rng) for b, a in first]
    inputs = inputs + cotangents
    seconds = _gradients(first, inputs, directions, False)
    if seconds is None or all(a is None and b is None for b, a in seconds):
        return 1
    _assert_same_gradients(seconds, inputs, "second derivative", tolerance * SECOND)
    return 2


def _random_like(x: Any, rng: np.random.Generator) -> tuple[Any, gu.Tensor]:
    """The same random numbers as a tensor of theirs and of ours, both requiring a gradient."""
    dtype = x.dtype.name if isinstance(x, gu.Tensor) else name_of(x.dtype)
    values = np.asarray(rng.standard_normal(tuple(x.shape)), dtype)
    if dtype == "bfloat16":  # which PyTorch takes from no array
        theirs = torch.tensor(values.astype(np.float32)).bfloat16().requires_grad_()
        return theirs, gu.tensor(values, requires_grad=True)
    return torch.tensor(values, requires_grad=True), gu.tensor(values, requires_grad=True)


def _gradients(
    outputs: Pairs, inputs: Pairs, cotangents: Pairs, create_graph: bool
) -> list[tuple[Any, Any]] | None:
    """Vector-Jacobian products of both, theirs first; None for what no output depends on.

    Returns:
        None altogether where PyTorch has no derivative.
    """
    found = []
    for side, grad in enumerate((torch.autograd.grad, gu.grad)):
        active = [
            (output[side], cotangent[side])
            for output, cotangent in zip(outputs, cotangents, strict=True)
            if output[side] is not None and output[side].requires_grad
        ]
        if not active:
            found.append((None,) * len(inputs))
            continue
        try:
            gradients = grad(
                [output for output, _ in active],
                [x[side] for x in inputs],
                [cotangent for _, cotangent in active],
                create_graph=create_graph,
                allow_unused=True,
            )
        except RuntimeError as error:
            if side == 0 and "not implemented" in str(error):
                return None
            raise
        found.append(gradients)
    return list(zip(*found, strict=True))


def _assert_same_gradients(
    gradients: list[tuple[Any, Any]], inputs: Pairs, what: str, tolerance: float
) -> None:
    for i, ((b, a), (like, ours)) in enumerate(zip(gradients, inputs, strict=True)):
        if a is None and b is None:
            continue
        a = gu.zeros_like(ours) if a is None else a
        b = torch.zeros_like(like) if b is None else b
        assert_close(a, b, f"{what} of input {i}", tolerance)
