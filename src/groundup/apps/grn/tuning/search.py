"""Settings searched for at random (Bergstra and Bengio, 2012), judged on validation pairs alone.

A trial trains on the training part and is scored by the AUROC of the validation pairs; test pairs
of these seeds are never scored. The best of many trials is best by luck too, so its validation
score is too high: what the settings are worth has to be asked of `evaluate`. Trial 0 is the recipe
as it is, so that it is seen whether anything was gained.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ....engine.files import write_atomically
from ..errors import GRNError
from ..evaluation.record import refuse_others
from ..evaluation.results import Protocol
from ..progress import Progress, share_of
from ..task.metrics import auroc
from ..task.negatives import Negatives
from ..task.problem import Problem
from ..task.questions import questions_of
from ..task.splits import Kind
from ..training.recipes import Recipe, plan_of
from ..training.train import train
from .settings import options_of, with_settings


@dataclass(frozen=True)
class Range:
    """What a setting is drawn from.

    Attributes:
        kind: "log" or "uniform" (numbers), "int" or "logint" (whole numbers), or "choice".
        low, high: the least and the greatest.
        choices: texts, read as the setting's kind.

    Example:
        >>> Range.parse("learning_rate", "log:1e-4:1e-2")
        Range(kind='log', low=0.0001, high=0.01, choices=())
        >>> Range.parse("batch", "choice:128,512").draw(np.random.default_rng(0)) in ("128", "512")
        True
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, name: str, text: str) -> Range:
        """The range that a text such as ``log:1e-4:1e-1`` describes.

        Raises:
            GRNError: it describes none.
        """
        kind, _, rest = text.partition(":")
        try:
            if kind == "choice" and rest:
                return cls(kind, choices=tuple(part.strip() for part in rest.split(",")))
            number = {"log": float, "uniform": float, "int": int, "logint": int}[kind]
            low, high = (number(part) for part in rest.split(":"))
            if not -math.inf < low < high < math.inf or (kind.startswith("log") and low <= 0):
                raise ValueError
            return cls(kind, low, high)
        except (KeyError, ValueError):
            raise GRNError(
                f"{name}={text}: expected log:LOW:HIGH, uniform:LOW:HIGH, int:LOW:HIGH, "
                "logint:LOW:HIGH or choice:A,B,C"
            ) from None

    def draw(self, random: np.random.Generator) -> float | int | str:
        """A value."""
        if self.kind == "choice":
            return self.choices[int(random.integers(len(self.choices)))]
        if self.kind == "int":
            return int(random.integers(int(self.low), int(self.high) + 1))
        if self.kind == "uniform":
            return float(random.uniform(self.low, self.high))
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return round(value) if self.kind == "logint" else value


def usual_ranges(name: str, recipe: Recipe | None = None) -> dict[str, Range]:
    """What is searched if nothing is said: rates, decay, batch, and the model's dropouts.

    Args:
        name: of the model.
        recipe: the settings; the model's own if None.

    Example:
        >>> list(usual_ranges("expression"))
        ['learning_rate', 'weight_decay', 'batch', 'dropout']
    """
    whole = plan_of(name).recipe if recipe is None else recipe
    rate, decay = whole.learning_rate, whole.weight_decay or 0.01
    found = {
        "learning_rate": Range("log", rate / 5, rate * 5),
        "weight_decay": Range("log", decay / 10, decay * 10),
        "batch": Range("choice", choices=("128", "256", "512", "1024")),
    }
    dropouts = [option for option in options_of(name, whole) if "dropout" in option]
    return found | {option: Range("uniform", 0.0, 0.6) for option in dropouts}


@dataclass(frozen=True)
class Trial:
    """Settings, and how good they were.

    Attributes:
        number: from 0; 0 is the recipe as it is.
        settings: what was drawn.
        values: the AUROC of the validation pairs, by seed; none if training failed.
        failed: what went wrong; empty if nothing did.

    Example:
        >>> Trial(1, {"batch": "128"}, [0.6, 0.8]).value
        0.7
    """

    number: int
    settings: Mapping[str, Any]
    values: Sequence[float]
    failed: str = ""

    @property
    def value(self) -> float:
        """The mean over the seeds; minus infinity if training failed."""
        return float(np.mean(self.values)) if self.values else -math.inf


@dataclass(frozen=True, eq=False)
class Search:
    """What came of a search.

    Attributes:
        model: its name.
        recipe: what the search began with.
        trials: by their numbers.
    """

    model: str
    recipe: Recipe
    trials: Sequence[Trial]

    @property
    def ranked(self) -> list[Trial]:
        """Trials, the best first."""
        return sorted(self.trials, key=lambda trial: -trial.value)

    @property
    def best(self) -> Recipe:
        """The recipe of the best trial."""
        return with_settings(self.model, self.ranked[0].settings, self.recipe)


