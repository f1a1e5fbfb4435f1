"""R2.9 beside PyTorch: every combination of arguments to second order, and 50 steps of training."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation, compare  # noqa: E402
from tests.peers.twins import assert_same_training, random, twins  # noqa: E402

T = torch.nn.functional
SHAPES = [(4, 3), (), (5,), (2, 3, 4), (0, 3)]
reductions = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])


def within(*shape: int, seed: int = 0) -> Any:
    """Probabilities well inside (0, 1) that require a gradient."""
    return random(*shape, seed=seed).detach().sigmoid().requires_grad_()


def labels(classes: int, *shape: int, ignored: int | None = None) -> Any:
    """Class indices, every fourth of them ignored."""
    found = torch.randint(classes, shape, generator=torch.Generator().manual_seed(0))
    if ignored is not None and found.dim():
        found.view(-1)[::4] = ignored
    return found


def same(ours: Any, theirs: Any, *args: Any, order: int = 2, **kwargs: Any) -> None:
    compare(ours, theirs, args, kwargs, order=order if args[0].numel() else 1)


@reductions
@pytest.mark.parametrize("shape", SHAPES)
def test_regression(reduction: str, shape: tuple[int, ...]) -> None:
    x, y = random(*shape), random(*shape, seed=1)
    same(F.mse_loss, T.mse_loss, x, y, reduction=reduction)
    same(F.l1_loss, T.l1_loss, x, y, reduction=reduction)
    for delta in (0.5, 1.0, 3.0):
        same(F.huber_loss, T.huber_loss, x, y, reduction=reduction, delta=delta)
        same(F.smooth_l1_loss, T.smooth_l1_loss, x, y, reduction=reduction, beta=delta)
    same(F.smooth_l1_loss, T.smooth_l1_loss, x, y, reduction=reduction, beta=0.0)


@reductions
@pytest.mark.parametrize("weight", [None, (4, 3), (3,), (4, 1)])
@pytest.mark.parametrize("pos_weight", [None, (3,), (4, 3)])
def test_two_classes(
    reduction: str, weight: tuple[int, ...] | None, pos_weight: tuple[int, ...] | None
) -> None:
    x, y, p = random(4, 3), within(4, 3, seed=1), within(4, 3)
    w = None if weight is None else within(*weight, seed=2).detach()
    how: dict[str, Any] = {"weight": w, "reduction": reduction}
    if pos_weight is None:
        same(F.binary_cross_entropy, T.binary_cross_entropy, p, y, **how)
    else:
        how["pos_weight"] = within(*pos_weight, seed=3).detach() * 3
    logits = F.binary_cross_entropy_with_logits, T.binary_cross_entropy_with_logits
    same(*logits, x, y, **how)
    same(*logits, torch.zeros_like(x).requires_grad_(), y, **how)
    same(*logits, x.detach().mul(100).requires_grad_(), y, **how)


def test_binary_cross_entropy_at_the_ends() -> None:
    p, y = torch.tensor([0.0, 0.0, 1.0, 1.0, 1e-50]), torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    for dtype in (torch.float32, torch.float64):
        for reduction in ("none", "mean", "sum"):
            args = p.to(dtype), y.to(dtype)
            same(F.binary_cross_entropy, T.binary_cross_entropy, *args, reduction=reduction)


CLASS_SHAPES = [(4, 3), (3,), (2, 3, 5), (2, 3, 2, 2)]


@reductions
@pytest.mark.parametrize("shape", CLASS_SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 1])
def test_class_indices(
    reduction: str, shape: tuple[int, ...], weighted: bool, ignored: int
) -> None:
    d = min(len(shape) - 1, 1)
    x, rest = random(*shape), (*shape[:d], *shape[d + 1 :])
    y = labels(3, *rest, ignored=ignored)
    w = within(3, seed=1).detach() if weighted else None
    how: dict[str, Any] = {"weight": w, "ignore_index": ignored, "reduction": reduction}
    same(F.nll_loss, T.nll_loss, x, y, **how)
    for smoothing in (0.0, 0.1, 1.0):
        same(F.cross_entropy, T.cross_entropy, x, y, label_smoothing=smoothing, **how)
    same(F.cross_entropy, T.cross_entropy, x.detach().mul(1000).requires_grad_(), y, **how)


@reductions
@pytest.mark.parametrize("shape", CLASS_SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_class_probabilities(
    reduction: str, shape: tuple[int, ...], weighted: bool, smoothing: float
) -> None:
    x = random(*shape)
    y = random(*shape, seed=1).detach().softmax(min(len(shape) - 1, 1)).requires_grad_()
    w = within(3, seed=2).detach() if weighted else None
    how: dict[str, Any] = {"weight": w, "label_smoothing": smoothing, "reduction": reduction}
    same(F.cross_entropy, T.cross_entropy, x, y, **how)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_the_mean_of_nothing_is_not_a_number() -> None:
    y = torch.full((4,), -100)
    for reduction in ("none", "mean", "sum"):
        same(F.cross_entropy, T.cross_entropy, random(4, 3).detach(), y, reduction=reduction)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean"])
@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (3,)])
def test_divergence(reduction: str, log_target: bool, shape: tuple[int, ...]) -> None:
    x, y = random(*shape), within(*shape, seed=1)
    if log_target:
        y = y.detach().log().requires_grad_()
    how = {"reduction": reduction, "log_target": log_target}
    same(F.kl_div, T.kl_div, x, y, **how)
    if not log_target:
        zeros = y.detach().clone()
        zeros[0] = 0
        same(F.kl_div, T.kl_div, x, zeros, **how)


def test_gaussian_kl() -> None:
    mean, log_variance = random(4, 3), random(4, 3, seed=1)

    def theirs(mean: Any, log_variance: Any) -> Any:
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        return torch.distributions.kl_divergence(q, p).sum(1).mean()

    same(F.gaussian_kl, theirs, mean, log_variance)


def test_reconstruction() -> None:
    x, y = random(4, 3, 2), within(4, 3, 2, seed=1)

    def bernoulli(x: Any, y: Any) -> Any:
        return T.binary_cross_entropy_with_logits(x, y, reduction="sum") / 4

    def gaussian(x: Any, y: Any, kind: str) -> Any:
        return T.gaussian_nll_loss(x, y, torch.ones_like(x), reduction="sum") / 4

    same(F.reconstruction_loss, bernoulli, x, y)
    same(F.reconstruction_loss, gaussian, x, y, kind="gaussian")


@reductions
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_its_formula_in_numpy(
    reduction: str, alpha: float | None, gamma: float
) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 4)) * 3, rng.integers(0, 2, (6, 4)).astype(float)
    p = 1 / (1 + np.exp(-x))
    right = p * y + (1 - p) * (1 - y)
    weight = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    each = -weight * (1 - right) ** gamma * np.log(right)
    # d/dp of (1 - p)^g log p, times dp/dx, written out.
    slope = gamma * (1 - right) ** gamma * right * np.log(right) - (1 - right) ** (gamma + 1)
    slope = weight * slope * (2 * y - 1)
    n = {"mean": x.size}.get(reduction, 1)
    expected = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    leaf = gu.tensor(x, requires_grad=True)
    found = F.focal_loss(leaf, gu.tensor(y), alpha, gamma, reduction)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10)
    found.sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), slope / n, rtol=1e-10)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_multiclass_focal_loss(gamma: float, weighted: bool) -> None:
    def theirs(x: Any, y: Any, w: Any) -> Any:
        log_p = torch.log_softmax(x, 1).gather(1, y.unsqueeze(1)).squeeze(1)
        w = torch.ones(3).double()[y] if w is None else w[y]
        return -(w * (1 - log_p.exp()) ** gamma * log_p).sum() / w.sum()

    w = within(3, seed=1).detach() if weighted else None
    compare(
        lambda x, y, w: F.multiclass_focal_loss(x, y, w, gamma),
        theirs,
        (random(6, 3), labels(3, 6), w),
        {},
    )


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce(temperature: float, symmetric: bool) -> None:
    def theirs(q: Any, k: Any) -> Any:
        logits = T.cosine_similarity(q.unsqueeze(1), k.unsqueeze(0), dim=2) / temperature
        here = torch.arange(len(q))
        loss = T.cross_entropy(logits, here)
        return (loss + T.cross_entropy(logits.T, here)) / 2 if symmetric else loss

    def ours(q: Any, k: Any) -> Any:
        return F.info_nce(q, k, temperature, symmetric)

    same(ours, theirs, random(5, 3), random(5, 3, seed=1))


MODULES: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "MSELoss": ({}, lambda: random(16, 4, seed=1).detach()),
    "L1Loss": ({"reduction": "sum"}, lambda: random(16, 4, seed=1).detach()),
    "HuberLoss": ({"delta": 0.5}, lambda: random(16, 4, seed=1).detach()),
    "SmoothL1Loss": ({"beta": 0.5}, lambda: random(16, 4, seed=1).detach()),
    "BCELoss": ({}, lambda: within(16, 4, seed=1).detach().round()),
    "BCEWithLogitsLoss": (
        {"pos_weight": [1.0, 2.0, 3.0, 0.5]},
        lambda: within(16, 4, seed=1).detach(),
    ),
    "NLLLoss": ({"weight": [1.0, 2.0, 3.0, 0.5], "ignore_index": 2}, lambda: labels(4, 16)),
    "CrossEntropyLoss": (
        {"weight": [1.0, 2.0, 3.0, 0.5], "label_smoothing": 0.1},
        lambda: labels(4, 16, ignored=-100),
    ),
    "KLDivLoss": (
        {"reduction": "batchmean"},
        lambda: (random(16, 4, seed=1).detach() * 3).softmax(1),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_fifty_steps_of_training(name: str) -> None:
    arguments, make = MODULES[name]
    theirs_loss = getattr(torch.nn, name)(
        **{k: torch.tensor(v).double() if isinstance(v, list) else v for k, v in arguments.items()}
    )
    ours_loss = getattr(nn, name)(
        **{k: gu.tensor(v).double() if isinstance(v, list) else v for k, v in arguments.items()}
    )
    assert list(ours_loss.state_dict()) == list(theirs_loss.state_dict())

    def finish(x: Any) -> Any:
        if name == "BCELoss":
            return x.sigmoid()
        return x.log_softmax(1) if name in ("NLLLoss", "KLDivLoss") else x

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4))
    ours, theirs = twins(nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 4)), net)
    x, y = random(16, 3).detach(), make()
    a, b = Translation()((x, y))
    assert_same_training(
        ours,
        theirs,
        lambda net: ours_loss(finish(net(a)), b),
        lambda net: theirs_loss(finish(net(x)), y),
        lr=0.002 if name == "L1Loss" else 0.3,
    )


FUNCTIONS = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS])
def test_names_and_defaults_of_arguments_are_theirs(name: str) -> None:
    ours, theirs = (
        (getattr(F, name), getattr(T, name))
        if name in FUNCTIONS
        else (getattr(nn, name), getattr(torch.nn, name))
    )
    expected = inspect.signature(theirs).parameters
    for argument, found in inspect.signature(ours).parameters.items():
        assert found.default == expected[argument].default, argument
