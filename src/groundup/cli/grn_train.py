"""`groundup grn train`, `predict` and `models`: a model of one's own data, and what it says."""

from __future__ import annotations

import json as json_
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples, whole_number
from .grn import Steps, grn, say, told
from .grn_inputs import Data, Measured
from .grn_networks import Format, Output, Top, format_of, write
from .grouped import grouped
from .messages import Stopped, grid, output, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.data.expression import Expression
    from ..apps.grn.models import Ensemble
    from ..apps.grn.training.recipes import Recipe
    from ..apps.grn.training.trained import Trained
    from ..apps.grn.use.combined import Combined

COMPOUND = ("ensemble", "combined")
"""Models of several networks, which only `train` and `evaluate` know."""
TRAINING = "training"
"""The folder, in that of the model, which keeps where training is."""

Model = Annotated[
    str, typer.Option(metavar="NAME", help="Of `groundup grn models`, ensemble, or combined.")
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="A model and its settings: of `grn sweep`, or of a trained model.",
        show_default=False,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated."),
]
Epochs = Annotated[
    int | None,
    typer.Option(parser=whole_number(1), metavar="N", help="At most.", show_default=False),
]
Seed = Annotated[
    int,
    typer.Option(parser=whole_number(0), metavar="N", help="The same seed, the same model."),
]


def recipe_of(
    model: str,
    file: Path | None,
    settings: list[str] | None,
    epochs: int | None = None,
    start: Recipe | None = None,
    also: Sequence[str] = (),
) -> tuple[str, Recipe]:
    """The model and recipe that the options of a command say.

    Args:
        model: its name.
        file: a recipe, which may be of another model.
        settings: changes to it.
        epochs: at most.
        start: what is changed, without a file; the model's own recipe if None.
        also: names that the command takes besides, for the message.

    Example:
        >>> name, recipe = recipe_of("expression", None, ["dropout=0.2"], 5)
        >>> name, recipe.epochs, recipe.options
        ('expression', 5, {'dropout': 0.2})
    """
    from ..apps.grn.errors import GRNError
    from ..apps.grn.training.recipes import PLANS
    from ..apps.grn.tuning.settings import load_recipe, with_settings

    if file is not None:
        model, start = load_recipe(file)
    if model not in PLANS:
        raise usage(f"--model {model!r}: expected one of {', '.join([*PLANS, *also])}")
    given: dict[str, Any] = {}
    for text in settings or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise usage(f"--set {text!r}: expected NAME=VALUE, such as learning_rate=0.001")
        given[name.strip()] = value.strip()
    if epochs is not None:
        given["epochs"] = epochs
    try:
        return model, with_settings(model, given, start)
    except GRNError as error:
        raise usage(str(error)) from error


