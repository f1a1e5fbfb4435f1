"""Expression from files, and what is said of those that cannot be used (R13.3)."""

import gzip

import numpy as np
import pytest

from groundup.apps.grn.data import read
from groundup.apps.grn.data.orientation import orientation
from groundup.apps.grn.data.read import read_expression
from groundup.apps.grn.errors import GRNError

VALUES = np.array([[1.5, 0, 3, 2], [2, 7, 1, 0], [0, 0.25, 1, 1]], np.float32)
GENES, SAMPLES = ["fur", "entA", "sodB"], ["w1", "w2", "m1", "m2"]


def table(mark="\t", corner="gene", turn=False) -> str:
    values, rows, columns = VALUES, GENES, SAMPLES
    if turn:
        values, rows, columns = VALUES.T, SAMPLES, GENES
    lines = [mark.join([corner, *columns])]
    lines += [
        mark.join([name, *map(str, row)]) for name, row in zip(rows, values.tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def same(expression) -> None:
    assert list(expression.genes) == GENES
    assert list(expression.samples) == SAMPLES
    np.testing.assert_array_equal(expression.values, VALUES)
    assert expression.values.dtype == np.float32


@pytest.mark.parametrize("mark", ["\t", ",", ";", " "])
@pytest.mark.parametrize("turn", [False, True])
def test_any_delimiter_and_either_way_round(tmp_path, mark, turn):
    file = tmp_path / "x.txt"
    file.write_text(table(mark, "cell" if turn else "gene", turn))
    said = []
    same(read_expression(file, tell=said.append))
    assert said == [
        f"{'columns' if turn else 'rows'} are taken for genes: the column of names is called "
        f"{'cell' if turn else 'gene'!r}"
    ]
    same(read_expression(file, transpose=turn, known_genes=GENES))


def test_known_genes_tell_the_way_round(tmp_path):
    file = tmp_path / "x.csv.gz"
    file.write_bytes(gzip.compress(table(",", "", True).encode()))
    same(read_expression(file, known_genes={"fur", "other"}))
    with pytest.raises(GRNError, match="cannot tell which are genes; say so with --transpose"):
        read_expression(file)
    with pytest.raises(GRNError, match=r"x\.csv\.gz: the wrong way round: 0 of the 2 known genes"):
        read_expression(file, transpose=False, known_genes={"fur", "entA"})


def test_a_table_as_r_writes_it_and_one_without_names_of_rows(tmp_path):
    lines = table().splitlines()
    (tmp_path / "r.tsv").write_text("\n".join([lines[0].removeprefix("gene\t"), *lines[1:]]))
    same(read_expression(tmp_path / "r.tsv", transpose=False))
    rows = ["\t".join(GENES), *("\t".join(map(str, row)) for row in VALUES.T.tolist())]
    (tmp_path / "dream.tsv").write_text("\n".join(rows))
    found = read_expression(tmp_path / "dream.tsv")
    assert list(found.genes) == GENES
    assert list(found.samples) == ["1", "2", "3", "4"]
    np.testing.assert_array_equal(found.values, VALUES)


def test_orientation_by_barcodes_and_by_length():
    cells = ["ACGTACGTACGTAC-1", "ACGTACGTACGTAG-1"]
    assert orientation(cells, ["a", "b"]).transpose
    assert not orientation(["a", "b"], cells).transpose
    assert not orientation([f"g{i}" for i in range(30)], ["a", "b"]).transpose
    assert orientation(["a", "b"], [f"g{i}" for i in range(30)]).transpose
    many = [f"c{i}" for i in range(6000)]
    with pytest.raises(GRNError, match="cannot tell"):
        orientation(many, [f"g{i}" for i in range(1500)])  # single cells, or genes of bulk data


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty, expected expression"),
        ("\n", "the first line is empty"),
        ("gene\ta\tb\n", "one line alone"),
        ("gene\nfur\nentA\n", "expected numbers beside them"),
        ("gene\ta\tb\nfur\t1\tlow\n", "'low' in row 'fur', column 'b' (line 2) is not a number"),
        ("gene;a;b\nfur;1;2\nx;1;0,5\n", "'0,5' in row 'x', column 'b' (line 3) is not a number"),
        ("gene\ta\tb\nfur\tTrue\t1\n", "'True' in row 'fur', column 'a'"),
        ("gene\ta\tb\nfur\t1\t2\nfur\t3\t4\n", "1 genes occur more than once, such as fur"),
        ("gene\ta\tb\nfur\t1\t\n", "the first of gene 'fur' in sample 'b'"),
        ("gene\ta\tb\nfur\t1\tinf\n", "1 values are NaN or infinite"),
        ("gene\ta\tb\nfur\t0\t0\n", "every value is 0"),
        ("gene\ta\tb\nfur\t1\n", "2 names in the first line, and 1 numbers"),
        ("gene\ta\tb\nfur\t1\t2\nx\t1\t2\t3\n", "cannot be read as a table"),
        ("gene\ta\tb\n\t1\t2\n", "line 2 has no name"),
        ("fur\t1\t2\nentA\t3\t4\n", "numbers where names are expected"),
        ("1\t2\n3\t4\n", "no names"),
        (b"\x89HDF\r\n\x1a\n\xff", "an HDF5 file; expected a table, or .h5ad"),
        (b"gene\ta\nf\xff\t1\n", "not text in UTF-8"),
    ],
)
def test_bad_tables_are_refused_with_the_place(tmp_path, content, words):
    file = tmp_path / "x.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GRNError) as error:
        read_expression(file)
    assert str(error.value).startswith(f"{file}: ")
    assert words in str(error.value)


