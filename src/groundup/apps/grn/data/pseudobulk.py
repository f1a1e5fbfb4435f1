"""Cells of the same state joined to one sample, from a file of any size.

A state is a combination of annotations, such as region x cell type. Single cells hold few counts;
the mean over a state is closer to what a bulk measurement would give, and a matrix of a thousand
states fits where half a million cells do not.

A file is read a part at a time, so that the memory needed is that of the result and of one part:
rows of a matrix that is dense or compressed by rows, columns of one compressed by columns.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..errors import GRNError
from ..progress import Progress
from .expression import Duplicates, Expression, joined, repeats
from .hdf5 import annotations_of, chosen, form, genes_of, opened

How = Literal["mean", "sum"]

PART = 2**22
"""Values that are read at once: 16 MiB of float32, and their places."""


def pseudobulk(
    source: str | os.PathLike[str] | Expression,
    by: str | Sequence[str],
    how: How = "mean",
    least: int = 10,
    *,
    duplicates: Duplicates = "error",
    layer: str | None = None,
    gene_column: str | None = None,
    progress: Progress | None = None,
) -> Expression:
    """Join the cells of each state.

    Args:
        source: expression with annotations, or a file, ``.h5ad`` or ``.loom``.
        by: one or several columns of annotation.
        how: the mean of the cells, or their sum.
        least: states of fewer cells are left out, as are cells of which an annotation is missing.
        duplicates: what becomes of genes of the same name: "error", "mean", "sum" or "first".
        layer: of the file, the name of a layer, or "raw"; the main matrix without.
        gene_column: of the file, as of `read_expression`.
        progress: is called with values (of a file) or genes done, of how many, and what is done.

    Returns:
        a sample for each state, in the order of their words, called by these with ``|`` between;
        annotated with the words and with the number of ``cells``.

    Raises:
        GRNError: there is no such column, no state has enough cells, or the file is damaged.

    Example:
        >>> cells = Expression(
        ...     np.array([[1, 3, 8]], np.float32), ["a"], "xyz", {"type": ["t", "t", "u"]}
        ... )
        >>> states = pseudobulk(cells, "type", least=1)
        >>> list(states.samples), states.values.tolist()
        (['t', 'u'], [[2.0, 8.0]])
    """
    columns = [by] if isinstance(by, str) else list(by)
    if how not in get_args(How):
        raise GRNError(f"how={how!r}: expected mean or sum")
    if not columns or repeats(columns):
        raise GRNError(f"by={by!r}: expected one or several columns, each once")
    if least < 1:
        raise GRNError(f"least={least}: expected at least 1 cell")
    say = (lambda *words: None) if progress is None else progress
    if isinstance(source, Expression):
        states, state = _states(source.annotations, columns, least, "expression")
        total = _indicator(state, len(states)) @ source.values.T.astype(np.float64)
        say(len(source.genes), len(source.genes), "joining cells")
        return _made(total, list(source.genes), states, state, columns, how)
    path = Path(source)
    if path.suffix not in (".h5ad", ".loom"):
        raise GRNError(f"{path}: expected a file .h5ad or .loom, which has annotations of cells")
    with opened(path) as file:
        states, state = _states(annotations_of(file, path, columns), columns, least, str(path))
        matrix = chosen(file, layer, path)
        genes = genes_of(file, layer, path, gene_column)
        if duplicates == "error" and (twice := repeats(genes)):
            raise GRNError(
                f"{path}: {len(twice):,} genes occur more than once, such as "
                f"{', '.join(twice[:3])}; say how to join them: mean, sum or first"
            )
        total = np.zeros((len(states), len(genes)))
        for part, done, of in _parts(matrix, state, "matrix" in file, total):
            if not np.isfinite(part).all():
                raise GRNError("values that are NaN or infinite; remove such cells")
            say(done, of, "joining cells")
    return _made(total, genes, states, state, columns, how, duplicates)


def _states(
    annotations: Any, columns: Sequence[str], least: int, where: str
) -> tuple[list[tuple[str, ...]], NDArray[np.int64]]:
    """The states that have enough cells, and the number of that of each cell, or -1."""
    for column in columns:
        if column not in annotations:
            raise GRNError(
                f"{where}: cells have no annotation {column!r}; they have "
                f"{', '.join(annotations) or 'none'}"
            )
    words = list(zip(*(annotations[column] for column in columns), strict=True))
    counts = Counter(words)
    states = sorted(s for s, count in counts.items() if count >= least and all(s))
    if not states:
        most = max((count for state, count in counts.items() if all(state)), default=0)
        raise GRNError(
            f"{where}: no state of {' x '.join(columns)} has {least:,} cells; the largest of "
            f"{len(counts):,} has {most:,}"
        )
    place = {state: number for number, state in enumerate(states)}
    return states, np.array([place.get(word, -1) for word in words], np.int64)


def _indicator(state: NDArray[np.int64], states: int) -> sparse.csr_array:
    """(states, cells): 1 where a cell is of a state."""
    cells = np.flatnonzero(state >= 0)
    ones = np.ones(len(cells))
    return sparse.csr_array((ones, (state[cells], cells)), shape=(states, len(state)))


def _parts(
    matrix: Any, state: NDArray[np.int64], loom: bool, total: NDArray[np.float64]
) -> Iterator[tuple[NDArray[Any], int, int]]:
    """Add a matrix to the totals of its states; gives the parts that were added."""
    kind, _ = form(matrix)
    cells, genes = len(state), total.shape[1]
    if kind in ("csr_matrix", "csc_matrix"):
        yield from _compressed(matrix, state, total, kind == "csr_matrix")
        return
    if not hasattr(matrix, "shape") or matrix.dtype.kind not in "fiub":
        raise GRNError(f"a matrix of kind {kind!r}; expected numbers, dense or compressed")
    if tuple(matrix.shape) != ((genes, cells) if loom else (cells, genes)):
        raise GRNError(
            f"a matrix of shape {tuple(matrix.shape)} for {cells:,} cells and {genes:,} genes"
        )
    rows = max(1, PART // matrix.shape[1])
    indicator = None if not loom else _indicator(state, len(total)).T.tocsr()
    for start in range(0, matrix.shape[0], rows):
        block = np.asarray(matrix[start : start + rows], np.float64)
        if indicator is not None:
            total[:, start : start + rows] = (block @ indicator).T
        else:
            total += _indicator(state[start : start + rows], len(total)) @ block
        yield block, min(start + rows, matrix.shape[0]) * matrix.shape[1], matrix.size


def _compressed(
    matrix: Any, state: NDArray[np.int64], total: NDArray[np.float64], by_rows: bool
) -> Iterator[tuple[NDArray[Any], int, int]]:
    ends = matrix["indptr"][:].astype(np.int64)
    cells, genes = len(state), total.shape[1]
    lines, across = (cells, genes) if by_rows else (genes, cells)
    if len(ends) != lines + 1 or ends[-1] > len(matrix["data"]):
        raise GRNError(f"a compressed matrix of {len(ends) - 1:,} lines, expected {lines:,}")
    if ends[0] or (np.diff(ends) < 0).any():
        raise GRNError("a compressed matrix whose lines overlap; it may be damaged")
    start = 0
    while start < lines:
        end = int(np.searchsorted(ends, ends[start] + PART, "right")) - 1
        end = min(max(end, start + 1), lines)
        low, high = int(ends[start]), int(ends[end])
        data = matrix["data"][low:high].astype(np.float64)
        places = matrix["indices"][low:high]
        if len(places) and not 0 <= places.min() <= places.max() < across:
            raise GRNError(f"a compressed matrix with places past {across:,}")
        pieces = ends[start : end + 1] - low
        shape = (end - start, across)
        part: Any = sparse.csr_array((data, places, pieces), shape=shape)
        if by_rows:
            joint = (_indicator(state[start:end], len(total)) @ part).tocoo()
            joint.sum_duplicates()
            total[joint.coords] += joint.data
        else:
            total[:, start:end] = (part @ _indicator(state, len(total)).T).toarray().T
        yield data, high, int(ends[-1])
        start = end


def _made(
    total: NDArray[np.float64],
    genes: list[str],
    states: Sequence[tuple[str, ...]],
    state: NDArray[np.int64],
    columns: Sequence[str],
    how: How,
    duplicates: Duplicates = "error",
) -> Expression:
    cells = np.bincount(state[state >= 0], minlength=len(states))
    if how == "mean":
        total /= cells[:, None]
    words = {column: [s[number] for s in states] for number, column in enumerate(columns)}
    values, names = joined(np.ascontiguousarray(total.T, np.float32), genes, duplicates)
    return Expression(
        values,
        names,
        ["|".join(s) for s in states],
        {**words, "cells": [str(count) for count in cells]},
    )
