"""Convolution and pooling against loops that follow the definitions, and SciPy.

Derivatives of the primitives are tested in ``test_primitives.py``. Proves R2.5 (the operations).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import signal

import groundup as gu
from groundup.engine.ops import convolution as ops

from .drawing import Array, Shape, distinct, laid_out, uniform

CLOSE = {"rtol": 1e-10, "atol": 1e-12}
CONV = {1: gu.conv1d, 2: gu.conv2d}
TRANSPOSED = {1: gu.conv_transpose1d, 2: gu.conv_transpose2d}
MAX_POOL = {1: ops.max_pool1d, 2: ops.max_pool2d}
AVG_POOL = {1: ops.avg_pool1d, 2: ops.avg_pool2d}


def written(draw: st.DrawFn, values: Shape) -> Any:
    """Sizes as users write them: one number where all are equal, else one for each dimension."""
    return values[0] if len(set(values)) == 1 and draw(st.booleans()) else values


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Array, Array, Array | None, dict[str, Any], int]:
    """An image (perhaps without a batch), a kernel, perhaps a bias; options; the dimensions."""
    n = draw(st.integers(1, 2))

    def each(low: int, high: int) -> Shape:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    groups, channels, filters = (draw(st.integers(1, 2)) for _ in range(3))
    kernel, stride, dilation, padding = each(1, 3), each(1, 3), each(1, 2), each(0, 2)
    size = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + extra
        for d, k, p, extra in zip(dilation, kernel, padding, each(0, 2), strict=True)
    )
    batch = draw(st.sampled_from([(), (2,), (0,)]))
    x = draw(uniform((*batch, groups * channels, *size)))
    w = draw(uniform((groups * filters, channels, *kernel)))
    b = draw(uniform((groups * filters,))) if draw(st.booleans()) else None
    how = {"stride": stride, "padding": padding, "dilation": dilation}
    options = {name: written(draw, values) for name, values in how.items()}
    return draw(laid_out(x)), draw(laid_out(w)), b, {**options, "groups": groups}, n


def spread(value: Any, n: int) -> Shape:
    return (value,) * n if isinstance(value, int) else tuple(value)


def convolved(x: Array, w: Array, b: Array | None, how: dict[str, Any], n: int) -> Array:
    """The definition, one multiplication at a time."""
    if x.ndim == n + 1:
        return convolved(x[None], w, b, how, n)[0]
    stride, padding, dilation = (spread(how[k], n) for k in ("stride", "padding", "dilation"))
    groups = how["groups"]
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    size = [
        (s - d * (k - 1) - 1) // t + 1
        for s, k, t, d in zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    ]
    y = np.zeros((len(x), len(w), *size))
    for i, o, *position in np.ndindex(y.shape):
        group = o // (len(w) // groups)
        for c, *offset in np.ndindex(w.shape[1:]):
            steps = position, stride, offset, dilation
            where = [p * t + k * d for p, t, k, d in zip(*steps, strict=True)]
            pixel = x[(i, group * w.shape[1] + c, *where)]
            y[(i, o, *position)] += pixel * w[(o, c, *offset)]
    return y if b is None else y + b.reshape(-1, *(1,) * n)


@given(case=convolutions())
def test_convolution_agrees_with_its_definition(case: tuple) -> None:
    x, w, b, how, n = case
    bias = None if b is None else gu.tensor(b)
    found = CONV[n](gu.as_tensor(x), gu.as_tensor(w), bias, **how)
    expected = convolved(x, w, b, how, n)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.array, expected, **CLOSE)


@given(data=st.data(), n=st.integers(1, 2))
def test_convolution_agrees_with_scipy(data: st.DataObject, n: int) -> None:
    size = tuple(data.draw(st.integers(3, 6)) for _ in range(n))
    kernel = tuple(data.draw(st.integers(1, 3)) for _ in range(n))
    x, w = data.draw(uniform(size)), data.draw(uniform(kernel))
    for mode in ("valid", "same"):
        found = CONV[n](gu.tensor(x)[None], gu.tensor(w)[None, None], padding=mode)
        expected = signal.correlate(x, w, mode)
        if mode == "same":  # of an even kernel SciPy keeps one more pixel before, PyTorch after
            full = signal.correlate(x, w, "full")
            start = [(k - 1) - (k - 1) // 2 for k in kernel]
            expected = full[tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))]
        np.testing.assert_allclose(found.array[0], expected, **CLOSE)


@given(data=st.data())
def test_same_padding_keeps_the_size(data: st.DataObject) -> None:
    kernel, dilation = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 2))
    x = gu.tensor(data.draw(uniform((1, 1, 7))))
    w = gu.tensor(data.draw(uniform((1, 1, kernel))))
    found = gu.conv1d(x, w, padding="same", dilation=dilation)
    assert found.shape == x.shape
    total = dilation * (kernel - 1)
    padded = np.pad(x.array, [(0, 0), (0, 0), (total // 2, total - total // 2)])
    how = {"stride": 1, "padding": 0, "dilation": dilation, "groups": 1}
    np.testing.assert_allclose(found.array, convolved(padded, w.array, None, how, 1), **CLOSE)


@given(case=convolutions(), data=st.data())
def test_transposed_convolution_is_the_adjoint(case: tuple, data: st.DataObject) -> None:
    """<conv(x), g> = <x, conv_transpose(g)> where ``output_padding`` restores x's size."""
    x, w, _, how, n = case
    y = CONV[n](gu.as_tensor(x), gu.as_tensor(w), **how)
    g = gu.tensor(data.draw(uniform(y.shape)))
    stride, padding, dilation = (spread(how[k], n) for k in ("stride", "padding", "dilation"))
    extra = tuple(
        s - ((p_out - 1) * t - 2 * p + d * (k - 1) + 1)
        for s, p_out, t, p, d, k in zip(
            x.shape[-n:], y.shape[-n:], stride, padding, dilation, w.shape[2:], strict=True
        )
    )
    back = TRANSPOSED[n](g, gu.as_tensor(w), output_padding=extra, **how)
    assert back.shape == x.shape
    product = float((y * g).sum().item())
    assert float((back.array * x).sum()) == pytest.approx(product, rel=1e-9, abs=1e-12)


