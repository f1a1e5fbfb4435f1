"""A network read from a table of edges, as this and other programs write it.

Known by their first line: ``TF target importance`` with whatever stands beside (this program,
GRNBoost2, pySCENIC), ``Gene1 Gene2 EdgeWeight`` (BEELINE) and ``source target weight`` (decoupler,
whose weights have the sign of the regulation); tabs or commas between, gzip too.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..data.extra import UNREADABLE
from ..errors import GRNError
from .network import Network

HEADS = (
    ("tf", "target", "importance"),
    ("gene1", "gene2", "edgeweight"),
    ("source", "target", "weight"),
)
SIGNED = HEADS[2]
_TRUE = {"true": True, "false": False, "1": True, "0": False}


def read_network(path: str | os.PathLike[str]) -> tuple[Network, int]:
    r"""Read a table of edges.

    Args:
        path: the file.

    Returns:
        (the network, how many pairs the table lists). Pairs that it does not list have a score
        below all others: ask for no more than it lists. Of equal importance, those come first
        whose TF, then whose target, comes first in the table.

    Raises:
        GRNError: the file cannot be read, is another table, or has a line that is not an edge.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "edges.tsv")
        ...     _ = file.write_text("TF\ttarget\timportance\nfur\tentA\t0.5\nfur\tsodB\t0.25\n")
        ...     network, count = read_network(file)
        >>> [row[:3] for row in network.ranked(count)]
        [('fur', 'entA', 0.5), ('fur', 'sodB', 0.25)]
    """
    path = Path(path)
    lines = _lines(path)
    columns, mark = _head(path, next(lines, ""))
    lower = [column.lower() for column in columns]
    head = next((head for head in HEADS if set(head) <= set(lower)), None)
    if head is None:
        raise GRNError(
            f"{path}: the columns are {', '.join(columns)[:60]}; expected TF, target, importance, "
            "or Gene1, Gene2, EdgeWeight, or source, target, weight"
        )
    place = [lower.index(name) for name in head]
    beside = [name for name in ("probability", "spread", "sign", "in_prior") if name in lower]
    tfs: dict[str, int] = {}
    genes: dict[str, int] = {}
    at: list[tuple[int, int]] = []
    found: dict[str, list[float]] = {name: [] for name in ("importance", *beside)}
    for number, line in enumerate(lines, 2):
        words = _words(path, line, mark)
        if len(words) != len(columns):
            raise GRNError(
                f"{path}: line {number} has {len(words)} columns, expected {len(columns)}"
            )
        tf, target, weight = (words[column].strip() for column in place)
        if not tf or not target:
            raise GRNError(f"{path}: line {number} has no name of a TF or of a target")
        at.append((tfs.setdefault(tf, len(tfs)), genes.setdefault(target, len(genes))))
        found["importance"].append(_value(path, number, "importance", weight))
        for name in beside:
            found[name].append(_value(path, number, name, words[lower.index(name)]))
    if not at:
        raise GRNError(f"{path}: a first line and no edges")
    return _network(path, tfs, genes, np.array(at), found, head == SIGNED), len(at)


def _network(
    path: Path,
    tfs: dict[str, int],
    genes: dict[str, int],
    at: Any,
    found: dict[str, list[float]],
    signed: bool,
) -> Network:
    shape = len(tfs), len(genes)
    flat = at[:, 0] * shape[1] + at[:, 1]
    if len(np.unique(flat)) < len(flat):
        order = np.argsort(flat, kind="stable")
        again = order[1:][np.diff(flat[order]) == 0].min()
        tf, gene = list(tfs)[at[again, 0]], list(genes)[at[again, 1]]
        raise GRNError(f"{path}: line {again + 2} has the edge {tf} {gene} again")
    importance = np.array(found["importance"])
    if signed:
        found["sign"] = np.sign(importance).tolist()
        importance = np.abs(importance)

    def matrix(values: Any, rest: float, kind: Any) -> Any:
        whole = np.full(shape, rest, kind)
        whole[at[:, 0], at[:, 1]] = values
        return whole

    return Network(
        list(tfs),
        list(genes),
        matrix(importance, importance.min() - 1, np.float64),
        probability=matrix(found["probability"], 0, np.float64) if "probability" in found else None,
        spread=matrix(found["spread"], 0, np.float64) if "spread" in found else None,
        sign=matrix(np.sign(found["sign"]), 0, np.int8) if "sign" in found else None,
        in_prior=matrix(found["in_prior"], False, np.bool_) if "in_prior" in found else None,
    )


def _lines(path: Path) -> Iterator[str]:
    """Lines that are not empty."""
    try:
        opening = gzip.open if path.suffix == ".gz" else open
        with opening(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    yield line.rstrip("\r\n")
    except (UnicodeDecodeError, *UNREADABLE) as error:
        raise GRNError(f"{path}: cannot be read: {error}") from error


def _head(path: Path, line: str) -> tuple[list[str], str]:
    if not line:
        raise GRNError(f"{path}: empty, expected a table of edges")
    mark = "\t" if "\t" in line else ","
    return [word.strip() for word in _words(path, line, mark)], mark


def _words(path: Path, line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark))
    except csv.Error as error:  # a quotation mark that is never closed
        raise GRNError(f"{path}: the line {line[:40]!r} cannot be read: {error}") from error


def _value(path: Path, number: int, name: str, word: str) -> float:
    try:
        value = float(_TRUE[word.lower()]) if name == "in_prior" else float(word)
        if not math.isfinite(value):
            raise ValueError
    except (KeyError, ValueError):
        raise GRNError(f"{path}: line {number}: {name} is {word!r}, expected a number") from None
    return value
