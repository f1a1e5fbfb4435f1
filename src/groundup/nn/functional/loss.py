"""Loss functions: how far a prediction is from what was asked for.

Names, arguments, defaults and reductions are PyTorch's. Two things differ. Input and target must
have the same shape, where PyTorch broadcasts (with a warning at best): a target of shape (N, 1)
beside an input of shape (N,) is a mistake, not a wish. And a loss that PyTorch does not have says
so and names its paper.

Everything that starts from logits goes through ``log_softmax`` or ``softplus`` and stays finite and
exact for logits of any size, with first and second derivatives that are right at zero too. Under
``autocast`` losses are computed in float32.

Shapes: N examples, C classes, * any dimensions.
"""

from __future__ import annotations

import math

from ...engine.autocast import in_float32
from ...engine.ops.arguments import floating, outside
from ...engine.ops.arithmetic import where
from ...engine.ops.creation import arange
from ...engine.ops.functions import exp, log, softplus
from ...engine.ops.reductions import log_softmax, logsumexp
from ...engine.primitives import fused, indexing
from ...engine.tensor import Tensor


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The "mean" or the "sum" of all losses, or (with "none") each of them.

    Raises:
        ValueError: an unknown reduction.

    Example:
        >>> reduced(gu.tensor([1.0, 3.0]), "mean")
        tensor(2., shape=(), dtype=float32)
    """
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"reduction {reduction!r}: expected 'none', 'mean' or 'sum'")


def check_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Refuse to broadcast a prediction and its target.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> check_same_shape("mse_loss", gu.ones(2), gu.ones(2, 1))
        Traceback (most recent call last):
        ...
        ValueError: mse_loss: input (2,) and target (2, 1) must have the same shape; ...
    """
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: input {input.shape} and target {target.shape} must have the same shape; "
            "reshape or expand one of them"
        )


# ---------------------------------------------------------------------------------- regression


@in_float32
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared difference, averaged: ``(input - target)^2``.

    Args:
        reduction: "mean", "sum" or "none".

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ (PyTorch would broadcast), or an unknown reduction.

    Example:
        >>> F.mse_loss(gu.tensor([1.0, 2.0]), gu.tensor([1.0, 4.0]))
        tensor(2., shape=(), dtype=float32)
    """
    check_same_shape("mse_loss", input, target)
    error = input - target
    return reduced(error * error, reduction)


@in_float32
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute difference, averaged; its gradient is 0 where the two are equal.

    Args:
        reduction: "mean", "sum" or "none".

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.

    Example:
        >>> F.l1_loss(gu.tensor([1.0, 2.0]), gu.tensor([1.0, 4.0]))
        tensor(1., shape=(), dtype=float32)
    """
    check_same_shape("l1_loss", input, target)
    return reduced((input - target).abs(), reduction)


@in_float32
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Half the squared difference up to ``delta``, growing linearly beyond (Huber, 1964).

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the parabola becomes a line, > 0.

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, ``delta`` not positive, or an unknown reduction.

    Example:
        >>> F.huber_loss(gu.tensor([0.0, 0.0]), gu.tensor([1.0, 3.0]), reduction="none")
        tensor([0.5000, 2.5000], shape=(2,), dtype=float32)
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta is {delta}, expected a positive number")
    check_same_shape("huber_loss", input, target)
    return reduced(_huber(input - target, delta), reduction)


def _huber(error: Tensor, delta: float) -> Tensor:
    # With c = error limited to [-delta, delta], both pieces are c * (error - c / 2).
    near = error.clamp(-delta, delta)
    return near * (error - near * 0.5)