def test_missing_files_folders_and_options(tmp_path):
    with pytest.raises(GRNError, match="there is no such file"):
        read_expression(tmp_path / "none.csv")
    with pytest.raises(GRNError, match="a folder, expected a file"):
        read_expression(tmp_path)
    with pytest.raises(GRNError, match="expected one of error, mean, sum, first"):
        read_expression(tmp_path / "none.csv", duplicates="max")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(table(",").encode())[:-20])
    with pytest.raises(GRNError, match=r"x\.csv\.gz: cannot be read"):
        read_expression(tmp_path / "x.csv.gz")
    (tmp_path / "y.csv").write_text(table(","))
    with pytest.raises(GRNError, match="a table has no layers"):
        read_expression(tmp_path / "y.csv", layer="raw")


@pytest.mark.parametrize(("how", "first"), [("mean", 2.0), ("sum", 4.0), ("first", 1.0)])
def test_genes_of_the_same_name_are_joined(tmp_path, how, first):
    (tmp_path / "x.tsv").write_text("gene\ta\nfur\t1\nfur\t3\nsodB\t5\n")
    said = []
    found = read_expression(tmp_path / "x.tsv", duplicates=how, tell=said.append)
    assert found.values[:, 0].tolist() == [first, 5.0]
    assert "1 rows are joined with others of the same name" in said


@pytest.fixture
def annotated(tmp_path):
    """An .h5ad file with a sparse matrix, a layer, raw, and annotations."""
    anndata = pytest.importorskip("anndata")
    pandas = pytest.importorskip("pandas")
    from scipy import sparse

    obs = pandas.DataFrame(
        {"region": pandas.Categorical(["a", "a", "b", None]), "depth": [0.5, 1, 2, 3]},
        index=pandas.Index(SAMPLES, dtype=object),
    )
    data = anndata.AnnData(
        sparse.csr_matrix(VALUES.T),
        obs=obs,
        var=pandas.DataFrame(index=pandas.Index(GENES, dtype=object)),
    )
    data.raw = data.copy()
    data.layers["double"] = VALUES.T * 2
    data = data[:, :2].copy()
    data.write_h5ad(tmp_path / "x.h5ad")
    return tmp_path / "x.h5ad"


def test_h5ad_with_layers_raw_and_annotations(annotated):
    found = read_expression(annotated)
    np.testing.assert_array_equal(found.values, VALUES[:2])
    assert found.annotations == {"region": ["a", "a", "b", ""]}
    np.testing.assert_array_equal(read_expression(annotated, layer="double").values, 2 * VALUES[:2])
    same(read_expression(annotated, layer="raw"))
    with pytest.raises(GRNError, match="there is no layer 'x'; its layers: double, raw"):
        read_expression(annotated, layer="x")
    with pytest.raises(GRNError, match="names of genes are among those of the cells"):
        read_expression(annotated, known_genes=SAMPLES)
    with pytest.raises(GRNError, match="says which side has the genes"):
        read_expression(annotated, transpose=True)


def test_what_is_too_large_is_refused_before_it_is_read(annotated, monkeypatch):
    monkeypatch.setattr(read, "MOST_VALUES", 7)
    with pytest.raises(GRNError, match=r"x\.h5ad: a matrix of 4 x 2 is too large to read whole"):
        read_expression(annotated)


def test_damaged_h5ad(annotated, tmp_path):
    whole = annotated.read_bytes()
    for length, words in ((len(whole) // 2, "truncated or damaged"), (3, "not an HDF5 file")):
        (tmp_path / "y.h5ad").write_bytes(whole[:length])
        with pytest.raises(GRNError, match=words):
            read_expression(tmp_path / "y.h5ad")
    (tmp_path / "z.h5ad").write_text(table())
    with pytest.raises(GRNError, match=r"z\.h5ad: not an HDF5 file, which \.h5ad files are"):
        read_expression(tmp_path / "z.h5ad")


def test_loom(tmp_path):
    h5py = pytest.importorskip("h5py")
    words = h5py.string_dtype()
    with h5py.File(tmp_path / "x.loom", "w") as file:
        file["matrix"] = VALUES
        file["layers/spliced"] = VALUES + 1
        file.create_dataset("row_attrs/Gene", data=GENES, dtype=words)
        file.create_dataset("col_attrs/CellID", data=SAMPLES, dtype=words)
        file.create_dataset("col_attrs/kind", data=["x", "x", "y", "y"], dtype=words)
    found = read_expression(tmp_path / "x.loom")
    same(found)
    assert found.annotations["kind"] == ["x", "x", "y", "y"]
    np.testing.assert_array_equal(
        read_expression(tmp_path / "x.loom", layer="spliced").values, VALUES + 1
    )
    with h5py.File(tmp_path / "y.loom", "w") as file:
        file["matrix"] = VALUES
        file["row_attrs/Length"] = np.ones(3)
    with pytest.raises(GRNError, match="no row attribute is called Gene"):
        read_expression(tmp_path / "y.loom")


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    (tmp_path / "x.tsv").write_text(table())
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(GRNError, match=r'pandas is missing; .*pip install "groundup\[grn\]"'):
        read_expression(tmp_path / "x.tsv")
