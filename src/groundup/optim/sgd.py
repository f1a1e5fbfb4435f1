"""Stochastic gradient descent, with momentum.

Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in
deep learning", equations 1 and 2 (momentum after Polyak, 1964) and 3 and 4 (Nesterov's form). As in
PyTorch the velocity is kept without the learning rate, so that changing the rate acts at once.
"""

from __future__ import annotations

from ..engine.ops.creation import zeros_like
from ..engine.tensor import Tensor
from .optimizer import Group, Optimizer, Params, State, check_range


class SGD(Optimizer):
    """Stochastic gradient descent.

    With gradient g (plus ``weight_decay * x``), momentum mu and dampening tau::

        b <- mu b + (1 - tau) g        b = g at the first step
        x <- x - lr b                  with Nesterov: x - lr (g + mu b)

    Args:
        params: tensors, ``(name, tensor)`` pairs, or groups.
        lr: learning rate.
        momentum: share of the velocity that each step keeps.
        dampening: share of the gradient that does not enter the velocity.
        weight_decay: strength of the L2 penalty.
        nesterov: look ahead along the velocity; needs momentum and no dampening.
        maximize: ascend.

    Raises:
        ValueError: a hyper-parameter is out of range, or Nesterov's form without its conditions.

    Example:
        >>> x = gu.tensor([1.0], requires_grad=True)
        >>> optimizer = optim.SGD([x], lr=0.25, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     x.square().sum().backward()
        ...     optimizer.step()
        >>> x
        tensor([0.], shape=(1,), dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, group: Group) -> None:
        """Refuse what cannot descend."""
        super().check(group)
        for name in ("momentum", "weight_decay"):
            check_range(self, name, group[name])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum above 0 and no dampening, got momentum="
                f"{group['momentum']} and dampening={group['dampening']}"
            )

    def initial_state(self, param: Tensor, group: Group) -> State:
        """``momentum_buffer``: the velocity."""
        return {"momentum_buffer": zeros_like(param)}

    def update(self, params: list[Tensor], group: Group) -> None:
        """One step along the velocity."""
        lr, mu = group["lr"], group["momentum"]
        for param in params:
            g = self.gradient(param, group)
            if mu:
                share = 1 - group["dampening"] if param in self.state else 1
                b = self.state_of(param, group)["momentum_buffer"]
                b.assign(b * mu + (g if share == 1 else g * share))
                g = g + b * mu if group["nesterov"] else b
            param.assign(param - g * lr)
