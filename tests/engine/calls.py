"""A strategy of valid calls for each differentiable primitive, at points where it is smooth.

``CALLS[name]`` draws a ``Call``: the input arrays and the static arguments. Floating inputs are
float64 and differentiable; integer inputs are positions; boolean ones conditions. A new primitive
needs a strategy here, or ``test_primitives.py`` fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from groundup.engine.primitives import convolution

from .drawing import (
    Array,
    away_from_zero,
    broadcastable,
    dimensions,
    distinct,
    laid_out,
    positions,
    reshaped,
    seeds,
    shapes,
    uniform,
)


class Call(NamedTuple):
    """Arguments of a primitive."""

    arrays: list[Array]
    static: dict[str, Any]


CALLS: dict[str, st.SearchStrategy[Call]] = {}


def calls(*names: str) -> Callable[[Callable[..., Call]], Callable[..., Call]]:
    """Register a function that draws a call under the names of primitives."""

    def register(function: Callable[..., Call]) -> Callable[..., Call]:
        for name in names:
            CALLS[name] = st.composite(function)()
        return function

    return register


def of_one(
    *names: str, low: float = -2.0, high: float = 2.0, values: Any = None, **static: Any
) -> None:
    """Register functions of one variable, smooth between two limits or where ``values`` lie."""

    @calls(*names)
    def _(draw: st.DrawFn) -> Call:
        shape = draw(shapes())
        x = draw(uniform(shape, low, high) if values is None else values(shape))
        return Call([draw(laid_out(x))], {k: draw(v) for k, v in static.items()})


def of_two(*names: str, a: Any = uniform, b: Any = uniform) -> None:
    """Register functions of two variables that broadcast."""

    @calls(*names)
    def _(draw: st.DrawFn) -> Call:
        first, second = draw(broadcastable(2))
        return Call([draw(laid_out(draw(a(first)))), draw(laid_out(draw(b(second))))], {})


# Elementwise

of_one("neg", "exp", "expm1", "sin", "cos", "tanh", "erf", "sigmoid", "softplus")
of_one("abs", "relu", "sign", values=away_from_zero)
of_one("log", "sqrt", "rsqrt", low=0.3)
of_one("log1p", low=-0.7)
of_one("cast", dtype=st.just(np.dtype(np.float64)))


@st.composite
def between_halves(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """Numbers at least 0.1 away from every integer and every half."""
    rng = np.random.default_rng(draw(seeds))
    return rng.integers(-3, 3, shape) + rng.uniform(0.1, 0.4, shape) + rng.choice([0, 0.5], shape)


of_one("floor", "ceil", "round", "trunc", values=between_halves)


@calls("clamp")
def _clamp(draw: st.DrawFn) -> Call:
    limits = draw(st.sampled_from([(-1.0, 1.0), (-0.5, None), (None, 0.5), (1.0, -1.0)]))
    x = draw(uniform(draw(shapes())))
    for limit in (-1.0, -0.5, 0.5, 1.0):
        x = np.where(np.abs(x - limit) < 0.01, limit + 0.01, x)
    return Call([draw(laid_out(x))], {"low": limits[0], "high": limits[1]})


@st.composite
def steps(draw: st.DrawFn, shape: tuple[int, ...], offset: float = 0.0) -> Array:
    """Whole multiples of 0.2, shifted: two grids with shifts 0 and 0.1 never meet."""
    return np.random.default_rng(draw(seeds)).integers(-8, 8, shape) * 0.2 + offset


def shifted(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    return steps(shape, offset=0.1)


def positive(shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    return uniform(shape, 0.3, 2.0)


@st.composite
def near_wholes(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """Integers plus 0.4; their quotients by 1 and 2 lie at least 0.2 from every integer."""
    return np.random.default_rng(draw(seeds)).integers(-6, 6, shape) + 0.4


@st.composite
def ones_and_twos(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(draw(seeds)).choice([-2.0, -1.0, 1.0, 2.0], shape)


of_two("add", "sub", "mul")
of_two("div", b=away_from_zero)
of_two("pow", a=positive)
of_two("maximum", "minimum", a=steps, b=shifted)
of_two("remainder", a=near_wholes, b=ones_and_twos)


@calls("where")
def _where(draw: st.DrawFn) -> Call:
    condition, a, b = draw(broadcastable(3))
    chosen = np.random.default_rng(draw(seeds)).integers(0, 2, condition).astype(bool)
    return Call([draw(laid_out(x)) for x in (chosen, draw(uniform(a)), draw(uniform(b)))], {})


@calls("lerp")
def _lerp(draw: st.DrawFn) -> Call:
    return Call([draw(laid_out(draw(uniform(shape)))) for shape in draw(broadcastable(3))], {})


@calls("barrier")
def _barrier(draw: st.DrawFn) -> Call:
    return Call([draw(laid_out(draw(uniform(shape)))) for shape in (draw(shapes()), ())], {})


@calls("addcdiv")
def _addcdiv(draw: st.DrawFn) -> Call:
    a, b, c, w = draw(broadcastable(4, max_dims=2))
    given = [draw(uniform(a)), draw(uniform(b)), draw(away_from_zero(c)), draw(uniform(w))]
    return Call([draw(laid_out(x)) for x in given], {})


# Reductions and what is fused with them


@calls("sum", "logsumexp")
def _reduced(draw: st.DrawFn) -> Call:
    x = draw(uniform(draw(shapes())))
    static = {"dims": draw(dimensions(x.ndim)), "keepdim": draw(st.booleans())}
    return Call([draw(laid_out(x))], static)


@calls("amax", "amin")
def _extreme(draw: st.DrawFn) -> Call:
    x = draw(distinct(draw(shapes(min_side=1))))
    static = {"dims": draw(dimensions(x.ndim)), "keepdim": draw(st.booleans())}
    return Call([draw(laid_out(x, expanded=False))], static)


@calls("softmax", "log_softmax", "cumsum")
def _along(draw: st.DrawFn) -> Call:
    x = draw(uniform(draw(shapes(min_dims=1))))
    return Call([draw(laid_out(x))], {"dim": draw(st.integers(0, x.ndim - 1))})


@calls("cross_entropy", "class_residual")
def _cross_entropy(draw: st.DrawFn) -> Call:
    shape = draw(shapes(min_dims=1))
    dim = draw(st.integers(0, len(shape) - 1))
    shape = (*shape[:dim], draw(st.integers(1, 4)), *shape[dim + 1 :])
    target = draw(positions(shape[dim] + 1, shape[:dim] + shape[dim + 1 :]))
    target = np.where(target == shape[dim], -100, target)
    return Call([draw(laid_out(draw(uniform(shape)))), target], {"dim": dim, "ignored": -100})


@calls("standardize")
def _standardize(draw: st.DrawFn) -> Call:
    x = draw(distinct(draw(shapes(min_dims=1, min_side=1))))
    eps = draw(st.sampled_from([1e-1, 1.0]))
    return Call([draw(laid_out(x))], {"dims": draw(dimensions(x.ndim)), "eps": eps})


# Shape


@calls("reshape")
def _reshape(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes())))))
    return Call([x], {"shape": draw(reshaped(x.shape))})


@calls("permute")
def _permute(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes())))))
    return Call([x], {"order": tuple(draw(st.permutations(range(x.ndim))))})


@calls("expand")
def _expand(draw: st.DrawFn) -> Call:
    small, wide = draw(enlarged())
    return Call([draw(laid_out(draw(uniform(small))))], {"shape": wide})


@calls("sum_to")
def _sum_to(draw: st.DrawFn) -> Call:
    small, wide = draw(enlarged())
    return Call([draw(laid_out(draw(uniform(wide))))], {"shape": small})


@st.composite
def enlarged(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape and one to which it broadcasts."""
    wide = draw(shapes())
    small = [draw(st.sampled_from([1, n])) for n in wide]
    return tuple(small[draw(st.integers(0, len(wide))) :]), wide


