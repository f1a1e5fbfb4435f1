"""Which operations groundup and PyTorch both have, and how PyTorch's samples reach ours.

PyTorch keeps a database of its operators, ``op_db``: each entry makes inputs for its own tests.
``cases()`` finds the entries that groundup has under the same name and says for each how ours is
called, which samples are left out and why, and how far it is compared. ``test_op_db.py`` compares;
``op_db_table.py`` writes down what was.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # the database imports it

from tests.peers.comparison import Translation, compare, name_of  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

DTYPES = (torch.float64, torch.float32, torch.int64, torch.bool)
CAP = 20
"""Samples of one operation and dtype, evenly chosen where there are more."""
CAP_SECOND = 8
"""Of those, how many are differentiated twice."""

REFUSALS = (IndexError, RuntimeError, TypeError, ValueError)
"""What an error that explains a wrong call may be."""

Sample = Any
Predicate = Callable[[Sample], bool]
Reasons = tuple[tuple[Predicate, str], ...]


@dataclass(frozen=True)
class Case:
    """One entry of the database and its counterpart here.

    Attributes:
        op: the entry.
        call: ours; takes what PyTorch's takes, as tensors of groundup.
        ours: its name here.
        leave_out: (predicate, reason); the first that holds leaves a sample out.
        theirs: PyTorch's; the entry's own if None.
        values: whether values are compared, or only shapes and dtypes.
        in_place: whether the in-place form is meant.
        changes: whether arguments are changed and compared afterwards.
        pick: chooses what of the results is compared.
        note: what the table says about it.
        tolerance: multiplies the tolerance.
    """

    op: Any
    call: Callable[..., Any]
    ours: str
    leave_out: Reasons = ()
    theirs: Callable[..., Any] | None = None
    values: bool = True
    in_place: bool = False
    changes: bool = False
    pick: Callable[[Sample, list[Any]], list[Any]] = lambda _sample, results: results
    note: str = ""
    tolerance: float = 1.0

    @property
    def name(self) -> str:
        return self.op.full_name + ("_" if self.in_place else "")

    @property
    def differentiable(self) -> bool:
        return self.values and self.op.supports_autograd

    def dtypes(self) -> list[Any]:
        return [dtype for dtype in DTYPES if dtype in self.op.dtypes]

    def samples(self, dtype: Any, everything: bool = False) -> list[Sample]:
        """All samples of a dtype, the same in every run.

        Args:
            everything: also those for PyTorch's comparison with NumPy, larger and stranger ones.
        """
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - some samples draw from it
        wanted = dtype.is_floating_point and self.differentiable
        if not everything:
            return list(self.op.sample_inputs("cpu", dtype, requires_grad=wanted))
        try:
            return list(self.op.reference_inputs("cpu", dtype, requires_grad=wanted))
        except ValueError:  # some entries ask for gradients of integers
            return list(self.op.reference_inputs("cpu", dtype))

    def reason(self, sample: Sample) -> str | None:
        """Why a sample is left out; None if it is compared."""
        return next((why for holds, why in (*self.leave_out, *EVERYWHERE) if holds(sample)), None)

    def refused(self, sample: Sample) -> bool:
        """Whether PyTorch refuses the sample, as it does where a result does not fit in place.

        Raises:
            AssertionError: only PyTorch refuses it.
        """
        if not self.in_place:
            return False
        try:
            self.op.inplace_variant(sample.input.clone(), *sample.args, **sample.kwargs)
        except RuntimeError:
            translate = Translation()
            x, *args = translate((sample.input, *sample.args))
            with np.errstate(all="ignore"), pytest.raises(REFUSALS):
                self.call(x.clone(), *args, **translate(sample.kwargs))
            return True
        return False

    def compare(self, sample: Sample, order: int) -> int:
        """Compare one sample; see ``comparison.compare``."""
        if self.in_place:
            ours, theirs = _on_a_copy(self.call), _on_a_copy(self.op.inplace_variant)
        else:
            ours, theirs = self.call, self.theirs or self.op.op
        return compare(
            ours,
            theirs,
            (sample.input, *sample.args),
            sample.kwargs,
            order=order if self.differentiable else 0,
            tolerance=self.tolerance,
            copy=self.changes,
            values=self.values,
            pick=lambda results: self.pick(sample, results),
        )


def _on_a_copy(change: Callable[..., Any]) -> Callable[..., Any]:
    """An in-place method as a function that leaves its arguments alone."""

    def function(x: Any, *args: Any, **kwargs: Any) -> Any:
        out = x.clone()
        returned = change(out, *args, **kwargs)
        assert returned is out, "an in-place method returns its tensor"
        return out

    return function


@dataclass
class Tally:
    """How many samples of a case were compared.

    Attributes:
        compared: by name of dtype.
        found: how many there were to choose from, by name of dtype.
        orders: by the highest order of derivatives that there was to compare.
        left_out: by reason.
    """

    compared: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    orders: Counter[int] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.compared += other.compared
        self.found += other.found
        self.orders += other.orders
        self.left_out += other.left_out


def run(case: Case, dtype: Any, everything: bool = False) -> Tally:
    """Compare the samples of one case and dtype.

    Args:
        everything: all of them, rather than at most ``CAP``, but only once differentiated: many
            of the stranger ones lie where a second derivative is a difference of infinities.

    Raises:
        AssertionError: groundup and PyTorch differ; the message tells the sample.
    """
    tally = Tally()
    samples = []
    for sample in case.samples(dtype, everything):
        why = case.reason(sample)
        if why is None and case.refused(sample):
            why = "both refuse to store the result in place"
        if why is None:
            samples.append(sample)
        else:
            tally.left_out[why] += 1
    tally.found[name_of(dtype)] = len(samples)
    samples = samples if everything else evenly(samples, CAP)
    floating = dtype.is_floating_point
    twice = evenly(range(len(samples)), CAP_SECOND)
    for i, sample in enumerate(samples):
        second = dtype is torch.float64 and i in twice and not everything
        try:
            order = case.compare(sample, 2 if second else int(floating))
        except Exception as error:
            raise AssertionError(f"{case.name}, {sample.summary()}: {error}") from error
        tally.compared[name_of(dtype)] += 1
        tally.orders[order] += 1
    return tally


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most ``count`` of the items, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


# ---------------------------------------------------------------------- what is in a sample


def parts(x: Any) -> Iterator[Any]:
    """Every leaf of nested lists, tuples, dictionaries and slices."""
    if isinstance(x, list | tuple):
        for part in x:
            yield from parts(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from parts(part)
    elif isinstance(x, slice):
        yield from (x.start, x.stop, x.step)
    else:
        yield x


def some(test: Callable[[Any], bool]) -> Predicate:
    """Whether any leaf of the sample passes the test."""
    return lambda sample: any(test(x) for x in parts((sample.input, sample.args, sample.kwargs)))


def given(name: str, *values: Any) -> Predicate:
    """Whether the sample has this keyword argument, with one of these values if there are any."""
    return lambda sample: name in sample.kwargs and (not values or sample.kwargs[name] in values)


def is_tensor(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


def has_ties(sample: Sample) -> bool:
    """Whether equal elements leave the order open."""
    x = sample.input
    return not sample.kwargs.get("stable") and x.unique().numel() < x.numel()


def has_nan(x: Any) -> bool:
    return is_tensor(x) and x.is_floating_point() and bool(x.isnan().any())


def number_first(sample: Sample) -> bool:
    return not is_tensor(sample.input)


def integers(sample: Sample) -> bool:
    return is_tensor(sample.input) and not sample.input.dtype.is_floating_point


def negative_power(which: int) -> Predicate:
    """Whether an integer is raised to a negative integer, which is argument ``which``."""

    def holds(sample: Sample) -> bool:
        operands = [torch.as_tensor(x) for x in (sample.input, sample.args[0])]
        whole = not any(x.is_floating_point() or x.is_complex() for x in operands)
        return whole and bool((operands[which] < 0).any())

    return holds


HAVE = {"bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"}

EVERYWHERE: Reasons = (
    (
        some(lambda x: isinstance(x, complex) or (is_tensor(x) and x.is_complex())),
        "complex numbers",
    ),
    (
        some(lambda x: getattr(x, "layout", x) in SPARSE),
        "sparse tensors",
    ),
    (
        some(lambda x: name_of(getattr(x, "dtype", "bool")) not in HAVE),
        "a dtype that groundup does not have",
    ),
    (
        some(lambda x: isinstance(x, torch.dtype) and name_of(x) not in HAVE),
        "a dtype that groundup does not have",
    ),
)
SPARSE = [
    getattr(torch, name)
    for name in ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn")
]

# ---------------------------------------------------------------------- how ours are called


def _to(x: gu.Tensor, *args: Any, **kwargs: Any) -> gu.Tensor:
    """``to(device, dtype, non_blocking, copy)`` or without the device."""
    dtype, _, copy = args[1:] if isinstance(args[0], str) else args
    return x.to(dtype, copy=copy)


def _put(x: gu.Tensor, key: Any, values: Any) -> gu.Tensor:
    out = x.clone()
    out[key] = values
    return out


def _without(name: str, *arguments: str) -> Callable[..., Any]:
    """A function of ``F`` that is not told PyTorch's arguments of these names."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(F, name)(*args, **{k: v for k, v in kwargs.items() if k not in arguments})

    return call


