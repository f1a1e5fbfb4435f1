"""Priors in the forms that the field's databases and tools write, and those refused (R13.3)."""

import gzip

import pytest

from groundup.apps.grn.data.prior import Prior, read_prior, write_prior
from groundup.apps.grn.errors import GRNError

pytest.importorskip("pandas")

EDGES = {("fur", "entA", -1), ("fur", "sodB", 1), ("crp", "lacZ", 0)}


def edges(prior: Prior) -> set[tuple[str, str, int]]:
    return set(zip(prior.tfs, prior.targets, prior.signs.tolist(), strict=True))


@pytest.mark.parametrize(
    "content",
    [
        "fur\tentA\tRepression\t1\nfur\tsodB\tActivation\t2;3\ncrp\tlacZ\tUnknown\t4\n",  # TRRUST
        "source,target,weight\nfur,entA,-1.0\nfur,sodB,0.5\ncrp,lacZ,0\n",  # decoupler
        "Gene1,Gene2,Type\nfur,entA,-\nfur,sodB,+\ncrp,lacZ,\n",  # BEELINE
        "id,TF,target,mor\n1,fur,entA,-1\n2,fur,sodB,1\n3,crp,lacZ,nan\n",
        "## RegulonDB\n# 10.0\ntf;gene;effect\nfur;entA;-\nfur;sodB;+\ncrp;lacZ;+-\n",
        "regulator\teffect\tgene_id\r\nfur\t-\tentA\r\nfur\t+\tsodB\r\ncrp\t?\tlacZ\r\n",
        # OmniPath, whose source and target are accessions
        "source\ttarget\tsource_genesymbol\ttarget_genesymbol\tis_stimulation\tis_inhibition\t"
        "consensus_direction\nP1\tQ1\tfur\tentA\tFalse\tTrue\tTrue\nP1\tQ2\tfur\tsodB\tTrue\tFalse\t"
        "True\nP2\tQ3\tcrp\tlacZ\tTrue\tTrue\tFalse\n",
        # RegulonDB
        "# x\n1)regulatorId\t2)regulatorName\t3)RegulatorGeneName\t4)regulatedId\t5)regulatedName\t"
        "6)function\nA\tFur\tfur\tB\tentA\t-\nA\tFur\tfur\tC\tsodB\t+\nD\tCRP\tcrp\tE\tlacZ\t-+\n",
        '"tf","target","sign"\n"fur","entA","-"\n"fur"," sodB ","+"\n"crp","lacZ","0"\n',
    ],
)
def test_forms_of_databases_and_tools(tmp_path, content):
    (tmp_path / "prior.txt").write_text(content, newline="")
    assert edges(read_prior(tmp_path / "prior.txt")) == EDGES
    (tmp_path / "prior.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert edges(read_prior(tmp_path / "prior.tsv.gz")) == EDGES


def test_columns_that_are_named_and_columns_without_a_sign(tmp_path):
    (tmp_path / "p.csv").write_text("a,b,c\nfur,x,entA\n")
    assert edges(read_prior(tmp_path / "p.csv", tf="a", target="c")) == {("fur", "entA", 0)}
    (tmp_path / "p.csv").write_text("TF,target,importance,type\nfur,entA,2.5,transcriptional\n")
    assert edges(read_prior(tmp_path / "p.csv")) == {("fur", "entA", 0)}


@pytest.mark.parametrize(
    "content",
    [
        "fur\tentA\t1\nfur\tsodB\t1\nfur\tlacZ\t0\ncrp\tentA\t0\n",  # DREAM's gold standards
        "TF,Target,Label\nfur,entA,1\nfur,sodB,1\nfur,lacZ,0\ncrp,entA,0\n",  # GENELINK's sets
    ],
)
def test_pairs_that_are_labelled_as_no_edges_are_left_out(tmp_path, content):
    (tmp_path / "gold.tsv").write_text(content)
    told = []
    found = read_prior(tmp_path / "gold.tsv", tell=told.append)
    assert edges(found) == {("fur", "entA", 0), ("fur", "sodB", 0)}
    assert told == ["2 of 4 pairs are no edges, by their label 0"]
    (tmp_path / "gold.tsv").write_text(content.replace("1", "0"))
    with pytest.raises(GRNError, match="no edges"):
        read_prior(tmp_path / "gold.tsv")


def test_an_edge_with_both_signs_has_none(tmp_path):
    prior = Prior.of([("a", "b", 1), ("a", "b", -1), ("a", "c", 0), ("a", "c", -1)])
    assert edges(prior) == {("a", "b", 0), ("a", "c", -1)}


def test_written_and_read_again(tmp_path):
    prior = Prior.of(sorted(EDGES))
    write_prior(prior, tmp_path / "p.tsv")
    found = read_prior(tmp_path / "p.tsv")
    assert edges(found) == EDGES
    assert found.digest() == prior.digest() == Prior.of(sorted(EDGES, reverse=True)).digest()
    assert found.digest() != Prior.of([("fur", "entA", 1)]).digest()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty, expected a line for each edge"),
        ("# only a remark\n", "empty"),
        ("fur entA\n", "expected at least a TF and a target"),
        ("TF\ttarget\n", "a header and no edges"),
        ("TF\tsign\nfur\t1\n", "no column is called target, gene, gene2 or the like"),
        ("TF\ttarget\nfur\t\n", "line 2 has no name of a TF or of a target"),
        ("#\nTF\ttarget\nfur\tentA\n \tb\n", "line 4 has no name"),
        ("TF\ttarget\tsign\nfur\tentA\tup\n", "the sign 'up' is not understood"),
        ("TF\ttarget\na\tb\na\tb\tc\td\n", "cannot be read as a table"),
        (b"TF\ttarget\n\xff\tb\n", "not text in UTF-8; expected edges"),
    ],
)
def test_bad_priors_are_refused(tmp_path, content, words):
    file = tmp_path / "p.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GRNError) as error:
        read_prior(file)
    assert str(error.value).startswith(f"{file}: ")
    assert words in str(error.value)


def test_missing_files_and_columns(tmp_path):
    with pytest.raises(GRNError, match="there is no such file"):
        read_prior(tmp_path / "none.tsv")
    (tmp_path / "p.tsv").write_text("TF\ttarget\nfur\tentA\n")
    for column in ("tf", "target", "sign"):
        with pytest.raises(GRNError, match="there is no column 'x'; it has "):
            read_prior(tmp_path / "p.tsv", **{column: "x"})
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(b"TF\ttarget\nfur\tentA\n" * 99)[:-12])
    with pytest.raises(GRNError, match="cannot be read as"):
        read_prior(tmp_path / "p.tsv.gz")
