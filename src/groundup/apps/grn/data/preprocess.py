r"""From counts to what a method learns from: depth, logarithm, variable genes; kept in a file.

Variable genes are those whose dispersion is high for their mean, as Satija et al. (2015),
"Spatial reconstruction of single-cell gene expression data", choose them, after Macosko et al.
(2015): genes are put in 20 bins by their mean, and in each bin

$$z_g = \frac{d_g - \bar d}{\mathrm{sd}(d)}, \qquad d_g = \log\frac{\mathrm{var}_g}{\mu_g}.$$

Nothing here depends on edges, so it may be done before they are split.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....engine.files import CheckpointError, load, save
from ....engine.tensor import Tensor
from ..errors import GRNError
from .expression import Duplicates, Expression
from .read import read_expression

BINS = 20
FORMAT = 1
"""Of the files of `save_expression`, and of what `cached` does; older ones are made anew."""


@dataclass(frozen=True)
class Preprocessing:
    """What is done to expression, in this order.

    Attributes:
        normalize: the sum that each sample is scaled to, such as 10,000; None leaves samples.
        log1p: whether to take log(1 + x).
        variable_genes: how many of the most variable genes to keep; None keeps all.

    Raises:
        GRNError: a sum or a number of genes that is not positive.

    Example:
        >>> counts = Expression(np.array([[1, 4], [3, 4]], np.float32), ["a", "b"], ["x", "y"])
        >>> Preprocessing(normalize=8).apply(counts).values.tolist()
        [[2.0, 4.0], [6.0, 4.0]]
    """

    normalize: float | None = None
    log1p: bool = False
    variable_genes: int | None = None

    def __post_init__(self) -> None:
        if self.normalize is not None and not 0 < self.normalize < math.inf:
            raise GRNError(f"normalize={self.normalize}: expected a positive sum, such as 10000")
        if self.variable_genes is not None and self.variable_genes < 1:
            raise GRNError(f"variable_genes={self.variable_genes}: expected at least 1, or None")

    def apply(self, expression: Expression, keep: Collection[str] = ()) -> Expression:
        """Do it.

        Args:
            expression: as it was read.
            keep: genes that stay however little they vary: the TFs.

        Raises:
            GRNError: a sample without counts, or values of which there is no logarithm.
        """
        values = expression.values.astype(np.float64)
        if self.normalize is not None:
            if (values < 0).any():
                raise GRNError("values below 0 are no counts; leave out the normalisation")
            total = values.sum(axis=0)
            if not total.all():
                sample = expression.samples[int(np.argmin(total))]
                raise GRNError(f"sample {sample!r} has no counts; leave such samples out")
            values *= self.normalize / total
        rows = np.arange(len(expression.genes))
        if self.variable_genes is not None:
            rows = self._variable(values, expression, keep)
            values = values[rows]
        if self.log1p:
            if values.min() <= -1:
                raise GRNError(f"there is no log(1 + x) of {values.min():g}; is it logged already?")
            values = np.log1p(values)
        genes = [expression.genes[row] for row in rows.tolist()]
        chosen = values.astype(np.float32)
        return Expression(chosen, genes, expression.samples, expression.annotations)

    def _variable(
        self, values: NDArray[np.float64], expression: Expression, keep: Collection[str]
    ) -> NDArray[np.int64]:
        assert self.variable_genes is not None
        score = dispersion(values)
        best = np.argsort(-score, kind="stable")[: self.variable_genes]
        index = expression.index()
        kept = [index[gene] for gene in keep if gene in index]
        return np.union1d(best[score[best] > -np.inf], np.array(kept, np.int64)).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocessing:
        """From what `to_json` gave.

        Raises:
            GRNError: settings that there are not.

        Example:
            >>> Preprocessing.from_json({"log1p": True})
            Preprocessing(normalize=None, log1p=True, variable_genes=None)
        """
        known = [field.name for field in fields(cls)]
        if strange := set(content) - set(known):
            raise GRNError(
                f"preprocessing has no {', '.join(sorted(strange))}; it has {', '.join(known)}"
            )
        return cls(**content)


def dispersion(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each gene varies, beside genes of about the same mean.

    Args:
        values: not logged.

    Shape:
        values: (genes, samples) -> (genes,).

    Returns:
        $z$ of the equation above, with bins of equally many genes; 0 in a bin of which all genes
        are as dispersed; -inf for a gene that never changes or whose mean is not positive.

    Example:
        >>> dispersion(np.array([[1.0, 3.0], [0.0, 4.0], [2.0, 2.0]])).tolist()
        [-1.0, 1.0, -inf]
    """
    mean = values.mean(axis=1)
    variance = values.var(axis=1, ddof=min(1, values.shape[1] - 1))
    usable = np.flatnonzero((mean > 0) & (variance > 0))
    score = np.full(len(values), -np.inf)
    ratio = np.log(variance[usable] / mean[usable])
    order = np.argsort(mean[usable], kind="stable")
    for part in np.array_split(order, min(BINS, max(1, len(usable) // 2))):
        inside = ratio[part]
        deviation = inside.std() if len(inside) else 0.0
        score[usable[part]] = (inside - inside.mean()) / deviation if deviation > 1e-12 else 0.0
    return score


def save_expression(
    expression: Expression, path: str | os.PathLike[str], about: Mapping[str, Any] | None = None
) -> None:
    """Write expression to one safetensors file, with names and annotations as JSON in its header.

    Args:
        expression: what to write.
        path: the file; written whole or not at all.
        about: anything else that JSON can hold.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_expression(Expression(np.ones((1, 2)), "a", "xy"), f"{folder}/x.safetensors")
        ...     load_expression(f"{folder}/x.safetensors")
        Expression(1 genes, 2 samples)
    """
    header = {
        "kind": "expression",
        "version": FORMAT,
        "genes": list(expression.genes),
        "samples": list(expression.samples),
        "annotations": {name: list(words) for name, words in expression.annotations.items()},
        "sha256": _digest(expression),
        "about": dict(about or {}),
    }
    save({"values": Tensor(np.asarray(expression.values, np.float32))}, path, metadata=header)


def load_expression(path: str | os.PathLike[str]) -> Expression:
    """Read what `save_expression` wrote.

    Raises:
        GRNError: the file is missing, damaged, or of another kind.

    Example:
        >>> load_expression("no such file")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: no such file: there is no such file
    """
    try:
        tensors, header = load(path)
        if header["kind"] != "expression" or header["version"] != FORMAT:
            raise KeyError("kind")
        found = Expression(
            tensors["values"].array.astype(np.float32, copy=False),
            header["genes"],
            header["samples"],
            header["annotations"],
        )
        if header["sha256"] != _digest(found):
            raise GRNError("its values or names are not those that were written")
    except CheckpointError as error:
        raise GRNError(str(error)) from error
    except GRNError as error:
        raise GRNError(f"{path}: damaged: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise GRNError(f"{path}: not a file of preprocessed expression") from error
    return found


def _digest(expression: Expression) -> str:
    """A hash of the values and all names."""
    words = {name: list(column) for name, column in expression.annotations.items()}
    names = json.dumps([list(expression.genes), list(expression.samples), words])
    values = np.ascontiguousarray(expression.values, np.float32)
    return hashlib.sha256(names.encode() + values.tobytes()).hexdigest()


def cached(
    path: str | os.PathLike[str],
    preprocessing: Preprocessing,
    folder: str | os.PathLike[str],
    *,
    keep: Collection[str] = (),
    transpose: bool | None = None,
    duplicates: Duplicates = "error",
    layer: str | None = None,
    gene_column: str | None = None,
    known_genes: Collection[str] = (),
) -> tuple[Expression, Path]:
    r"""Preprocessed expression: from a file that was made before, if nothing has changed since.

    The file's name has a hash of the content of the expression file and of every setting; one that
    is damaged is made anew.

    Args:
        path: the expression file.
        preprocessing: what is done.
        folder: where such files are kept.
        keep: genes that stay, as in `Preprocessing.apply`.
        transpose, duplicates, layer, gene_column, known_genes: as of `read_expression`.

    Returns:
        expression, and its file.

    Raises:
        GRNError: as of `read_expression` and `Preprocessing.apply`; nothing is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "x.csv"
        ...     _ = file.write_text("gene,a,b\nfur,1,3\n")
        ...     made, place = cached(file, Preprocessing(normalize=1), folder)
        ...     made.values.tolist(), place.suffix
        ([[1.0, 1.0]], '.safetensors')
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GRNError(f"{path}: {error.strerror or error}") from error
    about = {
        "content": content,
        "preprocessing": preprocessing.to_json(),
        "keep": sorted(set(keep)) if preprocessing.variable_genes is not None else [],
        "transpose": transpose,
        "duplicates": duplicates,
        "layer": layer,
        "gene_column": gene_column,
        "known_genes": sorted(set(known_genes)),
        "kind": path.suffix,
        "version": FORMAT,
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    place = Path(folder) / f"{path.name.partition('.')[0]}-{digest[:16]}.safetensors"
    if place.is_file():
        try:
            return load_expression(place), place
        except GRNError:
            pass  # damaged: made anew below
    read = read_expression(
        path,
        transpose=transpose,
        duplicates=duplicates,
        layer=layer,
        gene_column=gene_column,
        known_genes=known_genes,
    )
    made = preprocessing.apply(read, keep)
    save_expression(made, place, {k: v for k, v in about.items() if k != "known_genes"})
    return made, place