@in_float32
def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """The Huber loss divided by its threshold: slope 1 far away, a parabola within ``beta``.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where the parabola becomes a line, >= 0; with 0 this is ``l1_loss``.

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, a negative ``beta``, or an unknown reduction.

    Example:
        >>> F.smooth_l1_loss(gu.tensor([0.0, 0.0]), gu.tensor([1.0, 3.0]), "none", beta=2.0)
        tensor([0.2500, 2.0000], shape=(2,), dtype=float32)
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}, expected a number >= 0")
    if beta == 0:
        return l1_loss(input, target, reduction)
    check_same_shape("smooth_l1_loss", input, target)
    return reduced(_huber(input - target, beta) * (1 / beta), reduction)


# ------------------------------------------------------------------------ yes or no: two classes


@in_float32
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy between probabilities: ``-(y log p + (1 - y) log(1 - p))``.

    Both logarithms are at least -100, as in PyTorch, so the loss is finite at 0 and 1; where that
    limit holds the gradient is 0. From logits, ``binary_cross_entropy_with_logits`` loses fewer
    digits.

    Args:
        input: probabilities in [0, 1].
        target: probabilities or labels in [0, 1].
        weight: factor of each element; broadcasts to the input.
        reduction: "mean", "sum" or "none".

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, inputs outside [0, 1], or an unknown reduction.

    Example:
        >>> F.binary_cross_entropy(gu.tensor([0.5, 1.0]), gu.tensor([1.0, 0.0]), reduction="none")
        tensor([  0.6931, 100.0000], shape=(2,), dtype=float32)
    """
    check_same_shape("binary_cross_entropy", input, target)
    if (wrong := outside(input, 0, 1)) is not None:
        raise ValueError(
            f"binary_cross_entropy: the input holds {wrong}, expected probabilities from 0 to 1; "
            "for logits use binary_cross_entropy_with_logits"
        )
    y = target.to(input.dtype)
    loss = -(y * _limited_log(input) + (1 - y) * _limited_log(1 - input))
    return reduced(loss if weight is None else loss * weight, reduction)


def _limited_log(x: Tensor) -> Tensor:
    """``log(x)``, but at least -100."""
    within = x > math.exp(-100)
    return where(within, log(where(within, x, 1)), -100)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``binary_cross_entropy`` of ``sigmoid(input)``, computed without overflow.

    Args:
        input: logits.
        target: probabilities or labels in [0, 1].
        weight: factor of each element; broadcasts to the input.
        reduction: "mean", "sum" or "none".
        pos_weight: factor of the positive part, for rare positives; broadcasts to the input.

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.

    Example:
        >>> F.binary_cross_entropy_with_logits(gu.tensor([0.0, -100.0]), gu.tensor([1.0, 0.0]))
        tensor(0.3466, shape=(), dtype=float32)
    """
    check_same_shape("binary_cross_entropy_with_logits", input, target)
    y = target.to(input.dtype)
    if pos_weight is None:
        loss = softplus(input) - input * y
    else:
        loss = softplus(-input) * (1 + (pos_weight - 1) * y) + input * (1 - y)
    return reduced(loss if weight is None else loss * weight, reduction)


@in_float32
def focal_loss(
    input: Tensor,
    target: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy that fades for what is already right: ``-a_t (1 - p_t)^gamma log p_t``.

    Lin et al., 2017, equation 5, from logits; ``p_t`` is the probability given to the true label. A
    target between 0 and 1 counts as that share of a positive and the rest of a negative.

    Args:
        input: logits.
        target: labels 0 or 1.
        alpha: weight of positives, 1 - alpha that of negatives; None weighs both with 1.
        gamma: how fast easy examples fade; 0 is cross-entropy.
        reduction: "mean", "sum" or "none". (The paper divides the sum by the number of positives.)

    Shape:
        input and target (*) -> (), or (*) without reduction.

    Raises:
        ValueError: shapes that differ, a negative ``gamma``, or an unknown reduction.

    Example:
        >>> F.focal_loss(gu.tensor([0.0, 5.0]), gu.tensor([1.0, 1.0]), reduction="none")
        tensor([4.3322e-02, 7.5202e-08], shape=(2,), dtype=float32)
    """
    check_same_shape("focal_loss", input, target)
    _check_gamma("focal_loss", gamma)
    y = target.to(input.dtype)
    # -log p and -log(1 - p); a power of p is exp of a multiple, smooth at every logit.
    yes, no = softplus(-input), softplus(input)
    positive, negative = y * exp(no * -gamma) * yes, (1 - y) * exp(yes * -gamma) * no
    if alpha is not None:
        positive, negative = positive * alpha, negative * (1 - alpha)
    return reduced(positive + negative, reduction)


def _check_gamma(name: str, gamma: float) -> None:
    if gamma < 0:
        raise ValueError(f"{name}: gamma is {gamma}, expected a number >= 0")


# --------------------------------------------------------------------------------- many classes