@calls("flip")
def _flip(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes())))))
    return Call([x], {"dims": draw(dimensions(x.ndim, min_size=0))})


@st.composite
def ranges(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """One slice of positive step for each dimension."""
    key = []
    for n in shape:
        start = draw(st.integers(0, n))
        key.append(slice(start, draw(st.integers(start, n)), draw(st.integers(1, 3))))
    return tuple(key)


@calls("slice")
def _slice(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes())))))
    return Call([x], {"key": draw(ranges(x.shape))})


@calls("unslice")
def _unslice(draw: st.DrawFn) -> Call:
    shape = draw(shapes())
    key = draw(ranges(shape))
    x = draw(uniform(np.empty(shape)[key].shape))
    return Call([draw(laid_out(x))], {"shape": shape, "key": key})


@calls("pad")
def _pad(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes())))))
    width = st.tuples(st.integers(0, 2), st.integers(0, 2))
    widths = tuple(draw(width) for _ in range(x.ndim))
    return Call([x], {"widths": widths, "value": draw(st.sampled_from([0.0, 1.5]))})


@calls("cat")
def _cat(draw: st.DrawFn) -> Call:
    shape = draw(shapes(min_dims=1))
    dim = draw(st.integers(0, len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    pieces = [(*shape[:dim], n, *shape[dim + 1 :]) for n in sizes]
    return Call([draw(laid_out(draw(uniform(piece)))) for piece in pieces], {"dim": dim})


# Indexing


@st.composite
def places(
    draw: st.DrawFn, shape: tuple[int, ...], unique: bool = False
) -> tuple[list[Array], tuple[int, ...]]:
    """Positions that broadcast together, and the dimensions that they index."""
    dims = draw(dimensions(len(shape)))
    if unique:
        # Distinct corners of the grid of the indexed dimensions, as one vector for each.
        grid = np.argwhere(np.ones([shape[d] for d in dims], bool))
        count = draw(st.integers(0, len(grid)))
        chosen = np.random.default_rng(draw(seeds)).permutation(grid)[:count]
        return [chosen[:, i] for i in range(len(dims))], dims
    found = draw(hnp.mutually_broadcastable_shapes(num_shapes=len(dims), max_dims=2, max_side=3))
    return [
        draw(positions(shape[d], one)) for d, one in zip(dims, found.input_shapes, strict=True)
    ], dims


def selected(shape: tuple[int, ...], found: list[Array], dims: tuple[int, ...]) -> Any:
    """The shape of what is read at the positions."""
    key: list[Any] = [slice(None)] * len(shape)
    for d, position in zip(dims, found, strict=True):
        key[d] = position
    return np.empty(shape)[tuple(key)].shape


@calls("index")
def _index(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes(min_dims=1, min_side=1))))))
    found, dims = draw(places(x.shape))
    return Call([x, *found], {"dims": dims})


