"""`groundup grn evaluate` and `report`: what methods are worth."""

from __future__ import annotations

import json as json_
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..engine.files import write_atomically
from .app import Json, examples, whole_number
from .grn import Steps, grn, say, told
from .grn_inputs import Data
from .grn_train import recipe_of
from .grouped import grouped
from .messages import Stopped, fail, grid, output, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.evaluation.results import Evaluation
    from ..apps.grn.evaluation.summary import Line
    from ..apps.grn.task.negatives import Negatives
    from ..apps.grn.task.problem import Method, Problem
    from ..apps.grn.task.splits import Kind

CONTROLS = {"permuted-gene-labels": "permuted gene labels", "rewired-prior": "rewired prior"}
"""Folders of null controls, and what they are called."""
PANEL = "What is asked"


def _asked(words: str, metavar: str, **more: Any) -> Any:
    return typer.Option(metavar=metavar, help=words, rich_help_panel=PANEL, **more)


@dataclass(frozen=True)
class Asking:
    """The questions of an evaluation."""

    split: Annotated[
        str, _asked("What is held out: edge, gene, group, tf or both (TFs and genes).", "KIND")
    ] = "gene"
    negatives: Annotated[
        str,
        _asked("Unlabelled pairs beside the edges: uniform, matched (in degree) or all.", "KIND"),
    ] = "matched"
    ratio: Annotated[float, _asked("Such pairs for each edge; not of all.", "X")] = 1.0
    seeds: Annotated[int, _asked("Each has its own split.", "N", parser=whole_number(1))] = 5

    def checked(self) -> tuple[Kind, Negatives]:
        """What is held out and what stands beside; a word that is unknown is refused."""
        from ..apps.grn.task.negatives import NEGATIVES
        from ..apps.grn.task.splits import KINDS

        if self.split not in KINDS:
            raise usage(f"--split {self.split!r}: expected one of {', '.join(KINDS)}")
        if self.negatives not in NEGATIVES:
            raise usage(f"--negatives {self.negatives!r}: expected one of {', '.join(NEGATIVES)}")
        if not self.ratio > 0:
            raise usage(f"--ratio {self.ratio}: expected a positive number")
        return self.split, self.negatives

    def of(self, inputs: Data) -> Problem:
        """The problem, which has groups if they are held out."""
        problem, _ = inputs.pose()
        if self.split == "group" and not (problem.groups >= 0).any():
            raise usage("--split group needs the groups of the genes: --groups FILE")
        return problem


EvaluationFolder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Of `grn evaluate` or `grn ablate`.")
]
Resamples = Annotated[
    int,
    typer.Option(
        parser=whole_number(50), metavar="N", help="Draws for intervals and permutation tests."
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Where to write.",
        show_default="report.html in the folder",
    ),
]  # fmt: skip
Title = Annotated[str, typer.Option(metavar="WORDS", help="Of the report.")]


@grn.command(
    epilog=examples(
        "groundup grn evaluate --data data/ecoli --split gene --methods degree,clr,regulon",
        "groundup grn evaluate --expression x.h5ad --prior trrust.tsv --split tf --negatives all",
        "groundup grn evaluate --data data/ecoli --split group --controls --folder operons",
        "groundup grn evaluate --data data/ecoli --recipe sweep/best.json",
    )
)
@told
@grouped
def evaluate(
    inputs: Data,
    asking: Asking,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Of `grn models`, with commas between; baselines and models are all of these. "
            "Trees take longest: minutes for each seed of a whole genome.",
        ),
    ] = "baselines,regulon",
    recipes: Annotated[
        list[Path] | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            help="A model with settings of its own; may be repeated.",
            show_default=False,
        ),
    ] = None,
    controls: Annotated[
        bool,
        typer.Option("--controls", help="Also on permuted gene labels and on a rewired prior."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keeps all runs.", show_default="grn-SPLIT-NEGATIVES, here"
        ),
    ] = None,
    resamples: Resamples = 2000,
    title: Title = "Regulatory edges",
    json: Json = False,
) -> None:
    """Measure methods on edges that are held out, beside simple ones.

    Degree, which counts edges and looks at nothing else, is always among them: it is what the
    others are tested against. Every run is kept, so that the same command goes on after Ctrl-C,
    and one with more methods or seeds adds to it. The last line is the report, an HTML page.
    """
    from ..apps.grn.task.controls import permuted_genes, rewired

    kind, negatives = asking.checked()
    chosen = {**methods_of(methods), **_with_recipes(recipes or [])}
    place = folder or Path(f"grn-{kind}-{negatives}")
    problem = asking.of(inputs)
    found = measured(problem, chosen, asking, place)
    null: dict[str, Evaluation] = {}
    if controls:
        for name, change in zip(CONTROLS, (permuted_genes, rewired), strict=True):
            say(f"Control: {CONTROLS[name]}")
            null[CONTROLS[name]] = measured(
                change(problem, 0), chosen, asking, place / "controls" / name
            )
    _tell(found, null, place / "report.html", title, resamples, json, place)


def methods_of(words: str) -> dict[str, Method]:
    """Methods by their names with commas between; degree is always there.

    Example:
        >>> list(methods_of("clr,degree"))
        ['clr', 'degree']
    """
    from ..apps.grn.baselines import BASELINES
    from ..apps.grn.registry import METHODS
    from ..apps.grn.training.recipes import PLANS

    names: list[str] = []
    for word in filter(None, (word.strip() for word in words.split(","))):
        names += {"baselines": list(BASELINES), "models": list(PLANS)}.get(word, [word])
    if unknown := [name for name in names if name not in METHODS]:
        raise usage(f"--methods {unknown[0]!r}: expected names of {', '.join(METHODS)}")
    if "degree" not in names:
        names.insert(0, "degree")
    return {name: METHODS[name] for name in dict.fromkeys(names)}


