"""What the page on regulation says is true: parameters, columns, names, and the table's lesson.

R13.1 and R13.2 (the sizes of the documents' models), R13.4 (what a figure is worth).
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.docs.pages import ROOT

from groundup.apps.grn.baselines import BASELINES
from groundup.apps.grn.models import CrossEncoder, TwoTower
from groundup.apps.grn.networks.export import FORMATS, export
from groundup.apps.grn.networks.network import Network
from groundup.apps.grn.task.negatives import NEGATIVES
from groundup.apps.grn.task.splits import KINDS
from groundup.apps.grn.training.recipes import PLANS, build
from groundup.apps.grn.unsupervised import UNSUPERVISED
from groundup.apps.grn.use.methods import METHODS

PAGE = (ROOT / "docs" / "grn.md").read_text(encoding="utf-8")
ECOLI = (209, 3923, 278)
"""TFs, genes and samples."""


def test_parameters_are_those_of_the_models() -> None:
    told = dict(re.findall(r"^\| `([\w-]+)` \|.*\| ([\d,]+) \|$", PAGE, re.M))
    sizes = {name: build(name, *ECOLI, plan.recipe.options).size() for name, plan in PLANS.items()}
    assert told == {name: f"{size:,}" for name, size in sizes.items()}
    bare = {
        "197,376": TwoTower(0, 0, states=0).size(),
        "262,913": CrossEncoder(0, 0, states=0).size(),
        "197,597": CrossEncoder(0, 0, states=0, matched=True).size(),
    }
    for words, size in bare.items():
        assert words == f"{size:,}"
        assert words in PAGE


@pytest.mark.parametrize(
    "names",
    [BASELINES, METHODS, UNSUPERVISED, NEGATIVES, KINDS],
    ids=["baselines", "models", "infer", "beside", "split"],
)
def test_everything_that_can_be_named_is_explained(names: list[str]) -> None:
    missing = [name for name in names if f"`{name}`" not in PAGE]
    assert not missing


def test_the_first_screen_shows_the_columns_that_are_written(tmp_path) -> None:
    one = np.ones((1, 1), np.float32)
    network = Network(
        ["fliA"],
        ["cheZ"],
        one,
        probability=one,
        sign=one.astype(np.int8),
        in_prior=one.astype(bool),
    )
    export(network, tmp_path / "edges.tsv", "tsv")
    written = (tmp_path / "edges.tsv").read_text().splitlines()
    header, row = re.search(r"```text\n(TF .*)\n(.*)\n", PAGE).groups()
    assert header.split() == written[0].split("\t")
    assert row.split()[-2:] == written[1].split("\t")[-2:]
    for word in FORMATS:
        assert word in PAGE.lower()


def rows() -> dict[tuple[str, str], list[float]]:
    """AUROC of counting, neighbours, regulon, it trained beside random pairs, and combined."""
    section = PAGE.partition("<!-- grn-protocols -->")[2].partition("<!-- end of")[0]
    found = re.findall(r"^\| ([\w ]+) \| ([\w ]+ pairs) \| (.*) \|$", section, re.M)
    return {
        (held, beside): [float(cell.split()[0]) for cell in cells.split("|")]
        for held, beside, cells in found
    }


def test_the_table_teaches_what_the_page_says() -> None:
    found = rows()
    assert len(found) == len(KINDS) * len(NEGATIVES)
    assert found["edges", "random pairs"][0] == pytest.approx(0.9, abs=0.03)
    for held in ("edges", "genes", "operons"):
        counting, uniform = (found[held, "random pairs"][place] for place in (0, 3))
        matched = found[held, "matched pairs"]
        assert counting > 0.85
        assert uniform > counting
        assert matched[0] < 0.6
        assert matched[2] > matched[3] > matched[0]
    regulon = [found[held, "matched pairs"][2] for held in ("edges", "genes", "operons", "TFs")]
    assert regulon == sorted(regulon, reverse=True)
