"""What the engine's tests draw with Hypothesis: shapes, values and memory layouts.

Hypothesis chooses every shape, layout and option; the values come from a seed that it also chooses,
so that they spread over their range instead of crowding at 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from groundup.engine.dtypes import SUPPORTED, bfloat16

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]

seeds = st.integers(0, 2**32 - 1)


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> st.SearchStrategy[Shape]:
    """Small shapes: none to three dimensions of 0 to 3 elements."""
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3)


def broadcastable(count: int, max_dims: int = 3) -> st.SearchStrategy[tuple[Shape, ...]]:
    """Shapes that broadcast together, zero-dimensional ones and sizes 0 and 1 among them."""
    drawn = hnp.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=0, max_side=3
    )
    return drawn.map(lambda found: found.input_shapes)


def _without_nan(bits: Array) -> Array:
    """The bfloat16 of these bits, with 0 for NaN."""
    return np.where((bits & 0x7FFF) > 0x7F80, np.uint16(0), bits).view(bfloat16)


def of_any_dtype(max_dims: int = 3, max_side: int = 4) -> st.SearchStrategy[Array]:
    """Any values, NaN and infinities among them, in any dtype.

    No NaN in bfloat16: NumPy's comparisons of arrays do not know it there.
    """
    shapes = hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side)
    known = st.sampled_from([dtype for dtype in SUPPORTED if dtype != bfloat16])
    bits = hnp.arrays(np.uint16, shapes).map(_without_nan)
    return hnp.arrays(known, shapes) | bits


@st.composite
def uniform(draw: st.DrawFn, shape: Shape, low: float = -2.0, high: float = 2.0) -> Array:
    """Numbers spread evenly between two limits."""
    return np.asarray(np.random.default_rng(draw(seeds)).uniform(low, high, shape))


@st.composite
def away_from_zero(draw: st.DrawFn, shape: Shape) -> Array:
    """Positive and negative numbers of magnitude 0.3 to 2."""
    rng = np.random.default_rng(draw(seeds))
    return rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


@st.composite
def distinct(draw: st.DrawFn, shape: Shape) -> Array:
    """Numbers of which no two are closer than 0.1, in random order."""
    count = int(np.prod(shape))
    return 0.1 * np.random.default_rng(draw(seeds)).permutation(count).reshape(shape) - 0.05 * count


@st.composite
def dimensions(draw: st.DrawFn, ndim: int, min_size: int = 1) -> tuple[int, ...]:
    """Some of ``ndim`` dimensions, in order; none where there are none."""
    if not ndim:
        return ()
    found = draw(st.sets(st.integers(0, ndim - 1), min_size=min_size))
    return tuple(sorted(found))


@st.composite
def laid_out(draw: st.DrawFn, array: Array, expanded: bool = True) -> Array:
    """The array, with other strides: transposed, strided, reversed, or (with ties) expanded."""
    array = np.asarray(array)
    wide = [d for d, n in enumerate(array.shape) if n > 1]
    layouts = ["contiguous", "transposed", "strided", "reversed"]
    layout = draw(st.sampled_from(layouts + ["expanded"] * (expanded and bool(wide))))
    if layout == "transposed":
        return np.array(array, order="F")
    if layout == "strided":
        memory = np.full([2 * n + 1 for n in array.shape], np.nan if array.dtype.kind == "f" else 0)
        memory = memory.astype(array.dtype)
        inside = memory[(..., *[slice(1, None, 2)] * array.ndim)]
        inside[...] = array
        return inside
    if layout == "reversed":
        return np.asarray(np.flip(np.array(np.flip(array))))
    if layout == "expanded":
        d = draw(st.sampled_from(wide))
        return np.broadcast_to(array.take([0], axis=d), array.shape)
    return array


@st.composite
def positions(draw: st.DrawFn, size: int, shape: Shape) -> Array:
    """Valid positions in a dimension, repeats among them."""
    return np.random.default_rng(draw(seeds)).integers(0, size, shape)


@st.composite
def reshaped(draw: st.DrawFn, shape: Shape) -> Shape:
    """Another shape with as many elements."""
    rest = int(np.prod(shape))
    if not rest:
        return draw(st.permutations(shape).map(tuple))
    sizes = []
    for _ in range(draw(st.integers(0, 2))):
        sizes.append(draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
        rest //= sizes[-1]
    return (*sizes, rest) if rest > 1 or draw(st.booleans()) else tuple(sizes)