@calls("index_add")
def _index_add(draw: st.DrawFn) -> Call:
    shape = draw(shapes(min_dims=1, min_side=1))
    found, dims = draw(places(shape))
    values = draw(laid_out(draw(uniform(selected(shape, found, dims)))))
    return Call([values, *found], {"dims": dims, "shape": shape})


@calls("index_put")
def _index_put(draw: st.DrawFn) -> Call:
    # Of repeated positions only the last is written, which has no derivative worth the name.
    x = draw(laid_out(draw(uniform(draw(shapes(min_dims=1, min_side=1))))))
    found, dims = draw(places(x.shape, unique=True))
    target = selected(x.shape, found, dims)
    values = draw(uniform(draw(st.sampled_from([target, ()]))))
    return Call([x, draw(laid_out(values)), *found], {"dims": dims})


@calls("gather")
def _gather(draw: st.DrawFn) -> Call:
    x = draw(laid_out(draw(uniform(draw(shapes(min_dims=1, min_side=1))))))
    dim = draw(st.integers(0, x.ndim - 1))
    shape = (*x.shape[:dim], draw(st.integers(0, 4)), *x.shape[dim + 1 :])
    return Call([x, draw(positions(x.shape[dim], shape))], {"dim": dim})


@calls("scatter_add")
def _scatter_add(draw: st.DrawFn) -> Call:
    shape = draw(shapes(min_dims=1, min_side=1))
    dim = draw(st.integers(0, len(shape) - 1))
    given = (*shape[:dim], draw(st.integers(0, 4)), *shape[dim + 1 :])
    values = draw(laid_out(draw(uniform(given))))
    position = draw(positions(shape[dim], given))
    return Call([values, position], {"dim": dim, "shape": shape})


