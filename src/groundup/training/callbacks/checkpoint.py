"""Writing checkpoints while training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoint import save_checkpoint
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run


class Checkpoint(Callback):
    """Write everything that the run depends on to a file, for ``fit(..., resume=path)``.

    Besides every ``every`` steps or epochs, one is written when training ends and when Ctrl-C is
    pressed. It is always written after the other callbacks, whatever their order.

    Args:
        path: the file. Each write replaces it as a whole.
        every: steps or epochs between two writes, at least 1.
        per: "epoch" or "step".
        keep: how many to keep. Older ones are called ``name.1.safetensors``,
            ``name.2.safetensors``, and so on, the last one being the oldest.

    Raises:
        ValueError: an argument is out of range.
        OSError: the file cannot be written; the old one is untouched.

    Example:
        >>> import tempfile
        >>> from groundup.training import fit
        >>> def train(epochs, **arguments):
        ...     gu.manual_seed(0)
        ...     model = nn.Linear(1, 1)
        ...     adam = optim.Adam(model.parameters())
        ...     batches = [(gu.ones(4, 1), gu.ones(4, 1))]
        ...     _ = fit(model, nn.functional.mse_loss, adam, batches, epochs=epochs, **arguments)
        ...     return model.weight.item()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/run.safetensors"
        ...     _ = train(3, callbacks=[Checkpoint(path)])
        ...     train(5, callbacks=[Checkpoint(path)], resume=path) == train(5)
        True
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, per: str = "epoch", keep: int = 1
    ) -> None:
        if every < 1 or keep < 1 or per not in ("epoch", "step"):
            raise ValueError(
                f"Checkpoint: every {every}, per {per!r}, keep {keep}; expected every and keep of "
                "at least 1, and per 'epoch' or 'step'"
            )
        self.path = Path(path)
        self.every = every
        self.per = per
        self.keep = keep

    def on_boundary(self, run: Run) -> None:
        """Write if it is time."""
        between_epochs = run.position == 0
        done = run.epoch if self.per == "epoch" else run.step
        due = between_epochs == (self.per == "epoch") and done % self.every == 0
        if due or run.finished or run.interrupted:
            self._keep_older()
            save_checkpoint(self.path, **run.parts())

    def _keep_older(self) -> None:
        """Move every older file on by one; the newest stays in its place until it is replaced."""
        if self.keep == 1 or not self.path.exists():
            return
        stem, suffix = self.path.stem, self.path.suffix
        older = [self.path.with_name(f"{stem}.{i}{suffix}") for i in range(1, self.keep)]
        older[-1].unlink(missing_ok=True)
        for i in range(len(older) - 1, 0, -1):
            if older[i - 1].exists():
                os.replace(older[i - 1], older[i])
        os.link(self.path, older[0])