@grn.command(
    epilog=examples(
        "groundup grn train --data data/ecoli ecoli-model",
        "groundup grn train --expression cells.h5ad --prior trrust.tsv --normalize 10000 --log1p "
        "model",
        "groundup grn train --data data/ecoli --model expression --set dropout=0.2 --epochs 30 m",
        "groundup grn predict ecoli-model --output edges.tsv",
    )
)
@told
@grouped
def train(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the model.")],
    inputs: Data,
    model: Model = "regulon",
    recipe_file: RecipeFile = None,
    set_: Set = None,
    epochs: Epochs = None,
    members: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="Of an ensemble, which knows how sure it is; 5 of --model ensemble or combined.",
            show_default="1",
        ),
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="For validation: edge, gene, group or tf.",
            show_default="group or gene; edge for models with a vector for each gene",
        ),
    ] = None,
    seed: Seed = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, whatever the folder has.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on expression and known edges, for use.

    Which names of the prior are measured is told first; with too few, nothing is trained. All edges
    are learned from but a part for validation; `grn evaluate` tells how good such a model is.
    Ctrl-C loses nothing: the same command goes on where it was. The last line is the folder.
    """
    from ..apps.grn.training.train import MEMBERS
    from ..apps.grn.use.combined import TOWERS, Combined
    from ..apps.grn.use.final import train_for_use
    from ..apps.grn.use.saved import save_trained

    if hold_out not in (None, "edge", "gene", "group", "tf"):
        raise usage(f"--hold-out {hold_out!r}: expected one of edge, gene, group, tf")
    name, start = model, None
    if model in COMPOUND:
        model, members = "regulon", members or MEMBERS
        start = TOWERS if name == "combined" else None
    count = members or 1
    model, recipe = recipe_of(model, recipe_file, set_, epochs, start, COMPOUND)
    _usable(out, count, restart)
    problem, names = inputs.pose()
    try:
        with Steps() as steps:
            trained = train_for_use(
                problem,
                name if name == "combined" else model,
                recipe,
                seed,
                kind=hold_out,  # type: ignore[arg-type]  # it is one of them
                members=count,
                folder=out / TRAINING,
                progress=steps,
            )
    except KeyboardInterrupt as error:
        raise Stopped(
            f"what was done is kept in {out}. Go on with the same command: groundup grn train "
            f"... {out}"
        ) from error
    save_trained(trained, out, prior_digest=problem.prior_digest, preprocessing=inputs.about(out))
    one = _members(trained)[0]
    reached = _validation(trained)
    if json:
        print_json(
            {
                "folder": str(out),
                "model": name if name == "combined" else model,
                "members": count,
                "seed": seed,
                "recipe": asdict(recipe),
                "parameters": one.model.size(),
                "validation_auroc": reached,
                "names": names,
            }
        )
        return
    words = "" if count == 1 else f"{count} times "
    found = "trained to the end, without a look at validation"
    if reached:
        found = "AUROC on validation edges and as many unlabelled pairs, matched in degree: "
        found += ", ".join(f"{value:.3f}" for value in reached)
    say(f"{model}: {words}{one.model.size():,} parameters; {found}")
    if isinstance(trained, Combined):
        weighed = zip(["towers", *trained.tables], trained.weights, strict=True)
        say(f"Weights of the evidence: {', '.join(f'{name} {w:.2f}' for name, w in weighed)}")
    print(shown(out))


def _usable(out: Path, members: int, restart: bool) -> None:
    """Refuse a folder that has something else."""
    place = out / TRAINING
    if out.is_file():
        raise usage(f"{out}: a file, expected a folder for the model")
    if restart and place.is_dir():
        shutil.rmtree(place)
    if out.is_dir() and any(out.iterdir()):
        if not place.is_dir() and not (out / "model.json").is_file():
            raise usage(f"{out}: a folder with other files; name another one")
        single, several = (place / "run.json").exists(), (place / "member-0").exists()
        if (single and members > 1) or (several and members == 1):
            there = "a single model" if single else "an ensemble"
            raise usage(f"{out} has a training of {there}; name another folder, or --restart")


def _members(trained: Trained | Ensemble[Trained] | Combined) -> Sequence[Trained]:
    from ..apps.grn.training.trained import Trained
    from ..apps.grn.use.combined import Combined

    if isinstance(trained, Combined):
        return trained.towers.members
    return (trained,) if isinstance(trained, Trained) else trained.members


def _validation(trained: Trained | Ensemble[Trained] | Combined) -> list[float]:
    """The best AUROC on validation of each member."""
    columns = [member.history.get("validation_auroc", ()) for member in _members(trained)]
    found = [[value for value in column if not math.isnan(value)] for column in columns]
    return [max(column) for column in found if column]


@grn.command(
    epilog=examples(
        "groundup grn predict ecoli-model",
        "groundup grn predict ecoli-model --top 5000 --output edges.graphml",
        "groundup grn predict model --expression cells.h5ad --output links.csv --format decoupler",
    )
)
@told
@grouped
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A folder of `grn train`.")],
    inputs: Measured,
    top: Top = 100_000,
    output_: Output = Path("edges.tsv"),
    format: Format = None,
    json: Json = False,
) -> None:
    """Score every TF with every gene by a trained model, and write the best pairs.

    The columns are TF, target, importance, probability, sign (where it was learned) and in_prior;
    of an ensemble also spread. Expression is read from where the model was trained, and prepared as
    it was then, unless other files are named. The last line is the file.
    """
    from ..apps.grn.use.predict import predict as score
    from ..apps.grn.use.saved import load_trained

    format_of(output_, format)
    content = _content(model)
    expression = _expression(model, content, inputs)
    trained = load_trained(model, expression)
    try:
        with Steps() as steps:
            network = score(trained, steps)
        write(network, output_, format, top, json, {"model": str(model)})
    except KeyboardInterrupt as error:
        raise Stopped("nothing was written") from error


def _content(model: Path) -> Mapping[str, Any]:
    """What a model, or the first of its members, keeps.

    Nothing if it is damaged, which is told when it is loaded.
    """
    for place in (model, model / "member-0", model / "towers" / "member-0"):
        try:
            content = json_.loads((place / "model.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            return {}
        if isinstance(content, dict) and isinstance(content.get("preprocessing"), dict):
            return content
    return {}


def _expression(model: Path, content: Mapping[str, Any], inputs: Measured) -> Expression | None:
    """Expression prepared as that of training, unless options say otherwise; None without any."""
    kept = dict(content.get("preprocessing", {}))
    genes = content.get("genes", ())
    file, few = kept.get("file"), kept.get("variable_genes")
    own = ["normalize", "log1p"]
    if inputs.expression is None and inputs.data is None:
        if file is None or not (model / file).is_file():
            say(
                "The expression that the model was trained with is not where it was; signs, and "
                "models that read expression, need --expression FILE"
            )
            return None
        inputs = replace(inputs, expression=(model / file).resolve())
        own += ["transpose", "duplicates", "layer", "gene_column"]
    usual = {item.name: item.default for item in fields(Measured)}
    same = {
        name: kept[name] for name in own if name in kept and getattr(inputs, name) == usual[name]
    }
    expression = replace(inputs, **same).read(genes)
    if few is None or inputs.variable_genes is not None:
        return expression
    row = expression.index()
    return expression.only([row[gene] for gene in genes if gene in row])


@grn.command(epilog=examples("groundup grn models", "groundup grn models --json"))
@told
def models(json: Json = False) -> None:
    """List the models, the simple methods beside them, and what can be set."""
    from ..apps.grn.baselines import BASELINES
    from ..apps.grn.training.recipes import PLANS
    from ..apps.grn.tuning.settings import options_of
    from ..apps.grn.use.methods import COUNTED

    if json:
        print_json(
            {
                "models": {
                    name: {
                        "about": plan.about, "recipe": asdict(plan.recipe),
                        "options": options_of(name),
                    }
                    for name, plan in PLANS.items()
                },
                "baselines": list(BASELINES),
            }
        )  # fmt: skip
        return
    table = grid("model", "what", "its own settings")
    for name, plan in PLANS.items():
        own = ", ".join(f"{key}={value}" for key, value in options_of(name).items())
        table.add_row(name, plan.about, own)
    output().print(table)
    print(
        "Of several: ensemble (five regulon), combined (five that see the mean of a group, with "
        "neighbours, CLR and what lies nearby on the genome)."
    )
    print(f"To compare with: {', '.join(BASELINES)}; and {', '.join(COUNTED)}, for all pairs.")
