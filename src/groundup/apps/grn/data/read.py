"""Expression from files: AnnData's ``.h5ad``, loom, and tables as CSV or TSV, gzip too.

What cannot be used is refused with the file, the place in it, and what to do. The whole matrix is
read; of a file that does not fit, `pseudobulk` reads a part at a time.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ....engine.files import write_atomically
from ..errors import GRNError
from .expression import Duplicates, Expression, joined
from .extra import UNREADABLE, extra
from .hdf5 import (
    LOOM_CELLS,
    annotations_of,
    attribute,
    chosen,
    elements,
    form,
    genes_of,
    matrix,
    opened,
    other_names,
    words,
)
from .kinds import kind_of
from .orientation import orientation, turned

MOST_VALUES = 2**31
"""A matrix of more values is not read whole: 8 GiB."""

Tell = Callable[[str], None]


def read_expression(
    path: str | os.PathLike[str],
    *,
    transpose: bool | None = None,
    duplicates: Duplicates = "error",
    layer: str | None = None,
    gene_column: str | None = None,
    known_genes: Collection[str] = (),
    tell: Tell | None = None,
) -> Expression:
    r"""Read expression from a file.

    ``.h5ad`` and ``.loom`` say which side has the genes. Of a table it is found by
    `orientation`: by names of genes that are known, by what stands above the names of rows, by
    cell barcodes, by the longer side; where none of these tells, it has to be said.

    Args:
        path: ``.h5ad``, ``.loom``, or a table with a line of names at its top: tabs, semicolons,
            commas or blanks between, by that line. A table may have no names of rows; these are
            samples then.
        transpose: whether the rows of a table are samples.
        duplicates: what becomes of genes of the same name: "error", "mean", "sum" or "first".
        layer: of ``.h5ad`` and ``.loom``, the name of the layer, or "raw"; the main matrix
            without.
        gene_column: of ``.h5ad`` and ``.loom``, what is said of genes that names them, such as
            ``feature_name`` where they are called by identifiers; their usual names without.
        known_genes: names that genes have, such as those of the prior.
        tell: is called with what was decided, in words.

    Returns:
        genes as rows; columns of annotation that are words or whole numbers come along.

    Raises:
        GRNError: the file cannot be read, or holds what is not expression.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "log_tpm.tsv"
        ...     _ = file.write_text("gene\twild type\tmutant\nfur\t1.5\t0\nentA\t2\t7\n")
        ...     read_expression(file)
        Expression(2 genes, 2 samples)
    """
    path = Path(path)
    if duplicates not in get_args(Duplicates):
        raise GRNError(
            f"duplicates={duplicates!r}: expected one of {', '.join(get_args(Duplicates))}"
        )
    if path.is_dir():
        raise GRNError(f"{path}: a folder, expected a file")
    if not path.exists():
        raise GRNError(f"{path}: there is no such file")
    if not path.stat().st_size:
        raise GRNError(f"{path}: empty, expected expression")
    say = (lambda words: None) if tell is None else tell
    try:
        if path.suffix in (".h5ad", ".loom"):
            if transpose:
                raise GRNError(
                    f"a {path.suffix} file says which side has the genes: no --transpose"
                )
            read = _h5ad if path.suffix == ".h5ad" else _loom
            values, genes, samples, annotations = read(path, layer, gene_column, say)
            if turned(genes, samples, known_genes):
                raise GRNError(
                    "the wrong way round: names of genes are among those of the cells "
                    f"({', '.join(samples[:3])}); transpose it before it is written"
                )
        else:
            if layer is not None:
                raise GRNError(f"a table has no layers, such as {layer!r}")
            if gene_column is not None:
                raise GRNError(f"a table has no columns on genes, such as {gene_column!r}")
            values, genes, samples = _table(path, transpose, known_genes, say)
            annotations = {}
        joint, names = joined(values, genes, duplicates)
        if len(names) < len(genes):
            say(f"{len(genes) - len(names):,} rows are joined with others of the same name")
        expression = Expression(joint, names, samples, annotations)
    except GRNError as error:
        text = str(error).removeprefix("expression: ")
        raise GRNError(text if text.startswith(str(path)) else f"{path}: {text}") from error
    if not joint.any():
        raise GRNError(f"{path}: every value is 0")
    return expression


def expression_table(expression: Expression) -> bytes:
    """The content of a file for `write_expression`.

    Example:
        >>> given = Expression(np.ones((1, 2), np.float32), ["fur"], ["x", "y"])
        >>> expression_table(given).decode().split()
        ['gene', 'x', 'y', 'fur', '1', '1']
    """
    lines = ["\t".join(("gene", *expression.samples))]
    form = "\t".join(["%s", *["%.9g"] * len(expression.samples)])  # 9 digits tell any float32
    rows = zip(expression.genes, expression.values.astype(np.float64).tolist(), strict=True)
    lines += [form % (gene, *row) for gene, row in rows]
    return ("\n".join(lines) + "\n").encode()


def write_expression(expression: Expression, path: str | os.PathLike[str]) -> None:
    """Write expression as TSV, genes as rows: whole, or not at all; ``.gz`` compresses it.

    Annotations are not written.

    Example:
        >>> import tempfile
        >>> given = Expression(np.ones((2, 1), np.float32), ["fur", "entA"], ["x"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_expression(given, f"{folder}/x.tsv.gz")
        ...     read_expression(f"{folder}/x.tsv.gz").values.tolist()
        [[1.0], [1.0]]
    """
    content = expression_table(expression)
    if Path(path).suffix == ".gz":
        content = gzip.compress(content, 6, mtime=0)
    write_atomically(path, content)


def _h5ad(
    path: Path, layer: str | None, gene_column: str | None, say: Tell
) -> tuple[NDArray[np.float32], list[str], list[str], Mapping[str, Sequence[str]]]:
    with opened(path) as file:
        place = chosen(file, layer, path)
        _fits(*form(place)[1])
        genes = _gene_names(file, layer, path, gene_column, say)
        cells = elements(file, "obs", path)
        values = matrix(place)
    if values.shape != (len(cells), len(genes)):
        raise GRNError(
            f"a matrix of shape {values.shape} for {len(cells):,} cells and {len(genes):,} genes"
        )
    if hasattr(values, "toarray"):
        values = values.astype(np.float32).T.toarray(order="C")
    else:
        values = np.ascontiguousarray(values.T, np.float32)
    columns = {str(name): cells[name].to_numpy() for name in cells.columns}
    return values, genes, list(map(str, cells.index)), words(columns)


def _loom(
    path: Path, layer: str | None, gene_column: str | None, say: Tell
) -> tuple[NDArray[np.float32], list[str], list[str], Mapping[str, Sequence[str]]]:
    with opened(path) as file:
        place = chosen(file, layer, path)
        _fits(*place.shape)
        genes = _gene_names(file, layer, path, gene_column, say)
        samples = attribute(file, "col_attrs", LOOM_CELLS)
        samples = samples or [str(number + 1) for number in range(place.shape[1])]
        try:
            values = np.asarray(place[:], np.float32)
        except OSError as error:
            raise GRNError(f"cannot be read: {_brief(error)}; it may be truncated") from error
        return values, genes, samples, annotations_of(file, path)


def _gene_names(
    file: Any, layer: str | None, path: Path, column: str | None, say: Tell
) -> list[str]:
    genes = genes_of(file, layer, path, column)
    others = other_names(file, layer, path) if column is None else []
    if others and (kind := kind_of(genes)):
        say(f"genes are called by {kind}; --gene-column {others[0]} takes other names")
    return genes


def _fits(rows: int, columns: int) -> None:
    if int(rows) * int(columns) > MOST_VALUES:
        raise GRNError(
            f"a matrix of {rows:,} x {columns:,} is too large to read whole; join cells first, "
            "with pseudobulk"
        )


def _table(
    path: Path, transpose: bool | None, known_genes: Collection[str], say: Tell
) -> tuple[NDArray[np.float32], list[str], list[str]]:
    pandas = extra("pandas")
    corner, header, first, mark = _head(path)
    with_names = first != "unnamed"
    try:
        table = pandas.read_csv(
            path, sep=mark, header=None, skiprows=1, low_memory=False,
            dtype={0: str} if with_names else None,
        )  # fmt: skip
    except pandas.errors.EmptyDataError:
        raise GRNError("a line of names, and no line of numbers") from None
    except (pandas.errors.ParserError, UnicodeDecodeError, *UNREADABLE) as error:
        raise GRNError(f"cannot be read as a table: {_brief(error)}") from error
    rows = [str(number + 1) for number in range(len(table))]
    if with_names:
        if table[0].isna().any():
            line = int(table[0].isna().to_numpy().argmax()) + 2
            raise GRNError(f"line {line} has no name in its first column")
        rows = [name.strip() for name in table.pop(0)]
    if table.shape[1] != len(header):
        raise GRNError(
            f"{len(header):,} names in the first line, and {table.shape[1]:,} numbers in the "
            "lines below"
        )
    if not header:
        raise GRNError("one column, which has names; expected numbers beside them")
    for place, column in enumerate(table.columns):
        if table[column].dtype.kind not in "fiu":
            _numeric(pandas, table[column], rows, header[place])
    with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
        values = table.to_numpy(np.float32)
    if with_names:
        found = orientation(
            rows, header, known_genes=known_genes, corner=corner, transpose=transpose
        )
    else:
        if transpose is False:
            raise GRNError("rows have no names, so that they cannot be genes; use --transpose")
        found = orientation(rows, header, known_genes=known_genes, transpose=True)
        say("rows have no names: taken for samples")
    if transpose is None and with_names:
        say(f"{'columns' if found.transpose else 'rows'} are taken for genes: {found.reason}")
    if found.transpose:
        return np.ascontiguousarray(values.T), header, rows
    return values, rows, header


def _head(path: Path) -> tuple[str, list[str], str, str]:
    """What is above the names of rows, the names of columns, whether rows have names, the mark."""
    handles = extra("pandas.io.common").get_handle
    try:
        with handles(path, "r", compression="infer", encoding="utf-8-sig") as opening:
            lines = [opening.handle.readline().rstrip("\r\n")]
            while len(lines) < 50 and (line := opening.handle.readline()):
                lines += [line.rstrip("\r\n")] if line.strip() else []
    except UnicodeDecodeError as error:
        kind = "an HDF5 file" if path.read_bytes()[:4] == b"\x89HDF" else "not text in UTF-8"
        raise GRNError(
            f"{kind}; expected a table, or .h5ad or .loom at the end of its name"
        ) from error
    except UNREADABLE as error:
        raise GRNError(f"cannot be read: {_brief(error)}") from error
    if not lines[0].strip():
        raise GRNError("the first line is empty; expected names")
    if len(lines) == 1:
        raise GRNError("one line alone; expected a line of names, and a line for each row")
    mark = next((m for m in "\t;," if m in lines[0]), r"\s+")
    names, first = _fields(lines[0], mark), _fields(lines[1], mark)
    if len(names) == len(first) - 1:  # as R writes: nothing above the names of rows
        return "", names, "named", mark
    body = [_fields(line, mark)[0] for line in lines[1:]]
    labels = ("", "index", "id", "name")
    numbers = len(names) > 1 and all(map(_number, names[1:]))
    if numbers and names[0].lower() not in labels and not _number(names[0]):
        raise GRNError(
            f"the first line, {lines[0][:40]!r}, has numbers where names are expected; add a line "
            "of names above it"
        )
    if all(map(_number, names)):
        raise GRNError("no names: the first line has numbers alone; add names of genes")
    counts = all(re.fullmatch(r"\d+", name) for name in body) and len(set(body)) == len(body)
    if names[0] and all(map(_number, body)) and not counts:
        return "", names, "unnamed", mark
    return names[0], names[1:], "named", mark


def _fields(line: str, mark: str) -> list[str]:
    if len(mark) > 1:
        return line.split()
    try:
        return [word.strip() for word in next(csv.reader([line], delimiter=mark))]
    except csv.Error as error:  # a quotation mark that is never closed
        raise GRNError(f"the line {line[:40]!r} cannot be read: {error}") from error


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numeric(pandas: Any, column: Any, rows: Sequence[str], name: str) -> None:
    """Refuse a column in which not everything is a number; the first such cell is named."""
    wrong = pandas.to_numeric(column, errors="coerce").isna() & column.notna()
    if column.dtype.kind == "b":  # True and False
        wrong[:] = True
    place = int(wrong.to_numpy().argmax())
    word = str(column.iloc[place])
    hint = "; write decimals with a point" if re.fullmatch(r"-?\d+,\d+", word) else ""
    raise GRNError(
        f"{word[:40]!r} in row {rows[place]!r}, column {name!r} (line {place + 2}) is not a "
        f"number; {wrong.sum():,} such cells in this column{hint}"
    )


def _brief(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