CALLS: dict[str, tuple[str, Callable[..., Any]]] = {
    "T": ("Tensor.T", lambda x: x.T),
    "nn.functional.interpolate": ("F.interpolate", _without("interpolate", "antialias")),
    "nn.functional.max_pool1d": ("F.max_pool1d", _without("max_pool1d", "return_indices")),
    "nn.functional.max_pool2d": ("F.max_pool2d", _without("max_pool2d", "return_indices")),
    "nn.functional.softplus": ("F.softplus", _without("softplus", "threshold")),
    "__rdiv__": ("Tensor.__rtruediv__", gu.Tensor.__rtruediv__),
    "einsum": ("einsum", lambda operands, equation: gu.einsum(equation, *operands)),
    "fill": ("Tensor.fill_", lambda x, value: x.clone().fill_(value)),
    "flip": ("flip", lambda x, dims: gu.flip(x, dims)),
    "index_put": (
        "Tensor.__setitem__",
        lambda x, indices, values, accumulate: _put(x, tuple(indices), values),
    ),
    "mT": ("Tensor.mT", lambda x: x.mT),
    "nn.functional.embedding": (
        "F.embedding",
        lambda weight, input, **how: F.embedding(input, weight, **how),
    ),
    "normal.in_place": (
        "Tensor.normal_",
        lambda x, mean, std: x.clone().normal_(mean, std),
    ),
    "select_scatter": (
        "Tensor.__setitem__",
        lambda x, src, dim, index: _put(x, (slice(None),) * (dim % x.ndim) + (index,), src),
    ),
    "slice_scatter": (
        "Tensor.__setitem__",
        lambda x, src, dim, *ends: _put(x, (slice(None),) * (dim % x.ndim) + (slice(*ends),), src),
    ),
    "to": ("Tensor.to", _to),
    "uniform": ("Tensor.uniform_", lambda x, low, high: x.clone().uniform_(low, high)),
    "where": ("where", lambda x, condition, other: gu.where(condition, x, other)),
    "zero_": ("Tensor.zero_", lambda x: x.clone().zero_()),
}
"""Ours where it is not simply the function or method of the same name with the same arguments."""

