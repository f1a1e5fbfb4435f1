"""Averaging the weights while training."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ...optim import EMA
from .base import Callback
from .early_stopping import EarlyStopping

if TYPE_CHECKING:
    from ..run import Run


class Average(Callback):
    """Keep an exponential moving average of the weights; validate with it, and end with it.

    Training goes on with the weights themselves, which are also what a checkpoint holds, beside the
    average.

    Args:
        ema: the average, made of the model that is trained.

    Raises:
        ValueError: an ``EarlyStopping`` that restores its best weights stands before this callback,
            which would overwrite them.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Linear(1, 1)
        >>> average = Average(optim.EMA(model, decay=0.9))
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=5, callbacks=[average])
        >>> gu.equal(model.weight, average.ema.averages["weight"])
        True
    """

    def __init__(self, ema: EMA) -> None:
        self.ema = ema

    def on_fit_start(self, run: Run) -> None:
        """Look at the order of the callbacks."""
        before = run.callbacks[: run.callbacks.index(self)]
        if any(isinstance(other, EarlyStopping) and other.restore_best for other in before):
            raise ValueError(
                "Average: an EarlyStopping with restore_best stands before it, and the average "
                "would replace its best weights; put Average first"
            )

    def on_step_end(self, run: Run) -> None:
        """Move the average towards the new weights."""
        self.ema.update()

    def during_validation(self, run: Run) -> AbstractContextManager[None]:
        """The averages instead of the weights."""
        return self.ema.average_parameters()

    def on_fit_end(self, run: Run) -> None:
        """Give the model the averages for good."""
        run.model.load_state_dict(self.ema.state_dict(), strict=False)

    def state_dict(self) -> dict[str, Any]:
        """The averages.

        Example:
            >>> list(Average(optim.EMA(nn.Linear(1, 1))).state_dict())
            ['weight', 'bias']
        """
        return dict(self.ema.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Raises:
            ValueError: it is the average of another model.

        Example:
            >>> average = Average(optim.EMA(nn.Linear(1, 1)))
            >>> average.load_state_dict(average.state_dict())
        """
        self.ema.load_state_dict(state)
