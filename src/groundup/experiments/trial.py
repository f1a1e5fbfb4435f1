"""A trial: one seed of an experiment while it runs, as the experiment's ``run`` function sees it.

    def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
        gu.manual_seed(seed)
        model = nn.Sequential(...)
        optimizer = optim.AdamW(model.parameters(), lr=config.lr)
        history = run.fit("MLP", model, F.cross_entropy, optimizer, loader, epochs=config.epochs)
        run.figure("loss", viz.curves(...), "Loss by epoch.")
        return {"MLP/loss": history.epochs["loss"][-1]}

A trial that was stopped or killed is resumed by calling the same function again: each ``fit``
continues from its own checkpoint, and one that was complete returns at once, with the weights, the
history and the state of the random numbers that it ended with. So nothing that is computed between
two fits may depend on anything but the config, the seed and those.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from rich.progress import Progress, TaskID

from ..engine.files import load, save, write_atomically
from ..engine.tensor import Tensor
from ..nn.module import Module
from ..optim import Optimizer
from ..runs import Record, Run, RunInfo, StorageError
from ..training import Callback, History, fit, save_checkpoint
from ..training.run import Run as Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")

RESULT = "result.json"
BETWEEN_CHECKPOINTS = 5.0
"""Seconds; what a kill costs at most, besides the running step. Ctrl-C costs nothing."""
BETWEEN_LOOKS = 20
"""Steps between two records of the gradients and weights of every layer."""
REFRESH = 0.1


class GivenUp(Exception):  # noqa: N818 - not an error
    """Raised by a watcher: this trial is not worth going on with."""


class Trial:
    """What an experiment trains, logs and draws with.

    Args:
        run: the open run that all of it goes to.
        progress: where bars are shown; None shows none.
        watchers: gives more callbacks for a fit, by its name.

    Attributes:
        run: the open run; its `folder` is the place for further files.
        seconds: how long each fit took, by name, over all resumptions.

    Example:
        >>> import tempfile
        >>> from groundup.runs import Store
        >>> x = gu.linspace(-1, 1, 50).unsqueeze(1)
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     with store.start("line") as run:
        ...         trial = Trial(run)
        ...         model = nn.Linear(1, 1)
        ...         sgd = optim.SGD(model.parameters(), lr=0.3)
        ...         _ = trial.fit("line", model, F.mse_loss, sgd, [(x, 2 * x)], epochs=99)
        >>> round(model.weight.item(), 3)
        2.0
    """

    def __init__(
        self,
        run: Run,
        progress: Progress | None = None,
        watchers: Callable[[str], Sequence[Callback]] = lambda _: (),
    ) -> None:
        self.run = run
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._watchers = watchers
        self._captions: dict[str, str] = {}

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.run.folder

    def fit(
        self,
        name: str,
        model: Module,
        loss: Callable[..., Tensor],
        optimizer: Optimizer,
        data: Iterable[Sequence[Tensor]],
        *,
        epochs: int,
        callbacks: Sequence[Callback] = (),
        animate: bool = True,
        **options: Any,
    ) -> History:
        """Train a model as ``training.fit`` does, with a checkpoint, a record and a bar.

        Args:
            name: of the condition that is trained: letters, digits and ``_.=+-``. It begins the
                names of the series (``CNN/loss``) and of the checkpoint.
            model, loss, optimizer, data, epochs, callbacks, **options: as for ``training.fit``.
            animate: keep some moments, for ``groundup animate``, if the model is small (see
                `viz.animation.Recorder`). It takes a millisecond or two for each of them.

        Returns:
            The history, from the first epoch on.

        Raises:
            KeyboardInterrupt: Ctrl-C; a checkpoint is written.
        """
        checkpoint = self.run.checkpoint_path(name)
        from ..viz.animation import Recorder  # who only lists experiments needs no Matplotlib

        recorders = [Recorder(recording_path(self.folder, name))] if animate else []
        watch = Stopwatch()
        with self._bar(name, epochs) as advance:
            history = fit(
                model,
                loss,
                optimizer,
                data,
                epochs=epochs,
                callbacks=[
                    *callbacks,
                    *self._watchers(name),
                    Advance(advance),
                    *recorders,
                    watch,
                    Record(self.run, every=BETWEEN_LOOKS, prefix=f"{name}/"),
                    Keep(checkpoint, before=[recorder.write for recorder in recorders]),
                ],
                resume=checkpoint if checkpoint.exists() else None,
                **options,
            )
        self.seconds[name] = watch.seconds
        return history

    def track(self, items: Sequence[T], description: str) -> Iterator[T]:
        """Iterate over something that takes long, with a bar.

        Example:
            >>> import tempfile
            >>> from groundup.runs import Store
            >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            ...     with store.start("squares") as run:
            ...         [i * i for i in Trial(run).track(range(4), "squaring")]
            [0, 1, 4, 9]
        """
        with self._bar(description, len(items)) as advance:
            for i, item in enumerate(items, 1):
                yield item
                advance(i)

    @contextmanager
    def _bar(self, description: str, total: float) -> Iterator[Callable[[float], None]]:
        """A bar while the block runs, and the function that moves it."""
        if self._progress is None:
            yield lambda _: None
            return
        task: TaskID = self._progress.add_task(description, total=total)
        shown = -math.inf

        def advance(done: float) -> None:
            nonlocal shown
            if (now := monotonic()) - shown > REFRESH:
                shown = now
                self._progress.update(task, completed=done)  # type: ignore[union-attr]

        try:
            yield advance
        finally:
            self._progress.remove_task(task)

    def log(self, step: int, **values: float) -> None:
        """Add a point to each of some series; ``condition/measure`` names are drawn together."""
        self.run.log(step, **values)

    def figure(self, name: str, figure: Figure | str, caption: str = "") -> None:
        """Keep a figure for the report.

        Args:
            name: letters, digits and ``_.=+-``.
            figure: a Matplotlib figure, or the text of an SVG file.
            caption: what it shows, in a sentence; by default its name.
        """
        self.run.log_figure(name, figure)
        self._captions[name] = caption or name.replace("_", " ")

    def save(self, name: str, **tensors: Tensor) -> None:
        """Keep tensors with the run, for the report: `Outcome.tensors` reads them.

        Args:
            name: of the file.
            **tensors: by name.
        """
        save(tensors, self.folder / "tensors" / f"{name}.safetensors")

    def begin(self, code: str) -> None:
        """Note which version of the code makes the result."""
        self._write({"code": code, "metrics": None})

    def finish(self, code: str, metrics: Mapping[str, float]) -> None:
        """Keep the result."""
        numbers = {name: to_json(float(value)) for name, value in metrics.items()}
        total = math.fsum(self.seconds.values())
        content = {"code": code, "metrics": numbers, "figures": self._captions}
        self._write({**content, "seconds": total})

    def _write(self, content: Mapping[str, Any]) -> None:
        path = self.folder / RESULT
        try:
            write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror or error}; it was not written") from error


def recording_path(folder: Path, name: str) -> Path:
    """Where the recording of a fit is, in the folder of its run.

    Example:
        >>> recording_path(Path("run"), "CNN").as_posix()
        'run/recordings/CNN.safetensors'
    """
    return folder / "recordings" / f"{name}.safetensors"


@dataclass(frozen=True)
class Outcome:
    """What a trial left.

    Attributes:
        info: the run: its id, seed, config, status and folder.
        code: the version of the code that made it; empty if it never began.
        metrics: what ``run`` returned; empty if it did not come so far.
        figures: captions of the figures by name.
        seconds: time spent in its fits.

    Example:
        >>> import tempfile
        >>> from groundup.experiments import load, run_seeds
        >>> from groundup.runs import Store
        >>> digits = load("digits")
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     results = run_seeds(digits, digits.config(epochs=1, networks=("MLP",)), [0], store)
        ...     found = results.outcomes[0]
        ...     found.done, found.weights("MLP")["1.weight"].shape
        (True, (128, 64))
    """

    info: RunInfo
    code: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.info.seed or 0

    @property
    def done(self) -> bool:
        """Whether it came to its end."""
        return self.info.status == "done" and bool(self.metrics)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """What `Trial.save` kept.

        Raises:
            CheckpointError: there is nothing of that name.
        """
        return load(self.info.folder / "tensors" / f"{name}.safetensors")[0]

    def weights(self, name: str) -> dict[str, Tensor]:
        """The weights that a fit ended with, as a ``state_dict``.

        Args:
            name: of the fit.

        Raises:
            CheckpointError: there is no such fit.
        """
        tensors, _ = load(self.info.folder / "checkpoints" / f"{name}.safetensors")
        prefix = "model/"
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def outcome(info: RunInfo) -> Outcome:
    """What a run left, as far as its files can be read."""
    try:
        content = json.loads((info.folder / RESULT).read_text(encoding="utf-8"))
        metrics = {name: from_json(value) for name, value in (content["metrics"] or {}).items()}
        code, seconds = str(content["code"]), float(content.get("seconds", 0.0))
        figures = dict(content.get("figures") or {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Outcome(info)
    return Outcome(info, code, metrics, figures, seconds)


def to_json(value: float) -> float | str:
    """A number as JSON has it; infinities and NaN as text.

    Example:
        >>> to_json(float("inf")), from_json("inf"), to_json(0.5)
        ('inf', inf, 0.5)
    """
    return value if math.isfinite(value) else str(value)


def from_json(value: Any) -> float:
    """The number of which `to_json` made a JSON value."""
    return float(value)


class Stopwatch(Callback):
    """Measures how long training takes, validation included, over all resumptions.

    What callbacks that stand before it do between two steps is not counted.

    Attributes:
        seconds: so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since = perf_counter()

    def on_fit_start(self, run: Training) -> None:
        """Start it."""
        self._since = perf_counter()

    def _tick(self, run: Training) -> None:
        now = perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now

    on_step_end = on_epoch_end = on_exit = _tick

    def on_boundary(self, run: Training) -> None:
        """Leave out what was done since the last tick."""
        self._since = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """The seconds."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.seconds = state["seconds"]


class Keep(Callback):
    """Writes a checkpoint now and then, at the end, and when Ctrl-C is pressed.

    Args:
        path: the file.
        seconds: between two writes.
        before: called before each write.
    """

    def __init__(
        self,
        path: Path,
        seconds: float = BETWEEN_CHECKPOINTS,
        before: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.path = path
        self.seconds = seconds
        self.before = before
        self._last = monotonic()

    def on_boundary(self, run: Training) -> None:
        """Write if it is time."""
        if monotonic() - self._last > self.seconds or run.finished or run.interrupted:
            for write in self.before:
                write()
            save_checkpoint(self.path, **run.parts())
            self._last = monotonic()


class Advance(Callback):
    """Moves a bar of epochs.

    Args:
        advance: is given the epochs done so far, with the part of the running one.
    """

    def __init__(self, advance: Callable[[float], None]) -> None:
        self.advance = advance

    def on_step_end(self, run: Training) -> None:
        """Move it."""
        steps = run.steps_per_epoch
        within = min(1.0, run.position / (steps * run.accumulate)) if steps else 0.0
        self.advance(run.epoch + within)
