"""`groundup.apps.grn` from Python gives what the commands give, for the same seed (R13.5)."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.grn_files import SMALL

from groundup.apps import grn
from groundup.apps.grn.tuning.settings import with_settings

pytest.importorskip("pandas")
FILES = ("--expression", "expression.tsv", "--prior", "prior.tsv")


@pytest.fixture
def problem(place):
    grn.write_example(place)
    return grn.pose(grn.read_expression("expression.tsv"), grn.read_prior("prior.tsv"))


def run(groundup, *words):
    done = groundup("grn", *words)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_check(groundup, problem):
    told = grn.check(grn.read_expression("expression.tsv"), grn.read_prior("prior.tsv"))
    content = json.loads(run(groundup, "data", "check", FILES[1], FILES[3], "--json"))
    assert content == json.loads(json.dumps(told.to_json()))


@pytest.mark.parametrize("members", [1, 2])
def test_train_and_predict(groundup, problem, place, members):
    words = ("train", *FILES, *SMALL, "--seed", 3, "--members", members, "model")
    run(groundup, *words)
    run(groundup, "predict", "model", "-o", "theirs.tsv", "--top", 0)
    recipe = with_settings("expression", {"sizes": (8, 4), "epochs": 2})
    trained = grn.train(problem, "expression", recipe, 3, members=members)
    network = grn.predict(trained)
    grn.export(network, "ours.tsv")
    assert (place / "ours.tsv").read_bytes() == (place / "theirs.tsv").read_bytes()
    grn.save(trained, "again", prior_digest=problem.prior_digest)
    for model in ("again", "model"):
        grn.export(grn.predict(grn.load(model, problem.expression)), "read.tsv")
        assert (place / "read.tsv").read_bytes() == (place / "theirs.tsv").read_bytes()


@pytest.mark.parametrize("method", ["clr", "two-tower-self-supervised"])
def test_infer(groundup, problem, place, method):
    words = ("--method", method, "--seed", 5, "--top", 0, "-o", "theirs.tsv")
    run(groundup, "infer", *FILES, *words)
    found = grn.infer(problem.expression, None, method, prior=grn.read_prior("prior.tsv"), seed=5)
    grn.export(found, "ours.tsv")
    assert (place / "ours.tsv").read_bytes() == (place / "theirs.tsv").read_bytes()
    with pytest.raises(grn.GRNError, match="name the TFs, or give a prior"):
        grn.infer(problem.expression)


def test_evaluate_and_report(groundup, problem, place):
    words = ("--methods", "degree,clr", "--split", "gene", "--seeds", 2, "--resamples", 50)
    content = json.loads(run(groundup, "evaluate", *FILES, *words, "--json"))
    found = grn.evaluate(problem, ["degree", "clr"], "gene", "matched", 2)
    assert content["runs"] == json.loads(found.to_json())["runs"]
    grn.report(found, resamples=50, title="Regulatory edges").write(place / "ours.html")
    theirs = (place / "grn-gene-matched" / "report.html").read_text()
    assert (place / "ours.html").read_text() == theirs
    with pytest.raises(grn.GRNError, match="magic: no such method"):
        grn.evaluate(problem, ["magic"], "gene")


def test_names_are_those_that_type_checkers_see():
    tree = ast.parse(Path(grn.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in block.body
        for alias in node.names
    }
    assert seen == grn._PLACES
    assert sorted(seen) == sorted(grn.__all__)
    assert set(grn.__all__) < set(dir(grn))
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = grn.magic


def test_a_name_costs_only_what_it_needs():
    code = (
        "import sys; from groundup.apps import grn; grn.read_prior; "
        "print([n for n in sys.modules if n.startswith('groundup.apps.grn.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "groundup.apps.grn.data.prior" in done.stdout
    assert "groundup.apps.grn.training" not in done.stdout