def _with_recipes(files: Sequence[Path]) -> dict[str, Method]:
    """Models with their own settings, named by these, so that a folder does not mix them up."""
    import hashlib

    from ..apps.grn.use.methods import method

    found = {}
    for file in files:
        name, recipe = recipe_of("", file, None)
        digest = hashlib.sha256(json_.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()
        own = f"{name}-{digest[:6]}"
        say(f"{file}: {own}")
        found[own] = method(name, recipe)
    return found


def measured(
    problem: Problem, methods: Mapping[str, Method], asking: Asking, folder: Path
) -> Evaluation:
    """An evaluation, with a bar; what cannot be asked, and Ctrl-C, are told."""
    from ..apps.grn.evaluation.evaluate import evaluate as ask

    kind, negatives = asking.checked()
    with Going(folder) as steps:
        return ask(
            problem, methods, kind, negatives, asking.seeds,
            ratio=asking.ratio, folder=folder, progress=steps,
        )  # fmt: skip


class Going(Steps):
    """A bar of long work that a folder keeps; Ctrl-C says how to go on.

    Example:
        >>> with Going(Path("here")) as steps:
        ...     steps(0, 1, "working")
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.words = "nothing had begun"

    def __enter__(self) -> Going:
        super().__enter__()
        return self

    def __call__(self, done: int, of: int, what: str) -> None:
        """Show it, and remember it for the one who stops it."""
        from ..apps.grn.progress import SHARES

        runs, all_ = done // SHARES, of // SHARES
        self.words = f"{runs:,} of {all_:,} runs are kept in {self.folder}"
        super().__call__(done, of, what)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, KeyboardInterrupt):
            words = f"{self.words}. Go on with the same command (--folder {self.folder})"
            raise Stopped(words) from error
        if type(error) is ValueError:  # what a split or a draw refuses
            raise fail(str(error)) from error


def _tell(
    found: Evaluation,
    null: Mapping[str, Evaluation],
    path: Path,
    title: str,
    resamples: int,
    json: bool,
    folder: Path,
) -> None:
    """Write the report and the numbers; show the table and the verdict."""
    from ..apps.grn.evaluation.report import report as page
    from ..apps.grn.evaluation.summary import summarize
    from ..apps.grn.evaluation.verdict import verdict

    with Steps() as steps:
        steps(0, 2, "intervals and tests")
        lines = summarize(found, resamples=resamples)
        beside = {name: summarize(control, resamples=resamples) for name, control in null.items()}
        steps(1, 2, "writing the report")
        page(found, null, title=title, resamples=resamples).write(path)
        write_atomically(folder / "evaluation.json", (found.to_json() + "\n").encode())
    if json:
        content = json_.loads(found.to_json())
        print_json(
            {
                "folder": str(folder),
                "report": str(path),
                **content,
                "lines": [asdict(line) for line in lines],
                "controls": {n: [asdict(line) for line in some] for n, some in beside.items()},
            }
        )
        return
    _table(found.title(), lines)
    output().print(verdict(found.protocol, lines, beside), markup=False)
    print()
    print(shown(path))


def _table(title: str, lines: Sequence[Line]) -> None:
    table = grid(
        "method", "AUROC (95 %)", "AUPRC ratio", "early precision", "by TF", "accuracy",
        "over degree", "p, corrected", title=title,
    )  # fmt: skip
    for line in lines:
        means = line.means
        over = "" if line.difference is None else f"{line.difference.value:+.3f}"
        table.add_row(
            line.method,
            str(line.auroc),
            *(
                f"{means[name]:.3f}"
                for name in ("auprc_ratio", "early_precision", "auroc_by_tf", "accuracy")
            ),
            over,
            p_word(line.adjusted),
        )
    output().print(table)


def p_word(value: float | None) -> str:
    """A p-value as it stands in a table.

    Example:
        >>> p_word(0.0401), p_word(0.0001), p_word(None)
        ('0.040', '< 0.001', '')
    """
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def kept(folder: Path) -> Evaluation:
    """The evaluation of a folder that has at least a run."""
    from ..apps.grn.errors import GRNError
    from ..apps.grn.evaluation.record import Record

    found = Record(folder).read()
    if not found.methods or not found.seeds:
        raise GRNError(f"{folder}: no run has come to its end there; go on with the evaluation")
    return found


@grn.command(
    epilog=examples(
        "groundup grn report grn-gene-matched",
        "groundup grn report grn-gene-matched --output genes.html --title 'E. coli, genes'",
    )
)
@told
def report(
    folder: EvaluationFolder,
    output_: HtmlFile = None,
    title: Title = "Regulatory edges",
    resamples: Resamples = 2000,
    json: Json = False,
) -> None:
    """Write the report of an evaluation that was made, with its controls, as one HTML page.

    Of one that was ended in the middle, what is there. The last line is the file.
    """
    found = kept(folder)
    null = {
        name: kept(folder / "controls" / place)
        for place, name in CONTROLS.items()
        if (folder / "controls" / place / "protocol.json").exists()
    }
    _tell(found, null, output_ or folder / "report.html", title, resamples, json, folder)
