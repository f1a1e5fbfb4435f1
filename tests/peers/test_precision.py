"""R2.8: mixed precision beside PyTorch's: dtypes and values under autocast, the scaler's course.

PyTorch's reference is its autocast of the CPU, in float16 and in bfloat16.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim
from groundup.training import GradScaler

torch = pytest.importorskip("torch")

from tests.peers.comparison import name_of  # noqa: E402

torch.set_num_threads(1)
F, TF = nn.functional, torch.nn.functional
CLOSE = {
    "float16": {"rtol": 4e-3, "atol": 4e-3},
    "bfloat16": {"rtol": 3.2e-2, "atol": 3.2e-2},
}
"""Eight roundings to 16 bits of numbers around 1."""
LABELS = [0, 1, 2, 3]

# Functions of the library, its ``nn.functional`` and a matrix (4, 4) of numbers from 0.1 to 1.1.
Function = Callable[[Any, Any, Any], Any]
FUNCTIONS: dict[str, Function] = {
    # products
    "@": lambda m, f, x: x @ x,
    "matmul": lambda m, f, x: m.matmul(x[0], x[1]),
    "matrix and vector": lambda m, f, x: m.matmul(x, x[0]),
    "batched matmul": lambda m, f, x: x.reshape(2, 2, 4) @ x.reshape(2, 4, 2),
    "dot": lambda m, f, x: x[0].dot(x[1]),
    "outer": lambda m, f, x: x[0].outer(x[1]),
    "linear": lambda m, f, x: f.linear(x, x),
    "linear and bias": lambda m, f, x: f.linear(x, x, x[0]),
    "einsum": lambda m, f, x: m.einsum("ij,jk->ik", x, x),
    "einsum of three": lambda m, f, x: m.einsum("ij,jk,k->i", x, x, x[0]),
    "einsum with a batch": lambda m, f, x: m.einsum("bij,bjk->bik", x[None], x[None]),
    "einsum without a sum": lambda m, f, x: m.einsum("i,j->ij", x[0], x[1]),
    "einsum of equal labels": lambda m, f, x: m.einsum("ij,ij->ij", x, x),
    "einsum of one": lambda m, f, x: m.einsum("ij->i", x),
    "conv1d": lambda m, f, x: f.conv1d(x[None], x[:, :, None], x[0]),
    "conv2d": lambda m, f, x: f.conv2d(x[None, :, :, None], x[:, :, None, None]),
    "conv_transpose1d": lambda m, f, x: f.conv_transpose1d(x[None], x[:, :, None], x[0]),
    "conv_transpose2d": lambda m, f, x: f.conv_transpose2d(x[None, :, :, None], x[..., None, None]),
    "attention": lambda m, f, x: f.scaled_dot_product_attention(x[None], x[None], x[None]),
    # sums and normalisation
    "sum": lambda m, f, x: x.sum(1),
    "mean": lambda m, f, x: x.mean(),
    "var": lambda m, f, x: x.var(),
    "std": lambda m, f, x: x.std(1),
    "norm": lambda m, f, x: x.norm(),
    "prod": lambda m, f, x: x.prod(1),
    "cumsum": lambda m, f, x: x.cumsum(1),
    "amax": lambda m, f, x: x.amax(1),
    "softmax": lambda m, f, x: x.softmax(1),
    "log_softmax": lambda m, f, x: x.log_softmax(1),
    "logsumexp": lambda m, f, x: x.logsumexp(1),
    "layer_norm": lambda m, f, x: f.layer_norm(x, (4,), m.full((4,), 2.0), m.ones(4)),
    "rms_norm": lambda m, f, x: f.rms_norm(x, (4,), m.full((4,), 2.0)),
    "group_norm": lambda m, f, x: f.group_norm(x, 2, m.full((4,), 2.0), m.ones(4)),
    "batch_norm": lambda m, f, x: f.batch_norm(
        x, m.zeros(4), m.ones(4), m.full((4,), 2.0), m.ones(4), training=True
    ),
    "batch_norm in evaluation": lambda m, f, x: f.batch_norm(
        x, m.full((4,), 0.5), m.ones(4), m.full((4,), 2.0), m.ones(4)
    ),
    "normalize": lambda m, f, x: f.normalize(x),
    "cosine_similarity": lambda m, f, x: f.cosine_similarity(x, x[:1]),
    # one element at a time
    **{
        name: (lambda m, f, x, name=name: getattr(x, name)())
        for name in (
            *("exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "square"),
            *("sin", "cos", "tanh", "erf", "sigmoid", "relu", "abs"),
        )
    },
    **{
        name: (lambda m, f, x, name=name: getattr(f, name)(x - 0.5))
        for name in ("gelu", "silu", "elu", "leaky_relu", "softplus", "logsigmoid", "mish")
    },
    "power": lambda m, f, x: x**3,
    "add": lambda m, f, x: x + x,
    "mul": lambda m, f, x: x * x,
    "div": lambda m, f, x: x / x[0],
    "with float32": lambda m, f, x: x * m.full((4, 4), 2.0),
    "with a number": lambda m, f, x: 2 * x + 1.5,
    "where": lambda m, f, x: m.where(x > 0.5, x, 1 - x),
    "lerp": lambda m, f, x: m.lerp(x, x * x, 0.25),
    "cat with float32": lambda m, f, x: m.cat([x, m.ones(4, 4)]),
    "stack": lambda m, f, x: m.stack([x, x]),
    # windows
    "avg_pool2d": lambda m, f, x: f.avg_pool2d(x[None], 2),
    "max_pool2d": lambda m, f, x: f.max_pool2d(x[None], 2),
    "adaptive_avg_pool2d": lambda m, f, x: f.adaptive_avg_pool2d(x[None], 3),
    "interpolate": lambda m, f, x: f.interpolate(x[None], scale_factor=2, mode="linear"),
    "embedding": lambda m, f, x: f.embedding(m.tensor(LABELS), x),
    # losses
    "mse_loss": lambda m, f, x: f.mse_loss(x, x * 0.5),
    "l1_loss": lambda m, f, x: f.l1_loss(x, x * 0.5, reduction="none"),
    "huber_loss": lambda m, f, x: f.huber_loss(x, x * 0.5),
    "smooth_l1_loss": lambda m, f, x: f.smooth_l1_loss(x, x * 0.5),
    "cross_entropy": lambda m, f, x: f.cross_entropy(x, m.tensor(LABELS)),
    "nll_loss": lambda m, f, x: f.nll_loss(x, m.tensor(LABELS)),
    "with logits": lambda m, f, x: f.binary_cross_entropy_with_logits(x, x * 0.5),
    "binary_cross_entropy": lambda m, f, x: f.binary_cross_entropy(x * 0.5, x * 0.25),
    "kl_div": lambda m, f, x: f.kl_div(x.log(), x * 0.5, reduction="batchmean"),
}


CASES = [
    (name, dtype, low)
    for low in CLOSE
    for name in FUNCTIONS
    for dtype in (low, "float32", "float64")[: 3 if low == "float16" else 2]
    # PyTorch wants the parameters of a normalisation in float64 too.
    if dtype != "float64" or not name.startswith(("layer", "rms", "group", "batch"))
]


@pytest.mark.parametrize(("name", "dtype", "low"), CASES)
def test_dtype_and_values_of_results(name: str, dtype: str, low: str) -> None:
    values = np.random.default_rng(1).random((4, 4)) + 0.1
    with torch.autocast("cpu", dtype=getattr(torch, low)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
        theirs = FUNCTIONS[name](torch, TF, torch.from_numpy(values).to(getattr(torch, dtype)))
    with gu.autocast("cpu", dtype=low):
        ours = FUNCTIONS[name](gu, F, gu.from_numpy(values).to(dtype))
    assert ours.dtype.name == name_of(theirs.dtype)
    rounded = [kind for kind in (ours.dtype.name, dtype) if kind in CLOSE]
    tolerance = (
        CLOSE[max(rounded, key=lambda kind: CLOSE[kind]["rtol"])] if rounded else {"rtol": 1e-5}
    )
    np.testing.assert_allclose(ours.double().numpy(), theirs.double().numpy(), **tolerance)


def test_sums_that_exceed_float16_on_the_way() -> None:
    values = np.full(20000, 300.0, np.float16)
    ours, theirs = gu.from_numpy(values), torch.from_numpy(values)
    for name in ("mean", "std", "norm", "sum", "var"):
        mine, other = getattr(ours, name)().item(), getattr(theirs, name)().item()
        assert mine == pytest.approx(other, rel=1e-3), name


# The scaler


@given(
    st.lists(st.sampled_from([1.0, 0.5, float("inf"), float("nan")]), min_size=1, max_size=30),
    st.sampled_from([2.0**16, 1.0, 3e38, 1e-3]),
    st.sampled_from([(2.0, 0.5), (1.7, 0.3), (1.001, 0.9)]),
    st.integers(1, 4),
)
def test_the_scale_takes_pytorch_s_course(
    gradients: list[float], first: float, factors: tuple[float, float], interval: int
) -> None:
    arguments = {
        "init_scale": first,
        "growth_factor": factors[0],
        "backoff_factor": factors[1],
        "growth_interval": interval,
    }
    ours, theirs = GradScaler("cpu", **arguments), torch.amp.GradScaler("cpu", **arguments)
    w, v = nn.Parameter(gu.ones(1)), torch.nn.Parameter(torch.ones(1))
    sgd, other = optim.SGD([w], lr=0.1), torch.optim.SGD([v], lr=0.1)
    for value in gradients:
        for scaler, optimizer, parameter, make in (
            (ours, sgd, w, gu.tensor),
            (theirs, other, v, torch.tensor),
        ):
            scaler.scale(make(1.0))  # PyTorch makes its tensors here
            parameter.grad = make([value])
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        assert ours.state_dict() == theirs.state_dict()
        assert w.item() == pytest.approx(v.item(), rel=1e-6, nan_ok=True)


def test_a_state_moves_between_the_libraries() -> None:
    theirs = torch.amp.GradScaler("cpu", init_scale=12.0, growth_interval=7)
    theirs.scale(torch.tensor(1.0))
    ours = GradScaler()
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict() == theirs.state_dict()


def test_a_network_trains_alike() -> None:
    """Fifty steps with autocast, scaler and clipping; the rounding differs, the course does not."""
    theirs = torch.nn.Sequential(
        torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.LayerNorm(32), torch.nn.Linear(32, 4)
    )
    ours = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 4))
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 8)).astype(np.float32)
    y = np.argmax(x[:, :4] - x[:, 4:], axis=1)

    def train(m: Any, model: Any, adam: Any, scaler: Any, clip: Any, loss_of: Any) -> list[float]:
        inputs, labels, losses = m.from_numpy(x), m.from_numpy(y), []
        for _ in range(50):
            adam.zero_grad()
            with m.autocast("cpu", dtype=m.float16):
                output = model(inputs)
                loss = loss_of(output, labels)
            assert output.dtype == m.float16
            scaler.scale(loss).backward()
            scaler.unscale_(adam)
            clip(model.parameters(), 1.0)
            scaler.step(adam)
            scaler.update()
            losses.append(loss.item())
        return losses

    mine = train(
        gu,
        ours,
        optim.Adam(ours.parameters(), lr=0.01),
        GradScaler("cpu"),
        nn.utils.clip_grad_norm_,
        F.cross_entropy,
    )
    other = train(
        torch,
        theirs,
        torch.optim.Adam(theirs.parameters(), lr=0.01),
        torch.amp.GradScaler("cpu"),
        torch.nn.utils.clip_grad_norm_,
        TF.cross_entropy,
    )
    np.testing.assert_allclose(mine, other, rtol=0.01, atol=0.01)
    assert mine[-1] < 0.3 * mine[0]
