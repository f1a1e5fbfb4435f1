"""Expression and names: what is refused, and how a prior is compared with it (R13.3)."""

import numpy as np
import pytest

from groundup.apps.grn.data.expression import Expression, joined
from groundup.apps.grn.data.names import match_names, renamed
from groundup.apps.grn.data.prior import Prior
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.task.problem import pose


@pytest.mark.parametrize(
    ("values", "genes", "samples", "annotations", "words"),
    [
        (np.ones((2, 3)), "a", "xyz", {}, "values of shape (2, 3), names of 1 genes"),
        (np.ones((0, 3)), "", "xyz", {}, "0 genes and 3 samples"),
        (np.ones((2, 1)), "aa", "x", {}, "1 genes occur more than once, such as a"),
        (np.array([[1.0, np.inf]]), "a", "xy", {}, "gene 'a' in sample 'y'"),
        (np.ones((1, 2)), "a", "xy", {"type": ["t"]}, "'type' has 1 entries for 2 samples"),
    ],
)
def test_what_is_not_expression(values, genes, samples, annotations, words):
    with pytest.raises(GRNError) as error:
        Expression(values, list(genes), list(samples), annotations)
    assert words in str(error.value)


def test_rows_of_the_same_name():
    values = np.array([[1, 2], [3, 4], [5, 9]], np.float32)
    for how, first in (("mean", [3, 5.5]), ("sum", [6, 11]), ("first", [1, 2])):
        found, names = joined(values, ["a", "b", "a"], how)
        assert names == ["a", "b"]
        assert found.tolist() == [first, [3, 4]]
    assert joined(values, ["a", "b", "a"], "error")[1] == ["a", "b", "a"]


def test_only_some_genes():
    given = Expression(np.arange(6).reshape(3, 2), "abc", "xy", {"type": ["t", "u"]})
    found = given.only([2, 0])
    assert list(found.genes) == ["c", "a"]
    assert found.values.tolist() == [[4, 5], [0, 1]]
    assert found.annotations == given.annotations


def test_names_of_a_prior_are_compared():
    expression = Expression(np.ones((4, 1)), ["TP53", "MDM2", "CDKN1A", "MYC"], ["s"])
    prior = Prior.of(
        [("Tp53", "MDM2", 1), ("TP53", "WAF1", 1), ("MYC", "CDKN1A", -1), ("GATA1", "MYC", 1),
         ("GATA1", "KLF1", 1)]
    )  # fmt: skip
    report = match_names(expression, prior, {"WAF1": "CDKN1A", "KLF1": "EKLF"})
    assert (report.edges, report.usable) == (5, 1)
    assert (report.tfs, report.measured_tfs) == (4, 2)
    assert (report.targets, report.measured_targets) == (5, 3)
    assert list(report.missing_tfs) == ["GATA1", "Tp53"]  # those with most edges first
    assert report.by_case == {"Tp53": "TP53"}
    assert report.by_alias == {"WAF1": "CDKN1A"}
    better = renamed(prior, {**report.by_case, **report.by_alias})
    assert match_names(expression, better).usable == 3
    with pytest.raises(GRNError, match=r"only 1 of 5 edges .* 1 names differ in capitals only"):
        report.require()


def test_too_little_overlap_is_refused_before_anything_is_learned():
    expression = Expression(np.ones((20, 2)), [f"g{i}" for i in range(20)], ["x", "y"])
    prior = Prior.of([(f"ENSG{i}", f"ENSG{i + 1}", 1) for i in range(40)])
    with pytest.raises(GRNError, match=r"only 0 of 40 edges .* names such as ENSG1, ENSG10"):
        pose(expression, prior)