@given(case=convolutions(), data=st.data())
def test_transposed_convolution_agrees_with_its_definition(
    case: tuple, data: st.DataObject
) -> None:
    """Each input pixel lays its multiple of the kernel down; overlaps add up; edges are cut off."""
    x, w, _, how, n = case
    how = dict(how)
    groups, filters = how["groups"], data.draw(st.integers(1, 2))
    x = x if x.ndim == n + 2 else x[None]
    w = data.draw(uniform((x.shape[1], filters, *w.shape[2:])))
    b = data.draw(uniform((groups * filters,)))
    stride, padding, dilation = (spread(how[k], n) for k in ("stride", "padding", "dilation"))
    extra = tuple(
        data.draw(st.integers(0, max(t, d) - 1)) for t, d in zip(stride, dilation, strict=True)
    )
    size = [
        (s - 1) * t + d * (k - 1) + 1 + e
        for s, t, d, k, e in zip(x.shape[2:], stride, dilation, w.shape[2:], extra, strict=True)
    ]
    if any(s - 2 * p < 1 for s, p in zip(size, padding, strict=True)):
        return
    y = np.zeros((len(x), groups * filters, *size))
    for i, c, *position in np.ndindex(x.shape):
        group = c // (x.shape[1] // groups)
        for o, *offset in np.ndindex(w.shape[1:]):
            steps = position, stride, offset, dilation
            where = [p * t + k * d for p, t, k, d in zip(*steps, strict=True)]
            value = x[(i, c, *position)] * w[(c, o, *offset)]
            y[(i, group * filters + o, *where)] += value
    inside = tuple(slice(p, s - p) for p, s in zip(padding, size, strict=True))
    expected = y[(slice(None), slice(None), *inside)] + b.reshape(-1, *(1,) * n)
    leaves = [gu.tensor(a, requires_grad=True) for a in (x, w, b)]
    found = TRANSPOSED[n](*leaves, output_padding=extra, **how)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.array, expected, **CLOSE)
    u = gu.tensor(data.draw(uniform(found.shape)))
    linear = ((found - leaves[2].detach().reshape(-1, *(1,) * n)) * u).sum().item()
    dx, dw, db = gu.grad(found, leaves, u)
    assert (leaves[0] * dx).sum().item() == pytest.approx(linear, rel=1e-9, abs=1e-12)
    assert (leaves[1] * dw).sum().item() == pytest.approx(linear, rel=1e-9, abs=1e-12)
    dims = [d for d in range(n + 2) if d != 1]
    np.testing.assert_allclose(db.array, u.sum(dims).array, **CLOSE)


