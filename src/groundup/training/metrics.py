"""Metrics: how good outputs are, in the terms of the task. Each is a mean over the examples.

Outputs are what the losses take: class scores (N, C) or (N, C, ...) with the classes in dimension
1, one score for each yes-or-no question, or numbers.
"""

from __future__ import annotations

from ..engine.tensor import Tensor


def accuracy(output: Tensor, target: Tensor) -> float:
    """The share of examples whose class has the highest score; the first of equal ones counts.

    Args:
        output: scores, (N, C, ...).
        target: class numbers, (N, ...).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> accuracy(gu.tensor([[0.1, 0.9], [0.8, 0.2]]), gu.tensor([1, 1]))
        0.5
    """
    _check_classes("accuracy", output, target)
    return float((output.argmax(dim=1) == target).double().mean())


def top_k_accuracy(output: Tensor, target: Tensor, k: int = 5) -> float:
    """The share of examples whose class is among the ``k`` highest scores.

    Args:
        output: scores, (N, C, ...).
        target: class numbers, (N, ...).
        k: from 1 to C.

    Raises:
        ValueError: the shapes do not fit, or ``k`` is out of range.

    Example:
        >>> scores = gu.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
        >>> top_k_accuracy(scores, gu.tensor([1, 2]), k=2)
        0.5
    """
    _check_classes("top_k_accuracy", output, target)
    if not 1 <= k <= output.shape[1]:
        raise ValueError(f"top_k_accuracy: k is {k}, expected 1 to {output.shape[1]}, the classes")
    _, best = output.topk(k, dim=1)
    return float((best == target.unsqueeze(1)).any(dim=1).double().mean())


def binary_accuracy(output: Tensor, target: Tensor, threshold: float = 0.0) -> float:
    """The share of yes-or-no answers that are right.

    Args:
        output: scores (logits), or probabilities with a threshold of 0.5.
        target: 0 or 1, of the same shape.
        threshold: above it the answer is yes.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> binary_accuracy(gu.tensor([2.0, -1.0, 0.5, -3.0]), gu.tensor([1, 0, 0, 0]))
        0.75
    """
    _check_same("binary_accuracy", output, target)
    return float(((output > threshold) == (target > 0.5)).double().mean())


def mean_absolute_error(output: Tensor, target: Tensor) -> float:
    """The mean distance of the outputs from the targets, in the targets' unit.

    Args:
        output: numbers.
        target: numbers, of the same shape.

    Raises:
        ValueError: the shapes differ.

    Example:
        >>> mean_absolute_error(gu.tensor([1.0, 2.0]), gu.tensor([1.5, 2.0]))
        0.25
    """
    _check_same("mean_absolute_error", output, target)
    return float((output - target).abs().mean())


def _check_classes(name: str, output: Tensor, target: Tensor) -> None:
    if output.ndim < 2 or target.shape != (output.shape[0], *output.shape[2:]):
        raise ValueError(
            f"{name}: output of shape {output.shape} and target of shape {target.shape}; expected "
            "scores (N, C, ...) and class numbers (N, ...)"
        )


def _check_same(name: str, output: Tensor, target: Tensor) -> None:
    if output.shape != target.shape:
        raise ValueError(
            f"{name}: output of shape {output.shape} and target of shape {target.shape}; expected "
            "the same shape"
        )
