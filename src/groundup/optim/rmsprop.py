"""RMSprop: each weight's step divided by a running size of its gradient.

Tieleman and Hinton (2012), "Lecture 6.5 - rmsprop", COURSERA: Neural Networks for Machine Learning.
The centred form, which divides by the standard deviation instead, is from Graves (2013),
"Generating sequences with recurrent neural networks", equations 38 to 45.
"""

from __future__ import annotations

from ..engine.ops.creation import zeros_like
from ..engine.tensor import Tensor
from .optimizer import Group, Optimizer, Params, State, check_range


class RMSprop(Optimizer):
    """Gradient descent with each gradient divided by the root of its mean square.

    With gradient g (plus ``weight_decay * x``)::

        s <- alpha s + (1 - alpha) g^2
        d  = g / (sqrt(s) + eps)           centred: g / (sqrt(s - m^2) + eps), m the mean of g
        b <- momentum b + d
        x <- x - lr b                      without momentum: x - lr d

    Args:
        params: tensors, ``(name, tensor)`` pairs, or groups.
        lr: learning rate.
        alpha: share of the mean square that each step keeps.
        eps: added to the root, so that it does not divide by 0.
        weight_decay: strength of the L2 penalty.
        momentum: share of the velocity that each step keeps.
        centered: divide by the gradient's standard deviation.
        maximize: ascend.

    Raises:
        ValueError: a hyper-parameter is out of range.

    Example:
        >>> x = gu.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = optim.RMSprop([x], lr=0.1, alpha=0.75)
        >>> x.square().sum().backward()
        >>> optimizer.step()
        >>> x
        tensor([ 0.8000, 99.8000], shape=(2,), dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def check(self, group: Group) -> None:
        """Refuse what cannot descend."""
        super().check(group)
        for name in ("eps", "weight_decay", "momentum"):
            check_range(self, name, group[name])
        check_range(self, "alpha", group["alpha"], below=1)

    def initial_state(self, param: Tensor, group: Group) -> State:
        """``square_avg``, the mean square; ``grad_avg``, the mean; ``momentum_buffer``."""
        names = ["square_avg"]
        names += ["grad_avg"] if group["centered"] else []
        names += ["momentum_buffer"] if group["momentum"] else []
        return {name: zeros_like(param) for name in names}

    def update(self, params: list[Tensor], group: Group) -> None:
        """One step along the scaled gradient."""
        lr, alpha, eps, mu = group["lr"], group["alpha"], group["eps"], group["momentum"]
        for param in params:
            g = self.gradient(param, group)
            state = self.state_of(param, group)
            s = state["square_avg"]
            s.assign(s.lerp(g * g, 1 - alpha))
            spread = s
            if group["centered"]:
                m = state["grad_avg"]
                m.assign(m.lerp(g, 1 - alpha))
                spread = (s - m * m).clamp(min=0)  # rounding may take it below 0
            size = spread.sqrt() + eps
            if mu:
                b = state["momentum_buffer"]
                b.assign((b * mu).addcdiv(g, size))
                param.assign(param - b * lr)
            else:
                param.assign(param.addcdiv(g, size, value=-lr))
