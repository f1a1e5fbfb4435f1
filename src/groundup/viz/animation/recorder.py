"""The callback that records a training, at moments that lie closer at its beginning.

Most is learned in the first steps, so frame k is taken at about step ``c k^2``. Where the number of
steps is known, c is such that the last frame is the last step. Otherwise, or if a recording comes
to more frames than it may have, c is multiplied by 4: every second of the moments so far remains
(``c (2k)^2 = 4 c k^2``), and the frames between them are dropped. Which frames there are depends on
the number of steps alone, so a training that was stopped and resumed leaves those of one that ran
through.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from ...engine.files import CheckpointError
from ...training.callbacks.base import Callback
from ...training.run import Run as Training
from .frame import Camera, parameters
from .recording import Frame, Recording

MOST_FRAMES = 72
FEWEST_FRAMES = 20
MOST_NUMBERS = 3_000_000
"""In all frames together; wide networks get fewer of them."""
LARGEST = 100_000
"""Parameters of the largest model that is recorded unless told otherwise."""


class Recorder(Callback):
    """Record what is needed to replay a training: ``groundup animate`` makes a page of it.

    What is random is not touched, so a training goes the same way with it and without it. A model
    that is too large is left alone. If its numbers cease to be finite, the recording ends there.

    The file is written at the end and when Ctrl-C is pressed. For a training to be resumed after it
    was killed, call `write` before each checkpoint that is written: the recording must not be older
    than the checkpoint; what is newer in it is dropped on resumption.

    Args:
        path: the safetensors file to write.
        frames: how many at most, at least 4.
        examples: how many inputs are followed at most, of those that the training has in memory.
        largest: models of more parameters than this are not recorded.

    Raises:
        ValueError: ``frames`` is below 4 or ``examples`` below 1.

    Example:
        >>> import tempfile
        >>> from groundup.training import fit
        >>> x, y = gu.randn(20, 2), gu.arange(20) % 2
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> adam = optim.Adam(model.parameters())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     filming = [Recorder(f"{folder}/a.safetensors", frames=10)]
        ...     _ = fit(model, F.cross_entropy, adam, [(x, y)], epochs=100, callbacks=filming)
        ...     Recording.load(f"{folder}/a.safetensors").steps
        array([  0,   1,   5,  11,  20,  31,  44,  60,  79, 100])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frames: int = MOST_FRAMES,
        examples: int = 10,
        largest: int = LARGEST,
    ) -> None:
        if frames < 4 or examples < 1:
            raise ValueError(
                f"Recorder: frames {frames} and examples {examples}; expected at least 4 and 1"
            )
        self.path = Path(path)
        self.frames = frames
        self.examples = examples
        self.largest = largest
        self._camera: Camera | None = None
        self._about: dict[str, Any] = {}
        self._moments: list[tuple[int, float, Frame]] = []
        self._ended = False
        self._written = True

    def on_fit_start(self, run: Training) -> None:
        """Take the first frame, or go on with the recording of what is resumed."""
        self._camera, self._moments = None, []
        self._ended, self._written = False, True
        if parameters(run.model) > self.largest or (run.step and run.finished):
            return
        camera = Camera(run, self.examples)
        if not camera.about["stages"] and "meaning" not in camera.about:
            return  # nothing of it could be shown
        self._camera = camera
        earlier = self._earlier() if run.step else None
        if earlier is not None and earlier.about.get("camera") == camera.about:
            self._about = {name: earlier.about[name] for name in ("camera", "most", "pace")}
            self._moments = [
                moment
                for moment in earlier.moments()
                if moment[0] <= run.step and _due(moment[0], self._about["pace"])
            ]
            return
        self._about = {"camera": camera.about}
        self._take(run)
        if self._moments:
            numbers = sum(values.size for values in self._moments[0][2].values())
            most = min(self.frames, max(FEWEST_FRAMES, MOST_NUMBERS // max(1, numbers)))
            steps = (run.steps_per_epoch or 0) * run.epochs
            self._about |= {"most": most, "pace": max(1, steps) / (most - 1) ** 2}

    def on_boundary(self, run: Training) -> None:
        """Take a frame if it is time; write if training ends here."""
        if self._camera is not None and not self._ended:
            last = self._moments[-1][0] if self._moments else -1
            if last < run.step and (run.finished or _due(run.step, self._about["pace"])):
                self._take(run)
                self._thin(run.step if run.finished else -1)
        if run.finished or run.interrupted:
            self.write()

    def write(self) -> None:
        """Write the recording if it has changed.

        Raises:
            OSError: the file cannot be written; an old one is untouched.

        Example:
            >>> Recorder("nothing to write").write()
        """
        if not self._written and self._moments:
            fixed = {} if self._camera is None else self._camera.fixed
            Recording.of(self._about, fixed, self._moments).save(self.path)
            self._written = True

    def _take(self, run: Training) -> None:
        assert self._camera is not None
        try:
            frame = self._camera.frame()
        except ValueError:  # a number is not finite
            self._about["ended"] = run.step
            self._ended, self._written = True, False
            return
        steps = run.steps_per_epoch
        self._moments.append((run.step, run.step / steps if steps else math.nan, frame))
        self._written = False

    def _thin(self, last: int) -> None:
        """Drop frames while there are too many, but not the one at the last step."""
        while len(self._moments) > self._about["most"]:
            self._about["pace"] = pace = 4 * self._about["pace"]
            self._moments = [m for m in self._moments if m[0] == last or _due(m[0], pace)]

    def _earlier(self) -> Recording | None:
        try:
            return Recording.load(self.path)
        except CheckpointError:
            return None


def _due(step: int, pace: float) -> bool:
    """Whether a frame is taken at a step: whether it is the nearest to ``pace k^2`` for some k.

    Example:
        >>> [step for step in range(50) if _due(step, 0.5)]
        [0, 1, 2, 5, 8, 13, 18, 25, 32, 41]
    """
    near = math.floor(math.sqrt(step / pace))
    return any(math.floor(pace * k * k + 0.5) == step for k in (near, near + 1))
