"""What each technique of a recipe is worth: the recipe without it, asked the same questions.

A technique is what a recipe, or the model's own options, have beyond the plainest way: a focal
loss, a warm-up, dropout, degree-matched pairs to learn from, masking of known edges and the log-Q
correction of InfoNCE, and so on. Each is removed alone and all else is left as it is, the learning
rate too; so what is told is its worth in this recipe, not in one that was tuned to be without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..baselines import degree
from ..errors import GRNError
from ..evaluation.compare import Contrast, compare
from ..evaluation.evaluate import Progress, evaluate
from ..evaluation.record import refuse_others
from ..evaluation.results import Evaluation
from ..task.negatives import Negatives
from ..task.problem import Method, Problem
from ..task.questions import questions_of
from ..task.splits import Kind
from ..training.recipes import Recipe, plan_of
from ..use.methods import method
from .settings import load_recipe, options_of, save_recipe

WHOLE = "whole"
"""The name of the recipe as it is."""
ADAMS = 0.001
"""The learning rate that Adam usually has."""

_REMOVED: Mapping[str, tuple[Callable[[Recipe], bool], Mapping[str, Any]]] = {
    "no-focal-loss": (lambda r: r.loss == "focal", {"loss": "bce"}),
    "no-infonce": (lambda r: r.loss == "infonce", {"loss": "bce", "offered": 0}),
    "no-masking": (lambda r: r.loss == "infonce" and r.masked, {"masked": False}),
    "no-log-q": (lambda r: r.loss == "infonce" and r.log_q, {"log_q": False}),
    "no-even-offers": (lambda r: r.loss == "infonce" and r.offered > 0, {"offered": 0}),
    "no-schedule": (lambda r: r.schedule != "constant", {"schedule": "constant", "warm_up": 0}),
    "no-warm-up": (lambda r: r.schedule != "constant" and r.warm_up > 0, {"warm_up": 0}),
    "no-high-rate": (
        lambda r: r.optimizer == "sgd" and r.learning_rate > ADAMS,
        {"learning_rate": ADAMS},
    ),
    "no-momentum": (lambda r: r.optimizer == "sgd" and r.momentum > 0, {"momentum": 0.0}),
    "no-decoupled-decay": (
        lambda r: r.optimizer == "adamw" and r.weight_decay > 0,
        {"optimizer": "adam"},
    ),
    "no-weight-decay": (lambda r: r.weight_decay > 0, {"weight_decay": 0.0}),
    "no-clipping": (lambda r: r.clip is not None, {"clip": None}),
    "no-early-stopping": (lambda r: r.patience is not None, {"patience": None}),
    "no-matched-pairs": (
        lambda r: r.loss != "infonce" and r.negatives == "matched",
        {"negatives": "uniform"},
    ),
}


def variants(name: str, recipe: Recipe | None = None) -> dict[str, Recipe]:
    """A recipe, and the same without each of its techniques.

    Args:
        name: of the model.
        recipe: the settings; the model's own if None.

    Returns:
        Recipes by what is not in them; the first is whole.

    Raises:
        GRNError: there is no such model.

    Example:
        >>> list(variants("expression"))[:4]
        ['whole', 'no-decoupled-decay', 'no-weight-decay', 'no-early-stopping']
    """
    whole = plan_of(name).recipe if recipe is None else recipe
    found = {WHOLE: whole}
    for title, (there, changes) in _REMOVED.items():
        if there(whole):
            found[title] = replace(whole, **changes)
    for option, value in options_of(name, whole).items():
        title, without = _plainer(option, value)
        if title:
            found[title] = replace(whole, options={**whole.options, option: without})
    return found


def _plainer(option: str, value: Any) -> tuple[str, Any]:
    """The title and the value of an option without what it does; no title if it does nothing."""
    if "dropout" in option and value:
        return f"no-{option.replace('_', '-')}", 0.0
    if option == "initial" and value == "xavier":
        return "no-xavier", "he"
    if option == "temperature" and value != 1:
        return "no-temperature", 1.0
    if option == "sizes" and len(value) > 2:
        return "one-layer-fewer", (*value[:-2], value[-1])
    return "", None


@dataclass(frozen=True, eq=False)
class Ablation:
    """What came of an ablation.

    Attributes:
        model: its name.
        evaluation: of all variants, and of degree.
        contrasts: each variant against the whole recipe, the one that lost most last.
    """

    model: str
    evaluation: Evaluation
    contrasts: Sequence[Contrast]


def ablate(
    problem: Problem,
    name: str = "regulon",
    recipe: Recipe | None = None,
    kind: Kind = "gene",
    negatives: Negatives = "matched",
    seeds: int | Sequence[int] = 5,
    *,
    ratio: float = 1.0,
    only: Sequence[str] | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    resamples: int = 2000,
) -> Ablation:
    """Evaluate a recipe with and without each of its techniques.

    Args:
        problem: all that is known.
        name: of the model.
        recipe: the settings; the model's own if None.
        kind, negatives, seeds, ratio, progress: as of `evaluate`.
        only: which of the `variants`; all if None. The whole recipe is always there.
        folder: keeps runs, as of `evaluate`; and the recipe, with which alone it goes on.
        resamples: draws of the permutation tests.

    Raises:
        GRNError: as `evaluate`; no such variant; or a folder with an ablation of another recipe.
        ValueError: as `evaluate`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> recipe = Recipe(epochs=1, options={"sizes": (8, 4)})
        >>> settings = {"seeds": 2, "only": ["no-dropout"], "resamples": 50}
        >>> found = ablate(example_problem(), "expression", recipe, **settings)
        >>> [(line.method, line.against) for line in found.contrasts]
        [('no-dropout', 'whole')]
    """
    recipes = variants(name, recipe)
    if only is not None:
        if unknown := [title for title in only if title not in recipes]:
            raise GRNError(
                f"{unknown[0]!r} is not among what can be removed: "
                f"{', '.join(title for title in recipes if title != WHOLE)}"
            )
        recipes = {title: r for title, r in recipes.items() if title in (WHOLE, *only)}
    if len(recipes) == 1:
        raise GRNError(f"model {name!r}: its recipe has no technique that could be removed")
    wanted = range(seeds) if isinstance(seeds, int) else seeds
    if folder is not None:  # what cannot be asked is refused before the folder is begun
        questions_of(problem, kind, negatives, wanted, ratio=ratio)
        same_recipe(Path(folder) / "recipe.json", name, recipes[WHOLE])
    methods: dict[str, Method] = {title: method(name, r) for title, r in recipes.items()}
    evaluation = evaluate(
        problem,
        {"degree": degree, **methods},
        kind,
        negatives,
        seeds,
        ratio=ratio,
        folder=folder,
        progress=progress,
    )
    pairs = [(title, WHOLE) for title in recipes if title != WHOLE]
    return Ablation(name, evaluation, compare(evaluation, evaluation, pairs, resamples=resamples))


def same_recipe(path: Path, name: str, recipe: Recipe) -> None:
    """Keep a recipe in a file, or refuse to go on where another one is kept.

    Args:
        path: the file.
        name: of the model.
        recipe: its settings.

    Raises:
        GRNError: the file has another model or recipe, or cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     same_recipe(Path(folder, "recipe.json"), "regulon", Recipe(epochs=2))
        ...     same_recipe(Path(folder, "recipe.json"), "regulon", Recipe(epochs=3))
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: ... is of another recipe (epochs was 2, now 3); ...
    """
    if not path.exists():
        refuse_others(path.parent)
        save_recipe(path, name, recipe)
        return
    before, old = load_recipe(path)
    changed = [] if before == name else [f"model was {before}, now {name}"]
    changed += recipe.differences(vars(old))
    if changed:
        raise GRNError(
            f"{path.parent} is of another recipe ({'; '.join(changed)}); go on with the same one, "
            "or choose another folder"
        )