def test_convolution_commutes_with_shifts() -> None:
    x = gu.zeros(1, 1, 9, 9)
    x[0, 0, 3:6, 3:6] = gu.randn(3, 3, generator=gu.Generator(0))
    w = gu.randn(2, 1, 3, 3, generator=gu.Generator(1))
    shifted = gu.conv2d(x.roll((1, 2), (2, 3)), w, padding=1)
    assert gu.allclose(shifted, gu.conv2d(x, w, padding=1).roll((1, 2), (2, 3)))


def test_a_kernel_with_a_single_one_moves_the_image() -> None:
    x = gu.arange(12.0).reshape(1, 1, 3, 4)
    w = gu.zeros(1, 1, 3, 3)
    w[0, 0, 1, 1] = 1.0
    assert gu.equal(gu.conv2d(x, w, padding=1), x)
    w = gu.zeros(1, 1, 3, 3)
    w[0, 0, 0, 1] = 1.0
    assert gu.equal(gu.conv2d(x, w, padding=1)[0, 0, 1:], x[0, 0, :-1])


def test_depthwise_convolution_does_not_mix_channels() -> None:
    x, w = gu.randn(2, 3, 8), gu.randn(3, 1, 3)
    whole = gu.conv1d(x, w, groups=3)
    for c in range(3):
        alone = gu.conv1d(x[:, c : c + 1], w[c : c + 1])
        assert gu.allclose(whole[:, c : c + 1], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gu.conv1d(gu.ones(1, 2, 5), gu.ones(1, 3, 2)), r"2 channels.*groups=1 expects 3"),
        (lambda: gu.conv1d(gu.ones(5), gu.ones(1, 1, 2)), r"input \(5,\), expected 2 or 3 dim"),
        (
            lambda: gu.conv2d(gu.ones(1, 1, 5, 5), gu.ones(1, 1, 2)),
            r"weight \(1, 1, 2\), expected 4",
        ),
        (lambda: gu.conv1d(gu.ones(1, 1, 3), gu.ones(1, 1, 4)), r"reaches over \(4,\) pixels"),
        (
            lambda: gu.conv1d(gu.ones(1, 2, 3), gu.ones(3, 1, 1), groups=2),
            "groups=2 does not divide",
        ),
        (
            lambda: gu.conv1d(gu.ones(1, 1, 3), gu.ones(1, 1, 1), stride=(1, 1)),
            "stride has 2 numbers",
        ),
        (
            lambda: gu.conv1d(gu.ones(1, 1, 3), gu.ones(1, 1, 2), padding="same", stride=2),
            "'same' needs stride 1",
        ),
        (lambda: gu.conv1d(gu.ones(1, 1, 3), gu.ones(1, 1, 2), padding="full"), "padding 'full'"),
        (
            lambda: gu.conv_transpose1d(gu.ones(1, 1, 3), gu.ones(1, 1, 2), output_padding=1),
            "output_padding .* must be below stride",
        ),
        (lambda: gu.conv_transpose1d(gu.ones(1, 2, 3), gu.ones(1, 1, 2)), "2 channels"),
        (lambda: gu.conv_transpose1d(gu.ones(1, 1, 0), gu.ones(1, 1, 2)), "size 0"),
        (
            lambda: gu.conv_transpose1d(gu.ones(1, 1, 1), gu.ones(1, 1, 1), padding=2),
            "negative size",
        ),
    ],
)
def test_convolutions_say_what_does_not_fit(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^(conv(_transpose)?\dd: .*)?{message}"):
        call()


# Pooling


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Array, dict[str, Any], int]:
    """An image, kernel, stride, padding, ``ceil_mode``; the number of dimensions."""
    n = draw(st.integers(1, 2))

    def each(low: int, high: int) -> Shape:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel = each(1, 3)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = tuple(
        max(k - 2 * p, 1) + extra for k, p, extra in zip(kernel, padding, each(0, 5), strict=True)
    )
    lead = draw(st.sampled_from([(1,), (2, 1), (0, 2)]))
    how: dict[str, Any] = {"kernel_size": written(draw, kernel), "padding": written(draw, padding)}
    if draw(st.booleans()):
        how["stride"] = written(draw, each(1, 4))
    how["ceil_mode"] = draw(st.booleans())
    return draw(laid_out(draw(distinct((*lead, *size))), expanded=False)), how, n


