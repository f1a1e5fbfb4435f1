"""Operations read views, empty tensors and scalars as PyTorch does (R1.1).

Every function of one tensor, of two, and every reduction that both have is called on transposed,
permuted, strided, expanded, flipped, overlapping, empty and zero-dimensional tensors; gradients
flow back through the view. Dimensions are given from the front and from the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import groundup as gu

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

from tests.peers import op_db_map  # noqa: E402
from tests.peers.comparison import assert_close, compare  # noqa: E402
from torch.testing._internal.opinfo.core import (  # noqa: E402
    BinaryUfuncInfo,
    ReductionOpInfo,
    UnaryUfuncInfo,
)

View = Callable[[Any], Any]

VIEWS: dict[str, tuple[tuple[int, ...], View]] = {
    "as it lies": ((2, 3), lambda x: x),
    "transposed": ((3, 2), lambda x: x.T),
    "permuted": ((2, 3, 4), lambda x: x.permute(2, 0, -2)),
    "every second": ((4, 6), lambda x: x[::2, 1::3]),
    "one column": ((3, 4), lambda x: x[:, 1]),
    "expanded": ((1, 3), lambda x: x.expand(4, 3)),
    "flipped": ((2, 3), lambda x: x.flip(0)),
    "overlapping": ((5,), lambda x: x.unfold(0, 3, 1)),
    "zero-dimensional": ((), lambda x: x),
    "empty": ((0, 3), lambda x: x),
    "empty inside": ((2, 0, 3), lambda x: x.transpose(0, -1)),
}
OTHERWISE = ("fill",)
"""Functions of one tensor that need more than one."""
EACH_VIEW = pytest.mark.parametrize("view", VIEWS)


def of_kind(kind: type) -> Any:
    found = [
        case
        for case in op_db_map.cases()
        if type(case.op) is kind and not case.in_place and case.name not in OTHERWISE
    ]
    return pytest.mark.parametrize("case", found, ids=lambda case: case.name)


def base(shape: tuple[int, ...], seed: int, dtype: Any) -> Any:
    """Numbers in (0, 1), where every function is smooth; or small integers, or truth values."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        x = torch.rand(shape, generator=generator, dtype=dtype) * 0.8 + 0.1
        return x.requires_grad_()
    return torch.randint(1, 5, shape, generator=generator).to(dtype)


def dtypes(case: op_db_map.Case) -> list[Any]:
    return [d for d in case.dtypes() if d is not torch.float32]


def same_outcome(case: op_db_map.Case, view: View, args: tuple[Any, ...], **kwargs: Any) -> None:
    """Both refuse, or results and gradients agree."""

    def ours(x: Any, *others: Any) -> Any:
        return case.call(view(x), *others, **kwargs)

    def theirs(x: Any, *others: Any) -> Any:
        return case.op.op(view(x), *others, **kwargs)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs(*args)
    except (IndexError, RuntimeError):
        with pytest.raises(op_db_map.REFUSALS):
            ours(*[gu.from_numpy(x.detach().numpy()) for x in args])
        return
    compare(ours, theirs, args, {}, order=int(case.differentiable))


@EACH_VIEW
@of_kind(UnaryUfuncInfo)
def test_functions_of_one_tensor(case: op_db_map.Case, view: str) -> None:
    shape, make = VIEWS[view]
    for dtype in dtypes(case):
        same_outcome(case, make, (base(shape, 0, dtype),))


@EACH_VIEW
@of_kind(BinaryUfuncInfo)
def test_functions_of_two_tensors(case: op_db_map.Case, view: str) -> None:
    shape, make = VIEWS[view]
    for dtype in dtypes(case):
        x = base(shape, 0, dtype)
        seen = tuple(make(x).shape)
        others = [base(seen, 1, dtype), base((), 2, dtype)]
        if seen:
            others += [base(seen[-1:], 3, dtype), base((2, *(1 for _ in seen)), 4, dtype)]
        for other in others:
            same_outcome(case, make, (x, other))


@EACH_VIEW
@of_kind(ReductionOpInfo)
def test_reductions(case: op_db_map.Case, view: str) -> None:
    shape, make = VIEWS[view]
    for dtype in dtypes(case):
        x = base(shape, 0, dtype)
        n = max(make(x).ndim, 1)
        dims: list[Any] = [*range(-n, n), n, -n - 1]
        if case.op.supports_multiple_dims:
            dims += [(0,), (-1,), (0, -1), tuple(range(-n, 0)), (0, 0)]
        same_outcome(case, make, (x,))
        for dim in dims:
            for keepdim in (False, True):
                same_outcome(case, make, (x,), dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("view", ["transposed", "permuted", "every second", "one column"])
def test_a_change_of_a_view_changes_what_it_looks_at(view: str) -> None:
    shape, make = VIEWS[view]
    theirs = torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape)
    ours = gu.from_numpy(theirs.numpy().copy())
    for m, whole in ((gu, ours), (torch, theirs)):
        part = make(whole)
        part.add_(1).sub_(3).mul_(2.5).div_(2)
        part.clamp_(min=0.5).pow_(2)
        part.masked_fill_(part > 100, -1.0)
        part[0] = m.zeros(part.shape[1:])
        part[-1:] += 7
        part[part < 0] = 1
    assert_close(ours, theirs, view)
