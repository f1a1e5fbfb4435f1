"""Residual connections (He et al., 2016): a block learns what to add to its input."""

from __future__ import annotations

from ..engine.tensor import Tensor
from .module import Module


class Residual(Module):
    """``shortcut(x) + module(x)``; without a shortcut, ``x + module(x)``.

    The gradient reaches the input undiminished through the sum, so many blocks can be stacked.

    Args:
        module: the block; its output has the shape of its input (or of the shortcut's output).
        shortcut: how the input is brought to the shape of the block's output, such as a 1x1
            convolution; None where the shapes agree.

    Raises:
        ValueError: the two shapes differ (they are not broadcast).

    Example:
        >>> nn.Residual(nn.Identity())(gu.ones(2)).tolist()
        [2.0, 2.0]
    """

    def __init__(self, module: Module, shortcut: Module | None = None) -> None:
        self.module = module
        self.shortcut = shortcut

    def forward(self, input: Tensor) -> Tensor:
        output = self.module(input)
        skipped = input if self.shortcut is None else self.shortcut(input)
        if output.shape != skipped.shape:
            raise ValueError(
                f"Residual: the block gives shape {output.shape}, the shortcut {skipped.shape}; "
                "pass a shortcut that brings the input to the block's shape"
            )
        return skipped + output