# Products and windows


@calls("matmul")
def _matmul(draw: st.DrawFn) -> Call:
    left, right = draw(broadcastable(2, max_dims=2))
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    a, b = draw(uniform((*left, n, k))), draw(uniform((*right, k, m)))
    return Call([draw(laid_out(a)), draw(laid_out(b))], {})


@calls("linear")
def _linear(draw: st.DrawFn) -> Call:
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    given = [(n, k), (m, k)] + [(m,)] * draw(st.integers(0, 1))
    return Call([draw(laid_out(draw(uniform(shape)))) for shape in given], {})


class Convolution(NamedTuple):
    """The sizes of one convolution."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    g: tuple[int, ...]
    how: dict[str, Any]


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """One or two spatial dimensions; strides, padding, dilation, groups; perhaps an empty batch."""
    n = draw(st.integers(1, 2))
    groups = draw(st.integers(1, 2))
    batch, channels, filters = draw(st.integers(0, 2)), *draw(st.tuples(*[st.integers(1, 2)] * 2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel, stride, dilation, padding = each(1, 4 - n), each(1, 2), each(1, 2), each(0, 1)
    size = tuple(
        max(d * (k - 1) + 1 - 2 * p, 0) + extra
        for d, k, p, extra in zip(dilation, kernel, padding, each(0, 2), strict=True)
    )
    reached = map(convolution.output_size, size, kernel, stride, padding, dilation)
    return Convolution(
        (batch, channels * groups, *size),
        (filters * groups, channels, *kernel),
        (batch, filters * groups, *reached),
        {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
    )


@calls("conv")
def _conv(draw: st.DrawFn) -> Call:
    sizes = draw(convolutions())
    x, w = draw(uniform(sizes.x)), draw(uniform(sizes.w))
    return Call([draw(laid_out(x)), draw(laid_out(w))], sizes.how)


@calls("conv_input")
def _conv_input(draw: st.DrawFn) -> Call:
    sizes = draw(convolutions())
    g, w = draw(uniform(sizes.g)), draw(uniform(sizes.w))
    return Call([draw(laid_out(g)), draw(laid_out(w))], {"size": sizes.x[2:], **sizes.how})


@calls("conv_weight")
def _conv_weight(draw: st.DrawFn) -> Call:
    sizes = draw(convolutions())
    x, g = draw(uniform(sizes.x)), draw(uniform(sizes.g))
    return Call([draw(laid_out(x)), draw(laid_out(g))], {"kernel": sizes.w[2:], **sizes.how})


@st.composite
def sliding(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape and windows over some of its dimensions."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    dims = draw(dimensions(len(shape)))[:2]
    size, step, dilation = [], [], []
    for d in dims:
        size.append(draw(st.integers(1, min(shape[d], 3))))
        step.append(draw(st.integers(1, 3)))
        dilation.append(draw(st.integers(1, max((shape[d] - 1) // max(size[-1] - 1, 1), 1))))
    how = {"size": tuple(size), "step": tuple(step), "dilation": tuple(dilation)}
    return shape, {"dims": dims, **how}


@calls("windows")
def _windows(draw: st.DrawFn) -> Call:
    shape, how = draw(sliding())
    return Call([draw(laid_out(draw(uniform(shape))))], how)


@calls("fold")
def _fold(draw: st.DrawFn) -> Call:
    shape, how = draw(sliding())
    g = draw(uniform(convolution.windows.forward(np.empty(shape), **how).shape))
    return Call([draw(laid_out(g))], {"shape": shape, **how})
