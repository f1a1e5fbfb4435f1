"""Early stopping: end when the validation no longer improves, and keep the best weights.

Prechelt, "Early stopping - but when?" (1998): the criterion UP with a patience counted in epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...engine.tensor import Tensor
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run


class EarlyStopping(Callback):
    """Stop after ``patience`` epochs in a row without a new best value.

    Args:
        patience: epochs to wait, at least 1.
        min_delta: a value is a new best only if it is better than the old one by more than this.
        mode: "min" if smaller is better, "max" if larger is.
        monitor: column of ``history.epochs``.
        restore_best: give the model the weights that were best in validation when training ends.

    Attributes:
        best: the best value so far; None before the first epoch.
        best_epoch: its epoch, from 0.
        wait: epochs since then.

    Raises:
        ValueError: an argument is out of range.
        KeyError: the history has no such column.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1)
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> stopping = EarlyStopping(patience=2, min_delta=1e9)  # nothing is good enough
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> mse = nn.functional.mse_loss
        >>> history = fit(
        ...     model, mse, sgd, batches, epochs=100, validation=batches, callbacks=[stopping]
        ... )
        >>> len(history.epochs["loss"]), stopping.best_epoch
        (3, 0)
    """

    def __init__(
        self,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "min",
        monitor: str = "validation_loss",
        restore_best: bool = True,
    ) -> None:
        if patience < 1 or min_delta < 0 or mode not in ("min", "max"):
            raise ValueError(
                f"EarlyStopping: patience {patience}, min_delta {min_delta}, mode {mode!r}; "
                "expected patience of at least 1, min_delta of at least 0, and mode 'min' or 'max'"
            )
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        self.monitor = monitor
        self.restore_best = restore_best
        self.best: float | None = None
        self.best_epoch = 0
        self.wait = 0
        self._weights: dict[str, Tensor] = {}

    def on_epoch_end(self, run: Run) -> None:
        """Compare the epoch's value with the best."""
        value = run.latest(self.monitor)
        if self._improves(value):
            self.best, self.best_epoch, self.wait = value, run.epoch, 0
            if self.restore_best:
                self._weights = {k: x.clone() for k, x in run.model.state_dict().items()}
        else:
            self.wait += 1
            run.stop = run.stop or self.wait >= self.patience

    def _improves(self, value: float) -> bool:
        if self.best is None:
            return value == value  # a NaN is never the best
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta

    def on_fit_end(self, run: Run) -> None:
        """Give the model its best weights back."""
        if self._weights:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch and weights, and the epochs since.

        Example:
            >>> EarlyStopping().state_dict()
            {'best': None, 'best_epoch': 0, 'wait': 0, 'weights': {}}
        """
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self.wait,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Example:
            >>> stopping = EarlyStopping()
            >>> stopping.load_state_dict({"best": 0.5, "best_epoch": 3, "wait": 1, "weights": {}})
            >>> stopping.best
            0.5
        """
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self.wait, self._weights = state["wait"], state["weights"]
