"""A folder that keeps the scores of genes that are done while others are not.

``about.json`` says of what they are, and each ``scores-FIRST.safetensors`` holds ``genes`` (some,)
and ``scores`` (TFs, some). Each file is whole or missing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import float64, int64, load, save, tensor
from ....engine.files import CheckpointError, write_atomically
from ..errors import GRNError

EVERY = 10.0
"""Seconds of work that are lost at most, beside the genes that are being computed."""

Numbers = NDArray[np.float64]


class Kept:
    """Scores in a folder.

    Args:
        folder: is made if missing.
        about: what the scores depend on; JSON values.

    Raises:
        GRNError: the folder has scores of something else, or other files.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kept = Kept(folder, {"seed": 0})
        ...     kept.add(np.array([4, 7]), np.array([[0.5, 0.25]]))
        ...     kept.flush()
        ...     found = list(Kept(folder, {"seed": 0}).read())
        >>> [(genes.tolist(), scores.tolist()) for genes, scores in found]
        [([4, 7], [[0.5, 0.25]])]
    """

    def __init__(self, folder: str | os.PathLike[str], about: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self._genes: list[NDArray[np.int64]] = []
        self._scores: list[Numbers] = []
        self._last = time.monotonic()
        path = self.folder / "about.json"
        if not path.exists():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise GRNError(f"{self.folder}: a folder with other files; move it")
            write_atomically(path, (json.dumps(dict(about), indent=1) + "\n").encode())
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            differ = [name for name, value in about.items() if before.get(name) != value]
        except (OSError, ValueError, AttributeError) as error:
            raise GRNError(f"{path}: cannot be read: {error}; remove the folder") from error
        if differ:
            raise GRNError(
                f"{self.folder} keeps what was done of another inference ({', '.join(differ)} "
                "differ); go on with the same one, or remove the folder"
            )

    def read(self) -> Iterator[tuple[NDArray[np.int64], Numbers]]:
        """All that is kept: rows of genes (some,), and their scores (TFs, some).

        Raises:
            GRNError: a file is damaged.
        """
        for path in sorted(self.folder.glob("scores-*.safetensors")):
            try:
                found, _ = load(path)
                yield np.asarray(found["genes"].numpy()), np.asarray(found["scores"].numpy())
            except (CheckpointError, KeyError) as error:
                raise GRNError(f"{path}: {error}; remove the file, and it is made again") from error

    def add(self, genes: NDArray[np.int64], scores: Numbers) -> None:
        """Keep the scores of genes; they are written every few seconds."""
        self._genes.append(genes)
        self._scores.append(scores)
        if time.monotonic() - self._last > EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if self._genes:
            genes, scores = np.concatenate(self._genes), np.concatenate(self._scores, axis=1)
            content = {"genes": tensor(genes, dtype=int64), "scores": tensor(scores, dtype=float64)}
            save(content, self.folder / f"scores-{int(genes[0]):06}.safetensors")
            self._genes, self._scores = [], []
        self._last = time.monotonic()