def pooled_size(size: int, k: int, t: int, p: int, d: int, ceil_mode: bool) -> int:
    """PyTorch's rule: rounded up, but the last window must start inside the input or its left."""
    steps = (size + 2 * p - d * (k - 1) - 1) / t
    count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    return count - 1 if ceil_mode and (count - 1) * t >= size + p else count


def pooled(
    x: Array, how: dict[str, Any], n: int, reduce: Callable[[list[float], int], float]
) -> Array:
    """``reduce(values of the window inside the input, places inside the padded input)``."""
    kernel = spread(how["kernel_size"], n)
    stride = spread(how.get("stride", kernel), n)
    padding, dilation = spread(how["padding"], n), spread(how.get("dilation", 1), n)
    size = x.shape[-n:]
    sizes = zip(size, kernel, stride, padding, dilation, strict=True)
    out = np.empty((*x.shape[:-n], *(pooled_size(*s, how["ceil_mode"]) for s in sizes)))
    for index in np.ndindex(out.shape):
        lead, position = index[:-n], index[-n:]
        values, places = [], 0
        for offset in itertools.product(*map(range, kernel)):
            where = [
                q * t + k * d - p
                for q, t, k, d, p in zip(position, stride, offset, dilation, padding, strict=True)
            ]
            limits = list(zip(where, size, padding, strict=True))
            places += all(w < s + p for w, s, p in limits)
            if all(0 <= w < s for w, s, _ in limits):
                values.append(x[(*lead, *where)])
        out[index] = reduce(values, places)
    return out


@given(case=poolings(), dilation=st.integers(1, 2))
def test_max_pool_agrees_with_its_definition(case: tuple, dilation: int) -> None:
    x, how, n = case
    reach = [dilation * (k - 1) + 1 for k in spread(how["kernel_size"], n)]
    padded = zip(x.shape[-n:], reach, spread(how["padding"], n), strict=True)
    if all(s + 2 * p >= r for s, r, p in padded):
        how = {**how, "dilation": dilation}
    expected = pooled(x, how, n, lambda values, _: max(values, default=-math.inf))
    found = MAX_POOL[n](gu.as_tensor(x), **how)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.array, expected)


