"""What ``.h5ad`` and loom files have in common: both are HDF5, with a matrix and names.

``.h5ad`` (Virshup et al. 2021): ``X`` is (cells, genes), dense or compressed by rows (CSR) or by
columns (CSC); ``obs`` and ``var`` are tables. loom: ``matrix`` is (genes, cells), dense;
``row_attrs`` and ``col_attrs`` hold vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GRNError
from .extra import extra

LOOM_GENES = ("Gene", "var_names", "gene", "Symbol", "gene_name", "GeneName", "Accession")
LOOM_CELLS = ("CellID", "obs_names", "cell", "Cell", "cell_id", "SampleID")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        GRNError: missing, of another kind, or truncated.

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
        yield file


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
    have = f"its layers: {', '.join(layers + ['raw'] * ('raw' in file)) or 'none'}"
    place = ("matrix" if loom else "X") if layer is None else f"layers/{layer}"
    if layer == "raw" and not loom:
        place = "raw/X"
    if place not in file:
        what = "no main matrix" if layer is None else f"no layer {layer!r}"
        raise GRNError(f"{path}: there is {what}; {have}")
    found = file[place]
    shape = found.shape if hasattr(found, "shape") else tuple(found.attrs.get("shape", ()))
    if len(shape) != 2 or 0 in shape:
        raise GRNError(f"{path}: the matrix has shape {tuple(shape)}, expected genes and cells")
    return found


def attribute(file: Any, side: str, usual: Sequence[str]) -> list[str] | None:
    """The first vector of a loom file that has a usual name, as words.

    Example:
        >>> attribute({"row_attrs": {"Gene": np.array([b"fur"])}}, "row_attrs", LOOM_GENES)
        ['fur']
    """
    found = next((name for name in usual if name in file.get(side, ())), None)
    return None if found is None else _texts(file[side][found][:])


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


def elements(file: Any, place: str, path: Path) -> Any:
    """A table of an ``.h5ad`` file.

    Raises:
        GRNError: it is missing or damaged.
    """
    try:
        return extra("anndata.io").read_elem(file[place])
    except GRNError:
        raise
    except Exception as error:
        raise GRNError(f"{path}: its table {place!r} cannot be read: {error}") from error


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


def _texts(values: NDArray[Any]) -> list[str]:
    found = []
    for value in np.asarray(values).tolist():
        if value is None or value != value or str(value) == "<NA>":
            found.append("")
        else:
            found.append(value.decode("utf-8") if isinstance(value, bytes) else str(value))
    return found