def search(
    problem: Problem,
    name: str = "regulon",
    ranges: Mapping[str, Range] | None = None,
    *,
    recipe: Recipe | None = None,
    trials: int = 20,
    kind: Kind = "gene",
    negatives: Negatives = "matched",
    seeds: int = 1,
    ratio: float = 1.0,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Search:
    """Draw settings, train with them, and see what validation says.

    Args:
        problem: all that is known.
        name: of the model.
        ranges: by setting, as `with_settings` names them; `usual_ranges` if None.
        recipe: what is changed; the model's own if None.
        trials: how many, with that of the recipe as it is.
        kind, negatives, ratio: of the questions, as of `evaluate`.
        seeds: of the questions, from 0 on; a trial trains once for each.
        seed: of the settings that are drawn; more trials go on where fewer ended.
        folder: keeps trials; those that it has are not made again.
        progress: told of trials and parts of them done.

    Raises:
        GRNError: an unknown setting, a range that does not fit it, no trial that came to its end,
            or a folder with another search.
        ValueError: as `split_pairs` and `draw_unlabelled`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> recipe = Recipe(epochs=1, options={"sizes": (8, 4)})
        >>> ranges = {"dropout": Range("uniform", 0.0, 0.5)}
        >>> found = search(example_problem(), "expression", ranges, recipe=recipe, trials=2)
        >>> [list(trial.settings) for trial in found.trials]
        [[], ['dropout']]
    """
    start = plan_of(name).recipe if recipe is None else recipe
    spaces = usual_ranges(name, start) if ranges is None else dict(ranges)
    if trials < 1 or seeds < 1:
        raise GRNError(f"{trials} trials on {seeds} seeds, expected at least one of each")
    drawn = [{}, *(_drawn(spaces, seed, number) for number in range(1, trials))]
    recipes = [with_settings(name, settings, start) for settings in drawn]
    asked = questions_of(problem, kind, negatives, range(seeds), ratio=ratio).values()
    if folder is not None:
        about = {
            "model": name,
            "recipe": asdict(start),
            "ranges": {key: asdict(space) for key, space in spaces.items()},
            "protocol": asdict(Protocol.of(problem, kind, negatives, ratio)),
            "seeds": seeds,
            "seed": seed,
        }
        _same_search(Path(folder) / "search.json", about)
    found: list[Trial] = []
    for number, (settings, own) in enumerate(zip(drawn, recipes, strict=True)):
        path = None if folder is None else Path(folder) / f"trial-{number:04}.json"
        if path is not None and path.exists():
            found.append(_kept(path, number, settings))
            continue
        values: list[float] = []
        failed = ""
        try:
            for place, questions in enumerate(asked):
                part, parts = number * seeds + place, trials * seeds
                tell = progress and share_of(progress, part, parts, f"trial {number}")
                trained = train(problem.known(questions.split), name, own, questions.seed, tell)
                scores = trained.score(questions.validation)
                values.append(auroc(questions.validation_labels, scores))
        except GRNError as error:
            values, failed = [], str(error)
        found.append(Trial(number, settings, values, failed))
        if path is not None:
            write_atomically(path, (json.dumps(asdict(found[-1]), indent=1) + "\n").encode())
    if not any(trial.values for trial in found):
        raise GRNError(f"no trial came to its end; the first: {found[0].failed}")
    return Search(name, start, found)


def _drawn(ranges: Mapping[str, Range], seed: int, number: int) -> dict[str, Any]:
    random = np.random.default_rng([seed, number])
    return {name: space.draw(random) for name, space in ranges.items()}


def _kept(path: Path, number: int, settings: Mapping[str, Any]) -> Trial:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        values = [float(value) for value in content["values"]]
        if content["number"] != number or content["settings"] != json.loads(json.dumps(settings)):
            raise ValueError("its settings are others")
        return Trial(number, settings, values, str(content["failed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GRNError(f"{path}: {error}; remove it, and the trial is made again") from error


def _same_search(path: Path, about: Mapping[str, Any]) -> None:
    """Write down what is searched, and refuse to go on with something else."""
    content = json.loads(json.dumps(about))
    if not path.exists():
        refuse_others(path.parent)
        write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GRNError(f"{path}: cannot be read: {error}; remove it to begin anew") from error
    if changed := [key for key in content if before.get(key) != content[key]]:
        raise GRNError(
            f"{path.parent} has another search ({', '.join(changed)} differ); go on with the same "
            "one, or choose another folder"
        )
