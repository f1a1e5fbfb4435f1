"""Adagrad: each weight's step divided by the size of all its gradients so far.

Duchi, Hazan and Singer (2011), "Adaptive subgradient methods for online learning and stochastic
optimization", JMLR 12, the diagonal form of figure 1.
"""

from __future__ import annotations

from ..engine.dtypes import float32, promote_types
from ..engine.ops.creation import full_like, zeros
from ..engine.tensor import Tensor
from .optimizer import Group, Optimizer, Params, State, check_range


class Adagrad(Optimizer):
    """Gradient descent with each gradient divided by the root of the sum of its squares.

    With gradient g (plus ``weight_decay * x``) at step t = 1, 2, ...::

        s <- s + g^2
        x <- x - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Args:
        params: tensors, ``(name, tensor)`` pairs, or groups.
        lr: learning rate.
        lr_decay: how fast the learning rate falls with the number of steps.
        weight_decay: strength of the L2 penalty.
        initial_accumulator_value: s before the first step.
        eps: added to the root, so that it does not divide by 0.
        maximize: ascend.

    Raises:
        ValueError: a hyper-parameter is out of range.

    Example:
        >>> x = gu.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = optim.Adagrad([x], lr=0.5)
        >>> x.square().sum().backward()
        >>> optimizer.step()
        >>> x
        tensor([ 0.5000, 99.5000], shape=(2,), dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
        )

    def check(self, group: Group) -> None:
        """Refuse what cannot descend."""
        super().check(group)
        for name in ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            check_range(self, name, group[name])

    def initial_state(self, param: Tensor, group: Group) -> State:
        """``step``, the count; ``sum``, of the squared gradients."""
        return {
            "step": zeros((), dtype=float32),
            "sum": full_like(param, group["initial_accumulator_value"]),
        }

    def update(self, params: list[Tensor], group: Group) -> None:
        """One step along the scaled gradient."""
        for step, members in self.count(params, group):
            t = step.to(promote_types(step.dtype, members[0].dtype))
            rate = -group["lr"] / (1 + (t - 1) * group["lr_decay"])
            for param in members:
                g = self.gradient(param, group)
                s = self.state[param]["sum"]
                s.assign(s + g * g)
                param.assign(param.addcdiv(g, s.sqrt() + group["eps"], value=rate))
