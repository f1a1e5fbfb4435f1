"""R2.9: losses. Properties, closed forms, edge values, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.nn.differences import assert_derivatives

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

Loss = Callable[..., gu.Tensor]


def normal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def probabilities(*shape: int, seed: int = 0) -> Any:
    e = np.exp(normal(*shape, seed=seed))
    return e / e.sum(1, keepdims=True)


def softmax(x: Any, axis: int = 1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


LABELS = np.array([2, 0, 1, 2])
ELEMENTWISE: dict[str, tuple[Loss, Any, Any]] = {
    "mse": (F.mse_loss, normal(4, 3), normal(4, 3, seed=1)),
    "l1": (F.l1_loss, normal(4, 3), normal(4, 3, seed=1)),
    "huber": (F.huber_loss, normal(4, 3), normal(4, 3, seed=1)),
    "smooth_l1": (F.smooth_l1_loss, normal(4, 3), normal(4, 3, seed=1)),
    "bce": (F.binary_cross_entropy, probabilities(4, 3), probabilities(4, 3, seed=1)),
    "bce_logits": (F.binary_cross_entropy_with_logits, normal(4, 3), probabilities(4, 3, seed=1)),
    "focal": (F.focal_loss, normal(4, 3), probabilities(4, 3, seed=1).round()),
    "kl": (F.kl_div, np.log(probabilities(4, 3)), probabilities(4, 3, seed=1)),
}
CLASSES: dict[str, tuple[Loss, Any, Any]] = {
    "cross_entropy": (F.cross_entropy, normal(4, 3), LABELS),
    "cross_entropy of probabilities": (F.cross_entropy, normal(4, 3), probabilities(4, 3)),
    "nll": (F.nll_loss, np.log(probabilities(4, 3)), LABELS),
    "multiclass_focal": (F.multiclass_focal_loss, normal(4, 3), LABELS),
}
EXAMPLES: dict[str, tuple[Loss, Any, Any]] = {
    "info_nce": (F.info_nce, normal(4, 3), normal(4, 3, seed=1)),
    "bernoulli": (F.reconstruction_loss, normal(4, 3), probabilities(4, 3)),
    "gaussian": (
        lambda x, y, **how: F.reconstruction_loss(x, y, kind="gaussian", **how),
        normal(4, 3),
        normal(4, 3, seed=1),
    ),
    "gaussian_kl": (F.gaussian_kl, normal(4, 3), normal(4, 3, seed=1)),
}
ALL = ELEMENTWISE | CLASSES | EXAMPLES
every_loss = pytest.mark.parametrize("name", ALL)


# ------------------------------------------------------------------------------- all losses


@every_loss
def test_reductions_agree(name: str) -> None:
    loss, x, y = ALL[name]
    each = loss(gu.tensor(x), gu.tensor(y), reduction="none")
    assert each.shape == ((4, 3) if name in ELEMENTWISE else (4,))
    total = loss(gu.tensor(x), gu.tensor(y), reduction="sum")
    mean = loss(gu.tensor(x), gu.tensor(y))
    np.testing.assert_allclose(total.item(), each.numpy().sum())
    np.testing.assert_allclose(mean.item(), each.numpy().mean())


@every_loss
def test_an_unknown_reduction_is_refused(name: str) -> None:
    loss, x, y = ALL[name]
    with pytest.raises(ValueError, match="reduction 'average': expected 'none', 'mean' or 'sum'"):
        loss(gu.tensor(x), gu.tensor(y), reduction="average")


@every_loss
def test_float32_stays_float32(name: str) -> None:
    loss, x, y = ALL[name]
    target = gu.tensor(y)
    target = target.float() if target.is_floating_point() else target
    assert loss(gu.tensor(x).float(), target).dtype == gu.float32


@every_loss
def test_derivatives_to_second_order(name: str) -> None:
    loss, x, y = ALL[name]
    if y.dtype.kind == "i" or name == "focal":  # the targets are labels
        assert_derivatives(lambda a: loss(a, gu.tensor(y)), x)
    else:
        assert_derivatives(lambda a, b: loss(a, b), x, y)


@pytest.mark.parametrize("name", [*ELEMENTWISE, "bernoulli", "gaussian"])
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    loss, x, y = ALL[name]
    with pytest.raises(ValueError, match=r"input \(4, 3\) and target \(4, 1\) must have the same"):
        loss(gu.tensor(x), gu.tensor(y[:, :1]))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "bernoulli", "gaussian", "gaussian_kl"])
def test_sum_does_not_depend_on_the_order_of_the_examples(name: str) -> None:
    loss, x, y = ALL[name]
    order = np.array([2, 0, 3, 1])
    a = loss(gu.tensor(x), gu.tensor(y), reduction="none")
    b = loss(gu.tensor(x[order]), gu.tensor(y[order]), reduction="none")
    np.testing.assert_allclose(a.numpy()[order], b.numpy())


def test_modules_hold_the_arguments_of_their_functions() -> None:
    x, y, t = gu.tensor(normal(4, 3)), gu.tensor(normal(4, 3, seed=1)), gu.tensor(LABELS)
    p, w = gu.tensor(probabilities(4, 3)), gu.tensor([1.0, 2.0, 3.0]).double()
    pairs = [
        (nn.MSELoss("sum")(x, y), F.mse_loss(x, y, "sum")),
        (nn.L1Loss("sum")(x, y), F.l1_loss(x, y, "sum")),
        (nn.HuberLoss("sum", 0.3)(x, y), F.huber_loss(x, y, "sum", 0.3)),
        (nn.SmoothL1Loss("sum", 0.3)(x, y), F.smooth_l1_loss(x, y, "sum", 0.3)),
        (nn.BCELoss(w, "sum")(p, p), F.binary_cross_entropy(p, p, w, "sum")),
        (
            nn.BCEWithLogitsLoss(w, "sum", w)(x, p),
            F.binary_cross_entropy_with_logits(x, p, w, "sum", w),
        ),
        (nn.FocalLoss(0.6, 1.5, "sum")(x, p), F.focal_loss(x, p, 0.6, 1.5, "sum")),
        (nn.NLLLoss(w, 1, "sum")(x, t), F.nll_loss(x, t, w, 1, "sum")),
        (
            nn.CrossEntropyLoss(w, 1, "sum", 0.2)(x, t),
            F.cross_entropy(x, t, w, 1, "sum", 0.2),
        ),
        (nn.KLDivLoss("batchmean", True)(x, y), F.kl_div(x, y, "batchmean", True)),
        (nn.InfoNCELoss(0.5, True, "sum")(x, y), F.info_nce(x, y, 0.5, True, reduction="sum")),
    ]
    for module, function in pairs:
        assert module.item() == function.item()


def test_weights_of_classes_are_buffers_that_are_saved_and_converted() -> None:
    loss = nn.CrossEntropyLoss(gu.tensor([1.0, 2.0]))
    assert list(loss.state_dict()) == ["weight"]
    assert not list(loss.parameters())
    assert loss.double().weight.dtype == gu.float64


# ------------------------------------------------------------------------------- regression


@given(st.floats(-10, 10), st.floats(0.1, 5))
def test_huber_is_a_parabola_and_then_its_tangent(error: float, delta: float) -> None:
    found = F.huber_loss(gu.tensor([error]).double(), gu.zeros(1).double(), delta=delta).item()
    near, far = error**2 / 2, delta * (abs(error) - delta / 2)
    assert math.isclose(found, near if abs(error) <= delta else far, abs_tol=1e-12, rel_tol=1e-6)


@given(st.floats(-10, 10), st.floats(0.1, 5))
def test_smooth_l1_is_huber_over_beta(error: float, beta: float) -> None:
    x, zero = gu.tensor([error]).double(), gu.zeros(1).double()
    smooth = F.smooth_l1_loss(x, zero, beta=beta).item()
    assert math.isclose(smooth, F.huber_loss(x, zero, delta=beta).item() / beta, rel_tol=1e-9)
    assert F.smooth_l1_loss(x, zero, beta=0).item() == abs(x.item())


def test_derivatives_where_input_and_target_are_equal() -> None:
    x, zero = gu.zeros(1, requires_grad=True), gu.zeros(1)
    for loss, curvature in ((F.mse_loss, 2.0), (F.huber_loss, 1.0), (F.smooth_l1_loss, 1.0)):
        (g,) = gu.grad(loss(x, zero), x, create_graph=True)
        (h,) = gu.grad(g, x)
        assert (g.item(), h.item()) == (0.0, curvature)
    (g,) = gu.grad(F.l1_loss(x, zero), x)
    assert g.item() == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.huber_loss(x, x, delta=0.0), "huber_loss: delta is 0.0, expected a positive"),
        (lambda x: F.smooth_l1_loss(x, x, beta=-1.0), "smooth_l1_loss: beta is -1.0"),
        (lambda x: F.focal_loss(x, x, gamma=-1.0), "focal_loss: gamma is -1.0, expected a number"),
        (lambda x: F.reconstruction_loss(x, x, kind="poisson"), "kind 'poisson'; expected"),
        (lambda x: F.gaussian_kl(x, gu.ones(2, 1)), r"mean \(2, 2\) and log_variance \(2, 1\)"),
        (lambda x: F.binary_cross_entropy(x * 3, x), "holds 3.0, expected probabilities from 0"),
        (lambda x: F.binary_cross_entropy(-x, x), "holds -1.0, expected probabilities from 0"),
    ],
)
def test_arguments_out_of_range_are_named(call: Callable[[gu.Tensor], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(gu.ones(2, 2))


# ---------------------------------------------------------------------------- two classes


@given(st.floats(-30, 30), st.floats(0, 1))
def test_both_binary_cross_entropies_agree_with_the_definition(x: float, y: float) -> None:
    p = 1 / (1 + math.exp(-x))
    expected = y * math.log1p(math.exp(-x)) + (1 - y) * math.log1p(math.exp(x))
    logits, target = gu.tensor([x]).double(), gu.tensor([y]).double()
    x, y = logits.item(), target.item()
    found = F.binary_cross_entropy_with_logits(logits, target).item()
    assert math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-12)
    if 1e-6 < p < 1 - 1e-6:
        found = F.binary_cross_entropy(gu.tensor([p], dtype=gu.float64), target).item()
        assert math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-6)


def test_binary_cross_entropy_at_the_ends_is_100_with_a_finite_gradient() -> None:
    p = gu.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    loss = F.binary_cross_entropy(p, gu.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    loss.sum().backward()
    assert gu.isfinite(p.grad).all()


def test_positive_weight_counts_positives_more_often() -> None:
    x = gu.tensor(normal(5))
    y = gu.tensor([1.0, 0.0, 1.0, 1.0, 0.0]).double()
    weighted = F.binary_cross_entropy_with_logits(
        x, y, reduction="sum", pos_weight=gu.tensor([3.0])
    )
    once = F.binary_cross_entropy_with_logits(x, y, reduction="none")
    assert math.isclose(weighted.item(), (once * (1 + 2 * y)).sum().item())


@given(st.floats(-20, 20), st.sampled_from([0.0, 1.0]), st.floats(0.1, 0.9), st.floats(0, 5))
def test_focal_loss_is_its_formula(x: float, y: float, alpha: float, gamma: float) -> None:
    p = 1 / (1 + math.exp(-x)) if y else 1 / (1 + math.exp(x))
    weight = alpha if y else 1 - alpha
    expected = -weight * (1 - p) ** gamma * math.log(p)
    target = gu.tensor([y]).double()
    found = F.focal_loss(gu.from_numpy(np.array([x])), target, alpha, gamma).item()
    assert math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-9)


def test_focal_loss_without_alpha_and_gamma_is_cross_entropy() -> None:
    x, y = gu.tensor(normal(9)), gu.tensor(normal(9, seed=1) > 0).double()
    focal = F.focal_loss(x, y, alpha=None, gamma=0.0)
    assert gu.allclose(focal, F.binary_cross_entropy_with_logits(x, y))


def test_two_classes_of_the_focal_loss_are_yes_and_no() -> None:
    x, y = normal(9, 2), np.random.default_rng(1).integers(0, 2, 9)
    many = F.multiclass_focal_loss(gu.tensor(x), gu.tensor(y), gamma=1.7)
    two = F.focal_loss(gu.tensor(x[:, 1] - x[:, 0]), gu.tensor(y), alpha=None, gamma=1.7)
    assert gu.allclose(many, two)


# ------------------------------------------------------------------------------- logits


FROM_LOGITS: dict[str, Loss] = {
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, gu.arange(4) % 2 * 1.0, reduction="sum"),
    "bce pos_weight": lambda x: F.binary_cross_entropy_with_logits(
        x, gu.arange(4) % 2 * 1.0, reduction="sum", pos_weight=gu.tensor([2.0])
    ),
    "focal": lambda x: F.focal_loss(x, gu.arange(4) % 2 * 1.0),
    "focal, gamma 1/2": lambda x: F.focal_loss(x, gu.arange(4) % 2 * 1.0, gamma=0.5),
    "cross_entropy": lambda x: F.cross_entropy(x, gu.tensor(1)),
    "smoothed": lambda x: F.cross_entropy(x, gu.tensor(1), label_smoothing=0.1),
    "soft": lambda x: F.cross_entropy(x, gu.tensor([0.1, 0.2, 0.3, 0.4])),
    "multiclass_focal": lambda x: F.multiclass_focal_loss(x, gu.tensor(1)),
    "multiclass_focal, gamma 1/2": lambda x: F.multiclass_focal_loss(x, gu.tensor(1), gamma=0.5),
    "bernoulli": lambda x: F.reconstruction_loss(x.reshape(1, 4), gu.ones(1, 4)),
    "info_nce": lambda x: F.info_nce(x.reshape(2, 2), gu.eye(2), temperature=1e-4),
}


@pytest.mark.parametrize("name", FROM_LOGITS)
@pytest.mark.parametrize(
    "logits",
    [[1e4, 1e4, -1e4, -1e4], [-1e4, -1e4, 1e4, 1e4], [-1e4, 1e4, -1e4, -1e4], [0.0] * 4],
)
def test_extreme_logits_give_finite_losses_and_derivatives(name: str, logits: list[float]) -> None:
    x = gu.tensor(logits, requires_grad=True)
    loss = FROM_LOGITS[name](x)
    (g,) = gu.grad(loss, x, create_graph=True)
    assert gu.isfinite(loss).all()
    assert gu.isfinite(g).all()
    (h,) = gu.grad((g * gu.tensor([1.0, 2.0, 3.0, 4.0])).sum(), x)
    assert gu.isfinite(h).all()


def test_binary_cross_entropy_at_zero_logits_has_slope_half_minus_y_and_curvature_a_quarter() -> (
    None
):
    y = gu.tensor([0.0, 1.0, 0.3])
    x = gu.zeros(3, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, y, reduction="sum")
    (g,) = gu.grad(loss, x, create_graph=True)
    (h,) = gu.grad(g.sum(), x)
    assert gu.allclose(g, 0.5 - y)
    assert h.tolist() == [0.25, 0.25, 0.25]


def test_cross_entropy_at_zero_logits_has_the_hessian_of_the_multinomial() -> None:
    classes = 4
    loss = gu.hessian(lambda x: F.cross_entropy(x, gu.tensor(1)), gu.zeros(classes).double())
    p = np.full(classes, 1 / classes)
    np.testing.assert_allclose(loss.numpy(), np.diag(p) - np.outer(p, p), atol=1e-12)


# --------------------------------------------------------------------------- many classes


def test_the_gradient_of_cross_entropy_is_probability_minus_target() -> None:
    x = gu.tensor(normal(4, 3), requires_grad=True)
    F.cross_entropy(x, gu.tensor(LABELS)).backward()
    expected = (softmax(normal(4, 3)) - np.eye(3)[LABELS]) / 4
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


@given(st.floats(-100, 100))
def test_a_constant_added_to_all_logits_changes_nothing(constant: float) -> None:
    x, y = gu.tensor(normal(4, 3)), gu.tensor(LABELS)
    assert gu.allclose(F.cross_entropy(x + constant, y), F.cross_entropy(x, y))


def test_equal_logits_cost_log_c() -> None:
    assert math.isclose(
        F.cross_entropy(gu.zeros(2, 10), gu.tensor([3, 7])).item(), math.log(10), rel_tol=1e-6
    )


def test_a_class_index_is_a_one_hot_distribution() -> None:
    x, w = gu.tensor(normal(4, 3)), gu.tensor([0.5, 1.0, 2.0]).double()
    for smoothing in (0.0, 0.3):
        how = {"weight": w, "label_smoothing": smoothing, "reduction": "none"}
        index = F.cross_entropy(x, gu.tensor(LABELS), **how)
        soft = F.cross_entropy(x, gu.tensor(np.eye(3)[LABELS]), **how)
        assert gu.allclose(index, soft)


def test_a_weight_of_two_is_an_example_seen_twice() -> None:
    x, y = normal(4, 3), LABELS
    weighted = F.cross_entropy(gu.tensor(x), gu.tensor(y), weight=gu.tensor([1.0, 1.0, 2.0]))
    twice = [0, 0, 1, 2, 3, 3]  # the examples of class 2 are 0 and 3
    assert gu.allclose(weighted, F.cross_entropy(gu.tensor(x[twice]), gu.tensor(y[twice])))


@pytest.mark.parametrize("ignored", [-100, 0, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 2.0]])
def test_ignoring_is_leaving_out(
    ignored: int, smoothing: float, weight: list[float] | None
) -> None:
    x, y = normal(4, 3), np.array([1, ignored, ignored, 1])
    w = None if weight is None else gu.tensor(weight).double()
    how: dict[str, Any] = {"weight": w, "label_smoothing": smoothing}
    leaf = gu.tensor(x, requires_grad=True)
    loss = F.cross_entropy(leaf, gu.tensor(y), ignore_index=ignored, **how)
    assert gu.allclose(loss, F.cross_entropy(gu.tensor(x[[0, 3]]), gu.tensor(y[[0, 3]]), **how))
    loss.backward()
    assert not leaf.grad[1:3].any()


def test_an_ignored_example_may_hold_anything() -> None:
    x = gu.tensor([[0.0, 0.0], [-math.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, gu.tensor([0, -100]))
    loss.backward()
    assert math.isclose(loss.item(), math.log(2), rel_tol=1e-6)
    assert gu.isfinite(x.grad).all()


def test_further_dimensions_are_further_examples() -> None:
    x, y = normal(2, 3, 4, 5), np.random.default_rng(1).integers(0, 3, (2, 4, 5))
    flat = gu.tensor(np.moveaxis(x, 1, -1).reshape(-1, 3))
    for loss in (F.cross_entropy, F.nll_loss, F.multiclass_focal_loss):
        each = loss(gu.tensor(x), gu.tensor(y), reduction="none")
        assert each.shape == (2, 4, 5)
        expected = loss(flat, gu.tensor(y.reshape(-1)), reduction="none")
        assert gu.allclose(each.reshape(-1), expected)


def test_one_example_needs_no_batch_dimension() -> None:
    x = gu.tensor(normal(1, 3))
    for target in (gu.tensor([1]), gu.tensor(probabilities(1, 3))):
        assert gu.allclose(F.cross_entropy(x[0], target[0]), F.cross_entropy(x, target))


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multiclass_focal_loss])
@pytest.mark.parametrize("wrong", [3, -1, 100, -101])
def test_a_class_that_does_not_exist_is_named(loss: Loss, wrong: int) -> None:
    with pytest.raises(IndexError, match=f"target {wrong} is not a class; the input has 3 classes"):
        loss(gu.zeros(2, 3), gu.tensor([0, wrong]))


@pytest.mark.parametrize(
    ("target", "how", "error", "message"),
    [
        (gu.zeros(2, 1).long(), {}, ValueError, r"target \(2, 1\) int64 does not fit input \(2, 3"),
        (
            gu.zeros(2, 3).long(),
            {},
            ValueError,
            r"expected class indices of shape \(2,\), or float",
        ),
        (gu.zeros(2).bool(), {}, TypeError, "target is bool, expected integer class indices"),
        (gu.zeros(2, 4), {}, ValueError, r"input \(2, 3\) and target \(2, 4\) must have the same"),
        (gu.zeros(2, 3), {"ignore_index": 1}, ValueError, "ignore_index=1 names a class index"),
        (gu.zeros(2).long(), {"weight": gu.ones(2)}, ValueError, r"weight \(2,\), expected one"),
        (gu.zeros(2, 3), {"weight": gu.ones(2)}, ValueError, r"weight \(2,\), expected one"),
        (gu.zeros(2).long(), {"label_smoothing": 1.1}, ValueError, "label_smoothing is 1.1"),
    ],
)
def test_cross_entropy_refuses(
    target: gu.Tensor, how: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        F.cross_entropy(gu.zeros(2, 3), target, **how)


def test_a_loss_without_dimensions_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="cross_entropy: the input has no dimensions"):
        F.cross_entropy(gu.tensor(1.0), gu.tensor(0))


# ------------------------------------------------------------------------------ divergences


def test_the_divergence_is_zero_between_equals_and_positive_otherwise() -> None:
    p, q = gu.tensor(probabilities(4, 3)), gu.tensor(probabilities(4, 3, seed=1))
    assert abs(F.kl_div(p.log(), p, reduction="batchmean").item()) < 1e-12
    assert (F.kl_div(q.log(), p, reduction="none").sum(1) > 0).all()
    assert gu.allclose(F.kl_div(q.log(), p.log(), log_target=True), F.kl_div(q.log(), p))
    total, batch = F.kl_div(q.log(), p, "sum"), F.kl_div(q.log(), p, "batchmean")
    assert gu.allclose(total, batch * 4)


def test_a_target_probability_of_zero_adds_nothing() -> None:
    target = gu.tensor([[0.0, 1.0]], requires_grad=True)
    loss = F.kl_div(gu.tensor([[0.5, 0.5]]).log(), target, reduction="batchmean")
    loss.backward()
    assert math.isclose(loss.item(), math.log(2), rel_tol=1e-6)
    assert gu.isfinite(target.grad).all()


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_gaussian_kl_is_the_integral(mean: float, log_variance: float) -> None:
    scale = math.exp(log_variance / 2)
    x = np.linspace(mean - 12 * scale, mean + 12 * scale, 20001)
    log_q = -(((x - mean) / scale) ** 2) / 2 - math.log(scale)
    expected = np.trapezoid(np.exp(log_q) * (log_q + x**2 / 2), x) / math.sqrt(2 * math.pi)
    found = F.gaussian_kl(gu.from_numpy(np.array([mean])), gu.from_numpy(np.array([log_variance])))
    assert math.isclose(found.item(), expected, rel_tol=1e-6, abs_tol=1e-9)


def test_gaussian_kl_keeps_its_digits_near_zero() -> None:
    small = gu.tensor([1e-4])
    assert math.isclose(F.gaussian_kl(gu.zeros(1), small).item(), 2.5e-9, rel_tol=1e-2)
    assert F.gaussian_kl(gu.zeros(1), gu.zeros(1)).item() == 0


def test_reconstruction_is_minus_the_log_likelihood_of_each_example() -> None:
    x, y = normal(2, 3, 4), (normal(2, 3, 4, seed=1) > 0) * 1.0
    p = 1 / (1 + np.exp(-x))
    bernoulli = -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum((1, 2))
    gaussian = ((x - y) ** 2).sum((1, 2)) / 2
    for kind, expected in (("bernoulli", bernoulli), ("gaussian", gaussian)):
        each = F.reconstruction_loss(gu.tensor(x), gu.tensor(y), kind, reduction="none")
        np.testing.assert_allclose(each.numpy(), expected)
        mean = F.reconstruction_loss(gu.tensor(x), gu.tensor(y), kind)
        np.testing.assert_allclose(mean.item(), expected.mean())


# ----------------------------------------------------------------------------- contrastive


def info_nce(query: Any, key: Any, temperature: float, positives: Any) -> Any:
    """The loss of each query as its definition says, pair by pair."""
    query = query / np.linalg.norm(query, axis=1, keepdims=True)
    key = key / np.linalg.norm(key, axis=1, keepdims=True)
    scores = np.exp(query @ key.T / temperature)
    losses = []
    for row, own in zip(scores, positives, strict=True):
        negatives = row[~own].sum()
        each = [-math.log(s / (s + negatives)) for s in row[own]]
        losses.append(np.mean(each) if each else 0.0)
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_info_nce_is_its_formula(temperature: float) -> None:
    q, k = normal(5, 3), normal(5, 3, seed=1)
    found = F.info_nce(gu.tensor(q), gu.tensor(k), temperature, reduction="none")
    expected = info_nce(q, k, temperature, np.eye(5, dtype=bool))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_known_positives_are_never_negatives() -> None:
    q, k = normal(5, 3), normal(7, 3, seed=1)
    positives = np.random.default_rng(2).random((5, 7)) < 0.4
    positives[1] = False  # a query without a partner
    positives[2] = True  # a query to which every key belongs: nothing to choose
    how = {"positives": gu.tensor(positives)}
    expected = info_nce(q, k, 0.07, positives)
    found = F.info_nce(gu.tensor(q), gu.tensor(k), reduction="none", **how)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert found[1].item() == found[2].item() == 0
    mean = F.info_nce(gu.tensor(q), gu.tensor(k), **how)
    np.testing.assert_allclose(mean.item(), expected.sum() / 4, rtol=1e-6)
    assert_derivatives(lambda a, b: F.info_nce(a, b, 0.5, **how), q, k)


def test_info_nce_properties() -> None:
    q, k = gu.tensor(normal(5, 3)), gu.tensor(normal(5, 3, seed=1))
    there, back = F.info_nce(q, k), F.info_nce(k, q)
    assert gu.allclose(F.info_nce(q, k, symmetric=True), (there + back) / 2)
    assert gu.allclose(F.info_nce(q * 7, k * 0.1), there)  # lengths do not count
    assert gu.allclose(F.info_nce(q, k, positives=gu.eye(5).bool()), there)
    same = gu.ones(6, 2)
    assert math.isclose(F.info_nce(same, same).item(), math.log(6), rel_tol=1e-6)
    assert F.info_nce(gu.eye(4), gu.eye(4)).item() < 1e-5
    q0 = gu.zeros(2, 3, requires_grad=True)
    F.info_nce(q0, gu.ones(2, 3)).backward()
    assert gu.isfinite(q0.grad).all()


@pytest.mark.parametrize(
    ("query", "key", "how", "message"),
    [
        ((3, 2), (3, 4), {}, r"query \(3, 2\) and key \(3, 4\), expected \(N, D\), \(M, D\)"),
        ((3, 2), (4, 2), {}, "3 queries and 4 keys; expected as many"),
        ((3, 2), (3, 2), {"temperature": 0.0}, "temperature is 0.0, expected a positive number"),
        ((3, 2), (3, 2), {"positives": gu.eye(2).bool()}, r"positives is \(2, 2\) bool, expected"),
        ((3, 2), (3, 2), {"positives": gu.eye(3)}, r"positives is \(3, 3\) float32, expected"),
    ],
)
def test_info_nce_refuses(
    query: tuple[int, ...], key: tuple[int, ...], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        F.info_nce(gu.ones(query), gu.ones(key), **how)
