"""Every primitive's derivatives against finite differences, and what else holds for all of them.

The points are chosen in ``calls.py`` away from kinks (ties, ends of ranges, zeros of ``abs``); what
the derivative is *at* a kink is a documented choice, and each has its own test below.
Proves R1.1 (dtypes kept), R1.2 (derivatives of any order).
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import groundup as gu
from groundup.engine import primitives
from groundup.engine.base import wrap
from groundup.engine.primitive import Primitive
from groundup.engine.primitives import elementwise, fused

from .calls import CALLS, Call
from .drawing import Array, laid_out, seeds, shapes, uniform

STEP = 1e-5
"""Central differences err by about STEP**2 (third derivative) and 1e-16 / STEP (rounding)."""

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def collected() -> dict[str, Primitive]:
    """All primitives, by name, from every module beside ``elementwise``."""
    found: dict[int, Primitive] = {}
    for module in pkgutil.iter_modules(primitives.__path__, primitives.__name__ + "."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {id(member): member for member in members if isinstance(member, Primitive)}
    names = [primitive.name for primitive in found.values()]
    assert len(names) == len(set(names)), "two primitives share a name"
    return {primitive.name: primitive for primitive in found.values()}


PRIMITIVES = collected()
PACKED = {"rounded", "packed_linear", "packed_product", "packed_rows"}
"""Their values are steps, so that differences say nothing; see `test_packed.py`."""
DIFFERENTIABLE = sorted(n for n, p in PRIMITIVES.items() if p.differentiable and n not in PACKED)

NOT_DIFFERENTIABLE = (
    "eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or "
    "bitwise_xor bitwise_not argmax argmin argsort any all floor_divide"
)
LINEAR = (
    "neg add sub barrier cast sum cumsum reshape permute expand sum_to flip slice unslice cat "
    "where index index_add index_put gather scatter_add windows fold"
)
"""Linear in all floating inputs together."""
BILINEAR = "mul matmul conv conv_input conv_weight"
"""Linear in each input alone."""


def test_every_differentiable_primitive_has_a_case() -> None:
    assert set(DIFFERENTIABLE) == set(CALLS)
    assert set(PRIMITIVES) - set(CALLS) == PACKED | set(NOT_DIFFERENTIABLE.split())


def tensors(call: Call) -> list[gu.Tensor]:
    """The inputs as tensors; floating ones require a gradient."""
    return [wrap(a).requires_grad_(a.dtype.kind == "f") for a in call.arrays]


def gradients(
    primitive: Primitive, inputs: list[gu.Tensor], static: dict, u: gu.Tensor, **how: bool
) -> list[gu.Tensor]:
    """The gradient of ``(u * primitive(*inputs)).sum()`` with respect to each floating input."""
    leaves = [x for x in inputs if x.requires_grad]
    return list(gu.grad(primitive(*inputs, **static), leaves, u, **how))


def value(primitive: Primitive, call: Call) -> Array:
    return np.asarray(primitive.forward(*call.arrays, **call.static))


def slope(f: Callable[[Array], float], x: Array, direction: Array) -> float:
    return (f(x + STEP * direction) - f(x - STEP * direction)) / (2 * STEP)


def numerical_gradient(f: Callable[[Array], float], x: Array) -> Array:
    out = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        axis = np.zeros(x.shape)
        axis[i] = 1
        out[i] = slope(f, x, axis)
    return out


def with_input(call: Call, i: int, array: Array) -> Call:
    return Call([*call.arrays[:i], np.asarray(array), *call.arrays[i + 1 :]], call.static)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(data=st.data())
def test_first_derivatives(name: str, data: st.DataObject) -> None:
    """R1.2: each gradient is the slope of the function, whatever the shapes and strides."""
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])
    y = value(primitive, call)
    u = data.draw(uniform(y.shape))
    found = iter(gradients(primitive, tensors(call), call.static, wrap(u)))
    for i, x in enumerate(call.arrays):
        if x.dtype.kind != "f":
            continue

        def weighted(moved: Array, i: int = i) -> float:
            return float((u * value(primitive, with_input(call, i, moved))).sum())

        g = next(found)
        assert g.shape == x.shape
        np.testing.assert_allclose(g.array, numerical_gradient(weighted, x), **CLOSE)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(data=st.data())
def test_second_derivatives(name: str, data: st.DataObject) -> None:
    """R1.2: the gradient, itself differentiated, gives the slope of the gradient.

    Along random directions rather than each axis; the weight ``u`` of the output is an input of the
    gradient too.
    """
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])
    y = value(primitive, call)
    rng = np.random.default_rng(data.draw(seeds))
    u = rng.uniform(-1, 1, y.shape)
    weights = [rng.uniform(-1, 1, a.shape) for a in call.arrays if a.dtype.kind == "f"]

    def weighted(call: Call, u: Array) -> tuple[gu.Tensor, list[gu.Tensor]]:
        inputs = [*tensors(call), wrap(np.asarray(u)).requires_grad_()]
        first = gradients(primitive, inputs[:-1], call.static, inputs[-1], create_graph=True)
        total = sum((g * wrap(v)).sum() for g, v in zip(first, weights, strict=True))
        return total, [x for x in inputs if x.requires_grad]

    total, leaves = weighted(call, u)
    second = gu.grad(total, leaves, allow_unused=True)
    where = [i for i, a in enumerate(call.arrays) if a.dtype.kind == "f"]
    for i, g in zip([*where, -1], second, strict=True):
        x = u if i == -1 else call.arrays[i]
        direction = rng.uniform(-1, 1, x.shape)

        def moved(x: Array, i: int = i) -> float:
            total, _ = weighted(call, x) if i == -1 else weighted(with_input(call, i, x), u)
            return float(total.item())

        along = 0.0 if g is None else float((g.array * direction).sum())
        np.testing.assert_allclose(along, slope(moved, x, direction), **CLOSE)


@pytest.mark.parametrize("name", [*LINEAR.split(), *BILINEAR.split()])
@given(data=st.data())
def test_the_gradient_of_a_linear_primitive_is_its_transpose(
    name: str, data: st.DataObject
) -> None:
    """<A x, y> = <x, A^T y>, to rounding: no finite differences needed."""
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])
    ax = value(primitive, call)
    y = data.draw(uniform(ax.shape))
    floats = [a for a in call.arrays if a.dtype.kind == "f"]
    found = gradients(primitive, tensors(call), call.static, wrap(y))
    products = [float((x * g.array).sum()) for x, g in zip(floats, found, strict=True)]
    expected = [sum(products)] if name in LINEAR.split() else products
    for product in expected:
        np.testing.assert_allclose(product, float((ax * y).sum()), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(data=st.data())
def test_float32_stays_float32_and_strides_change_nothing(name: str, data: st.DataObject) -> None:
    """R1.1: no silent float64, forward or backward; the layout of the memory is not a value."""
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])
    static = {k: np.dtype(np.float32) if k == "dtype" else v for k, v in call.static.items()}
    narrow = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in call.arrays]
    inputs = tensors(Call(narrow, static))
    y = primitive(*inputs, **static)
    assert y.dtype == gu.float32
    for g in gradients(primitive, inputs, static, gu.ones_like(y)):
        assert g.dtype == gu.float32
    plain = Call([np.array(a, order="C") for a in call.arrays], call.static)
    np.testing.assert_allclose(
        value(primitive, plain), value(primitive, call), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@given(data=st.data())
def test_only_what_a_rule_reads_is_kept(name: str, data: st.DataObject) -> None:
    """An input that no rule reads may change before the backward pass; any other is refused.

    This holds the names of the rules' parameters (``_x`` is not read) to their word.
    """
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])
    y = value(primitive, call)
    u = wrap(data.draw(uniform(y.shape)))
    expected = gradients(primitive, tensors(call), call.static, u)
    keep = primitive.find_needs([a.dtype.kind == "f" for a in call.arrays]).inputs
    for i, kept in enumerate(keep):
        inputs = [wrap(np.array(a)).requires_grad_(a.dtype.kind == "f") for a in call.arrays]
        leaves = [x for x in inputs if x.requires_grad]
        out = primitive(*inputs, **call.static)
        shares = primitive.view and np.shares_memory(out.array, inputs[i].array)
        with gu.no_grad():
            inputs[i].assign(gu.zeros_like(inputs[i]))
        if kept:
            with pytest.raises(RuntimeError, match=rf"^{name}: .*changed in place"):
                gu.grad(out, leaves, u)
        else:
            assert not shares or not out.array.any()
            for found, wanted in zip(gu.grad(out, leaves, u), expected, strict=True):
                np.testing.assert_allclose(found.array, wanted.array, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", NOT_DIFFERENTIABLE.split())
def test_what_has_no_derivative_ends_the_graph(name: str) -> None:
    kind = "bool" if name.startswith("bitwise") else "float64"
    x = gu.tensor([1.0, 0.0]).to(kind)
    if kind == "float64":
        x.requires_grad_()
    static = {"any": {"dims": (0,), "keepdim": False}, "all": {"dims": (0,), "keepdim": False}}
    along = {"dim": 0} if name.startswith("arg") else static.get(name, {})
    one = along or name.endswith("not")
    out = PRIMITIVES[name](*[x] * (1 if one else 2), **along)
    assert not out.requires_grad
    assert out.is_leaf


def test_errors_name_the_primitive_and_what_it_was_given() -> None:
    with pytest.raises(ValueError, match=r"^add\(\(2,\) float32, \(3,\) float32\): .*broadcast"):
        gu.ones(2) + gu.ones(3)
    with pytest.raises(ValueError, match=r"^matmul\(\(2, 3\) float32, \(2, 3\) float32\)"):
        gu.ones(2, 3) @ gu.ones(2, 3)
    with pytest.raises(TypeError, match=r"^sub\(\(1,\) bool, \(1,\) bool\): .*logical_xor"):
        gu.tensor([True]) - gu.tensor([True])
    with pytest.raises(IndexError, match=r"^index\(\(2,\) float32, \(\) int64\): .*bounds"):
        PRIMITIVES["index"](gu.ones(2), gu.tensor(5), dims=(0,))
    with pytest.raises(TypeError, match=r"^floor\(\(1,\) \S+\): "):
        PRIMITIVES["floor"](wrap(np.array(["text"])))


# Fused primitives agree with what they fuse


def composed_softmax(x: gu.Tensor) -> gu.Tensor:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def composed_standardize(x: gu.Tensor) -> gu.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred * (centred.square().mean(-1, keepdim=True) + 0.1).rsqrt()


FUSED: dict[str, tuple[Callable[[gu.Tensor], gu.Tensor], Callable[[gu.Tensor], gu.Tensor]]] = {
    "softmax": (lambda x: x.softmax(-1), composed_softmax),
    "log_softmax": (lambda x: x.log_softmax(-1), lambda x: composed_softmax(x).log()),
    "logsumexp": (lambda x: x.logsumexp(-1), lambda x: x.exp().sum(-1).log()),
    "standardize": (
        lambda x: fused.standardize(x, dims=(x.ndim - 1,), eps=0.1),
        composed_standardize,
    ),
    "softplus": (elementwise.softplus, lambda x: (x.exp() + 1).log()),
    "sigmoid": (gu.sigmoid, lambda x: 1 / (1 + (-x).exp())),
    "relu": (gu.relu, lambda x: gu.where(x > 0, x, 0)),
    "rsqrt": (lambda x: x.exp().rsqrt(), lambda x: 1 / x.exp().sqrt()),
    "expm1": (gu.expm1, lambda x: x.exp() - 1),
    "log1p": (lambda x: x.exp().log1p(), lambda x: (1 + x.exp()).log()),
    "erf": (
        gu.erf,
        # Maclaurin series: 2/sqrt(pi) * sum over n of (-1)^n x^(2n+1) / (n! (2n+1))
        lambda x: (
            sum(
                x ** (2 * n + 1) * ((-1) ** n / (math.factorial(n) * (2 * n + 1)))
                for n in range(30)
            )
            * (2 / math.sqrt(math.pi))
        ),
    ),
}


@pytest.mark.parametrize("name", sorted(FUSED))
@given(data=st.data())
def test_fused_agrees_with_its_composition(name: str, data: st.DataObject) -> None:
    """Value, gradient, and the gradient's gradient."""
    x = data.draw(laid_out(data.draw(uniform(data.draw(shapes(min_dims=1, min_side=1))))))
    results = []
    for function in FUSED[name]:
        leaf = gu.tensor(x, requires_grad=True)
        y = function(leaf)
        (g,) = gu.grad((y * y).sum(), leaf, create_graph=True)
        (gg,) = gu.grad((g * g).sum(), leaf)
        results.append((y, g, gg))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-8, atol=1e-8)


