"""A recording: what was kept of a training at some moments of it, in one safetensors file.

Arrays of the moments are stacked, the first dimension being the moment; those that 16 bits hold are
kept in float16. What does not change stands beside them, and the structure in the file's metadata.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.base import wrap
from ...engine.files import CheckpointError, load, save

KIND = "groundup recording"
VERSION = 1
HALF = 60_000.0
"""Magnitudes up to this are kept in 16 bits."""

Numbers = NDArray[Any]
Frame = Mapping[str, Numbers]


@dataclass
class Recording:
    """Some moments of a training.

    Attributes:
        about: what `frame.Camera` found out about the model, as JSON.
        fixed: arrays that do not change: the examples.
        steps: int64, shape (frames,), the optimizer steps taken before each frame, ascending.
        epochs: float64, shape (frames,), the same in epochs; NaN where that is not known.
        frames: arrays by name, shapes (frames, ...).

    Example:
        >>> import tempfile
        >>> from groundup.training import fit
        >>> from groundup.viz.animation import Recorder
        >>> x = gu.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> y = gu.tensor([[0.0], [1.0], [1.0], [0.0]])
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     filming = [Recorder(f"{folder}/xor.safetensors")]
        ...     _ = fit(model, F.mse_loss, sgd, [(x, y)], epochs=5, callbacks=filming)
        ...     recording = Recording.load(f"{folder}/xor.safetensors")
        >>> recording.steps, recording.frames["weight.1"].shape
        (array([0, 1, 2, 3, 4, 5]), (6, 3, 2))
    """

    about: dict[str, Any]
    fixed: dict[str, Numbers] = field(default_factory=dict)
    steps: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    epochs: Numbers = field(default_factory=lambda: np.empty(0, np.float64))
    frames: dict[str, Numbers] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def of(
        cls,
        about: dict[str, Any],
        fixed: Mapping[str, Numbers],
        moments: Sequence[tuple[int, float, Frame]],
    ) -> Recording:
        """Stack frames, each given as (step, epoch, arrays by name).

        Example:
            >>> len(Recording.of({}, {}, [(0, 0.0, {"a": np.zeros(2)})]))
            1
        """
        steps = np.array([step for step, _, _ in moments], np.int64)
        epochs = np.array([epoch for _, epoch, _ in moments], np.float64)
        names = moments[0][2] if moments else {}
        stacked = {name: np.stack([frame[name] for *_, frame in moments]) for name in names}
        return cls(about, dict(fixed), steps, epochs, stacked)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a whole.

        Raises:
            OSError: the file cannot be written; an old one is untouched.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     Recording({"model": "none"}).save(f"{folder}/a.safetensors")
            ...     Recording.load(f"{folder}/a.safetensors").about
            {'model': 'none'}
        """
        arrays = {"steps": self.steps, "epochs": self.epochs}
        arrays |= {f"fixed/{name}": values for name, values in self.fixed.items()}
        arrays |= {f"frames/{name}": _compact(values) for name, values in self.frames.items()}
        content = {"kind": KIND, "version": VERSION, "about": self.about}
        save({name: wrap(values) for name, values in arrays.items()}, path, content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read what `save` wrote; all numbers that it keeps in 16 bits come back as float32.

        Raises:
            CheckpointError: the file is missing, damaged, of another kind or of a newer version.

        Example:
            >>> Recording.load("no such file")
            Traceback (most recent call last):
            ...
            groundup.engine.files.CheckpointError: no such file: there is no such file
        """
        tensors, content = load(path)
        if not isinstance(content, Mapping) or content.get("kind") != KIND:
            raise CheckpointError(f"{os.fspath(path)}: not the recording of a training")
        if content.get("version") != VERSION:
            raise CheckpointError(
                f"{os.fspath(path)}: a recording of version {content.get('version')}, but this "
                f"version of groundup reads {VERSION}; upgrade it, or record again"
            )
        arrays = {name: np.array(tensor.numpy()) for name, tensor in tensors.items()}

        def part(prefix: str) -> dict[str, Numbers]:
            return {
                name.removeprefix(prefix): v.astype(np.float32) if v.dtype == np.float16 else v
                for name, v in arrays.items()
                if name.startswith(prefix)
            }

        try:
            steps, epochs = arrays["steps"], arrays["epochs"]
            made = cls(content["about"], part("fixed/"), steps, epochs, part("frames/"))
        except KeyError as error:
            raise CheckpointError(f"{os.fspath(path)}: a recording without {error}") from error
        if any(len(values) != len(steps) for values in (epochs, *made.frames.values())):
            raise CheckpointError(f"{os.fspath(path)}: a recording whose parts differ in length")
        return made

    def moments(self) -> list[tuple[int, float, Frame]]:
        """The frames one by one, as `of` takes them.

        Example:
            >>> Recording.of({}, {}, [(3, 0.5, {"a": np.zeros(2)})]).moments()[0][:2]
            (3, 0.5)
        """
        return [
            (int(step), float(epoch), {name: values[i] for name, values in self.frames.items()})
            for i, (step, epoch) in enumerate(zip(self.steps, self.epochs, strict=True))
        ]


def _compact(values: Numbers) -> Numbers:
    """In 16 bits, if they hold the values."""
    if values.dtype.kind != "f" or not values.size or np.abs(values).max() > HALF:
        return values
    return values.astype(np.float16)
