"""A run: what is being trained, how far it has come, and what it has recorded.

``fit`` makes one, hands it to the callbacks, and saves it with the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

from ..engine.random import Generator, default_generator
from ..engine.tensor import Tensor
from ..nn.module import Module, find
from ..optim import Optimizer
from .history import History
from .precision import GradScaler

if TYPE_CHECKING:
    from .callbacks.base import Callback


class Run:
    """The state of training, as callbacks see it.

    Args:
        model: what learns.
        loss: function of (output, target).
        optimizer: what changes the parameters.
        data: the batches of an epoch.
        epochs: how many to train for.
        callbacks: called in this order.
        validation: batches to evaluate on after each epoch.
        accumulate: batches for each step.
        precision: "float32", or "float16" or "bfloat16" for mixed precision.
        generators: further sources of randomness to save and restore. The default generator and
            those that modules of the model hold are there already.

    Attributes:
        epoch: epochs completed; while one is running, its number from 0.
        position: batches used in the running epoch.
        step: optimizer steps taken.
        examples: examples used by the steps of this process; for throughput.
        stop: set it to true to end training after the running step or epoch.
        interrupted: whether Ctrl-C was pressed.
        scaler: of the loss; it does nothing but in "float16".
        history: what was recorded.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> run = Run(model, nn.functional.mse_loss, optim.SGD(model.parameters(), lr=0.1), [], 5)
        >>> run.epoch, run.step, run.finished
        (0, 0, False)
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Tensor],
        optimizer: Optimizer,
        data: Iterable[Sequence[Tensor]],
        epochs: int,
        callbacks: Sequence[Callback] = (),
        validation: Iterable[Sequence[Tensor]] | None = None,
        accumulate: int = 1,
        generators: Sequence[Generator] = (),
        precision: str = "float32",
    ) -> None:
        if precision not in ("float32", "float16", "bfloat16"):
            raise ValueError(
                f"fit: precision {precision!r}; expected 'float32', 'float16' or 'bfloat16'"
            )
        if epochs < 0 or accumulate < 1:
            raise ValueError(
                f"fit: epochs {epochs} and accumulate {accumulate}; expected at least 0 and 1"
            )
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.data = data
        self.epochs = epochs
        self.callbacks = callbacks
        self.validation = validation
        self.accumulate = accumulate
        self.precision = precision
        self.scaler = GradScaler(enabled=precision == "float16")
        inside = [g for module in model.modules() for _, g in find(Generator, vars(module).items())]
        self.generators = [default_generator, *inside, *generators]
        self.epoch = 0
        self.position = 0
        self.step = 0
        self.examples = 0
        self.stop = False
        self.interrupted = False
        self.history = History()

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stop or self.epoch >= self.epochs

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps in a whole epoch; None if the data does not tell its length."""
        if not isinstance(self.data, Sized):
            return None
        return -(-len(self.data) // self.accumulate)

    def call(self, hook: str) -> None:
        """Call one hook of every callback.

        Args:
            hook: the name of a method of ``Callback``.

        Example:
            >>> from groundup.training import Callback
            >>> class Hello(Callback):
            ...     def on_fit_start(self, run):
            ...         print("hello at step", run.step)
            >>> model = nn.Linear(2, 1)
            >>> sgd = optim.SGD(model.parameters(), lr=0.1)
            >>> Run(model, nn.functional.mse_loss, sgd, [], 5, [Hello()]).call("on_fit_start")
            hello at step 0
        """
        for callback in self.callbacks:
            getattr(callback, hook)(self)

    def latest(self, column: str) -> float:
        """The newest number in a column of ``history.epochs``.

        Raises:
            KeyError: there is no such column.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> sgd = optim.SGD(model.parameters(), lr=0.1)
            >>> run = Run(model, nn.functional.mse_loss, sgd, [], 5)
            >>> run.history.add_epoch(loss=0.25)
            >>> run.latest("loss")
            0.25
        """
        columns = self.history.epochs
        if column not in columns:
            raise KeyError(
                f"the history has no column {column!r}, it has {', '.join(columns)}; pass "
                "validation= (and metrics=) to fit, or monitor another column"
            )
        return columns[column][-1]

    def parts(self) -> dict[str, Any]:
        """What a checkpoint of this run holds, for ``save_checkpoint`` and ``load_checkpoint``.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> sgd = optim.SGD(model.parameters(), lr=0.1)
            >>> list(Run(model, nn.functional.mse_loss, sgd, [], 5).parts())
            ['model', 'run', 'optimizer']
        """
        parts = {
            "model": self.model,
            "run": self,
            "optimizer": self.optimizer,
            "loss": self.loss,
            "data": self.data,
            "validation": self.validation,
        }
        if self.scaler.is_enabled():
            parts["scaler"] = self.scaler
        return {name: part for name, part in parts.items() if hasattr(part, "state_dict")}

    def state_dict(self) -> dict[str, Any]:
        """Progress, history, generators, and the state of the callbacks.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> sgd = optim.SGD(model.parameters(), lr=0.1)
            >>> Run(model, nn.functional.mse_loss, sgd, [], 5).state_dict()["step"]
            0
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "stop": self.stop,
            "accumulate": self.accumulate,
            "precision": self.precision,
            "history": self.history.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "callbacks": {
                name: state
                for name, callback in self._named_callbacks()
                if (state := callback.state_dict())
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where another run was.

        Raises:
            ValueError: that run had other callbacks with a state, another number of generators, or
                another ``accumulate`` or ``precision``.

        Example:
            >>> model = nn.Linear(2, 1)
            >>> sgd = optim.SGD(model.parameters(), lr=0.1)
            >>> a, b = (Run(model, nn.functional.mse_loss, sgd, [], 5) for _ in range(2))
            >>> a.step = 3
            >>> b.load_state_dict(a.state_dict())
            >>> b.step
            3
        """
        callbacks = dict(self._named_callbacks())
        own = {name for name, callback in callbacks.items() if callback.state_dict()}
        saved = state["callbacks"]
        if own != set(saved):
            raise ValueError(
                f"the callbacks with a state were {_listed(saved)}, here they are {_listed(own)}; "
                "continue with the same ones"
            )
        for name, here in (
            ("accumulate", self.accumulate),
            ("precision", self.precision),
            ("generators", len(self.generators)),
        ):
            there = len(state[name]) if name == "generators" else state[name]
            if there != here:
                raise ValueError(f"the run had {name} {there}, here it is {here}")
        for name in saved:
            callbacks[name].load_state_dict(saved[name])
        for generator, words in zip(self.generators, state["generators"], strict=True):
            generator.set_state(words)
        self.history.load_state_dict(state["history"])
        self.epoch, self.position = state["epoch"], state["position"]
        self.step, self.stop = state["step"], state["stop"]

    def _named_callbacks(self) -> list[tuple[str, Callback]]:
        kinds = [type(callback).__name__ for callback in self.callbacks]
        return [
            (f"{kind} {kinds[: i + 1].count(kind)}", callback)
            for i, (kind, callback) in enumerate(zip(kinds, self.callbacks, strict=True))
        ]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