@given(data=st.data())
def test_cross_entropy_is_the_logarithm_of_the_probability_of_the_class(
    data: st.DataObject,
) -> None:
    """Value, gradient, and the gradient's gradient; an ignored target counts nothing."""
    call = data.draw(CALLS["cross_entropy"])
    array, target = call.arrays
    dim = call.static["dim"]
    counted = gu.tensor(target >= 0)
    label = gu.tensor(np.where(target >= 0, target, 0)).unsqueeze(dim)
    results = []
    for fusing in (True, False):
        x = gu.tensor(array, requires_grad=True)
        if fusing:
            y = fused.cross_entropy(x, gu.tensor(target), **call.static)
        else:
            picked = -x.log_softmax(dim).gather(dim, label).squeeze(dim)
            y = gu.where(counted, picked, 0)
        (g,) = gu.grad((y * y).sum(), x, create_graph=True)
        (gg,) = gu.grad((g * g).sum(), x)
        results.append((y, g, gg))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-8, atol=1e-10)


def test_standardize_with_what_is_known_of_the_input() -> None:
    """Given the mean and the variance it computes the same, and the same gradient."""
    x = gu.tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    how = {"dims": (0,), "eps": 0.1}
    known = x.detach().mean(0, keepdim=True), x.detach().var(0, keepdim=True, correction=0)
    plain, quick = fused.standardize(x, **how), fused.standardize(x, *known, **how)
    np.testing.assert_allclose(quick.array, plain.array, rtol=1e-12)
    weight = gu.tensor(np.random.default_rng(1).normal(size=(4, 3)))
    for a, b in zip(gu.grad(plain, x, weight), gu.grad(quick, x, weight), strict=True):
        np.testing.assert_allclose(a.array, b.array, rtol=1e-12)


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64])
def test_fused_primitives_do_not_overflow(dtype: np.dtype) -> None:
    """Where the composition gives NaN or infinity, the fused one gives the limit."""
    x = gu.tensor([-1e4, 0.0, 1e4], dtype=dtype, requires_grad=True)
    assert x.softmax(0).tolist() == [0, 0, 1]
    assert x.log_softmax(0).tolist() == [-2e4, -1e4, 0]
    assert x.logsumexp(0).item() == 1e4
    assert x.sigmoid().tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(elementwise.softplus(x).tolist(), [0, math.log(2), 1e4], rtol=1e-6)
    for y in (x.softmax(0), x.log_softmax(0), x.logsumexp(0), x.sigmoid(), elementwise.softplus(x)):
        (g,) = gu.grad(y, x, gu.ones_like(y))
        assert g.isfinite().all()


