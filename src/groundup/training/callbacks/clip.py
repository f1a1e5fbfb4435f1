"""Clipping of gradients while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...nn.utils import clip_grad_norm_, clip_grad_value_
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run


class ClipGradients(Callback):
    """Bound the gradients before the optimizer uses them; by value first if both bounds are given.

    Args:
        max_norm: bound of the norm of all gradients together (Pascanu et al., 2013, section 3.2).
        max_value: bound of the magnitude of each element.

    Raises:
        ValueError: no bound is given, or one is not positive.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1, bias=False)
        >>> nn.init.zeros_(model.weight)
        Parameter containing:
        tensor([[0.]], shape=(1, 1), dtype=float32, requires_grad=True)
        >>> batches = [(gu.ones(4, 1), gu.full((4, 1), 1000.0))]
        >>> sgd = optim.SGD(model.parameters(), lr=1.0)
        >>> clip = ClipGradients(max_value=0.5)
        >>> _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=1, callbacks=[clip])
        >>> model.weight.item()
        0.5
    """

    traceable = True

    def __init__(self, max_norm: float | None = None, max_value: float | None = None) -> None:
        bounds = [bound for bound in (max_norm, max_value) if bound is not None]
        if not bounds or min(bounds) <= 0:
            raise ValueError(
                f"ClipGradients: max_norm {max_norm}, max_value {max_value}; expected at least one "
                "positive bound"
            )
        self.max_norm = max_norm
        self.max_value = max_value

    def on_backward_end(self, run: Run) -> None:
        """Clip what the backward pass found."""
        if self.max_value is not None:
            clip_grad_value_(run.model.parameters(), self.max_value)
        if self.max_norm is not None:
            clip_grad_norm_(run.model.parameters(), self.max_norm)