_POWER = "negative powers of integers are refused here"
_WHOLE = "means of integers: floating here, rounded in PyTorch"
_WHERE = "`return_indices`: the positions of the maxima are not returned"
_ORDER = "PyTorch leaves the order of equal elements open"

DETAILS: dict[str, dict[str, Any]] = {
    "argsort": {"leave_out": ((has_ties, _ORDER),)},
    "sort": {"leave_out": ((has_ties, _ORDER),)},
    "topk": {
        "pick": lambda sample, results: results[:1] if has_ties(sample) else results,
        "note": f"where there are equal elements only the values; {_ORDER}",
    },
    "gather": {
        "leave_out": (
            (
                lambda s: s.args[1].numel() == 0 and s.args[1].ndim != s.input.ndim,
                "an empty index of another number of dimensions is refused here",
            ),
        )
    },
    "index_put": {
        "leave_out": ((given("accumulate", True), "`accumulate=True` has no syntax as `x[i] = v`"),)
    },
    "repeat_interleave": {
        "leave_out": (
            (
                lambda s: is_tensor(s.kwargs.get("repeats")),
                "a number of repeats for each element: the shape would depend on values",
            ),
        )
    },
    "nn.functional.batch_norm": {
        "changes": True,
        "leave_out": ((lambda s: s.input.ndim == 1, "a vector, where (N, C, ...) is expected"),),
    },
    "nn.functional.interpolate": {
        "leave_out": ((given("antialias", True), "`antialias`"),),
        "note": "in float32 to 1e-4: PyTorch rounds positions to float32, too",
        "tolerance": 5.0,
    },
    "nn.functional.scaled_dot_product_attention": {
        "leave_out": ((lambda s: s.kwargs.get("dropout_p"), "dropout: its numbers are random"),)
    },
    "nn.functional.softplus": {
        "theirs": lambda x, beta, threshold: torch.nn.functional.softplus(x, beta),
        "note": "without `threshold`, above which PyTorch's is linear: ours is exact everywhere",
        "tolerance": 10.0,
    },
    "nn.functional.avg_pool1d": {"leave_out": ((integers, _WHOLE),)},
    "nn.functional.avg_pool2d": {"leave_out": ((integers, _WHOLE),)},
    "nn.functional.max_pool1d": {"leave_out": ((given("return_indices", True), _WHERE),)},
    "nn.functional.max_pool2d": {"leave_out": ((given("return_indices", True), _WHERE),)},
    "pow": {"leave_out": ((negative_power(1), _POWER),)},
    "__rpow__": {"leave_out": ((negative_power(0), _POWER),)},
    "sign": {"leave_out": ((some(has_nan), "the sign of NaN: NaN here, 0 in PyTorch"),)},
    "__rsub__": {"leave_out": ((number_first, "a number as the tensor whose method is called"),)},
}
"""What differs from the defaults of ``Case``, by name of the entry."""

