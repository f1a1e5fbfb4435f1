"""One training step: forward, loss, backward, hooks, the optimizer's update.

The step is compiled where it can be. Callbacks that look at gradients in ``on_backward_end`` need
Python in the middle; then what comes before them and what comes after are compiled apart. Those
that only compute with tensors say so (``traceable``) and become part of the compiled step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..engine.autocast import autocast
from ..engine.compiler.run import compile as compiled
from ..engine.compiler.trace.trace import TraceError
from ..engine.tensor import Tensor
from ..nn.module import Module
from ..optim import Optimizer
from .callbacks.base import Callback
from .evaluate import Batch
from .run import Run

Step = Callable[[Sequence[Batch]], Tensor]


@dataclass(frozen=True)
class Trained:
    """What of a run a traceable callback may look at: what does not change from step to step.

    Attributes:
        model: the model.
        optimizer: the optimizer.
    """

    model: Module
    optimizer: Optimizer


def make_step(run: Run, compile: bool) -> Step:
    """The function that takes the batches of one step and gives their mean loss.

    Args:
        run: what is trained and how.
        compile: whether to compile it. A model with hooks, one that cannot be traced, and training
            in float16 are not compiled in any case; for a model that cannot be traced a warning
            says why. In bfloat16 the conversions and what is computed in it are NumPy's.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> run = Run(model, nn.functional.mse_loss, sgd, [], 5)
        >>> make_step(run, compile=True)([(gu.ones(1, 2), gu.ones(1, 1))]).shape
        ()
    """
    before, between = _hooks(run.callbacks)
    plain = _plain(run, [*before, *between])
    hooked = any(module._hooks is not None for module in run.model.modules())
    if not compile or run.scaler.is_enabled() or hooked:
        return plain
    part, loss, lowered = Trained(run.model, run.optimizer), run.loss, _lowered(run.precision)

    def gradients(batches: Sequence[Batch]) -> Tensor:
        part.optimizer.zero_grad()
        shares = []
        for *inputs, target in batches:
            with lowered():
                share = loss(part.model(*inputs), target) / len(batches)
            share.backward()
            shares.append(share.detach())
        for callback in before:
            callback.on_backward_end(part)  # type: ignore[arg-type]
        return sum(shares[1:], shares[0])

    def update() -> None:
        part.optimizer.step()

    def whole(batches: Sequence[Batch]) -> Tensor:
        mean = gradients(batches)
        update()
        return mean

    if not between:
        return _guarded(compiled(whole), plain)
    first, second = compiled(gradients), compiled(update)

    def step(batches: Sequence[Batch]) -> Tensor:
        mean = first(batches)
        for callback in between:
            callback.on_backward_end(run)
        second()
        return mean

    return _guarded(step, plain)


def _guarded(step: Step, plain: Step) -> Step:
    """The compiled step, or the plain one if the model cannot be traced."""
    chosen: list[Any] = [step]

    def guarded(batches: Sequence[Batch]) -> Tensor:
        try:
            mean: Tensor = chosen[0](batches)
        except TraceError as error:
            if chosen[0] is plain:
                raise
            warnings.warn(f"fit: the step is not compiled: {error}", stacklevel=3)
            chosen[0] = plain
            mean = plain(batches)
        return mean

    return guarded


def _lowered(precision: str) -> Callable[[], autocast]:
    """What model and loss are computed under."""
    if precision == "float32":
        return partial(autocast, enabled=False)
    return partial(autocast, dtype=precision)


def _plain(run: Run, hooks: Sequence[Callback]) -> Step:
    scaler, lowered = run.scaler, _lowered(run.precision)

    def step(batches: Sequence[Batch]) -> Tensor:
        run.optimizer.zero_grad()
        shares = []
        for *inputs, target in batches:
            with lowered():
                share = run.loss(run.model(*inputs), target) / len(batches)
            scaler.scale(share).backward()
            shares.append(share.detach())
        scaler.unscale_(run.optimizer)
        for callback in hooks:
            callback.on_backward_end(run)
        scaler.step(run.optimizer)
        scaler.update()
        return sum(shares[1:], shares[0])

    return step


def _hooks(callbacks: Sequence[Callback]) -> tuple[list[Callback], list[Callback]]:
    """Those that hook in after the backward pass: the traceable ones in front, and the others."""
    nothing = Callback.on_backward_end
    hooked = [c for c in callbacks if getattr(c.on_backward_end, "__func__", None) is not nothing]
    count = next((i for i, c in enumerate(hooked) if not c.traceable), len(hooked))
    return hooked[:count], hooked[count:]
