"""What `groundup grn` learns from: the options that name it, read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import whole_number
from .grn import (
    Duplicated,
    GeneColumn,
    Layer,
    SignColumn,
    TargetColumn,
    TFColumn,
    Transpose,
    in_folder,
    say,
)
from .messages import usage

if TYPE_CHECKING:
    from ..apps.grn.data.expression import Expression
    from ..apps.grn.data.prior import Prior
    from ..apps.grn.task.problem import Problem

PANEL, PREPARING = "What to learn from", "What is done to expression first"


def _file(words: str, metavar: str = "FILE") -> Any:
    return typer.Option(metavar=metavar, help=words, show_default=False, rich_help_panel=PANEL)


def _done(words: str, metavar: str | None, *names: str, **more: Any) -> Any:
    return typer.Option(
        *names, metavar=metavar, help=words, show_default=False, rich_help_panel=PREPARING, **more
    )


@dataclass(frozen=True)
class Measured:
    """Expression, and what is done to it."""

    data: Annotated[
        Path | None,
        _file("Of `groundup grn data get`, in place of files of one's own.", "FOLDER"),
    ] = None
    expression: Annotated[Path | None, _file("A table, .h5ad or .loom.")] = None
    transpose: Transpose = None
    duplicates: Duplicated = "error"
    layer: Layer = None
    gene_column: GeneColumn = None
    normalize: Annotated[float | None, _done("Scale samples to this sum.", "SUM")] = None
    log1p: Annotated[bool | None, _done("Take log(1 + x).", None, "--log1p/--no-log1p")] = None
    variable_genes: Annotated[
        int | None,
        _done("Keep the most variable genes, and all TFs.", "N", parser=whole_number(1)),
    ] = None
    cache: Annotated[Path | None, _done("Keeps what was made of expression.", "FOLDER")] = None

    @property
    def file(self) -> Path | None:
        """The file of the expression, if there is one."""
        from ..apps.grn.data.datasets import EXPRESSION

        if self.expression is None and self.data is not None:
            place = self.data / EXPRESSION
            return place if place.is_file() else None
        return self.expression

    def read(self, known: Collection[str] = (), keep: Collection[str] = ()) -> Expression:
        """Expression, prepared.

        Args:
            known: names that genes have.
            keep: genes that stay, however little they vary.
        """
        from ..apps.grn.data.datasets import CELLS, verify
        from ..apps.grn.data.preprocess import Preprocessing, cached
        from ..apps.grn.data.read import read_expression

        if self.duplicates not in ("error", "mean", "sum", "first"):
            raise usage(
                f"--duplicates {self.duplicates!r}: expected one of error, mean, sum, first"
            )
        if self.data is not None:
            verify(self.data)
        if (file := self.file) is None:
            if self.data is not None and (self.data / CELLS).is_file():
                raise usage(f"{self.data} has cells: give --expression {self.data / CELLS}")
            raise usage(
                "there is no expression; give --expression FILE, or --data FOLDER of a data set "
                "that has some"
            )
        own = self.expression is None  # a table of the data set, which has genes as rows
        if own and not (self.transpose is self.layer is self.gene_column is None):
            raise usage(
                "--transpose, --layer and --gene-column are for --expression FILE, not for --data"
            )
        preparing = Preprocessing(self.normalize, bool(self.log1p), self.variable_genes)
        settings: dict[str, Any] = {
            "transpose": False if own else self.transpose,
            "duplicates": self.duplicates,
            "layer": None if own else self.layer,
            "gene_column": None if own else self.gene_column,
            "known_genes": known,
        }
        if self.cache is not None:
            made, place = cached(file, preparing, self.cache, keep=keep, **settings)
            say(f"Prepared expression: {place}")
            return made
        found = read_expression(file, tell=None if own else say, **settings)
        return found if preparing == Preprocessing() else preparing.apply(found, keep)

    def about(self, folder: Path) -> dict[str, Any]:
        """What a model of this folder keeps, to read the same expression again."""
        file = self.file
        own = self.expression is None
        return {
            "file": None if file is None else Path(os.path.relpath(file, folder)).as_posix(),
            "transpose": False if own else self.transpose,
            "duplicates": self.duplicates,
            "layer": self.layer,
            "gene_column": self.gene_column,
            "normalize": self.normalize,
            "log1p": bool(self.log1p),
            "variable_genes": self.variable_genes,
        }


@dataclass(frozen=True)
class WithPrior(Measured):
    """Expression, and edges that are known."""

    prior: Annotated[
        Path | None, _file("Known edges, as TSV or CSV; or the folder of a data set.")
    ] = None
    tf_column: TFColumn = None
    target_column: TargetColumn = None
    sign_column: SignColumn = None

    def edges(self) -> Prior:
        """The prior."""
        from ..apps.grn.data.datasets import PRIOR, verify
        from ..apps.grn.data.prior import read_prior

        columns = {
            "tf": self.tf_column, "target": self.target_column, "sign": self.sign_column
        }  # fmt: skip
        if self.prior is None and any(columns.values()):
            raise usage("--tf-column, --target-column and --sign-column are for --prior FILE")
        if self.prior is not None:
            return read_prior(in_folder(self.prior, PRIOR), **columns, tell=say)
        if self.data is not None:
            verify(self.data)
            if not (self.data / PRIOR).is_file():
                raise usage(
                    f"{self.data} has no known edges: give them with --prior FILE, or do without "
                    "them by groundup grn infer"
                )
            return read_prior(self.data / PRIOR)
        raise usage("say what to learn from: --expression FILE and --prior FILE, or --data FOLDER")


@dataclass(frozen=True)
class Data(WithPrior):
    """Expression, known edges, and which genes belong together."""

    groups: Annotated[
        Path | None,
        _file("A table of genes, their groups, such as operons, and perhaps their places."),
    ] = None

    def pose(self) -> tuple[Problem, Mapping[str, Any]]:
        """The problem, after telling which names agree; and that as JSON can hold it."""
        from ..apps.grn.data.datasets import GENES, gene_table
        from ..apps.grn.data.quality import quality
        from ..apps.grn.task.problem import pose

        edges = self.edges()
        expression = self.read({*edges.tfs, *edges.targets}, set(edges.tfs))
        report = quality(expression, edges)
        say(str(report))
        report.require()
        assert report.names is not None
        place = self.groups
        if place is None and self.data is not None and (self.data / GENES).is_file():
            place = self.data / GENES
        groups, places = ({}, {}) if place is None else gene_table(place)
        if self.groups is not None and not any(groups.get(gene) for gene in expression.genes):
            raise usage(f"{self.groups}: no gene of the expression has a group there")
        problem = pose(
            expression,
            edges,
            groups=[groups.get(gene, "") for gene in expression.genes] if groups else None,
            places=[places.get(gene, -1) for gene in expression.genes] if places else None,
        )
        return problem, asdict(report.names)
