"""Scores of all pairs: the same as pair by pair, in blocks and compiled."""

from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.training import blocks, trained as scoring
from groundup.apps.grn.training.train import train, train_ensemble
from groundup.apps.grn.training.trained import Trained
from groundup.apps.grn.use.predict import predict

from .planted import posed, quick

EVERY = np.stack(np.divmod(np.arange(12 * 80), 80), axis=1)


def made(name: str) -> Trained:
    return train(posed("edge")[2], name, quick(name, epochs=1))


# R13.5
@pytest.mark.parametrize("name", ["regulon", "embedding", "cross-encoder"])
def test_blocks_agree_with_pairs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = made(name).log_odds(EVERY).reshape(12, 80)
    for module in (scoring, blocks):
        monkeypatch.setattr(module, "BLOCK", 36)  # 80 genes: blocks of 36, or of 36 pairs
    monkeypatch.setattr(scoring, "WORTH", 10**9)
    trained = made(name)
    told: list[tuple[int, int, str]] = []
    network = predict(trained, lambda *w: told.append(w))
    np.testing.assert_allclose(network.scores, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        network.probability, trained.probability(EVERY).reshape(12, 80), rtol=1e-4
    )
    assert told[-1][:2] == (960, 960)
    assert len(told) > 2


@pytest.mark.parametrize("name", ["cross-encoder", "regulon"])
def test_compiled_blocks_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, fresh = predict(made(name)).scores, replace(made(name))
    monkeypatch.setattr(scoring, "WORTH", 1)
    np.testing.assert_allclose(predict(fresh).scores, wanted, rtol=1e-4, atol=1e-5)


def test_what_a_network_knows_of_an_edge() -> None:
    problem, split, known = posed("edge")
    network = predict(made("expression"))
    assert network.tf_names[:2] == ("gene0", "gene1")
    assert network.in_prior is not None
    assert (network.in_prior == (known.edges | known.validation_edges)).all()
    assert network.sign is not None
    assert network.spread is None
    held = problem.edges & (split.parts == 2)
    assert np.mean(network.sign[held] == problem.signs[held]) > 0.8


def test_an_ensemble_has_mean_and_spread() -> None:
    _, _, known = posed("edge")
    ensemble = train_ensemble(known, "expression", quick("expression", epochs=2), members=3)
    network = predict(ensemble)
    np.testing.assert_allclose(
        network.scores, ensemble.probability(EVERY).reshape(12, 80), rtol=1e-4, atol=1e-7
    )
    assert network.spread is not None
    np.testing.assert_allclose(
        network.spread, ensemble.spread(EVERY).reshape(12, 80), rtol=1e-3, atol=1e-6
    )
