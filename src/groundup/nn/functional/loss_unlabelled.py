"""Losses that need no labels: matching pairs, and the two halves of a variational bound.

``info_nce`` compares a batch with itself (van den Oord et al., 2018). ``reconstruction_loss`` and
``gaussian_kl`` add up to minus the evidence lower bound (Kingma and Welling, 2014).

Shapes: N and M examples, D features, * any dimensions.
"""

from __future__ import annotations

import math

from ...engine.autocast import in_float32
from ...engine.ops.arithmetic import clamp, where
from ...engine.ops.creation import arange
from ...engine.ops.functions import softplus
from ...engine.ops.reductions import logsumexp
from ...engine.tensor import Tensor
from .loss import (
    binary_cross_entropy_with_logits,
    check_same_shape,
    cross_entropy,
    mse_loss,
    reduced,
)
from .similarity import normalize


def info_nce(
    query: Tensor,
    key: Tensor,
    temperature: float = 0.07,
    symmetric: bool = False,
    positives: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Tell the matching key from the others of the batch: InfoNCE.

    Van den Oord et al., 2018, equation 4. Similarity is the cosine of the angle between a query and
    a key, divided by the temperature (0.07 as in Wu et al., 2018). For each pair that belongs
    together, the loss is the cross-entropy of choosing that key among itself and all keys that do
    not belong to the query.

    Args:
        query, key: embeddings of any length; both are normalised to length 1.
        temperature: small values attend to the hardest negatives, > 0.
        symmetric: average with the loss of choosing the query for each key (Radford et al., 2021).
        positives: which keys belong to which query, boolean; None means that key i belongs to query
            i. A key that is known to belong is never counted as a negative; the losses of several
            positives are averaged, and a query without any adds nothing.
        reduction: "mean" (over the queries that have a positive), "sum", or "none".

    Shape:
        query (N, D), key (M, D), positives (N, M), where M = N without positives or if symmetric ->
        (), or (N,) without reduction.

    Raises:
        ValueError: shapes that do not fit, a temperature that is not positive, or an unknown
            reduction.

    Example:
        >>> x = gu.eye(4)
        >>> F.info_nce(x, x, temperature=1.0)
        tensor(0.7437, shape=(), dtype=float32)
    """
    if temperature <= 0:
        raise ValueError(f"info_nce: temperature is {temperature}, expected a positive number")
    if query.ndim != 2 or key.ndim != 2 or query.shape[1] != key.shape[1]:
        raise ValueError(
            f"info_nce: query {query.shape} and key {key.shape}, expected (N, D), (M, D)"
        )
    n, m = query.shape[0], key.shape[0]
    if n != m and (positives is None or symmetric):
        raise ValueError(
            f"info_nce: {n} queries and {m} keys; expected as many, or positives without symmetric"
        )
    if positives is not None and (positives.shape != (n, m) or positives.dtype.kind != "b"):
        raise ValueError(
            f"info_nce: positives is {positives.shape} {positives.dtype.name}, "
            f"expected ({n}, {m}) bool"
        )
    logits = normalize(query) @ normalize(key).T / temperature
    loss = _choose(logits, positives, reduction)
    if symmetric:
        back = _choose(logits.T, None if positives is None else positives.T, reduction)
        loss = (loss + back) * 0.5
    return loss


@in_float32
def _choose(logits: Tensor, positives: Tensor | None, reduction: str) -> Tensor:
    if positives is None:
        return cross_entropy(logits, arange(logits.shape[0]), reduction=reduction)
    others = logsumexp(where(positives, -math.inf, logits), 1, keepdim=True)
    each = where(positives, softplus(others - logits), 0)  # -log of s+ / (s+ + sum of s-)
    count = positives.sum(1)
    loss = each.sum(1) / clamp(count, 1)
    if reduction == "mean":
        return loss.sum() / (count > 0).sum()
    return reduced(loss, reduction)


@in_float32
def reconstruction_loss(
    input: Tensor, target: Tensor, kind: str = "bernoulli", reduction: str = "mean"
) -> Tensor:
    """How badly a decoder explains its target: minus log-likelihood, summed over each example.

    The first half of the variational bound (Kingma and Welling, 2014, equation 10 and appendix C).

    Args:
        input: what the decoder gives: logits ("bernoulli") or means ("gaussian").
        target: what was encoded; within [0, 1] for "bernoulli".
        kind: "bernoulli" for pixels between black and white; "gaussian" for real values with unit
            variance (half the squared error; the constant ``log(2 pi) / 2`` is left out).
        reduction: over the examples: "mean", "sum" or "none".

    Shape:
        input and target (N, *) -> (), or (N,) without reduction.

    Raises:
        ValueError: shapes that differ, or an unknown kind or reduction.

    Example:
        >>> F.reconstruction_loss(gu.zeros(2, 3), gu.ones(2, 3), kind="gaussian")
        tensor(1.5000, shape=(), dtype=float32)
    """
    check_same_shape("reconstruction_loss", input, target)
    if kind == "bernoulli":
        loss = binary_cross_entropy_with_logits(input, target, reduction="none")
    elif kind == "gaussian":
        loss = mse_loss(input, target, reduction="none") * 0.5
    else:
        raise ValueError(f"reconstruction_loss: kind {kind!r}; expected 'bernoulli' or 'gaussian'")
    return reduced(_per_example(loss), reduction)


@in_float32
def gaussian_kl(mean: Tensor, log_variance: Tensor, reduction: str = "mean") -> Tensor:
    """Divergence of N(mean, variance) from N(0, 1), summed over each example.

    ``-1/2 sum(1 + log s^2 - m^2 - s^2)``: the second half of the variational bound (Kingma and
    Welling, 2014, equation 10 and appendix B).

    Args:
        log_variance: natural logarithm of the variance.
        reduction: over the examples: "mean", "sum" or "none".

    Shape:
        mean and log_variance (N, *) -> (), or (N,) without reduction.

    Raises:
        ValueError: shapes that differ, or an unknown reduction.

    Example:
        >>> F.gaussian_kl(gu.ones(2, 3), gu.zeros(2, 3))
        tensor(1.5000, shape=(), dtype=float32)
    """
    if mean.shape != log_variance.shape:
        raise ValueError(
            f"gaussian_kl: mean {mean.shape} and log_variance {log_variance.shape} "
            "must have the same shape"
        )
    # exp(v) - 1 - v as expm1(v) - v keeps its digits where the variance is close to 1.
    loss = (mean * mean + log_variance.expm1() - log_variance) * 0.5
    return reduced(_per_example(loss), reduction)


def _per_example(loss: Tensor) -> Tensor:
    return loss.flatten(1).sum(1) if loss.ndim > 1 else loss
