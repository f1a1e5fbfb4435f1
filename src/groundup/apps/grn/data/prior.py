"""What is known beforehand: edges from transcription factors (TFs) to the genes that they regulate.

Read from tables of which one line is an edge: TRRUST, DoRothEA, CollecTRI, RegulonDB, decoupler's
nets, or any file with a column for the TF and one for its target. A sign, if there is one, says
whether the TF activates or represses.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....engine.files import write_atomically
from ..errors import GRNError
from .extra import UNREADABLE, extra

TF_COLUMNS = ("tf", "source", "regulator", "gene1", "tf_name", "source_genesymbol", "from")
TARGET_COLUMNS = ("target", "gene", "gene2", "target_gene", "gene_id", "target_genesymbol", "to")
SIGN_COLUMNS = ("sign", "mor", "weight", "effect", "mode", "regulation", "consensus_direction")
_WORDS = {
    "+": 1, "activation": 1, "activator": 1, "act": 1, "positive": 1, "1": 1,
    "-": -1, "repression": -1, "repressor": -1, "rep": -1, "negative": -1, "-1": -1,
    "+-": 0, "?": 0, "unknown": 0, "": 0, "0": 0, "nan": 0,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prior:
    """Edges, each once.

    Attributes:
        tfs: the TF of each edge.
        targets: the gene that it regulates.
        signs: 1 activates, -1 represses, 0 not known or both.

    Shape:
        signs: (edges,).

    Example:
        >>> Prior.of([("a", "b", 1), ("a", "c", 0), ("a", "b", -1)])
        Prior(2 edges, 1 TFs, 2 targets)
    """

    tfs: Sequence[str]
    targets: Sequence[str]
    signs: NDArray[np.int8]

    def __repr__(self) -> str:
        return (
            f"Prior({len(self.tfs):,} edges, {len(set(self.tfs)):,} TFs, "
            f"{len(set(self.targets)):,} targets)"
        )

    @classmethod
    def of(cls, edges: Sequence[tuple[str, str, int]]) -> Prior:
        """Edges with signs; where the same edge has both signs, its sign is not known."""
        signs: dict[tuple[str, str], int] = {}
        for tf, target, sign in edges:
            before = signs.get((tf, target), 0)
            clash = before and sign and before != sign
            signs[tf, target] = 0 if clash else before or sign
        return cls(
            [tf for tf, _ in signs],
            [target for _, target in signs],
            np.array(list(signs.values()), np.int8),
        )

    def digest(self) -> str:
        """A hash of the edges and signs, whatever their order."""
        rows = sorted(zip(self.tfs, self.targets, self.signs.tolist(), strict=True))
        text = "\n".join(f"{tf}\t{target}\t{sign}" for tf, target, sign in rows)
        return hashlib.sha256(text.encode()).hexdigest()


def read_prior(
    path: str | os.PathLike[str],
    *,
    tf: str | None = None,
    target: str | None = None,
    sign: str | None = None,
) -> Prior:
    r"""Edges from a table.

    Args:
        path: TSV or CSV, by its first line, gzip too; lines above it that begin with # are
            remarks. A table without a header has the TF first and the target second, as TRRUST's.
        tf: the name of the TF's column; found by its usual names if None.
        target: that of the target's column.
        sign: that of the sign's column, if there is one: numbers, or words such as "+",
            "activation", "Repression".

    Raises:
        GRNError: no such file, no edges, columns that are not found, a sign that is not
            understood, or a line without a name.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "prior.tsv"
        ...     _ = file.write_text("TF\ttarget\tmor\nfur\tentA\t-1\nfur\tsodB\t1\n")
        ...     read_prior(file)
        Prior(2 edges, 1 TFs, 2 targets)
    """
    pd = extra("pandas")
    path = Path(path)
    first, above = _first_line(path, pd)
    mark = next((m for m in "\t,;" if m in first), ",")
    columns = [word.strip().strip('"') for word in first.rstrip("\r\n").split(mark)]
    if len(columns) < 2:
        raise GRNError(
            f"{path}: the first line is {first.strip()[:60]!r}; expected at least a TF and a "
            "target, with a tab or a comma between"
        )
    lower = [column.lower() for column in columns]
    headed = bool(tf or target) or any(c in lower for c in TF_COLUMNS + TARGET_COLUMNS)
    try:
        table = pd.read_csv(
            path, sep=mark, header=0 if headed else None, dtype=str, keep_default_na=False,
            skiprows=above,
        )  # fmt: skip
    except (pd.errors.ParserError, UnicodeDecodeError, *UNREADABLE) as error:
        raise GRNError(f"{path}: cannot be read as a table: {error}") from error
    if headed:
        table.columns = [str(column).strip() for column in table.columns]
        of_tf = _column(path, list(table.columns), tf, TF_COLUMNS, "TF", "tf")
        rest = [c for c in table.columns if c != of_tf]
        of_target = _column(path, rest, target, TARGET_COLUMNS, "target", "target")
        of_sign = sign or next((c for c in rest if _is_sign(c, table[c])), None)
        if of_sign is not None and of_sign not in table.columns:
            raise GRNError(f"{path}: there is no column {of_sign!r}; {_has(list(table.columns))}")
    else:
        of_tf, of_target = table.columns[:2]
        of_sign = None
        if table.shape[1] > 2 and set(table[2].str.lower()) <= _WORDS.keys():
            of_sign = table.columns[2]
    signs = [0] * len(table) if of_sign is None else [_sign(path, w) for w in table[of_sign]]
    edges = []
    for line, (one, other, effect) in enumerate(
        zip(table[of_tf], table[of_target], signs, strict=True), above + (2 if headed else 1)
    ):
        if not one.strip() or not other.strip():
            raise GRNError(f"{path}: line {line} has no name of a TF or of a target")
        edges.append((one.strip(), other.strip(), effect))
    if not edges:
        raise GRNError(f"{path}: a header and no edges")
    return Prior.of(edges)


def _first_line(path: Path, pd: Any) -> tuple[str, int]:
    """The first line that is not a remark, and how many remarks (as RegulonDB's) are above it."""
    above = 0
    try:
        with pd.io.common.get_handle(path, "r", compression="infer", encoding="utf-8") as handles:
            while (first := handles.handle.readline()).startswith("#"):
                above += 1
    except FileNotFoundError:
        raise GRNError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise GRNError(f"{path}: not text in UTF-8; expected edges as TSV or CSV") from error
    except UNREADABLE as error:
        raise GRNError(f"{path}: cannot be read as text: {error}") from error
    if not first.strip():
        raise GRNError(f"{path}: empty, expected a line for each edge")
    return first, above


def _is_sign(name: str, column: Any) -> bool:
    """Whether a column is that of the signs; "type" has many meanings (BEELINE's is this one)."""
    if name.lower() == "type":
        return set(column.str.strip().str.lower()) <= _WORDS.keys()
    return name.lower() in SIGN_COLUMNS


def prior_table(prior: Prior) -> bytes:
    """The content of a file for `write_prior`.

    Example:
        >>> prior_table(Prior.of([("fur", "entA", -1)])).decode().split()
        ['TF', 'target', 'sign', 'fur', 'entA', '-1']
    """
    rows = zip(prior.tfs, prior.targets, prior.signs.tolist(), strict=True)
    lines = [f"{tf}\t{target}\t{sign}\n" for tf, target, sign in rows]
    return "".join(["TF\ttarget\tsign\n", *lines]).encode()


def write_prior(prior: Prior, path: str | os.PathLike[str]) -> None:
    """Write edges as TSV with the columns TF, target and sign: whole, or not at all.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_prior(Prior.of([("fur", "entA", -1)]), f"{folder}/prior.tsv")
        ...     read_prior(f"{folder}/prior.tsv")
        Prior(1 edges, 1 TFs, 1 targets)
    """
    write_atomically(path, prior_table(prior))


def _has(columns: Sequence[str]) -> str:
    return f"it has {', '.join(map(str, columns[:8]))}{', ...' * (len(columns) > 8)}"


def _column(
    path: Path, columns: list[str], asked: str | None, usual: Sequence[str], what: str, option: str
) -> str:
    if asked is not None:
        if asked not in columns:
            raise GRNError(f"{path}: there is no column {asked!r}; {_has(columns)}")
        return asked
    lower = {column.lower(): column for column in reversed(columns)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None:
        raise GRNError(
            f"{path}: no column is called {', '.join(usual[:3])} or the like; {_has(columns)}. "
            f"Name the column of the {what} with --{option}-column"
        )
    return found


def _sign(path: Path, word: str) -> int:
    text = word.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    try:
        return int(np.sign(float(text)))
    except ValueError:
        raise GRNError(
            f"{path}: the sign {word!r} is not understood; expected a number, +, -, activation or "
            "repression"
        ) from None