def test_small_arguments_keep_their_digits() -> None:
    tiny = gu.tensor(1e-10, dtype=gu.float64)
    assert tiny.expm1().item() == pytest.approx(1e-10, rel=1e-12)
    assert tiny.log1p().item() == pytest.approx(1e-10, rel=1e-12)


# Kinks: the documented choices


def derivative(f: Callable[[gu.Tensor], gu.Tensor], at: float | list[float]) -> list[float]:
    x = gu.tensor(at, dtype=gu.float64, requires_grad=True)
    return gu.grad(f(x).sum(), x)[0].tolist()


def test_abs_has_slope_0_at_0() -> None:
    assert derivative(gu.abs, [-2.0, 0.0, 2.0]) == [-1, 0, 1]


def test_relu_has_slope_0_at_0() -> None:
    assert derivative(gu.relu, [-2.0, 0.0, 2.0]) == [0, 0, 1]


def test_sign_and_rounding_have_slope_0_everywhere() -> None:
    for f in (gu.sign, gu.floor, gu.ceil, gu.round, gu.trunc):
        assert derivative(f, [-1.0, -0.5, 0.0, 0.5, 1.0]) == [0] * 5


def test_equal_arguments_of_maximum_and_minimum_share_the_gradient() -> None:
    for f in (gu.maximum, gu.minimum):
        a = gu.tensor([1.0, 3.0], requires_grad=True)
        b = gu.tensor([1.0, 2.0], requires_grad=True)
        ga, gb = gu.grad(f(a, b).sum(), (a, b))
        assert ga[0].item() == gb[0].item() == 0.5
        assert ga[1].item() + gb[1].item() == 1


