"""Mixed precision: which operation computes in what, how float16 is rounded, what is saved.

Proves R2.8 (mixed precision).
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn
from groundup.engine.base import mode
from groundup.engine.primitive import Node, Spec

F = nn.functional
UNIT = 2.0**-11
"""How far rounding to float16 moves a number, relative to it."""


def draw(*shape: int, seed: int = 0, dtype: Any = gu.float32) -> gu.Tensor:
    """Positive numbers, safe for logarithms and powers."""
    return gu.rand(*shape, generator=gu.Generator(seed)).to(dtype) + 0.1


def as_matrix(x: gu.Tensor) -> gu.Tensor:
    return x.reshape(4, 4)


LABELS = gu.tensor([0, 1, 2, 3])
Function = Callable[[gu.Tensor], Any]

PRODUCTS: dict[str, Function] = {
    "@": lambda x: x @ x,
    "matmul of vectors": lambda x: gu.matmul(x[0], x[0]),
    "matmul with a vector": lambda x: gu.matmul(x, x[0]),
    "batched matmul": lambda x: x.reshape(2, 2, 4) @ x.reshape(2, 4, 2),
    "linear": lambda x: F.linear(x, x),
    "linear with bias": lambda x: F.linear(x.unsqueeze(0), x, x[0]),
    "einsum": lambda x: gu.einsum("ij,jk->ik", x, x),
    "einsum of three": lambda x: gu.einsum("ij,jk,k->i", x, x, x[0]),
    "conv1d": lambda x: F.conv1d(x[None], x[:, :, None], x[0]),
    "conv2d": lambda x: F.conv2d(x[None, :, :, None], x[:, :, None, None], padding="same"),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x[None], x[:, :, None], x[0], stride=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x[None, :, :, None], x[:, :, None, None]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "causal attention": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
}
UNARY = [
    *("sum", "mean", "var", "std", "norm", "amax", "square", "neg"),
    *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal"),
    *("sin", "tanh", "erf", "sigmoid", "relu"),
]
AS_GIVEN: dict[str, Function] = {
    name: (lambda x, name=name: getattr(x, name)()) for name in UNARY
} | {
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "cumsum": lambda x: x.cumsum(1),
    "power": lambda x: x**3.0,
    "arithmetic": lambda x: (x + x) * x / x - 1,
    "cat": lambda x: gu.cat([x, x]),
    "dot": lambda x: x[0].dot(x[1]),
    "outer": lambda x: x[0].outer(x[1]),
    "einsum without a sum": lambda x: gu.einsum("ij,kj->ikj", x, x),
    "einsum of one": lambda x: gu.einsum("ij->i", x),
    "gelu": F.gelu,
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "layer_norm with parameters": lambda x: F.layer_norm(x, (4,), gu.ones(4), gu.ones(4)),
    "rms_norm": lambda x: F.rms_norm(x, (4,), gu.ones(4)),
    "group_norm": lambda x: F.group_norm(x, 2, gu.ones(4), gu.ones(4)),
    "batch_norm": lambda x: F.batch_norm(x, gu.zeros(4), gu.ones(4), gu.ones(4), training=True),
    "batch_norm in evaluation": lambda x: F.batch_norm(x, gu.zeros(4), gu.ones(4), gu.ones(4)),
    "avg_pool2d": lambda x: F.avg_pool2d(x[None], 2),
    "max_pool2d": lambda x: F.max_pool2d(x[None], 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x[None], 3),
    "interpolate": lambda x: F.interpolate(x[None], 7, mode="linear"),
    "embedding": lambda x: F.embedding(LABELS, x),
    "normalize": F.normalize,
}
WIDE: dict[str, Function] = {
    "prod": lambda x: x.prod(1),
    "mse_loss": lambda x: F.mse_loss(x, x * 0.5),
    "l1_loss": lambda x: F.l1_loss(x, x * 0.5, reduction="none"),
    "huber_loss": lambda x: F.huber_loss(x, x * 0.5),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x * 0.5),
    "cross_entropy": lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1),
    "cross_entropy of shares": lambda x: F.cross_entropy(x, x.softmax(1)),
    "nll_loss": lambda x: F.nll_loss(x, LABELS),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x * 0.5, x * 0.25),
    "with logits": lambda x: F.binary_cross_entropy_with_logits(input=x, target=x * 0.5),
    "kl_div": lambda x: F.kl_div(x.log(), x),
    "focal_loss": lambda x: F.focal_loss(x, x * 0.5),
    "multiclass_focal_loss": lambda x: F.multiclass_focal_loss(x, LABELS),
    "info_nce": lambda x: F.info_nce(x, x),
    "reconstruction_loss": lambda x: F.reconstruction_loss(x, x * 0.5),
    "gaussian_kl": lambda x: F.gaussian_kl(x, x),
}


@pytest.mark.parametrize("given_dtype", [gu.float16, gu.float32, gu.float64], ids=str)
@pytest.mark.parametrize("name", [*PRODUCTS, *AS_GIVEN, *WIDE])
def test_dtypes_of_results(name: str, given_dtype: Any) -> None:
    """Products of float32 are float16, losses of float16 are float32, float64 stays itself."""
    x = draw(4, 4, dtype=given_dtype)
    with gu.autocast():
        y = (PRODUCTS | AS_GIVEN | WIDE)[name](x)
    expected = given_dtype
    if name in PRODUCTS and given_dtype == gu.float32:
        expected = gu.float16
    if name in WIDE and given_dtype == gu.float16:
        expected = gu.float32
    assert y.dtype == expected


@pytest.mark.parametrize("name", [*PRODUCTS, *AS_GIVEN, *WIDE])
def test_values_are_those_of_float64_but_for_rounding(name: str) -> None:
    function = (PRODUCTS | AS_GIVEN | WIDE)[name]
    x = draw(4, 4).half()
    exact = function(x.double()).numpy()
    with gu.autocast():
        y = function(x.float()).double().numpy()
        z = function(x).double().numpy()
    size = np.abs(exact).max()
    np.testing.assert_allclose(y, exact, rtol=0, atol=8 * UNIT * size)
    np.testing.assert_allclose(z, exact, rtol=0, atol=16 * UNIT * max(size, 1))


def test_integers_are_left_alone() -> None:
    x = gu.arange(16).reshape(4, 4)
    with gu.autocast():
        assert (x @ x).dtype == gu.int64
        assert x.prod().dtype == gu.int64


def test_a_product_with_a_wider_factor_is_as_wide() -> None:
    with gu.autocast():
        assert (gu.ones(2, 2) @ gu.ones(2, 2).double()).dtype == gu.float64


def test_layers() -> None:
    x = draw(2, 5, 8)
    layers: list[tuple[nn.Module, Any]] = [
        (nn.Linear(8, 3), gu.float16),
        (nn.MultiheadAttention(8, 2), gu.float16),
        (nn.Conv1d(5, 3, 3), gu.float16),
        (nn.LayerNorm(8), gu.float32),
        (nn.LSTM(8, 3), gu.float32),  # its cell state is float32, as the input
        (nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 4)), gu.float16),
    ]
    for layer, dtype in layers:
        arguments = (x, x, x) if isinstance(layer, nn.MultiheadAttention) else (x,)
        with gu.autocast():
            y = layer(*arguments)
        y = y if isinstance(y, gu.Tensor) else y[0]
        assert y.dtype == dtype, layer
        y.float().square().mean().backward()
        assert {p.dtype for p in layer.parameters()} == {gu.float32}
        assert {p.grad.dtype for p in layer.parameters() if p.grad is not None} == {gu.float32}


# Rounding: once, at the end


LONG = 5000  # ones added one by one in float16 end at 2048, where adding 1 changes nothing
ONES = gu.ones(1, LONG, dtype=gu.float16)
SUMS: dict[str, Callable[[], gu.Tensor]] = {
    "matmul": lambda: ONES @ ONES.T,
    "linear": lambda: F.linear(ONES, ONES),
    "conv1d": lambda: F.conv1d(ONES[None], ONES[None]),
    "conv_transpose1d": lambda: F.conv_transpose1d(ONES.T[None], ONES.T[:, :, None]).flatten(),
    "sum": lambda: ONES.sum(),
    "sum over rows": lambda: ONES.T.sum(0),
    "cumsum": lambda: ONES.cumsum(1)[0, -1],
    "exp of logsumexp": lambda: ONES.log().logsumexp(1).exp(),
    "softmax": lambda: 1 / ONES.softmax(1)[0, 0],
    "norm": lambda: ONES.norm() ** 2,
    "gradient of a broadcast": lambda: _gradient(lambda b: b + ONES),
    "gradient of a bias": lambda: _gradient(lambda b: F.linear(ONES.T, gu.ones(1, 1).half(), b)),
    "gradient of a kernel": lambda: _gradient(lambda b: F.conv1d(ONES[None], b[None, None])),
    "gradient of windows": lambda: _gradient(lambda b: b.expand(LONG).unfold(0, 1, 1)),
}


def _gradient(function: Function) -> gu.Tensor:
    b = gu.zeros(1, dtype=gu.float16, requires_grad=True)
    (g,) = gu.grad(function(b), b, function(b).detach() * 0 + 1)
    assert g is not None
    return g


@pytest.mark.parametrize("name", SUMS)
def test_float16_adds_up_in_float32(name: str) -> None:
    found = SUMS[name]()
    assert found.dtype == gu.float16
    np.testing.assert_allclose(found.double().numpy(), LONG, rtol=8 * UNIT)


@given(st.integers(1, 5), st.integers(0, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_product_is_the_exact_one_rounded(n: int, k: int, m: int, seed: int) -> None:
    generator = gu.Generator(seed)
    a, b = gu.randn(n, k, generator=generator), gu.randn(k, m, generator=generator)
    with gu.autocast():
        found = (a @ b).double().numpy()
    left, right = (x.half().double().numpy() for x in (a, b))
    exact, size = left @ right, np.abs(left) @ np.abs(right)
    assert np.all(np.abs(found - exact) <= UNIT * np.abs(exact) + 1e-6 * size + 2.0**-25)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.mean(), 300.0),
        (lambda x: x.std(unbiased=False), 0.0),
        (lambda x: x.norm(), 300 * 100),
        (lambda x: F.avg_pool1d(x.reshape(1, -1), 10000).squeeze(), 300.0),
        (lambda x: F.rms_norm(x, (10000,))[0], 1.0),
        (lambda x: F.layer_norm(gu.cat([x, -x]), (20000,))[0], 1.0),
    ],
)
def test_what_fits_float16_comes_out_though_sums_on_the_way_do_not(
    function: Function, expected: float
) -> None:
    found = function(gu.full((10000,), 300.0, dtype=gu.float16))  # squares add up to 9e8
    assert found.dtype == gu.float16
    assert abs(found.item() - expected) <= 2 * UNIT * expected


# Gradients


def loss_of(model: nn.Module, x: gu.Tensor) -> gu.Tensor:
    y = model(x)
    return F.mse_loss(y, gu.zeros(y.shape))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), (7, 6)),
    "CNN": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)
        ),
        (4, 2, 6, 6),
    ),
    "norms": (
        lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.RMSNorm(6), nn.GroupNorm(2, 6)),
        (7, 6),
    ),
    "transposed": (lambda: nn.ConvTranspose1d(2, 3, 4, stride=2), (3, 2, 5)),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_float32_and_close(name: str) -> None:
    make, shape = MODELS[name]
    gu.manual_seed(0)
    model, x = make(), gu.randn(*shape, requires_grad=True)
    wanted = [x, *model.parameters()]
    exact = gu.grad(loss_of(model, x), wanted)
    with gu.autocast():
        loss = loss_of(model, x)
    found = gu.grad(loss * 1024, wanted)
    largest = max(float(g.abs().max()) for g in exact if g is not None)
    for a, b, p in zip(found, exact, wanted, strict=True):
        assert a is not None
        assert b is not None
        assert a.dtype == p.dtype == gu.float32
        np.testing.assert_allclose(a.numpy() / 1024, b.numpy(), atol=0.01 * largest)


def test_backward_inside_the_context_is_the_same() -> None:
    layer, x = nn.Linear(3, 2), gu.randn(4, 3)
    with gu.autocast():
        inside = gu.grad(loss_of(layer, x), layer.weight)[0]
        loss = loss_of(layer, x)
    assert gu.equal(inside, gu.grad(loss, layer.weight)[0])


def test_second_derivatives_flow_through_the_casts() -> None:
    w, x = gu.randn(3, 3, requires_grad=True), gu.randn(5, 3)

    def penalty() -> gu.Tensor:
        (g,) = gu.grad(F.mse_loss((x @ w).tanh(), gu.zeros(5, 3)), w, create_graph=True)
        (h,) = gu.grad(g.square().sum(), w)
        return h

    exact = penalty()
    with gu.autocast():
        found = penalty()
    assert found.dtype == gu.float32
    np.testing.assert_allclose(found.numpy(), exact.numpy(), atol=0.02 * exact.abs().max().item())


def test_checkpoint_runs_again_as_it_ran() -> None:
    gu.manual_seed(0)
    layer, x = nn.Linear(6, 6), gu.randn(4, 6)
    seen = []

    def part(x: gu.Tensor) -> gu.Tensor:
        y = layer(layer(x).tanh())
        seen.append(y.dtype)
        return y

    with gu.autocast():
        layer(x)  # leaves a copy of the weight behind, which the recomputation must not need
        plain, again = (F.mse_loss(y, x) for y in (part(x), gu.checkpoint(part, x)))
    expected = gu.grad(plain, list(layer.parameters()))
    found = gu.grad(again, list(layer.parameters()))  # outside the context
    assert seen == [gu.float16] * 3
    for a, b in zip(found, expected, strict=True):
        assert gu.equal(a, b)


# The context


def test_off_unless_asked_for() -> None:
    x = gu.ones(2, 2)
    assert (x @ x).dtype == gu.float32
    with gu.autocast(), gu.autocast(enabled=False):
        assert (x @ x).dtype == gu.float32
    with gu.autocast(enabled=False), gu.autocast("cpu", dtype=gu.float16):
        assert (x @ x).dtype == gu.float16
    assert (x @ x).dtype == gu.float32


def test_ends_with_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), gu.autocast():
        raise ZeroDivisionError
    assert mode.autocast is mode.casts is None


def test_as_a_decorator_of_a_function_that_calls_itself() -> None:
    @gu.autocast()
    def power(x: gu.Tensor, n: int) -> gu.Tensor:
        return x if n == 1 else power(x, n - 1) @ x

    assert power(gu.eye(2), 3).dtype == gu.float16
    assert power.__name__ == "power"
    assert mode.autocast is None


def test_each_thread_for_itself() -> None:
    found = []
    with gu.autocast():
        thread = threading.Thread(target=lambda: found.append((gu.eye(2) @ gu.eye(2)).dtype))
        thread.start()
        thread.join()
    assert found == [gu.float32]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="device 'cuda'"):
        gu.autocast("cuda")
    with pytest.raises(ValueError, match="dtype float32; expected one of 16 bits"):
        gu.autocast(dtype=gu.float32)


# What is saved for the backward pass


def kept_arrays(loss: gu.Tensor) -> Iterator[np.ndarray]:
    """The memory that the nodes behind a loss hold, each piece once."""
    seen: set[int] = set()
    stack = [loss.node]
    while stack:
        node = stack.pop()
        if not isinstance(node, Node) or id(node) in seen:
            continue
        seen.add(id(node))
        stack += node.edges
        kept = [x.array for x in node.inputs or [] if not isinstance(x, Spec)]
        if not isinstance(node.output, Spec):
            kept.append(node.output[0])
        for array in kept:
            base = array if array.base is None else array.base
            if id(base) not in seen:
                seen.add(id(base))
                yield base


def kept_bytes(model: nn.Module, x: gu.Tensor, **context: Any) -> int:
    with gu.autocast(**context):
        loss = loss_of(model, x)
    parameters = {id(p.array) for p in model.parameters()}
    return sum(array.nbytes for array in kept_arrays(loss) if id(array) not in parameters)


WIDE_MLP = nn.Sequential(
    nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
)
DEEP_CNN = nn.Sequential(
    *[part for _ in range(3) for part in (nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU())],
    nn.Flatten(),
    nn.Linear(400, 1),
)


@pytest.mark.parametrize(("model", "shape"), [(WIDE_MLP, (2000, 32)), (DEEP_CNN, (8, 4, 16, 16))])
def test_saved_activations_take_half_the_memory(model: nn.Module, shape: tuple[int, ...]) -> None:
    x = gu.randn(*shape)
    whole, half = kept_bytes(model, x, enabled=False), kept_bytes(model, x)
    assert 0.45 < half / whole < 0.53


def test_a_weight_that_is_used_again_is_converted_once() -> None:
    def copies(steps: int) -> int:
        cell, h = nn.RNNCell(4, 4), gu.ones(2, 4, requires_grad=True)
        with gu.autocast():
            for _ in range(steps):
                h = cell(h, h)
            arrays = kept_arrays(h.float().sum())
            return sum(array.shape == (4, 4) for array in arrays)

    assert copies(1) == copies(9) == 2


def test_a_changed_weight_is_converted_anew() -> None:
    w, x = gu.ones(2, 2, requires_grad=True), gu.eye(2)
    with gu.autocast():
        before = x @ w
        with gu.no_grad():
            w.mul_(3)
        after = x @ w
    assert (before.tolist(), after.tolist()) == ([[1, 1], [1, 1]], [[3, 3], [3, 3]])


def test_a_copy_made_without_recording_does_not_cut_the_gradient() -> None:
    w, x = gu.ones(2, 2, requires_grad=True), gu.eye(2)
    with gu.autocast():
        with gu.no_grad():
            x @ w
        y = x @ w
    (g,) = gu.grad(y.sum(), w)
    assert gu.equal(g, gu.ones(2, 2))


def test_copies_go_when_the_context_ends() -> None:
    w = gu.ones(2, 2, requires_grad=True)
    with gu.autocast():
        y = gu.ones(2, 2, requires_grad=True) @ w
        copy = weakref.ref(y.node.inputs[1].array)
        del y
        assert copy() is not None
    gc.collect()
    assert copy() is None


def test_whoever_watches_sees_every_conversion() -> None:
    """A trace that begins inside the context must not miss what was converted before it."""
    w, x, seen = gu.ones(2, 2, requires_grad=True), gu.eye(2), []
    with gu.autocast():
        x @ w
        mode.observers = (lambda primitive, *_: seen.append(primitive.name),)
        try:
            x @ w
        finally:
            mode.observers = ()
    assert seen == ["cast", "cast", "matmul"]
