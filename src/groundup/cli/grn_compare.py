"""`groundup grn compare`: methods of two evaluations on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .app import Json, examples
from .grn import grn, told
from .grn_evaluate import Resamples, kept, p_word
from .messages import grid, output, print_json, usage

if TYPE_CHECKING:
    from ..apps.grn.evaluation.compare import Contrast


@grn.command(
    "compare",
    epilog=examples(
        "groundup grn compare grn-gene-matched other-expression",
        "groundup grn compare grn-gene-matched grn-gene-matched --methods regulon=clr",
    ),
)
@told
def compare_folders(
    one: Annotated[Path, typer.Argument(metavar="A", help="A folder of `grn evaluate`.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another, or the same.")],
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="With commas between; X=Y is X of A against Y of B.",
            show_default="all that both have",
        ),
    ] = None,
    resamples: Resamples = 2000,
    json: Json = False,
) -> None:
    """Compare methods of two evaluations on the same test pairs, seed by seed.

    Told is A minus B, with a permutation test that is paired and clustered by TF.
    """
    from ..apps.grn.evaluation.compare import compare

    pairs = None
    if methods is not None:
        words = [word.strip().partition("=") for word in methods.split(",") if word.strip()]
        pairs = [(a, b if equals else a) for a, equals, b in words]
        if not pairs:
            raise usage("--methods: expected names, such as regulon or regulon=clr")
    lines = compare(kept(one), kept(other), pairs, resamples=resamples)
    if json:
        print_json([asdict(line) for line in lines])
        return
    contrasts(lines, f"{one} minus {other}")


def contrasts(lines: Sequence[Contrast], title: str) -> None:
    """Show comparisons as a table."""
    table = grid(
        "method", "against", "AUROC", "its AUROC", "difference", "higher in", "AUPRC ratio",
        "p, corrected", title=title,
    )  # fmt: skip
    for line in lines:
        table.add_row(
            line.method,
            line.against,
            f"{line.one:.3f}",
            f"{line.other:.3f}",
            f"{line.difference.value:+.3f}",
            f"{line.above} of {line.seeds} seeds",
            f"{line.means['auprc_ratio']:+.3f}",
            p_word(line.adjusted),
        )
    output().print(table)