def test_equal_elements_share_the_gradient_of_amax_and_amin() -> None:
    assert derivative(lambda x: x.amax(), [3.0, 1.0, 3.0]) == [0.5, 0, 0.5]
    assert derivative(lambda x: x.amin(), [1.0, 1.0, 1.0]) == [1 / 3] * 3
    assert derivative(lambda x: x.max(), [3.0, 1.0, 3.0]) == [0.5, 0, 0.5]


def test_the_first_of_equal_elements_gets_the_gradient_of_max_along_a_dimension() -> None:
    assert derivative(lambda x: x.max(0).values, [1.0, 3.0, 3.0]) == [0, 1, 0]
    assert derivative(lambda x: x.min(0).values, [1.0, 1.0, 3.0]) == [1, 0, 0]


def test_clamp_passes_the_gradient_on_its_ends() -> None:
    assert derivative(lambda x: x.clamp(-1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [0, 1, 1, 1, 0]
    assert derivative(lambda x: x.clamp(min=0), [-1.0, 0.0, 1.0]) == [0, 1, 1]
    assert derivative(lambda x: x.clamp(max=0), [-1.0, 0.0, 1.0]) == [1, 1, 0]


def test_std_and_norm_have_slope_0_where_they_are_0() -> None:
    assert derivative(lambda x: x.std(), [2.0, 2.0, 2.0]) == [0, 0, 0]
    for p in (1, 1.5, 2, 3, float("inf"), "fro"):
        assert derivative(lambda x, p=p: x.norm(p), [0.0, 0.0]) == [0, 0], p
    zero, other = derivative(lambda x: x.norm(dim=1), [[0.0, 0.0], [3.0, 4.0]])
    assert zero == [0, 0]
    assert other == pytest.approx([0.6, 0.8])


def test_sqrt_has_an_infinite_slope_at_0() -> None:
    assert derivative(gu.sqrt, 0.0) == math.inf


def test_pow_at_0() -> None:
    """x**0 is flat, x**1 has slope 1, x**n slope 0; 0**b is flat in b for b >= 0."""
    for exponent, expected in ((0, 0), (1, 1), (2, 0), (3, 0), (1.5, 0), (0.5, math.inf)):
        assert derivative(lambda x, n=exponent: x**n, 0.0) == expected, exponent
    assert derivative(lambda b: 0.0**b, [0.0, 1.0, 2.0]) == [0, 0, 0]
    x = gu.tensor(0.0, dtype=gu.float64, requires_grad=True)
    (second,) = gu.grad(gu.grad(x**3, x, create_graph=True)[0], x, create_graph=True)
    (third,) = gu.grad(second, x)
    assert (second.item(), third.item()) == (0, 6)


def test_pow_of_a_negative_base() -> None:
    assert derivative(lambda x: x**3, -2.0) == 12
    assert derivative(lambda x: x ** gu.tensor([2.0, 3.0]), [-2.0, -2.0]) == [-4, 12]


def test_where_hides_no_nan() -> None:
    """The branch not taken gets gradient 0, but 0 times its infinite slope is NaN."""
    unsafe = derivative(lambda x: gu.where(x > 0, x.sqrt(), 0), [0.0, 4.0])
    assert math.isnan(unsafe[0])
    assert unsafe[1] == 0.25
    safe = derivative(lambda x: gu.where(x > 0, gu.where(x > 0, x, 1.0).sqrt(), 0), [0.0, 4.0])
    assert safe == [0, 0.25]


def test_prod_is_exact_at_zeros() -> None:
    assert derivative(lambda x: x.prod(), [0.0, 2.0, 3.0]) == [6, 0, 0]
    assert derivative(lambda x: x.prod(), [0.0, 2.0, 0.0]) == [0, 0, 0]


def test_logsumexp_of_nothing_but_minus_infinity() -> None:
    inf = math.inf
    assert derivative(lambda x: x.logsumexp(0), [-inf, -inf]) == [0, 0]
    assert derivative(lambda x: x.logsumexp(0), [-inf, 1.0]) == [0, 1]


def test_the_last_of_repeated_positions_is_written_by_index_put() -> None:
    x = gu.zeros(2)
    x[gu.tensor([0, 0])] = gu.tensor([1.0, 2.0])
    assert x.tolist() == [2, 0]


# How work is counted


@given(
    shape=hnp.array_shapes(min_dims=2, max_dims=2, max_side=4),
    m=st.integers(1, 4),
)
def test_work_counts_multiply_adds(shape: tuple[int, int], m: int) -> None:
    n, k = shape
    a, b = gu.ones(n, k), gu.ones(k, m)
    matmul = PRIMITIVES["matmul"]
    assert matmul.work((a, b), a @ b) == n * k * m
    x, w = gu.ones(n, 4, 5, 5), gu.ones(6, 2, 3, 3)
    how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 2}
    y = PRIMITIVES["conv"](x, w, **how)
    expected = n * 6 * 9 * 2 * 9
    assert PRIMITIVES["conv"].work((x, w), y, **how) == expected
    back = PRIMITIVES["conv_input"](y, w, size=(5, 5), **how)
    assert PRIMITIVES["conv_input"].work((y, w), back, size=(5, 5), **how) == expected
    kernel = PRIMITIVES["conv_weight"](x, y, kernel=(3, 3), **how)
    assert PRIMITIVES["conv_weight"].work((x, y), kernel, kernel=(3, 3), **how) == expected