@given(case=poolings(), include=st.booleans(), divisor=st.none() | st.integers(1, 5))
def test_avg_pool_agrees_with_its_definition(
    case: tuple, include: bool, divisor: int | None
) -> None:
    """The padding counts unless told not to; what ``ceil_mode`` adds beyond it never counts."""
    x, how, n = case
    how_ours = {**how, "count_include_pad": include}
    if n == 2:
        how_ours["divisor_override"] = divisor

    def mean(values: list[float], places: int) -> float:
        count = places if include else len(values)
        count = divisor if divisor and n == 2 else count
        return math.fsum(values) / count if count else math.nan

    expected = pooled(x, how, n, mean)
    leaf = gu.as_tensor(x).requires_grad_()
    found = AVG_POOL[n](leaf, **how_ours)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.array, expected, **CLOSE)
    (g,) = gu.grad(found.sum(), leaf)
    product = float((g.array * x).sum())
    assert product == pytest.approx(float(expected.sum()), rel=1e-9, abs=1e-9), "it is linear"


@given(case=poolings())
def test_max_pool_gives_the_gradient_to_the_largest(case: tuple) -> None:
    x, how, n = case
    leaf = gu.as_tensor(x).requires_grad_()
    found = MAX_POOL[n](leaf, **how)
    weight = np.random.default_rng(0).uniform(size=found.shape)
    weight[~np.isfinite(found.array)] = 0  # windows that lie in the padding alone
    (g,) = gu.grad(found, leaf, gu.tensor(weight))
    lead = np.ndindex(*x.shape[:-n])
    for i in lead:
        for value, got in zip(x[i].ravel(), g.array[i].ravel(), strict=True):
            expected = weight[i][found.array[i] == value].sum()
            assert got == pytest.approx(expected, rel=1e-12)


def test_the_first_of_equal_values_gets_the_gradient_of_max_pool() -> None:
    x = gu.ones(1, 4, requires_grad=True)
    ops.max_pool1d(x, 2).sum().backward()
    assert x.grad.tolist() == [[1, 0, 1, 0]]


def test_pooling_and_extreme_values() -> None:
    """One infinity or NaN changes the windows that hold it and no others."""
    x = gu.tensor([[math.inf, 1.0, 2.0, math.nan, 3.0, 4.0]] * 2)
    x[1, 0] = 0.0
    largest = ops.max_pool1d(x, 2)
    assert largest[0, 0].item() == math.inf
    assert largest[:, 1].isnan().all()
    assert largest[1, 0].item() == 1
    mean = ops.avg_pool1d(x, 2, padding=1, count_include_pad=False)
    assert mean[0, 0].item() == math.inf
    assert mean[1, :2].tolist() == [0, 1.5]
    negative = gu.full((1, 2), -5.0)
    assert ops.max_pool1d(negative, 2, 1, 1).tolist() == [[-5, -5, -5]], "padding is no zero"


def test_pooling_keeps_the_dtype() -> None:
    for dtype in (gu.float16, gu.float32, gu.float64):
        x = gu.ones(1, 1, 5, dtype=dtype)
        assert ops.max_pool1d(x, 2, padding=1, ceil_mode=True).dtype == dtype
        assert ops.avg_pool1d(x, 2, padding=1, ceil_mode=True).dtype == dtype
        assert ops.avg_pool1d(x, 2, padding=1, count_include_pad=False).dtype == dtype


def test_pooling_says_what_does_not_fit() -> None:
    x = gu.ones(1, 1, 3)
    with pytest.raises(ValueError, match=r"max_pool1d: padding \(2,\) exceeds half of .* \(3,\)"):
        ops.max_pool1d(x, 3, padding=2)
    with pytest.raises(ValueError, match=r"avg_pool1d: kernel_size \(4,\) exceeds the input"):
        ops.avg_pool1d(x, 4)
    with pytest.raises(ValueError, match=r"max_pool2d: input \(3,\), expected 3 or 4 dimensions"):
        ops.max_pool2d(gu.ones(3), 1)
    with pytest.raises(ValueError, match="kernel_size has 2 numbers, expected 1 or 1"):
        ops.max_pool1d(x, (1, 2))
