"""Human blood cells, as the package scanpy has them: a small file to try the commands on.

Of the 68,000 peripheral blood mononuclear cells that Zheng et al. (2017) measured, 700 cells and
765 genes, normalised, logged (layer ``raw``) and scaled (the main matrix), with the kind of each
cell (``bulk_labels``) and its cluster (``louvain``). About twenty human TFs with some two hundred
known edges are among the genes: enough for every command to run, too few to evaluate a method.
"""

from __future__ import annotations

import io
import zipfile

from .extra import extra
from .hdf5 import form
from .wheels import member

FILE = "scanpy/datasets/10x_pbmc68k_reduced.h5ad"


def pbmc68k(files: zipfile.ZipFile) -> tuple[bytes, dict[str, int]]:
    """The file as it is, and how many genes and samples it has.

    Args:
        files: of the wheel.
    """
    content = member(files, FILE)
    with extra("h5py").File(io.BytesIO(content), "r") as file:
        _, (samples, genes) = form(file["X"])
    return content, {"genes": genes, "samples": samples}