@in_float32
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of the true class.

    Args:
        input: log-probabilities, as ``log_softmax`` gives them.
        target: class indices.
        weight: a factor for each class, (C,).
        ignore_index: a target that counts for nothing, also not in the mean.
        reduction: "mean" (over the weights of what is not ignored), "sum" or "none".

    Shape:
        input (C,), (N, C) or (N, C, *); target (), (N,) or (N, *) -> (), or as target without
        reduction.

    Raises:
        ValueError: shapes that do not fit, or an unknown reduction.
        TypeError: a target that does not hold integers.
        IndexError: a class that does not exist.

    Example:
        >>> F.nll_loss(gu.tensor([[0.7, 0.3]]).log(), gu.tensor([0]))
        tensor(0.3567, shape=(), dtype=float32)
    """
    d = _class_dim("nll_loss", input)
    label, share = _labels("nll_loss", input, d, target, weight, ignore_index)
    return _mean_over(share, _surprise(input, d, label, share), d, reduction)


@in_float32
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus the log-probability that ``softmax(input)`` gives to the true class.

    Args:
        input: logits.
        target: class indices (integers), or probabilities of the classes (floating).
        weight: a factor for each class, (C,).
        ignore_index: a class index that counts for nothing, also not in the mean.
        reduction: "mean" (over the weights of what is not ignored; over all examples for
            probabilities), "sum" or "none". The mean of nothing is NaN.
        label_smoothing: the share of the target that is spread evenly over all classes, 0 to 1
            (Szegedy et al., 2016, section 7).

    Shape:
        input (C,), (N, C) or (N, C, *); target without the class dimension (indices) or as input
        (probabilities) -> (), or the input's shape without the class dimension.

    Raises:
        ValueError: shapes that do not fit, a smoothing outside [0, 1], or an unknown reduction.
        IndexError: a class that does not exist.

    Example:
        >>> logits = gu.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> F.cross_entropy(logits, gu.tensor([0, 1]), reduction="none")
        tensor([0.1269, 0.6931], shape=(2,), dtype=float32)
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing is {label_smoothing}, expected 0 to 1")
    d = _class_dim("cross_entropy", input)
    if target.is_floating_point():
        log_p = log_softmax(input, d)
        return _soft_cross_entropy(log_p, target, weight, ignore_index, reduction, label_smoothing)
    _check_labels("cross_entropy", input, d, target, weight, ignore_index)
    kept = target != ignore_index
    loss = fused.cross_entropy(floating(input), target, dim=d, ignored=ignore_index)
    if weight is not None:
        label = where(kept, target.long(), 0)
        share = where(kept, indexing.index(weight, label, dims=(0,)).to(loss.dtype), 0)
        loss = loss * share
    else:
        share = kept.to(loss.dtype)
    if label_smoothing:
        every = -log_softmax(input, d)
        every = every if weight is None else every * _along(weight, d, every)
        even = where(kept, every.sum(d), 0)
        loss = loss * (1 - label_smoothing) + even * (label_smoothing / input.shape[d])
    return loss.sum() / share.sum() if reduction == "mean" else reduced(loss, reduction)


def _class_dim(name: str, input: Tensor) -> int:
    if not input.ndim:
        raise ValueError(f"{name}: the input has no dimensions, expected (C,), (N, C) or (N, C, *)")
    return 0 if input.ndim == 1 else 1


def _along(factors: Tensor, d: int, like: Tensor) -> Tensor:
    """A number for each class, laid along the class dimension."""
    return factors.reshape(tuple(-1 if i == d else 1 for i in range(like.ndim)))


def _check_weight(name: str, weight: Tensor | None, classes: int) -> None:
    if weight is not None and weight.shape != (classes,):
        raise ValueError(
            f"{name}: weight {weight.shape}, expected one factor a class, ({classes},)"
        )


def _check_labels(
    name: str, input: Tensor, d: int, target: Tensor, weight: Tensor | None, ignore_index: int
) -> None:
    classes = input.shape[d]
    expected = input.shape[:d] + input.shape[d + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"{name}: target {target.shape} {target.dtype.name} does not fit input {input.shape}; "
            f"expected class indices of shape {expected}"
            + (", or floating probabilities" if target.shape == input.shape else "")
        )
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: target is {target.dtype.name}, expected integer class indices")
    _check_weight(name, weight, classes)
    if (wrong := outside(target, 0, classes - 1, ignore_index)) is not None:
        raise IndexError(
            f"{name}: target {wrong} is not a class; the input has {classes} classes, "
            f"0 to {classes - 1} ({ignore_index} is ignored)"
        )


def _labels(
    name: str, input: Tensor, d: int, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Class indices that are safe to look up, and how much each counts.

    Returns:
        (label, share), both of the input's shape with 1 in the class dimension. Ignored labels are
        0. The share is boolean (not ignored), or the weight of the label's class.
    """
    _check_labels(name, input, d, target, weight, ignore_index)
    label = target.long().unsqueeze(d)
    kept = label != ignore_index
    label = where(kept, label, 0)
    if weight is None:
        return label, kept
    return label, where(kept, indexing.index(weight, label, dims=(0,)).to(input.dtype), 0)


