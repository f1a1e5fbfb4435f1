"""What a callback is: hooks at the points of a training run, and a state for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..run import Run


class Callback:
    """Does something at chosen points of a run. Subclasses define the hooks that they need.

    Each hook gets the ``Run``. In order: ``on_fit_start``; for each epoch ``on_epoch_start``, for
    each step ``on_backward_end``, ``on_step_end``, ``on_boundary``; then ``on_epoch_end`` within
    ``during_validation``, and ``on_boundary``. At last ``on_fit_end`` and ``on_exit``.

    Attributes:
        traceable: whether ``on_backward_end`` computes with tensors alone, without looking at their
            values, so that it can be part of a compiled step.

    Example:
        >>> from groundup.training import fit
        >>> class Print(Callback):
        ...     def on_epoch_end(self, run):
        ...         print("epoch", run.epoch, "of", run.epochs)
        >>> model = nn.Linear(1, 1)
        >>> batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=2, callbacks=[Print()])
        epoch 0 of 2
        epoch 1 of 2
    """

    traceable: bool = False

    def on_fit_start(self, run: Run) -> None:
        """Before the first step, after a checkpoint was loaded."""

    def on_epoch_start(self, run: Run) -> None:
        """Before the first step of an epoch; not when a run is resumed in its middle."""

    def on_backward_end(self, run: Run) -> None:
        """The gradients are there, the parameters not yet changed."""

    def on_step_end(self, run: Run) -> None:
        """The parameters are changed, the step is recorded in the history."""

    def during_validation(self, run: Run) -> AbstractContextManager[None]:
        """A context around the validation and ``on_epoch_end``; other weights may be in place."""
        return nullcontext()

    def on_epoch_end(self, run: Run) -> None:
        """The epoch is recorded; the model has the weights that were validated."""

    def on_boundary(self, run: Run) -> None:
        """After each step and each epoch, when all callbacks have seen it: the state is whole."""

    def on_fit_end(self, run: Run) -> None:
        """Training is complete; not called after an error or an interrupt."""

    def on_exit(self, run: Run) -> None:
        """The last call, in any case."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback must know to continue: tensors and JSON values; empty if nothing.

        Whether it is empty must not depend on the progress of the run.

        Example:
            >>> Callback().state_dict()
            {}
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Example:
            >>> Callback().load_state_dict({})
        """
