"""The tables of what `bench_grn.py` measured, and the section of the page on performance."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from grn_problems import Sizes
from harness import markdown_table, processor

OURS = "groundup"
PUBLISHED = "scikit-learn, published"


@dataclass(frozen=True)
class Row:
    """One library at one piece of work.

    Attributes:
        seconds: of a call, the median.
        first: of the first call; None if it is none of the calls timed.
        ratio, low, high: its seconds over ours, with the middle half; above 1 ours is faster.
    """

    work: str
    threads: int
    library: str
    seconds: float
    first: float | None = None
    ratio: float | None = None
    low: float = 0.0
    high: float = 0.0

    def cells(self) -> list[str]:
        """The row of the table."""
        than = ["", ""]
        if self.ratio is not None:
            than = [f"{self.ratio:.2f}", f"{self.low:.2f} to {self.high:.2f}"]
        first = "" if self.first is None else digits(self.first)
        return [self.work, str(self.threads), self.library, digits(self.seconds), first, *than]


@dataclass(frozen=True)
class Inferred:
    """One method of inference.

    Attributes:
        seconds: for all genes.
        error: half the width of their 95% interval, where some genes stand for all.
        trees: of a gene, on average.
    """

    method: str
    threads: int
    library: str
    seconds: float
    first: float | None = None
    error: float | None = None
    trees: float | None = None


@dataclass
class Found:
    """All that was measured.

    Attributes:
        left: what was left out, and why.
        training: of the whole training: threads, seconds, epochs, AUROC on validation, edges.
        alike: by library, the correlation of its importances with those of our trees.
    """

    scoring: list[Row] = field(default_factory=list)
    training: list[Row] = field(default_factory=list)
    whole: list[dict[str, Any]] = field(default_factory=list)
    inference: list[Inferred] = field(default_factory=list)
    alike: dict[str, float] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def digits(value: float) -> str:
    """Three digits that count."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


HEAD = ["work", "threads", "library", "s", "first call, s", "it / groundup", "middle half"]
INFERENCE = [
    "method", "threads", "library", "all genes, s", "first call, s", "trees a gene",
    "GRNBoost2 / it", "as published / it",
]  # fmt: skip


def inference_cells(every: Sequence[Inferred]) -> list[list[str]]:
    """The rows of the table; trees of others are what methods are compared with."""
    table = []
    for row in every:
        of = {r.library: r.seconds for r in every if r.threads == row.threads and r.trees}
        installed = of.get("arboreto", of.get("scikit-learn"))
        than = [
            "" if other is None else digits(other / row.seconds)
            for other in (installed, of.get(PUBLISHED))
        ]
        seconds = digits(row.seconds)
        if row.error is not None:
            seconds += f" ± {digits(row.error)}"
        table.append([
            row.method,
            str(row.threads),
            row.library,
            seconds,
            "" if row.first is None else digits(row.first),
            "" if row.trees is None else f"{row.trees:.0f}",
            *than,
        ])  # fmt: skip
    return table


def tables(found: Found, sizes: Sizes) -> dict[str, str]:
    """What was measured in each part, with the sentences that follow from it."""
    parts: dict[str, list[str]] = {}
    if found.scoring:
        share = sizes.scored_genes / sizes.pair_genes
        whole = [
            f"{digits(row.seconds * share)} s in {row.library} ({counted(row.threads)})"
            for row in found.scoring
            if row.work.startswith("cross-encoder")
        ]
        parts["Scores of all pairs"] = [
            markdown_table(HEAD, [row.cells() for row in found.scoring]),
            f"All {sizes.scored_genes:,} genes take the cross-encoder {share:.3g} times as long: "
            f"{', '.join(whole)}.",
            ahead(found.scoring),
        ]
    if found.training:
        parts["Training a model"] = [
            markdown_table(HEAD, [row.cells() for row in found.training]),
            *(
                f"The whole training of `regulon` with {one['edges']:,} edges "
                f"({counted(one['threads'])}), compilation included: {digits(one['seconds'])} s, "
                f"{one['epochs']} epochs until it stops by itself."
                for one in found.whole
            ),
            ahead(found.training),
        ]
    if found.inference:
        same = [f"{value:.2f} for {peer}" for peer, value in found.alike.items()]
        parts["Networks from expression alone"] = [
            markdown_table(INFERENCE, inference_cells(found.inference)),
            "Importances of a gene's TFs by our trees and by the others correlate, in the median "
            f"of the genes: {', '.join(same)}."
            if same
            else "",
        ]
    if found.left:
        parts["Left out"] = found.left
    return {part: "\n\n".join(filter(None, texts)) for part, texts in parts.items()}


def ahead(rows: Sequence[Row]) -> str:
    """Which others are faster."""
    slower = [
        f"{row.library} at {row.work} ({counted(row.threads)})"
        for row in rows
        if row.ratio is not None and row.ratio < 1
    ]
    return f"Ahead of groundup: {'; '.join(slower)}." if slower else "No other is faster."


def counted(threads: int) -> str:
    """The number of threads in words."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def document(found: Found, sizes: Sizes, data: str) -> str:
    """The section of the page."""
    names = ("torch", "scikit-learn", "arboreto")
    there = ", ".join(f"{name} {version(name)}" for name in names if installed(name))
    words = {
        "Scores of all pairs": f"""{sizes.scored_tfs:,} TFs with {sizes.scored_genes:,} genes over
{sizes.samples} samples, by models with random weights, in blocks of the same size, into one matrix.
Each call of groundup compiles anew, as each use of the command does; torch.compile keeps what it
made at the first call. Scores were compared before timing.""",
        "Training a model": f"""On {data}. Pairs are drawn by the same
function in both libraries, which is a part of the epoch. PyTorch is eager, with its fused
optimizers. Losses and weights of steps without dropout were compared before timing.""",
        "Networks from expression alone": f"""From the same expression, without edges. GRNBoost2 is
arboreto where that is installed, else scikit-learn with its settings; both use as many processes as
there are threads. Trees are grown for {sizes.tree_genes} genes drawn at random, and the time for
all genes follows from theirs (± half its 95% interval).

GRNBoost2 ends the trees of a gene when they no longer improve the samples that they did not see, in
the mean of 25 trees. scikit-learn 1.3 and later take for the improvement the error of the tree
before on the samples that it did not see, minus the error of this tree on others: mostly chance,
and soon negative. "As published" is the improvement on the same samples, before and after the tree,
which older versions computed and our trees do.""",
    }
    parts = "\n\n".join(
        "\n\n".join(filter(None, [f"### {part}", words.get(part), text]))
        for part, text in tables(found, sizes).items()
    )
    return f"""## Gene regulation

Written by `python benchmarks/bench_grn.py --data FOLDER --write`. Processes and turns as above; the
ratio is the median over neighbouring turns: above 1, groundup is faster.

{parts}

Measured on: {processor()}, Python {platform.python_version()}, NumPy {np.__version__}, {there}.
"""


def installed(name: str) -> bool:
    """Whether a distribution is there."""
    with contextlib.suppress(PackageNotFoundError):
        return bool(version(name))
    return False
