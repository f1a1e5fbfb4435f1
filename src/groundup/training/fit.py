"""The training loop."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack
from itertools import islice

from ..engine.random import Generator, manual_seed
from ..engine.tensor import Tensor
from ..nn.module import Module
from ..optim import Optimizer
from .callbacks.base import Callback
from .checkpoint import load_checkpoint
from .evaluate import Batch, Metric, checked, evaluate
from .history import History
from .interrupt import interrupts_held_back
from .run import Run
from .step import make_step


def fit(
    model: Module,
    loss: Callable[..., Tensor],
    optimizer: Optimizer,
    data: Iterable[Batch],
    *,
    epochs: int,
    validation: Iterable[Batch] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    callbacks: Sequence[Callback] = (),
    accumulate: int = 1,
    seed: int | None = None,
    generators: Sequence[Generator] = (),
    precision: str = "float32",
    compile: bool = True,
    resume: str | os.PathLike[str] | None = None,
) -> History:
    """Train a model.

    A step is: forward, loss, backward, ``on_backward_end`` of the callbacks (clipping), the
    optimizer's update. With a ``Checkpoint`` among the callbacks, a run that was killed at any
    moment and resumed ends with the weights and the history of one that was not, bit for bit.

    Args:
        model: put in training mode at the start.
        loss: function of (output, target) with one number as result, a mean over the examples.
        optimizer: over the model's parameters.
        data: gives the batches of an epoch, (*inputs, target) each, whenever it is iterated: a
            ``DataLoader``, or a list. Without ``state_dict`` it must give the same batches every
            time for a run to be resumed exactly.
        epochs: how many in all, those before a resumption included.
        validation: batches to evaluate on after each epoch, in evaluation mode.
        metrics: functions of (output, target) by name, evaluated on the validation batches.
        callbacks: called in this order.
        accumulate: batches for one step; their losses are averaged. The last step of an epoch takes
            what is left.
        seed: seeds the default generator first, if the run is not resumed.
        generators: generators that the data draws from, if not the default one (augmentation), to
            be saved and restored. Those in the model and in a loader are found.
        precision: "float16" or "bfloat16" computes model and loss under ``autocast`` (mixed
            precision; parameters stay float32). "float16" also scales the loss with a
            ``GradScaler``; the gradients that callbacks see are unscaled, and a step whose
            gradients are not finite counts, but changes no parameter. Validation is in float32, so
            ``evaluate`` gives the same afterwards.
        compile: turn the step into machine code (``groundup.compile``); a step that cannot be
            compiled is run as it is, with a warning. The numbers agree up to rounding.
        resume: a checkpoint of an earlier run with the same arguments; continue from there.

    Returns:
        What was recorded, including what an earlier part of the run recorded.

    Raises:
        CheckpointError: the checkpoint does not fit; nothing is changed.
        KeyboardInterrupt: Ctrl-C, when the running step is complete and a checkpoint is written.
        ValueError: an epoch gave no batch.

    Example:
        >>> x = gu.linspace(-1, 1, 50).unsqueeze(1)
        >>> model = nn.Linear(1, 1)
        >>> sgd = optim.SGD(model.parameters(), lr=0.3)
        >>> history = fit(model, nn.functional.mse_loss, sgd, [(x, 2 * x)], epochs=99)
        >>> round(model.weight.item(), 3), len(history.epochs["loss"])
        (2.0, 99)
    """
    run = Run(
        model,
        loss,
        optimizer,
        data,
        epochs,
        callbacks,
        validation,
        accumulate,
        generators,
        precision,
    )
    history, step = run.history, make_step(run, compile)
    if resume is not None:
        load_checkpoint(resume, **run.parts())
    elif seed is not None:
        manual_seed(seed)

    model.train()
    try:
        with interrupts_held_back() as interrupted:
            run.call("on_fit_start")
            while not run.finished:
                if run.position == 0:
                    run.call("on_epoch_start")
                for batches in _groups(run):
                    rate = float(optimizer.param_groups[0]["lr"])
                    history.add_step(epoch=run.epoch, loss=step(batches).item(), lr=rate)
                    run.step, run.position = run.step + 1, run.position + len(batches)
                    run.examples += sum(len(batch[0]) for batch in batches)
                    run.call("on_step_end")
                    _between_steps(run, interrupted)
                    if run.stop:
                        break
                else:
                    with ExitStack() as contexts:
                        for callback in callbacks:
                            contexts.enter_context(callback.during_validation(run))
                        history.add_epoch(**_epoch_row(run, metrics or {}))
                        run.call("on_epoch_end")
                    run.epoch, run.position = run.epoch + 1, 0
                    _between_steps(run, interrupted)
            run.call("on_fit_end")
    finally:
        run.call("on_exit")
    return history


def _groups(run: Run) -> Iterator[list[Batch]]:
    """The rest of the epoch's batches, as many at a time as make a step."""
    batches = iter(run.data)
    if not hasattr(run.data, "state_dict"):
        batches = islice(batches, run.position, None)
    size = run.accumulate
    while True:
        if isinstance(run.data, Sized):
            # Asking a loader for more than it has would end its epoch before the last step.
            size = max(1, min(run.accumulate, len(run.data) - run.position))
        group = [checked(batch) for batch in islice(batches, size)]
        if not group:
            break
        yield group
    if run.position == 0:
        raise ValueError(
            f"fit: epoch {run.epoch} gave no batch; give a DataLoader or a list of batches, "
            "which unlike a generator can be iterated again"
        )


def _between_steps(run: Run, interrupted: Callable[[], bool]) -> None:
    run.interrupted = interrupted()
    run.call("on_boundary")
    if run.interrupted:
        raise KeyboardInterrupt


def _epoch_row(run: Run, metrics: Mapping[str, Metric]) -> dict[str, float]:
    steps = run.history.steps
    losses = steps["loss"][-math.ceil(run.position / run.accumulate) :]
    row = {"loss": sum(losses) / len(losses), "lr": steps["lr"][-1]}
    if run.validation is not None:
        measured = evaluate(run.model, run.validation, {"loss": run.loss, **metrics})
        row |= {f"validation_{name}": value for name, value in measured.items()}
    return row
