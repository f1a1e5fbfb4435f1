"""What a module's state is made of: tensors that an optimizer changes, and others that are kept."""

from __future__ import annotations

from typing import Any

from ..engine.ops.creation import as_tensor
from ..engine.tensor import Tensor


class Parameter(Tensor):
    """A tensor that an optimizer changes.

    Args:
        data: a tensor, whose memory is shared, or anything that ``gu.tensor`` takes.
        requires_grad: whether gradients flow to it; false freezes it.

    Raises:
        TypeError: a gradient is wanted, but the data is not floating.

    Example:
        >>> nn.Parameter(gu.zeros(2)).requires_grad
        True
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        _share(self, data)
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state but that no optimizer changes.

    The module changes it itself, with ``assign`` under ``no_grad``. A tensor that is assigned to
    the attribute takes its place as a buffer.

    Args:
        data: a tensor, whose memory is shared, or anything that ``gu.tensor`` takes.
        persistent: whether ``state_dict`` includes it; false for what can be computed again.

    Example:
        >>> nn.Buffer(gu.zeros(2)).requires_grad
        False
    """

    def __init__(self, data: Any, *, persistent: bool = True) -> None:
        _share(self, data)
        self.persistent = persistent

    def followed_by(self, value: Tensor) -> Buffer:
        """A buffer like this one at the place of a tensor in the graph, sharing its memory.

        Example:
            >>> x = gu.ones(2, requires_grad=True)
            >>> nn.Buffer(gu.zeros(2), persistent=False).followed_by(x * 3).sum().backward()
            >>> x.grad.tolist()
            [3.0, 3.0]
        """
        after = Buffer(value, persistent=self.persistent)
        if value.requires_grad:
            # A leaf has no node that leads back to it; what is computed from it has.
            source = value if value.node is not None else value.view(value.shape)
            after.requires_grad, after.node = source.requires_grad, source.node
        return after


def _share(x: Tensor, data: Any) -> None:
    source = as_tensor(data).detach()
    x.array, x.version = source.array, source.version
