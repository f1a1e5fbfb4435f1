"""A trained model as a folder: read back as it was, or refused with a reason."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.models import Ensemble
from groundup.apps.grn.training.train import train, train_ensemble
from groundup.apps.grn.training.trained import Trained
from groundup.apps.grn.use.predict import predict
from groundup.apps.grn.use.saved import load_trained, save_trained

from .planted import posed, quick

EVERY = np.stack(np.divmod(np.arange(12 * 80), 80), axis=1)
NAMES = ["regulon", "expression", "embedding", "cross-encoder", "paired-early", "optimised"]


def saved(name: str, folder: Path) -> Trained:
    trained = train(posed()[2], name, quick(name, epochs=1))
    save_trained(trained, folder, prior_digest="abc", preprocessing={"log": True})
    return trained


def shuffled(expression: Expression, genes: list[int], samples: list[int]) -> Expression:
    return Expression(
        expression.values[np.ix_(genes, samples)],
        [expression.genes[i] for i in genes],
        [expression.samples[i] for i in samples],
    )


# R13.5
@pytest.mark.parametrize("name", NAMES)
def test_read_back(name: str, tmp_path: Path) -> None:
    problem, _, _ = posed()
    trained = saved(name, tmp_path)
    again = load_trained(tmp_path, problem.expression)
    assert isinstance(again, Trained)
    assert (again.score(EVERY) == trained.score(EVERY)).all()
    assert (again.probability(EVERY) == trained.probability(EVERY)).all()
    assert again.recipe == trained.recipe
    assert again.history == trained.history
    one, two = predict(trained), predict(again)
    assert one.sign is not None
    assert two.sign is not None
    assert two.in_prior is not None
    assert (one.sign == two.sign).all()
    assert (one.in_prior == two.in_prior).all()
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "weights.safetensors"}
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["prior"] == "abc"
    assert content["preprocessing"] == {"log": True}
    assert content["genes"] == list(problem.expression.genes)


def test_without_expression(tmp_path: Path) -> None:
    trained = saved("embedding", tmp_path / "a")
    again = load_trained(tmp_path / "a")
    assert (again.score(EVERY) == trained.score(EVERY)).all()
    assert isinstance(again, Trained)
    assert predict(again).sign is None
    saved("regulon", tmp_path / "b")
    with pytest.raises(GRNError, match="reads expression; give that of the 30 samples"):
        load_trained(tmp_path / "b")


def test_genes_and_samples_in_any_order(tmp_path: Path) -> None:
    problem, _, _ = posed()
    random = np.random.default_rng(0)
    genes, samples = random.permutation(80).tolist(), random.permutation(30).tolist()
    other = shuffled(problem.expression, genes, samples)
    for name in ("regulon", "paired-late"):
        network = predict(saved(name, tmp_path / name))
        again = predict(load_trained(tmp_path / name, other))
        assert set(again.gene_names) == set(network.gene_names)
        columns = [again.gene_names.index(gene) for gene in network.gene_names]
        np.testing.assert_allclose(again.scores[:, columns], network.scores, atol=1e-5)
        assert again.in_prior is not None
        assert (again.in_prior[:, columns] == network.in_prior).all()


def test_other_genes_of_the_same_samples(tmp_path: Path) -> None:
    problem, _, _ = posed()
    given = problem.expression
    names = [*given.genes[:40], *(f"new{i}" for i in range(20))]
    other = Expression(given.values[:60], names, given.samples)
    trained = saved("regulon", tmp_path / "a")
    again = load_trained(tmp_path / "a", other)
    assert predict(again).scores.shape == (12, 60)
    wanted = trained.score(EVERY).reshape(12, 80)[:, :60]
    every = np.stack(np.divmod(np.arange(12 * 60), 60), axis=1)
    np.testing.assert_allclose(again.score(every).reshape(12, 60), wanted, atol=1e-5)
    assert (again.prevalence.of_gene[:40] == trained.prevalence.of_gene[:40]).all()
    assert (again.prevalence.of_gene[40:] == 0).all()
    saved("paired-early", tmp_path / "b")
    with pytest.raises(GRNError, match=r"lacks 40 .* and has 20 others \(new0, new1, new10"):
        load_trained(tmp_path / "b", other)
    without = Expression(given.values[1:], given.genes[1:], given.samples)
    with pytest.raises(GRNError, match="1 of its 12 TFs"):
        load_trained(tmp_path / "a", without)


def test_other_samples_are_refused(tmp_path: Path) -> None:
    problem, _, _ = posed()
    given = problem.expression
    saved("regulon", tmp_path)
    renamed = Expression(given.values, given.genes, [f"cell{i}" for i in range(30)])
    with pytest.raises(GRNError, match="means nothing for another"):
        load_trained(tmp_path, renamed)
    fewer = shuffled(given, list(range(80)), list(range(20)))
    with pytest.raises(GRNError, match="lacks 10 of them"):
        load_trained(tmp_path, fewer)
    values = given.values[:, np.random.default_rng(1).permutation(30)]
    with pytest.raises(GRNError, match="genes behave otherwise"):
        load_trained(tmp_path, Expression(values, given.genes, given.samples))
    # Another unit is no reason.
    load_trained(tmp_path, Expression(given.values * 3 + 1, given.genes, given.samples))


def test_an_ensemble(tmp_path: Path) -> None:
    problem, _, known = posed()
    both = train_ensemble(known, "regulon", quick("regulon", epochs=1), members=2)
    save_trained(both, tmp_path)
    again = load_trained(tmp_path, problem.expression)
    assert isinstance(again, Ensemble)
    assert (again.score(EVERY) == both.score(EVERY)).all()
    (tmp_path / "member-1" / "model.json").unlink()
    with pytest.raises(GRNError, match="member-1"):
        load_trained(tmp_path, problem.expression)


def changed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "model.json").read_text())
        change(content)
        (folder / "model.json").write_text(json.dumps(content))

    return damage


def cut(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_weights(folder: Path) -> None:
    tensors, _ = gu.load(folder / "weights.safetensors")
    name = next(name for name in tensors if name.startswith("model/"))
    gu.save({**tensors, name: tensors[name] + 1}, folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.json").unlink(), "no model.json"),
        (lambda folder: (folder / "model.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "model.json").write_text("[]"), "not of a gene-regulatory"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "no such file"),
        (cut, "weights"),
        (other_weights, "not the weights that"),
        (changed(lambda c: c.update(format=99)), "format 99"),
        (changed(lambda c: c.update(format="1")), "format is '1'"),
        (changed(lambda c: c.update(model="gpt")), "'gpt'"),
        (changed(lambda c: c.update(model="expression")), "damaged"),
        (changed(lambda c: c["genes"].pop()), "damaged"),
        (changed(lambda c: c["tfs"].append(c["tfs"][0])), "tfs: expected different names"),
        (changed(lambda c: c.update(samples=[])), "samples: expected different names"),
        (changed(lambda c: c["recipe"].update(epochs=-1)), "epochs"),
        (changed(lambda c: c["recipe"].update(colour="red")), "colour"),
        (changed(lambda c: c.update(prevalence=[-1, 0, 0])), "make no log-odds"),
        (changed(lambda c: c.update(signs={"weights": [1], "bias": 0})), "two weights"),
        (changed(lambda c: c.update(seed=None)), "seed is None"),
    ],
)
def test_damaged(damage: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    saved("regulon", tmp_path)
    damage(tmp_path)
    with pytest.raises(GRNError, match=words):
        load_trained(tmp_path, posed()[0].expression)


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    trained = saved("regulon", tmp_path)
    with gu.no_grad():
        next(trained.model.parameters()).assign(float("nan"))
    save_trained(trained, tmp_path)
    with pytest.raises(GRNError, match="NaN or infinite"):
        load_trained(tmp_path, posed()[0].expression)
