"""`groundup grn plot`: figures of an evaluation, or of a training."""

from __future__ import annotations

import json as json_
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples
from .grn import grn, say, told
from .grn_evaluate import kept
from .messages import fail, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.evaluation.results import Evaluation

KINDS = ("roc", "pr", "calibration", "degree", "tf")


@grn.command(
    epilog=examples(
        "groundup grn plot grn-gene-matched",
        "groundup grn plot grn-gene-matched --kind roc --kind tf --method regulon --format png",
        "groundup grn plot ecoli-model",
    )
)
@told
def plot(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Of `grn evaluate`, or of a trained model."),
    ],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help=f"{', '.join(KINDS)}; may be repeated.", show_default="all"
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="May be repeated.", show_default="all"),
    ] = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="svg or png.")] = "svg",
    output_: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="For the figures.",
            show_default="figures in the folder",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw figures of an evaluation, or how a model was trained. Each line is a file."""
    from .. import viz

    if format not in ("svg", "png"):
        raise usage(f"--format {format!r}: expected svg or png")
    if wrong := [name for name in kind or [] if name not in KINDS]:
        raise usage(f"--kind {wrong[0]!r}: expected one of {', '.join(KINDS)}")
    if (folder / "model.json").is_file():
        figures = _of_training(folder)
    else:
        figures = _of_evaluation(kept(folder), kind or KINDS, method, chosen=bool(kind))
    place = output_ or folder / "figures"
    files = [viz.save(figure, place / f"{name}.{format}") for name, figure in figures.items()]
    if json:
        print_json({"files": [str(file) for file in files]})
    else:
        print("\n".join(shown(file) for file in files))


def _of_training(folder: Path) -> dict[str, Any]:
    from .. import viz

    found: dict[str, list[float]] = {}
    places = sorted(folder.glob("member-*")) or [folder]
    for place in places:
        try:
            content = json_.loads((place / "model.json").read_text(encoding="utf-8"))
            column = content["history"].get("validation_auroc", [])
            name = f"{content['model']}, seed {content['seed']}"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise fail(f"{place / 'model.json'}: cannot be read: {error}") from error
        found[name] = [float("nan") if value is None else value for value in column]
    if not any(found.values()):
        raise fail(f"{folder}: the model was trained without validation, so there are no curves")
    return {"training": viz.curves(found, "Epoch", "AUROC on validation", possible=(0, 1))}


def _of_evaluation(
    found: Evaluation, kinds: Sequence[str], methods: Sequence[str] | None, chosen: bool
) -> dict[str, Any]:
    from ..apps.grn.evaluation import figures

    names = list(methods or found.methods)
    if unknown := [name for name in names if name not in found.methods]:
        raise usage(f"--method {unknown[0]!r}: expected one of {', '.join(found.methods)}")
    best = max(
        (name for name in names if name != "degree" or len(names) == 1),
        key=lambda name: found.values(name, "auroc").mean(),
    )
    several = {
        "roc": figures.roc,
        "pr": figures.precision_recall,
        "calibration": figures.calibration,
    }
    drawn: dict[str, Any] = {}
    for kind in kinds:
        try:
            if kind in several:
                drawn[kind] = several[kind](found, names)
            elif kind == "degree" and "degree" in found.methods:
                drawn[kind] = figures.degree_and_score(found, best)
            elif kind == "tf":
                drawn[kind] = figures.by_tf(found, best)
        except ValueError as error:
            if chosen:
                raise fail(f"{kind}: {error}") from error
            say(f"No figure {kind}: {error}")
    return drawn
