"""Names of a prior that are no gene symbols: accessions, identifiers, complexes (R13.3)."""

import numpy as np
import pytest

from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.data.names import IDENTIFIERS, match_names
from groundup.apps.grn.data.prior import Prior
from groundup.apps.grn.data.quality import quality
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.unsupervised import infer


def measured(*genes: str) -> Expression:
    values = np.random.default_rng(0).normal(size=(len(genes), 25)).astype(np.float32)
    return Expression(values, genes, [f"s{number}" for number in range(25)])


SYMBOLS = ("TP53", "JUN", "FOS", "MYC", "HLA-A", "NKX2-1", "CDKN1A", "C4B_2", "SP1", "RELA", "E2F1")


@pytest.mark.parametrize(
    ("kind", "names", "others"),
    [
        # The forms are those of UniProt's manual and of Ensembl's stable identifiers.
        ("UniProt accessions", ["P04637", "Q9H1E3", "A0A024R161", "O43593-2"], SYMBOLS),
        ("Ensembl identifiers", ["ENSG00000141510", "ENSMUSG00000059552.14"], SYMBOLS),
        ("Entrez numbers", ["7157"], [*SYMBOLS, "7SK"]),
    ],
)
def test_kinds_of_names(kind: str, names: list[str], others: list[str]) -> None:
    form = IDENTIFIERS[kind]
    assert all(form.fullmatch(name) for name in names)
    assert not any(form.fullmatch(name) for name in others)


def test_accessions_and_complexes_are_counted() -> None:
    targets = ["CDKN1A", "P00749", "Q9H1E3", "P17174"]
    edges = [("TP53", target, 1) for target in targets]
    edges += [("JUN_FOS", "MYC", 1), ("COMPLEX:P01100_P05412", "P00749", 1), ("HLA-A", "JUN", 1)]
    report = match_names(measured(*SYMBOLS), Prior.of(edges))
    assert sorted(report.identifiers["UniProt accessions"]) == sorted(targets[1:])
    assert sorted(report.complexes) == ["COMPLEX:P01100_P05412", "JUN_FOS"]
    assert report.unnamed_edges == 5
    assert report.usable == len(edges) - report.unnamed_edges
    accessions, complexes = report.hints()
    assert "3 names of the prior are UniProt accessions, such as P00749" in accessions
    assert "prior import FILE --aliases TABLE" in accessions
    assert "2 names of the prior are complexes" in complexes
    assert "5 of 7 edges are lost" in complexes
    notes = quality(measured(*SYMBOLS), Prior.of(edges)).notes
    assert {accessions, complexes} < {*notes}
    with pytest.raises(GRNError, match=r"only 2 of 7 edges.*3 names of the prior are UniProt"):
        report.require()


def test_symbols_that_look_like_accessions_are_let_be() -> None:
    edges = [("TP53", "P2RY10", 1), ("TP53", "B3GNT2", 1), ("TP53", "CDKN1A", 1)]
    assert match_names(measured(*SYMBOLS), Prior.of(edges)).hints() == []


def test_identifiers_that_are_measured_are_no_trouble() -> None:
    numbers = [f"ENSG{number:011}" for number in range(40)]
    prior = Prior.of([(numbers[0], other, 1) for other in numbers[1:]])
    report = match_names(measured(*numbers[:30]), prior)
    assert report.measured_as == "Ensembl identifiers"
    assert report.hints() == []
    symbols = match_names(measured(*numbers), Prior.of([("TP53", "CDKN1A", 1)]))
    assert len(symbols.hints()) == 1
    with pytest.raises(GRNError, match="the genes of the expression are Ensembl identifiers"):
        symbols.require()


def test_tfs_without_a_measured_target_are_named() -> None:
    prior = Prior.of([("TP53", "CDKN1A", 1), ("JUN", "none", 1), ("MYC", "none", 1)])
    report = quality(measured(*SYMBOLS), prior)
    assert report.names is not None
    assert report.names.idle_tfs == ["JUN", "MYC"]
    assert "TFs without a target that is measured: 2: JUN, MYC" in str(report)


def test_genes_that_never_change_are_refused() -> None:
    flat = Expression(np.full((12, 6), 3, np.float32), list("abcdefghijkl"), list("uvwxyz"))
    prior = Prior.of([("a", gene, 1) for gene in flat.genes])
    with pytest.raises(GRNError, match="no gene changes over the 6 samples"):
        quality(flat, prior).require()
    with pytest.raises(GRNError, match="no gene changes over the 6 samples"):
        infer(flat, ["a"], "pearson")
    quality(measured(*SYMBOLS)).require()
