"""What ``.h5ad`` and loom files have in common: both are HDF5, with a matrix and names.

``.h5ad`` (Virshup et al. 2021): ``X`` is (cells, genes), dense or compressed by rows (CSR) or by
columns (CSC); ``obs`` and ``var`` are tables. Files of before anndata 0.7 have these as arrays of
records, with the words of a column apart in ``uns``. loom: ``matrix`` is (genes, cells), dense;
``row_attrs`` and ``col_attrs`` hold vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..errors import GRNError
from .extra import extra

LOOM_GENES = ("Gene", "var_names", "gene", "Symbol", "gene_name", "GeneName", "Accession")
LOOM_CELLS = ("CellID", "obs_names", "cell", "Cell", "cell_id", "SampleID")
SYMBOLS = (
    "feature_name", "gene_symbol", "gene_symbols", "symbol", "symbols", "gene_name", "gene_names",
    "gene_short_name", "hgnc_symbol", "mgi_symbol",
)  # fmt: skip


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        GRNError: missing, of another kind, truncated; or what is read of it turns out damaged.

    Example:
        >>> with opened(Path("none.h5ad")) as file:
        ...     list(file)
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: none.h5ad: there is no such file
    """
    h5py = extra("h5py")
    if not path.is_file():
        raise GRNError(f"{path}: there is no such file")
    if not h5py.is_hdf5(path):
        raise GRNError(
            f"{path}: not an HDF5 file, which {path.suffix} files are; it may be a table under "
            "another name, or damaged"
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise GRNError(f"{path}: truncated or damaged: {error}") from error
    with file:
        try:
            yield file
        except GRNError as error:
            if str(path) in str(error):
                raise
            raise GRNError(f"{path}: {error}") from error
        except Exception as error:  # damage comes as errors of a dozen kinds
            raise GRNError(f"{path}: cannot be read: {error}; it may be damaged") from error


def chosen(file: Any, layer: str | None, path: Path) -> Any:
    """The matrix of a layer, as it lies in the file: a data set, or the group of a sparse one.

    Args:
        file: an open file.
        layer: its name, "raw", or None for the main matrix.
        path: of the file, for messages.

    Raises:
        GRNError: there is no such layer, or no matrix at all.

    Example:
        >>> chosen({"X": np.ones((2, 3))}, None, Path("x.h5ad")).shape
        (2, 3)
    """
    loom = "matrix" in file
    layers = sorted(file["layers"]) if "layers" in file else []
    raw = "raw/X" if "raw/X" in file else "raw.X"
    have = f"its layers: {', '.join(layers + ['raw'] * (raw in file)) or 'none'}"
    place = ("matrix" if loom else "X") if layer is None else f"layers/{layer}"
    if layer == "raw" and not loom:
        place = raw
    if place not in file:
        what = "no main matrix" if layer is None else f"no layer {layer!r}"
        raise GRNError(f"{path}: there is {what}; {have}")
    found = file[place]
    _, shape = form(found)
    if len(shape) != 2 or 0 in shape:
        raise GRNError(f"{path}: the matrix has shape {shape}, expected genes and cells")
    return found


def form(matrix: Any) -> tuple[str, tuple[int, ...]]:
    """How a matrix lies in a file, and its shape.

    Args:
        matrix: a data set, or the group of a sparse one.

    Returns:
        ("array", "csr_matrix", "csc_matrix" or what else the file calls it, shape).

    Example:
        >>> form(np.ones((2, 3)))
        ('array', (2, 3))
    """
    if hasattr(matrix, "shape"):
        return "array", tuple(matrix.shape)
    about = matrix.attrs
    older = f"{_texts([about.get('h5sparse_format')])[0]}_matrix"
    shape = about.get("shape", about.get("h5sparse_shape", ()))
    return str(about.get("encoding-type", older)), tuple(int(side) for side in shape)


def attribute(file: Any, side: str, usual: Sequence[str]) -> list[str] | None:
    """The first vector of a loom file that has a usual name, as words.

    Example:
        >>> attribute({"row_attrs": {"Gene": np.array([b"fur"])}}, "row_attrs", LOOM_GENES)
        ['fur']
    """
    found = next((name for name in usual if name in file.get(side, ())), None)
    return None if found is None else _texts(file[side][found][:])


def genes_of(file: Any, layer: str | None, path: Path, column: str | None = None) -> list[str]:
    """The names of the genes of a file.

    Args:
        file: an open file.
        layer: "raw" has genes of its own.
        path: of the file, for messages.
        column: of what is said of genes, that which has their names, such as ``feature_name``; a
            gene of which it says nothing keeps its own. The usual names if None.

    Raises:
        GRNError: there is no such column, or genes have no names.

    Example:
        >>> file = {"matrix": 0, "row_attrs": {"Gene": np.array([b"E1"]), "s": np.array([b"fur"])}}
        >>> genes_of(file, None, Path("x.loom")), genes_of(file, None, Path("x.loom"), "s")
        (['E1'], ['fur'])
    """
    if "matrix" in file:
        own = attribute(file, "row_attrs", LOOM_GENES if column is None else (column,))
        if own is None:
            there = ", ".join(file.get("row_attrs", ())) or "none"
            named = f"{', '.join(LOOM_GENES[:3])} or the like" if column is None else repr(column)
            raise GRNError(f"{path}: no row attribute is called {named}; it has {there}")
        return own
    table = elements(file, "raw/var" if layer == "raw" else "var", path)
    names = list(map(str, table.index))
    if column is None:
        return names
    if column not in table.columns:
        raise GRNError(
            f"{path}: genes have no column {column!r}; they have "
            f"{', '.join(map(str, table.columns)) or 'none'}"
        )
    return [new or old for new, old in zip(_texts(table[column]), names, strict=True)]


def other_names(file: Any, layer: str | None, path: Path) -> list[str]:
    """Columns that are likely to have symbols of genes.

    Example:
        >>> other_names({"matrix": 0, "row_attrs": {"feature_name": 0}}, None, Path("x.loom"))
        ['feature_name']
    """
    if "matrix" in file:
        there = list(file.get("row_attrs", ()))
    else:
        there = list(elements(file, "raw/var" if layer == "raw" else "var", path).columns)
    return [str(name) for name in there if str(name).lower() in SYMBOLS]


def annotations_of(
    file: Any, path: Path, only: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """What is said of each cell, where it is a word or a whole number.

    Args:
        file: an open file.
        path: of the file, for messages.
        only: the columns that are wanted; all if None.

    Raises:
        GRNError: one of them is not there.

    Example:
        >>> file = {"matrix": 0, "col_attrs": {"type": np.array([b"t", b"u"])}}
        >>> annotations_of(file, Path("x.loom"))
        {'type': ['t', 'u']}
    """
    if "matrix" in file:
        table = file.get("col_attrs", {})
        names = [name for name in table if table[name].ndim == 1]
    else:
        table = elements(file, "obs", path)
        names = list(map(str, table.columns))
    for name in only or ():
        if name not in names:
            raise GRNError(
                f"{path}: cells have no annotation {name!r}; they have {', '.join(names) or 'none'}"
            )
    return words({name: np.asarray(table[name][:]) for name in only or names})


def matrix(found: Any) -> Any:
    """A whole matrix: an array, or a compressed one whose places are inside of it.

    Args:
        found: a data set, or the group of a sparse matrix.

    Raises:
        GRNError: neither numbers nor a compressed matrix, or a damaged one.

    Example:
        >>> matrix(np.ones((2, 3))).shape
        (2, 3)
    """
    kind, shape = form(found)
    if kind == "array" and found.dtype.kind in "fiub":
        return np.asarray(found[:])
    if kind not in ("csr_matrix", "csc_matrix"):
        raise GRNError(f"the matrix holds {getattr(found, 'dtype', kind)}, expected numbers")
    values, places, ends = (found[name][:] for name in ("data", "indices", "indptr"))
    rows, columns = shape
    by_rows = kind == "csr_matrix"
    lines, across = (rows, columns) if by_rows else (columns, rows)
    # Lines that overlap and places outside would crash what follows.
    whole = len(ends) == lines + 1 and ends[0] == 0 and bool((ends[1:] >= ends[:-1]).all())
    whole = whole and ends[-1] <= min(len(values), len(places))
    if not whole or (len(places) and not 0 <= places.min() <= places.max() < across):
        raise GRNError("a compressed matrix with values outside of its lines; it may be damaged")
    make = sparse.csr_array if by_rows else sparse.csc_array
    return make((values, places, ends), shape=(rows, columns))


def elements(file: Any, place: str, path: Path) -> Any:
    """A table of an ``.h5ad`` file.

    Raises:
        GRNError: it is missing or damaged.
    """
    try:
        older = place.replace("/", ".")
        found = file[older if older in file else place]
        if getattr(found, "dtype", None) is not None and found.dtype.names:
            return _records(file, found[:])
        return extra("anndata.io").read_elem(found)
    except GRNError:
        raise
    except Exception as error:
        raise GRNError(f"{path}: its table {place!r} cannot be read: {error}") from error


def _records(file: Any, rows: Any) -> Any:
    """A table of before anndata 0.7; its first column are the names of the rows."""
    first, *others = rows.dtype.names
    columns: dict[str, Any] = {}
    for name in others:
        column = rows[name]
        if f"uns/{name}_categories" in file:  # numbers of words; -1 is none
            known = _texts(np.atleast_1d(file[f"uns/{name}_categories"][()]))
            column = np.array([*known, None], object)[column]
        columns[name] = column
    return extra("pandas").DataFrame(columns, index=_texts(rows[first]))


def words(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[str]]:
    """Columns of words, whole numbers or truths, as words; what is missing is the empty word.

    Example:
        >>> words({"type": np.array(["a", None], object), "depth": np.array([0.5, 1.5])})
        {'type': ['a', '']}
    """
    return {
        name: _texts(column)
        for name, column in columns.items()
        if np.asarray(column).dtype.kind not in "fc"
    }


def _texts(values: ArrayLike) -> list[str]:
    found = []
    for value in np.asarray(values).tolist():
        if value is None or value != value or str(value) == "<NA>":
            found.append("")
        else:
            found.append(value.decode("utf-8") if isinstance(value, bytes) else str(value))
    return found
