"""Losses as modules, for where a model wants an object: each holds the arguments of its function.

The computation and the papers are in ``functional/loss.py`` and ``functional/loss_unlabelled.py``.
"""

from __future__ import annotations

from ..engine.tensor import Tensor
from .functional import loss as F, loss_unlabelled as U
from .module import Buffer, Module


class _Loss(Module):
    """A loss that is reduced to one number unless told otherwise."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


def _buffer(weight: Tensor | None) -> Buffer | None:
    return None if weight is None else Buffer(weight)


class MSELoss(_Loss):
    """Squared difference. See ``F.mse_loss``.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> nn.MSELoss()(gu.tensor([1.0, 2.0]), gu.tensor([1.0, 4.0])).item()
        2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Absolute difference. See ``F.l1_loss``.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> nn.L1Loss()(gu.tensor([1.0, 2.0]), gu.tensor([1.0, 4.0])).item()
        1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """A parabola near 0, a line beyond ``delta``. See ``F.huber_loss``.

    Args:
        reduction: "mean", "sum" or "none".
        delta: where the parabola becomes a line.

    Example:
        >>> nn.HuberLoss()(gu.tensor([0.0]), gu.tensor([3.0])).item()
        2.5
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """The Huber loss divided by its threshold. See ``F.smooth_l1_loss``.

    Args:
        reduction: "mean", "sum" or "none".
        beta: where the parabola becomes a line.

    Example:
        >>> nn.SmoothL1Loss(beta=2.0)(gu.tensor([0.0]), gu.tensor([3.0])).item()
        2.0
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class BCELoss(_Loss):
    """Cross-entropy of probabilities of yes and no. See ``F.binary_cross_entropy``.

    Args:
        weight: factor of each element; a buffer.
        reduction: "mean", "sum" or "none".

    Example:
        >>> round(nn.BCELoss()(gu.tensor([0.5]), gu.tensor([1.0])).item(), 4)
        0.6931
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Cross-entropy of logits of yes and no. See ``F.binary_cross_entropy_with_logits``.

    Args:
        weight: factor of each element; a buffer.
        reduction: "mean", "sum" or "none".
        pos_weight: factor of the positive part; a buffer.

    Example:
        >>> round(nn.BCEWithLogitsLoss()(gu.tensor([0.0]), gu.tensor([1.0])).item(), 4)
        0.6931
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.pos_weight = _buffer(pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, self.reduction, self.pos_weight
        )


class FocalLoss(_Loss):
    """Binary cross-entropy that fades for what is already right. See ``F.focal_loss``.

    Args:
        alpha: weight of positives, 1 - alpha that of negatives; None weighs both with 1.
        gamma: how fast easy examples fade.
        reduction: "mean", "sum" or "none".

    Example:
        >>> round(nn.FocalLoss()(gu.tensor([0.0]), gu.tensor([1.0])).item(), 4)
        0.0433
    """

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.focal_loss(input, target, self.alpha, self.gamma, self.reduction)


class NLLLoss(_Loss):
    """Minus the log-probability of the true class. See ``F.nll_loss``.

    Args:
        weight: a factor for each class; a buffer.
        ignore_index: a target that counts for nothing.
        reduction: "mean", "sum" or "none".

    Example:
        >>> round(nn.NLLLoss()(gu.tensor([[0.7, 0.3]]).log(), gu.tensor([0])).item(), 4)
        0.3567
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of logits among many classes. See ``F.cross_entropy``.

    Args:
        weight: a factor for each class; a buffer.
        ignore_index: a class index that counts for nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: the share of the target that is spread evenly over all classes.

    Example:
        >>> round(nn.CrossEntropyLoss()(gu.tensor([[2.0, 0.0]]), gu.tensor([0])).item(), 4)
        0.1269
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class KLDivLoss(_Loss):
    """Divergence of a target distribution from log-probabilities. See ``F.kl_div``.

    Args:
        reduction: "batchmean", "mean", "sum" or "none".
        log_target: whether the target holds log-probabilities.

    Example:
        >>> half = gu.tensor([[0.5, 0.5]])
        >>> nn.KLDivLoss("batchmean")(half.log(), half).item()
        0.0
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, self.reduction, self.log_target)


class InfoNCELoss(_Loss):
    """Tell the matching key from the others of the batch. See ``F.info_nce``.

    Args:
        temperature: small values attend to the hardest negatives.
        symmetric: average with the loss of choosing the query for each key.
        reduction: "mean", "sum" or "none".

    Example:
        >>> x = gu.eye(4)
        >>> round(nn.InfoNCELoss(temperature=1.0)(x, x).item(), 4)
        0.7437
    """

    def __init__(
        self, temperature: float = 0.07, symmetric: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.temperature, self.symmetric = temperature, symmetric

    def forward(self, query: Tensor, key: Tensor, positives: Tensor | None = None) -> Tensor:
        return U.info_nce(query, key, self.temperature, self.symmetric, positives, self.reduction)
