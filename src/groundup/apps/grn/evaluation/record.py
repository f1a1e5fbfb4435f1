"""A folder that keeps an evaluation, run by run, so that it can be ended and gone on with.

``protocol.json`` says what is asked, ``pairs/SEED.safetensors`` holds the test pairs of a seed and
``runs/METHOD-SEED.safetensors`` the scores of a method, with its metrics. Each file is whole or
missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .... import float64, int64, load, save, tensor
from ....engine.files import CheckpointError, write_atomically
from ..errors import GRNError
from .results import Asked, Evaluation, Protocol, Run

_FORMAT = 1


@dataclass(frozen=True)
class Record:
    """An evaluation in a folder.

    Attributes:
        folder: where it is.

    Example:
        >>> import tempfile
        >>> from groundup.apps.grn.baselines import degree
        >>> from groundup.apps.grn.evaluation.evaluate import evaluate
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     settings = {"kind": "gene", "seeds": 2, "folder": folder}
        ...     one = evaluate(example_problem(), {"degree": degree}, **settings)
        ...     Record(Path(folder)).read().to_json() == one.to_json()
        True
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path, protocol: Protocol, tf_names: Sequence[str]) -> Record:
        """A folder to go on with, or a new one.

        Args:
            folder: made if missing.
            protocol: what is asked.
            tf_names: of each TF.

        Raises:
            GRNError: the folder keeps an evaluation of another protocol, or something else.

        Example:
            >>> import tempfile
            >>> from groundup.apps.grn.task.examples import example_problem
            >>> protocol = Protocol.of(example_problem(), "gene", "matched", 1.0)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     list(Record.open(folder, protocol, ["a"]).folder.iterdir())[0].name
            'protocol.json'
        """
        record = cls(Path(folder))
        if not record._settings.exists():
            refuse_others(record.folder, ("recipe.json",))
            content = {
                "format": _FORMAT,
                "protocol": asdict(protocol),
                "tf_names": list(tf_names),
            }
            write_atomically(record._settings, json.dumps(content, indent=1).encode())
            return record
        before = asdict(record._read_settings()[0])
        differ = [name for name, value in asdict(protocol).items() if before[name] != value]
        if differ:
            told = "; ".join(
                f"{name}: {before[name]} there, {asdict(protocol)[name]} here" for name in differ
            )
            raise GRNError(
                f"{record.folder} keeps an evaluation of another protocol ({told}); give another "
                "folder, or the same settings and data"
            )
        return record

    @property
    def _settings(self) -> Path:
        return self.folder / "protocol.json"

    def _read_settings(self) -> tuple[Protocol, list[str]]:
        try:
            content = json.loads(self._settings.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise GRNError(
                    f"{self._settings}: format {content['format']}, expected {_FORMAT}; it is of "
                    "another version of groundup"
                )
            return Protocol(**content["protocol"]), list(content["tf_names"])
        except FileNotFoundError as error:
            raise GRNError(f"{self.folder}: there is no evaluation in this folder") from error
        except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise GRNError(
                f"{self._settings} is not an evaluation's ({error}); give another folder"
            ) from error

    def keep_asked(self, seed: int, asked: Asked) -> None:
        """Keep the test pairs of a seed, or see that they are those that were kept.

        Raises:
            GRNError: they are others, so that kept runs would answer other questions.
        """
        path = self.folder / "pairs" / f"{seed}.safetensors"
        if not path.exists():
            content = {"pairs": tensor(asked.pairs, dtype=int64), "labels": tensor(asked.labels)}
            save(content, path, {"seed": seed})
            return
        before, _ = _load(path, *_PAIRS)
        if not np.array_equal(before["pairs"], asked.pairs):
            raise GRNError(
                f"{path}: seed {seed} asks about other pairs now, since another version of "
                "groundup or NumPy draws them in another way; give another folder"
            )

    def write_run(self, run: Run) -> None:
        """Keep a run."""
        content = {
            "scores": tensor(run.scores, dtype=float64),
            "probabilities": tensor(run.probabilities, dtype=float64),
        }
        metadata = {"method": run.method, "seed": run.seed, "metrics": dict(run.metrics)}
        save(content, self._run(run.method, run.seed), metadata)

    def read_run(self, method: str, seed: int) -> Run | None:
        """A run that is kept, or None.

        Raises:
            GRNError: its file is damaged.
        """
        path = self._run(method, seed)
        if not path.exists():
            return None
        arrays, metadata = _load(path, *_RUN)
        return Run(method, seed, arrays["scores"], arrays["probabilities"], metadata["metrics"])

    def read(self) -> Evaluation:
        """The evaluation as far as it is kept, methods in the order of their names.

        Of one that was ended in the middle, all methods with the seeds that each of them has, or
        the methods that have all seeds, whichever is more.

        Raises:
            GRNError: there is none, or a file is damaged.
        """
        protocol, tf_names = self._read_settings()
        asked: dict[int, Asked] = {}
        for path in self.folder.glob("pairs/*.safetensors"):
            arrays, metadata = _load(path, *_PAIRS)
            asked[metadata["seed"]] = Asked(arrays["pairs"], arrays["labels"].astype(bool))
        asked = dict(sorted(asked.items()))
        runs: dict[tuple[str, int], Run] = {}
        for path in sorted(self.folder.glob("runs/*.safetensors")):
            arrays, told = _load(path, *_RUN)
            name, seed = told["method"], told["seed"]
            runs[name, seed] = Run(
                name, seed, arrays["scores"], arrays["probabilities"], told["metrics"]
            )
        methods, seeds = _rectangle(runs, list(asked))
        return Evaluation(
            protocol,
            tf_names,
            {seed: asked[seed] for seed in seeds},
            {(name, seed): runs[name, seed] for name in methods for seed in seeds},
        )

    def _run(self, method: str, seed: int) -> Path:
        return self.folder / "runs" / f"{method}-{seed}.safetensors"


def refuse_others(folder: Path, own: Sequence[str] = ()) -> None:
    """Refuse to begin in a folder that has something else.

    Args:
        folder: may be missing.
        own: names that may be there; those with a dot before them always may.

    Raises:
        GRNError: there are other files.

    Example:
        >>> refuse_others(Path("no such folder"))
    """
    if folder.is_file():
        raise GRNError(f"{folder}: a file, expected a folder")
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others := [name for name in there if name not in own and not name.startswith(".")]:
        raise GRNError(
            f"{folder}: a folder with other files, such as {others[0]}; name another folder"
        )


def _rectangle(
    runs: Mapping[tuple[str, int], Run], seeds: list[int]
) -> tuple[list[str], list[int]]:
    methods = sorted({method for method, _ in runs})
    shared = [seed for seed in seeds if all((name, seed) in runs for name in methods)]
    whole = [name for name in methods if all((name, seed) in runs for seed in seeds)]
    if len(methods) * len(shared) >= len(whole) * len(seeds):
        return methods, shared
    return whole, seeds


_PAIRS = {"pairs", "labels"}, {"seed"}
_RUN = {"scores", "probabilities"}, {"method", "seed", "metrics"}


def _load(path: Path, needed: set[str], told: set[str]) -> tuple[dict[str, NDArray[Any]], Any]:
    try:
        tensors, metadata = load(path)
        missing = (needed - set(tensors)) | (told - set(metadata))
        if missing:
            raise CheckpointError(f"{path}: there is no {', '.join(sorted(missing))} in it")
    except (CheckpointError, TypeError) as error:
        raise GRNError(f"{error}; remove the file, and the run is made again") from error
    return {name: np.asarray(value.numpy()) for name, value in tensors.items()}, metadata
