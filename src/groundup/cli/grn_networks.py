"""`groundup grn infer` and `export`: networks without a model, and networks as other files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples, whole_number
from .grn import Steps, grn, say, told
from .grn_inputs import WithPrior
from .grouped import grouped
from .messages import Stopped, print_json, shown, usage

if TYPE_CHECKING:
    from ..apps.grn.networks.network import Network

ENDINGS = {".tsv": "tsv", ".graphml": "graphml", ".sif": "sif"}
"""Of files, and the format that they say."""

Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write.")]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="tsv, arboreto, beeline, decoupler, sif or graphml.",
        show_default="that of the file's ending",
    ),
]
Top = Annotated[
    int,
    typer.Option(parser=whole_number(0), metavar="N", help="The best pairs; 0 writes all."),
]


def format_of(path: Path, given: str | None) -> str:
    """The format of a file, as given or by its name.

    Example:
        >>> format_of(Path("net.sif"), None), format_of(Path("rankedEdges.csv"), None)
        ('sif', 'beeline')
    """
    from ..apps.grn.networks.export import FORMATS

    if given is None:
        by_name = "beeline" if path.name == "rankedEdges.csv" else ENDINGS.get(path.suffix.lower())
        if by_name is None:
            raise usage(
                f"{path}: the ending says no format; use {', '.join(ENDINGS)}, or --format with "
                f"one of {', '.join(FORMATS)}"
            )
        return by_name
    if given not in FORMATS:
        raise usage(f"--format {given!r}: expected one of {', '.join(FORMATS)}")
    return given


def write(
    network: Network,
    path: Path,
    format: str | None,
    top: int,
    json: bool,
    about: Mapping[str, Any],
    listed: int | None = None,
) -> None:
    """Write the best pairs of a network, and tell it.

    Args:
        network: what to write.
        path: where.
        format: as `format_of`.
        top: how many; 0 for all.
        json: tell it as JSON.
        about: what else to tell there.
        listed: pairs that the network has; all if None.
    """
    from ..apps.grn.networks.export import export

    pairs = network.scores.size if listed is None else listed
    count = min(top or pairs, pairs)
    kind = format_of(path, format)
    export(network, path, kind, count)
    if json:
        print_json(
            {
                "file": str(path), "format": kind, "edges": count, "pairs": pairs,
                "tfs": len(network.tf_names), "genes": len(network.gene_names), **about,
            }
        )  # fmt: skip
        return
    if count < pairs:
        say(f"The {count:,} best of {pairs:,} pairs; --top 0 writes all")
    print(shown(path))


@grn.command(
    epilog=examples(
        "groundup grn infer --expression counts.tsv --tfs tfs.txt",
        "groundup grn infer --data data/ecoli --method pearson --output edges.graphml --top 2000",
        "groundup grn infer --expression cells.h5ad --tfs tfs.txt --method trees --format arboreto",
    )
)
@told
@grouped
def infer(
    inputs: WithPrior,
    tfs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Names of TFs, one a line.",
            show_default="those of the prior, if there is one",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="pearson, clr, trees (as GRNBoost2) or two-tower-self-supervised."
        ),
    ] = "clr",
    top: Top = 100_000,
    output_: Output = Path("edges.tsv"),
    format: Format = None,
    seed: Annotated[
        int, typer.Option(parser=whole_number(0), metavar="N", help="Of trees and towers.")
    ] = 0,
    json: Json = False,
) -> None:
    """Infer a network from expression alone; a prior, if there is one, marks what is known.

    The columns are TF, target and importance, and in_prior with a prior. Trees take minutes to an
    hour; the same command goes on where they were stopped. The last line is the file.
    """
    from ..apps.grn.unsupervised import UNSUPERVISED
    from ..apps.grn.use.inferred import infer as found_by

    if method not in UNSUPERVISED:
        raise usage(f"--method {method!r}: expected one of {', '.join(UNSUPERVISED)}")
    format_of(output_, format)
    if tfs is None and inputs.prior is None and inputs.data is None:
        raise usage("name the TFs with --tfs FILE, or a prior that has them")
    edges = inputs.edges() if inputs.prior or inputs.data else None
    names = _names(tfs) if tfs else sorted(set(edges.tfs)) if edges is not None else []
    expression = inputs.read(names, names)
    row = expression.index()
    found = [name for name in names if name in row]
    if missing := [name for name in names if name not in row]:
        say(f"{len(missing):,} of {len(names):,} TFs are not measured: {', '.join(missing[:5])}")
    if not found:
        lower = {gene.lower(): gene for gene in expression.genes}
        twin = next((name for name in names if name.lower() in lower), None)
        hint = f"; {twin} and {lower[twin.lower()]} differ in capitals only" if twin else ""
        raise usage(f"no TF is among the {len(row):,} genes measured{hint}")
    kept = output_.with_name(f"{output_.name}.parts") if method == "trees" else None
    try:
        with Steps() as steps:
            steps(0, 1, f"inferring by {method}")
            network = found_by(
                expression, found, method, prior=edges, seed=seed, progress=steps, folder=kept
            )
        write(network, output_, format, top, json, {"method": method})
    except KeyboardInterrupt as error:
        words = "nothing was written"
        if kept is not None and kept.is_dir():
            words = f"what was done is kept in {kept}. Go on with the same command"
        raise Stopped(words) from error
    if kept is not None:
        shutil.rmtree(kept, ignore_errors=True)


def _names(path: Path) -> list[str]:
    """Names, one a line; each once."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise usage(f"{path}: not text in UTF-8; expected names of TFs, one a line") from error
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise usage(f"{path}: empty, expected names of TFs, one a line")
    if wide := next((name for name in found if "\t" in name or "," in name), None):
        raise usage(f"{path}: {wide[:40]!r}: expected names of TFs, one a line and nothing else")
    return found


@grn.command(
    "export",
    epilog=examples(
        "groundup grn export edges.tsv --output edges.graphml --top 1000",
        "groundup grn export edges.tsv --output rankedEdges.csv",
        "groundup grn export adjacencies.csv --output net.csv --format decoupler",
    ),
)
@told
def export_network(
    network: Annotated[
        Path,
        typer.Argument(metavar="NETWORK", help="A table of edges, of this or another program."),
    ],
    output_: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write.")
    ],
    format: Format = None,
    top: Top = 0,
    json: Json = False,
) -> None:
    """Write a network in the format of another program.

    Read are the tables of `grn predict` and `grn infer`, GRNBoost2's, pySCENIC's, BEELINE's and
    decoupler's. The last line is the file.
    """
    from ..apps.grn.networks.listed import read_network

    format_of(output_, format)
    found, listed = read_network(network)
    write(found, output_, format, top, json, {"from": str(network)}, listed)