_RANDOM = "shapes and dtypes; the distribution is tested in tests/engine/test_random.py"
for _name in (
    "bernoulli",
    "multinomial",
    "nn.functional.dropout",
    "nn.functional.dropout2d",
    "normal.in_place",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "uniform",
):
    DETAILS[_name] = {"values": False, "note": _RANDOM}
for _name in ("empty", "empty_like"):
    DETAILS[_name] = {"values": False, "note": "shapes and dtypes; the values are arbitrary"}

NOT_COMPARED = {
    "bmm.triton_optimized": "the same operation as `bmm`, for graphics processors",
    "nn.functional.batch_norm.without_cudnn": "`batch_norm` on graphics processors",
    "nn.functional.silu.complex": "complex numbers",
    "norm.nuc": "the nuclear norm needs singular values, which groundup does not have",
    "normal": "random numbers with means and deviations given as tensors: only `normal_` is here",
    "normal.number_mean": "see `normal`",
}
"""Entries under names that groundup has, none of whose samples can be compared, and why."""


def find(full_name: str, name: str) -> tuple[str, Callable[..., Any]] | None:
    """Our function under PyTorch's name."""
    short = name.removeprefix("nn.functional.")
    if short != name and not hasattr(F, short):
        return None
    for key in (full_name, name):
        if key in CALLS:
            return CALLS[key]
    places = [("F.", F)] if short != name else [("", gu), ("Tensor.", gu.Tensor)]
    for prefix, place in places:
        found = getattr(place, short, None)
        if callable(found) and not isinstance(found, type | np.dtype):
            return prefix + short, found
    return None


def cases() -> list[Case]:
    """Every entry that groundup has too, in the database's order; after it its in-place form."""
    out: list[Case] = []
    for op in op_db:
        found = find(op.full_name, op.name)
        if found is None or op.full_name in NOT_COMPARED:
            continue
        details = DETAILS.get(op.full_name, DETAILS.get(op.name, {}))
        case = Case(op, found[1], found[0], **details)
        out.append(case)
        in_place = getattr(gu.Tensor, op.name + "_", None)
        already = case.ours.endswith("_")
        if in_place is not None and op.inplace_variant is not None and not already:
            change = replace(
                case,
                call=in_place,
                ours=f"Tensor.{op.name}_",
                leave_out=(*case.leave_out, (number_first, "a number cannot be changed in place")),
                in_place=True,
            )
            out.append(change)
    return out
