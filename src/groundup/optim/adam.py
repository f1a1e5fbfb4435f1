"""Adam and AdamW: steps scaled by running means of the gradient and of its square.

Kingma and Ba (2015), "Adam: a method for stochastic optimization", algorithm 1, in the order of
operations that the end of its section 2 recommends. AMSGrad: Reddi, Kale and Kumar (2018), "On the
convergence of Adam and beyond", algorithm 2. AdamW: Loshchilov and Hutter (2019), "Decoupled weight
decay regularization", algorithm 2.
"""

from __future__ import annotations

import math

from ..engine.dtypes import float32, promote_types
from ..engine.ops.creation import zeros, zeros_like
from ..engine.tensor import Tensor
from .optimizer import Group, Optimizer, Params, State, check_range


class Adam(Optimizer):
    """Gradient descent with the mean of the gradient divided by the root of its mean square.

    With gradient g (plus ``weight_decay * x``) at step t = 1, 2, ...::

        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        x <- x - lr m' / (sqrt(v') + eps)      m' = m / (1 - beta1^t), v' = v / (1 - beta2^t)

    m and v start at 0; m' and v' undo that bias. With AMSGrad the largest v so far stands for v.

    Args:
        params: tensors, ``(name, tensor)`` pairs, or groups.
        lr: learning rate; no step is much longer than it.
        betas: shares of m and of v that each step keeps.
        eps: added to the root, so that it does not divide by 0.
        weight_decay: strength of the L2 penalty. ``AdamW`` shrinks the weights directly instead.
        amsgrad: divide by the largest v so far.
        maximize: ascend.

    Raises:
        ValueError: a hyper-parameter is out of range.

    Example:
        >>> x = gu.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = optim.Adam([x], lr=0.5)
        >>> x.square().sum().backward()
        >>> optimizer.step()
        >>> x
        tensor([ 0.5000, 99.5000], shape=(2,), dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def check(self, group: Group) -> None:
        """Refuse what cannot descend."""
        super().check(group)
        for name in ("eps", "weight_decay"):
            check_range(self, name, group[name])
        if len(group["betas"]) != 2:
            raise ValueError(f"{type(self).__name__}: betas are two numbers, got {group['betas']}")
        for i, beta in enumerate(group["betas"]):
            check_range(self, f"betas[{i}]", beta, below=1)

    def initial_state(self, param: Tensor, group: Group) -> State:
        """``step``, the count; ``exp_avg``, m; ``exp_avg_sq``, v; ``max_exp_avg_sq``."""
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        return {"step": zeros((), dtype=float32), **{name: zeros_like(param) for name in names}}

    def update(self, params: list[Tensor], group: Group) -> None:
        """One step along the scaled mean gradient."""
        lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        for step, members in self.count(params, group):
            t = step.to(promote_types(step.dtype, members[0].dtype))
            # The bias corrections go into lr and eps, two numbers, instead of m and v (section 2):
            # -lr m' / (sqrt(v') + eps) = (-lr root / bias) m / (sqrt(v) + eps root).
            bias = _one_minus_power(beta1, t)
            root = _one_minus_power(beta2, t).sqrt()
            rate, floor = -lr * root / bias, eps * root
            for param in members:
                g = self.gradient(param, group)
                state = self.state[param]
                m, v = state["exp_avg"], state["exp_avg_sq"]
                m.assign(m.lerp(g, 1 - beta1))
                v.assign(v.lerp(g * g, 1 - beta2))
                if group["amsgrad"]:
                    largest = state["max_exp_avg_sq"]
                    v = largest.assign(largest.maximum(v))
                param.assign(param.addcdiv(m, v.sqrt() + floor, value=rate))


class AdamW(Adam):
    """Adam with weight decay decoupled from the gradient.

    Weights shrink by ``lr * weight_decay`` of themselves in each step, whatever the size of their
    gradients; then Adam's step follows::

        x <- x - lr weight_decay x
        x <- x - lr m' / (sqrt(v') + eps)

    Args:
        params: tensors, ``(name, tensor)`` pairs, or groups.
        lr: learning rate.
        betas: shares of the mean gradient and of the mean square that each step keeps.
        eps: added to the root, so that it does not divide by 0.
        weight_decay: share of the weights, times ``lr``, that each step takes away.
        amsgrad: divide by the largest mean square so far.
        maximize: ascend.

    Raises:
        ValueError: a hyper-parameter is out of range.

    Example:
        >>> x = gu.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = optim.AdamW([x], lr=0.5, weight_decay=0.1)
        >>> x.square().sum().backward()
        >>> optimizer.step()
        >>> x
        tensor([ 0.4500, 94.5000], shape=(2,), dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def gradient(self, param: Tensor, group: Group) -> Tensor:
        """The gradient without a penalty."""
        assert param.grad is not None
        return -param.grad if group["maximize"] else param.grad

    def update(self, params: list[Tensor], group: Group) -> None:
        """Shrink the weights, then one step of Adam (algorithm 2, line 12)."""
        if group["weight_decay"]:
            keep = 1 - group["lr"] * group["weight_decay"]
            for param in params:
                param.assign(param * keep)
        super().update(params, group)


def _one_minus_power(beta: float, t: Tensor) -> Tensor:
    """``1 - beta**t`` to full precision: for beta near 1 the difference would lose most digits."""
    return -(t * (math.log(beta) if beta else -math.inf)).expm1()
