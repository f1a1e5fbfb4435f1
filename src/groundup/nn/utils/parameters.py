"""Clipping of gradients, and parameters as one long vector."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...engine.autograd import no_grad
from ...engine.ops.creation import zeros
from ...engine.ops.shaping import cat, stack
from ...engine.tensor import Tensor


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by one factor, so that their common norm is at most ``max_norm``.

    Keeps the direction of the step and bounds its length (Pascanu et al., 2013).

    Args:
        parameters: one or more; those without a gradient are left out.
        max_norm: the bound.
        norm_type: the norm's exponent; ``math.inf`` bounds the largest magnitude.
        error_if_nonfinite: refuse a NaN or an infinite norm; else the gradients become NaN or 0.

    Returns:
        The norm before clipping.

    Raises:
        RuntimeError: the norm is not finite, if asked to refuse; the gradients are unchanged.

    Example:
        >>> w = nn.Parameter(gu.zeros(2))
        >>> w.grad = gu.tensor([3.0, 4.0])
        >>> nn.utils.clip_grad_norm_([w], 1.0).item(), round(w.grad.norm().item(), 4)
        (5.0, 1.0)
    """
    gradients = _gradients(parameters)
    if not gradients:
        return zeros(())
    if norm_type == 2:
        total = stack([g.square().sum() for g in gradients]).sum().sqrt()
    else:
        total = stack([g.norm(norm_type) for g in gradients]).norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {total.item()}; "
            "look for its source with gu.detect_anomaly()"
        )
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value].

    Args:
        parameters: one or more; those without a gradient are left out.
        clip_value: the bound.

    Example:
        >>> w = nn.Parameter(gu.zeros(2))
        >>> w.grad = gu.tensor([-3.0, 0.5])
        >>> nn.utils.clip_grad_value_([w], 1.0)
        >>> w.grad.tolist()
        [-1.0, 0.5]
    """
    for g in _gradients(parameters):
        g.clamp_(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters, one after the other; gradients flow through it.

    Example:
        >>> nn.utils.parameters_to_vector(nn.Linear(2, 3).parameters()).shape
        (9,)
    """
    return cat([p.reshape(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Overwrite parameters with the elements of a vector, laid as by ``parameters_to_vector``.

    Raises:
        ValueError: the vector has more or fewer elements; nothing is changed.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> nn.utils.vector_to_parameters(gu.tensor([1.0, 2.0, 3.0]), layer.parameters())
        >>> layer.weight.tolist(), layer.bias.tolist()
        ([[1.0, 2.0]], [3.0])
    """
    targets = list(parameters)
    sizes = [p.numel() for p in targets]
    if vec.shape != (sum(sizes),):
        raise ValueError(
            f"vector_to_parameters: the vector has shape {vec.shape}, expected {(sum(sizes),)}"
        )
    for p, part in zip(targets, vec.split(sizes), strict=True):
        p.assign(part.reshape(p.shape))