def _surprise(log_p: Tensor, d: int, label: Tensor, share: Tensor) -> Tensor:
    """Minus the log-probability of each label, times its share."""
    loss = -indexing.gather(log_p, label, dim=d)
    return where(share, loss, 0) if share.dtype.kind == "b" else loss * share


def _mean_over(share: Tensor, loss: Tensor, d: int, reduction: str) -> Tensor:
    """Reduce; the mean is the sum divided by the sum of the shares."""
    if reduction == "mean":
        return loss.sum() / share.sum()
    return reduced(loss.squeeze(d), reduction)


def _soft_cross_entropy(
    log_p: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    check_same_shape("cross_entropy", log_p, target)
    if ignore_index >= 0:
        raise ValueError(
            f"cross_entropy: ignore_index={ignore_index} names a class index, but the target holds "
            "probabilities; set the rows to be ignored to 0"
        )
    d = _class_dim("cross_entropy", log_p)
    classes = log_p.shape[d]
    _check_weight("cross_entropy", weight, classes)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    if weight is not None:
        target = target * _along(weight, d, target)
    return reduced(-(target * log_p).sum(d), reduction)


@in_float32
def multiclass_focal_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The focal loss among many classes: ``-(1 - p_t)^gamma log p_t`` with ``p = softmax(input)``.

    Lin et al., 2017, equation 4; the weight takes the place of their alpha.

    Args:
        input: logits.
        target: class indices.
        weight: a factor for each class, (C,).
        gamma: how fast easy examples fade; 0 is cross-entropy.
        ignore_index: a target that counts for nothing, also not in the mean.
        reduction: "mean" (over the weights of what is not ignored), "sum" or "none".

    Shape:
        input (C,), (N, C) or (N, C, *); target without the class dimension -> (), or as target.

    Raises:
        ValueError: shapes that do not fit, a negative ``gamma``, or an unknown reduction.
        IndexError: a class that does not exist.

    Example:
        >>> F.multiclass_focal_loss(gu.tensor([[0.0, 0.0]]), gu.tensor([1]))
        tensor(0.1733, shape=(), dtype=float32)
    """
    _check_gamma("multiclass_focal_loss", gamma)
    d = _class_dim("multiclass_focal_loss", input)
    label, share = _labels("multiclass_focal_loss", input, d, target, weight, ignore_index)
    log_p = log_softmax(input, d)
    true = _along(arange(input.shape[d]), d, input) == label
    log_rest = logsumexp(where(true, -math.inf, log_p), d, keepdim=True)  # log(1 - p_t)
    loss = _surprise(log_p, d, label, share) * exp(log_rest * gamma)
    return _mean_over(share, loss, d, reduction)


@in_float32
def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """Kullback-Leibler divergence of the target from the input: ``target (log target - input)``.

    Args:
        input: log-probabilities of the model.
        target: probabilities, or log-probabilities if ``log_target``. A probability of 0 adds
            nothing.
        reduction: "batchmean" (sum over everything, divided by N: the divergence proper), "mean"
            (over every element; PyTorch's default), "sum" or "none".

    Shape:
        input and target (N, *) -> (), or (N, *) without reduction.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.

    Example:
        >>> p, q = gu.tensor([[0.5, 0.5]]), gu.tensor([[0.9, 0.1]])
        >>> F.kl_div(q.log(), p, reduction="batchmean")
        tensor(0.5108, shape=(), dtype=float32)
    """
    check_same_shape("kl_div", input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        present = target > 0
        entropy = where(present, target * log(where(present, target, 1)), 0)
        loss = entropy - target * input
    if reduction == "batchmean":
        return loss.sum() / max(input.shape[0] if input.ndim else 1, 1)
    return reduced(loss, reduction)
