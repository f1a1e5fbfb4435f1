"""What is known beforehand: edges from transcription factors (TFs) to the genes that they regulate.

Read from tables of which one line is an edge: TRRUST, DoRothEA, CollecTRI, RegulonDB, OmniPath,
decoupler's nets, BEELINE's reference networks, or any file with a column for the TF and one for its
target. A sign, if there is one, says whether the TF activates or represses. Gold standards such as
DREAM5's list pairs that are no edges as well, with a 0: these are left out.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....engine.files import write_atomically
from ..errors import GRNError
from .extra import UNREADABLE, extra

TF_COLUMNS = (
    "source_genesymbol", "tf", "source", "regulator", "gene1", "tf_name", "regulatorgenename",
    "regulatorname", "from",
)  # fmt: skip
TARGET_COLUMNS = (
    "target_genesymbol", "target", "gene", "gene2", "target_gene", "gene_id", "regulatedname", "to",
)  # fmt: skip
SIGN_COLUMNS = ("sign", "mor", "weight", "effect", "mode", "regulation")
PERHAPS_SIGNS = ("type", "function")
"""These have many meanings, and are signs if they hold nothing else."""
STIMULATION, INHIBITION = "is_stimulation", "is_inhibition"
LABEL_COLUMNS = ("label", "edge", "is_edge", "class")
"""Of pairs of which some are edges and some not."""
_WORDS = {
    "+": 1, "activation": 1, "activator": 1, "act": 1, "positive": 1, "1": 1,
    "-": -1, "repression": -1, "repressor": -1, "rep": -1, "negative": -1, "-1": -1,
    "+-": 0, "-+": 0, "?": 0, "unknown": 0, "": 0, "0": 0, "nan": 0,
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
    tell: Callable[[str], None] | None = None,
) -> Prior:
    r"""Edges from a table.

    Args:
        path: TSV or CSV, by its first line, gzip too; lines above it that begin with # are
            remarks. A table without a header has the TF first and the target second, as TRRUST's;
            if its third column has nothing but 0 and 1, or a column is called "label", it says
            which pairs are edges, and the others are left out.
        tf: the name of the TF's column; found by its usual names if None.
        target: that of the target's column.
        sign: that of the sign's column, if there is one: numbers, or words such as "+",
            "activation", "Repression".
        tell: is called with what was decided, in words.

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
    lower = [_bare(column) for column in columns]
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
        of_label = next((c for c in rest if _bare(c) in LABEL_COLUMNS and c != of_sign), None)
        if of_sign is not None and of_sign not in table.columns:
            raise GRNError(f"{path}: there is no column {of_sign!r}; {_has(list(table.columns))}")
    else:
        of_tf, of_target = table.columns[:2]
        of_sign = of_label = None
        if table.shape[1] > 2 and set(table[2]) <= {"0", "1"}:
            of_label = table.columns[2]
        elif table.shape[1] > 2 and set(table[2].str.lower()) <= _WORDS.keys():
            of_sign = table.columns[2]
    signs = [0] * len(table)
    if of_sign is not None:
        signs = [_sign(path, word) for word in table[of_sign]]
    elif {STIMULATION, INHIBITION} <= {*lower}:
        one, other = (table.columns[lower.index(name)] for name in (STIMULATION, INHIBITION))
        signs = [_true(a) - _true(b) for a, b in zip(table[one], table[other], strict=True)]
    labels = ["1"] * len(table)
    if of_label is not None and set(table[of_label]) <= {"0", "1"}:
        labels = list(table[of_label])
        if tell is not None and "0" in labels:
            tell(f"{labels.count('0'):,} of {len(labels):,} pairs are no edges, by their label 0")
    edges = []
    for line, (one, other, effect, label) in enumerate(
        zip(table[of_tf], table[of_target], signs, labels, strict=True),
        above + (2 if headed else 1),
    ):
        if label == "0":
            continue
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
    """Whether a column is that of the signs, as BEELINE's "Type" and RegulonDB's "function"."""
    if _bare(name) in PERHAPS_SIGNS:
        return set(column.str.strip().str.lower()) <= _WORDS.keys()
    return _bare(name) in SIGN_COLUMNS


def _bare(name: str) -> str:
    """The name of a column without capitals, and without RegulonDB's number, as in "3)function"."""
    return re.sub(r"^\d+\)", "", name).lower()


def _true(word: str) -> int:
    return int(word.strip().lower() in ("true", "1", "1.0"))


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
    lower = {_bare(column): column for column in reversed(columns)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None:
        raise GRNError(
            f"{path}: no column is called {', '.join(usual[1:4])} or the like; {_has(columns)}. "
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
