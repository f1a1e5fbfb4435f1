"""`groundup grn ablate` and `sweep`: what each technique is worth, and better settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples, whole_number
from .grn import grn, told
from .grn_compare import contrasts
from .grn_evaluate import PANEL, Asking, Going, Resamples
from .grn_inputs import Data
from .grn_train import Epochs, RecipeFile, Set, recipe_of
from .grouped import grouped
from .messages import grid, output, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.tuning.search import Search

Single = Annotated[
    str, typer.Option(metavar="NAME", help="A single network of `groundup grn models`.")
]
SHOWN = 10
"""Trials in the table."""


@dataclass(frozen=True)
class Judging(Asking):
    """The questions by whose validation pairs trials are judged."""

    seeds: Annotated[
        int,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="Each has its own split; a trial trains once for each.",
            rich_help_panel=PANEL,
        ),
    ] = 1


@grn.command(
    epilog=examples(
        "groundup grn ablate --data data/ecoli",
        "groundup grn ablate --data data/ecoli --model optimised --split edge --negatives uniform",
        "groundup grn ablate --data data/ecoli --only no-dropout,no-matched-pairs --seeds 3",
    )
)
@told
@grouped
def ablate(
    inputs: Data,
    asking: Asking,
    model: Single = "regulon",
    recipe_file: RecipeFile = None,
    set_: Set = None,
    epochs: Epochs = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Which to remove, with commas between.", show_default="each"
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keeps all runs.", show_default="MODEL-ablation, here"),
    ] = None,
    resamples: Resamples = 2000,
    json: Json = False,
) -> None:
    """Evaluate a model's recipe, and the same without each of its techniques, one by one.

    A negative difference is what is lost without the technique. Every run is kept; the same command
    goes on. The last line is the folder, of which `grn report` and `grn plot` make more.
    """
    from ..apps.grn.tuning.ablate import ablate as remove, variants

    kind, negatives = asking.checked()
    model, recipe = recipe_of(model, recipe_file, set_, epochs)
    chosen = None if only is None else [word.strip() for word in only.split(",") if word.strip()]
    known = list(variants(model, recipe))[1:]
    if unknown := [name for name in chosen or [] if name not in known]:
        raise usage(f"--only {unknown[0]!r}: expected one of {', '.join(known)}")
    place = folder or Path(f"{model}-ablation")
    problem = asking.of(inputs)
    with Going(place) as steps:
        found = remove(
            problem, model, recipe, kind, negatives, asking.seeds,
            ratio=asking.ratio, only=chosen, folder=place, progress=steps, resamples=resamples,
        )  # fmt: skip
    if json:
        lines = [asdict(line) for line in found.contrasts]
        print_json({"folder": str(place), "model": model, "recipe": asdict(recipe), "lines": lines})
        return
    contrasts(found.contrasts, f"{model} without each technique; {found.evaluation.title()}")
    print(shown(place))


@grn.command(
    epilog=examples(
        "groundup grn sweep --data data/ecoli --trials 30",
        "groundup grn sweep --data data/ecoli --space learning_rate=log:1e-4:1e-2 "
        "--space dropout=uniform:0:0.5 --seeds 2",
        "groundup grn evaluate --data data/ecoli --recipe regulon-sweep/best.json",
    )
)
@told
@grouped
def sweep(
    inputs: Data,
    asking: Judging,
    model: Single = "regulon",
    recipe_file: RecipeFile = None,
    set_: Set = None,
    epochs: Epochs = None,
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RANGE",
            help="What to search: log:LOW:HIGH, uniform:LOW:HIGH, int:LOW:HIGH, logint:LOW:HIGH or "
            "choice:A,B,C. May be repeated.",
            show_default="learning rate, weight decay, batch and dropouts",
        ),
    ] = None,
    trials: Annotated[
        int,
        typer.Option(
            parser=whole_number(1), metavar="N", help="How many in all; those that are done count."
        ),
    ] = 20,
    seed: Annotated[
        int, typer.Option(parser=whole_number(0), metavar="N", help="Of what is drawn.")
    ] = 0,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keeps all trials.", show_default="MODEL-sweep, here"),
    ] = None,
    json: Json = False,
) -> None:
    """Search for settings of a model at random, judged on validation pairs alone.

    Trial 0 is the recipe as it is. The best of many is best by luck too: `grn evaluate --recipe`
    tells what it is worth. The same command goes on with a search that was stopped, and one with
    more trials adds to it. The last line is the recipe.
    """
    from ..apps.grn.errors import GRNError
    from ..apps.grn.tuning.search import Range, search
    from ..apps.grn.tuning.settings import save_recipe, with_settings

    kind, negatives = asking.checked()
    model, recipe = recipe_of(model, recipe_file, set_, epochs)
    ranges: dict[str, Range] | None = None
    try:
        for text in space or []:
            name, equals, rest = text.partition("=")
            if not equals:
                raise usage(f"--space {text!r}: expected NAME=RANGE, such as dropout=uniform:0:0.5")
            ranges = {**(ranges or {}), name.strip(): Range.parse(name, rest.strip())}
        for name, part in (ranges or {}).items():
            with_settings(model, {name: part.choices[0] if part.choices else part.low}, recipe)
    except GRNError as error:
        raise usage(f"--space: {error}") from error
    place = folder or Path(f"{model}-sweep")
    problem = asking.of(inputs)
    with Trials(place) as steps:
        found = search(
            problem, model, ranges,
            recipe=recipe, trials=trials, kind=kind, negatives=negatives, seeds=asking.seeds,
            ratio=asking.ratio, seed=seed, folder=place, progress=steps,
        )  # fmt: skip
    best = place / "best.json"
    save_recipe(best, model, found.best)
    if json:
        print_json(
            {
                "folder": str(place), "model": model, "recipe": asdict(found.best),
                "file": str(best), "best": found.ranked[0].number,
                "trials": [{**asdict(trial), "value": trial.value} for trial in found.trials],
            }
        )  # fmt: skip
        return
    _table(found)
    print(shown(best))


class Trials(Going):
    """A bar of trials; what is done is told in these.

    Example:
        >>> with Trials(Path("here")) as steps:
        ...     steps(1500, 3000, "trial 1")
        >>> steps.words
        'the trials before trial 1 are kept in here'
    """

    def __call__(self, done: int, of: int, what: str) -> None:
        """Show it, and remember it."""
        super().__call__(done, of, what)
        self.words = f"the trials before {what} are kept in {self.folder}"


def _table(found: Search) -> None:
    names = list(dict.fromkeys(name for trial in found.trials for name in trial.settings))
    table = grid(
        "trial", "validation AUROC", *names, title=f"{found.model}: the best trials; 0 is as it was"
    )
    for trial in found.ranked[:SHOWN]:
        value = trial.failed or f"{trial.value:.4f}"
        table.add_row(str(trial.number), value, *(_word(trial.settings.get(n)) for n in names))
    output().print(table)


def _word(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
