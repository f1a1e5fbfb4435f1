"""Training: what is drawn, the same bits whichever way, stopping, going on, and what is refused."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.task.metrics import auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.task.questions import draw_questions
from groundup.apps.grn.task.splits import TRAIN, VALIDATION
from groundup.apps.grn.training import train as training
from groundup.apps.grn.training.pairs import PairBatches, features, validation_pairs
from groundup.apps.grn.training.recipes import PLANS, Recipe
from groundup.apps.grn.training.train import digest, train, train_ensemble
from groundup.apps.grn.training.trained import Trained
from groundup.apps.grn.use.methods import METHODS, method

from .planted import posed, quick

EVERY = np.stack(np.divmod(np.arange(12 * 80), 80), axis=1)


def drawn(known: Known, **settings: object) -> PairBatches:
    return PairBatches(known, quick("regulon", **settings), 0, features(known, True))


# ------------------------------------------------------------------------------ what is drawn


@pytest.mark.parametrize("kind", ["edge", "gene", "tf", "both"])
@pytest.mark.parametrize("negatives", ["matched", "uniform"])
def test_pairs_are_of_the_training_part(kind: str, negatives: str) -> None:
    problem, split, known = posed(kind)  # type: ignore[arg-type]
    batches = drawn(known, negatives=negatives)
    for epoch in range(3):
        pairs, labels = batches.drawn(epoch)
        assert (split.parts[tuple(pairs.T)] == TRAIN).all()
        assert (problem.edges[tuple(pairs.T)] == labels).all()
        edges = {tuple(pair) for pair in pairs[labels == 1].tolist()}
        assert edges == {tuple(pair) for pair in np.argwhere(known.edges).tolist()}
    found = validation_pairs(known, 0, Recipe(negatives=negatives))
    assert found is not None
    assert (split.parts[tuple(found[0].T)] == VALIDATION).all()
    assert (problem.edges[tuple(found[0].T)] == found[1]).all()


def test_epochs_differ_and_seeds_do() -> None:
    _, _, known = posed()
    a = drawn(known)
    assert (a.drawn(0)[0] == drawn(known).drawn(0)[0]).all()
    assert (a.drawn(0)[0] != a.drawn(1)[0]).any()
    other = PairBatches(known, quick("regulon"), 1, features(known, True))
    assert (a.drawn(0)[0] != other.drawn(0)[0]).any()


def test_matched_pairs_have_the_genes_of_the_edges() -> None:
    _, _, known = posed()
    batches = drawn(known, batch=10**6)
    genes = np.zeros((2, 80))
    for epoch in range(60):
        pairs, labels = batches.drawn(epoch)
        for kind in (0, 1):
            genes[kind] += np.bincount(pairs[labels == kind, 1], minlength=80)
    assert np.corrcoef(genes)[0, 1] > 0.7
    assert (genes[0][genes[1] == 0] == 0).all()


def test_an_epoch_is_gone_on_with_in_its_middle() -> None:
    _, _, known = posed()
    whole, half = drawn(known, batch=50), drawn(known, batch=50)
    batches = iter(whole)
    next(batches)
    half.load_state_dict(whole.state_dict())
    for one, other in zip(list(batches), list(half), strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert whole.state_dict() == half.state_dict() == {"epoch": 1, "position": 0}


@pytest.mark.parametrize("offered", [0, 24])
def test_the_batches_of_info_nce(offered: int) -> None:
    _, _, known = posed("edge")
    batches = drawn(known, loss="infonce", batch=16, offered=offered)
    tf, _, gene, _, log_q, left_out = (x.numpy() for x in next(iter(batches)))
    assert (len(tf), len(gene), log_q.shape, left_out.shape) == (
        16, 16 + offered, (16 + offered,), (16, 16 + offered),
    )  # fmt: skip
    assert known.edges[tf, gene[:16]].all()
    kept = ~left_out
    rows, columns = np.nonzero(kept)
    assert known.allowed[tf[rows], gene[columns]].all()
    assert not (known.edges | known.validation_edges)[tf[rows], gene[columns]].any()
    # Over many batches, genes weighed by 1 / q add up as if each were offered alike.
    counts, steps = np.zeros(80), 0
    for _ in range(200):
        for _, _, given, _, log_q_given, _ in batches:
            np.add.at(counts, given.numpy(), np.exp(-log_q_given.numpy()))
            steps += 1
    can_be = np.ones(80, bool) if offered else known.edges.any(0)
    assert np.abs(counts[can_be] / steps - 1).max() < 0.2
    assert (counts[~can_be] == 0).all()


# R13.4: what an ablation of InfoNCE turns off is off, and nothing else.
def test_the_batches_of_info_nce_without_a_technique() -> None:
    _, _, known = posed("edge")
    usual, open_, plain = (
        [x.numpy() for x in next(iter(drawn(known, loss="infonce", batch=16, **settings)))]
        for settings in ({}, {"masked": False}, {"log_q": False})
    )
    for one in (open_, plain):
        assert all((a == b).all() for a, b in zip(one[:4], usual[:4], strict=True))
    tf, gene = usual[0][:, None], usual[2][None]
    assert (open_[5] == ~known.allowed[tf, gene]).all()
    assert (usual[5] == (open_[5] | known.edges[tf, gene])).all()
    assert (usual[5] != open_[5]).any()
    assert not known.validation_edges[tf, gene][~open_[5]].any()
    assert (open_[4] == usual[4]).all()
    assert usual[4].any()
    assert not plain[4].any()
    assert (plain[5] == usual[5]).all()


# ------------------------------------------------------------------------------ the same bits


# R13.2, R13.5: the same seed gives the same bits.
def test_the_same_seed_gives_the_same_bits() -> None:
    _, _, known = posed()
    gu.manual_seed(1)
    before = gu.default_generator.get_state()
    one = train(known, "regulon", quick("regulon"), 5)
    assert gu.default_generator.get_state() == before
    gu.rand(7)
    two = train(known, "regulon", quick("regulon"), 5)
    assert (one.score(EVERY) == two.score(EVERY)).all()
    assert one.history == two.history
    assert (one.score(EVERY) != train(known, "regulon", quick("regulon"), 6).score(EVERY)).any()


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("regulon", {"epochs": 5}),
        ("optimised", {"epochs": 5, **{k: v for k, v in vars(PLANS["optimised"].recipe).items()
            if k not in ("options", "epochs", "batch", "warm_up", "patience")}, "patience": 2}),
        ("embedding", {"epochs": 4, "loss": "infonce", "patience": None}),
    ],
)  # fmt: skip
def test_stopped_and_gone_on_with(name: str, settings: dict, tmp_path: Path) -> None:
    _, _, known = posed()
    recipe = quick(name, **settings)
    whole = train(known, name, recipe, 3)

    def stop(done: int, of: int, what: str) -> None:
        if done == of // 2 + 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(known, name, recipe, 3, stop, tmp_path)
    seen: list[int] = []
    resumed = train(known, name, recipe, 3, lambda done, of, what: seen.append(done), tmp_path)
    assert seen[0] > 1  # it did not begin anew
    assert (whole.score(EVERY) == resumed.score(EVERY)).all()
    assert whole.history.keys() == resumed.history.keys()
    for column in whole.history:
        np.testing.assert_array_equal(whole.history[column], resumed.history[column])
    # Once complete it is there at once.
    again: list[int] = []
    done = train(known, name, recipe, 3, lambda done, of, what: again.append(done), tmp_path)
    assert not again
    assert (done.score(EVERY) == whole.score(EVERY)).all()


def test_ctrl_c_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    _, _, known = posed()
    recipe = quick("regulon", batch=32, epochs=4)
    whole = train(known, "regulon", recipe, 3)

    def press(done: int, of: int, what: str) -> None:
        if done == of // 4 + 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(known, "regulon", recipe, 3, press, tmp_path)
    seen: list[int] = []
    resumed = train(known, "regulon", recipe, 3, lambda done, *_: seen.append(done), tmp_path)
    assert seen[0] == seen[-1] // 4 + 3  # not one step was lost
    assert (whole.score(EVERY) == resumed.score(EVERY)).all()


def test_a_folder_of_another_training(tmp_path: Path) -> None:
    _, _, known = posed()
    recipe = quick("regulon", epochs=1)
    train(known, "regulon", recipe, 0, folder=tmp_path)
    with pytest.raises(GRNError, match="seed was 0, now 1"):
        train(known, "regulon", recipe, 1, folder=tmp_path)
    with pytest.raises(GRNError, match=r"learning_rate was 0\.001, now 0\.1"):
        train(known, "regulon", replace(recipe, learning_rate=0.1), 0, folder=tmp_path)
    with pytest.raises(GRNError, match="prior or split"):
        train(posed("edge")[2], "regulon", recipe, 0, folder=tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half of it")
    with pytest.raises(GRNError, match="remove it to begin anew"):
        train(known, "regulon", recipe, 0, folder=tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(GRNError, match=r"run\.json"):
        train(known, "regulon", recipe, 0, folder=tmp_path)


def test_progress() -> None:
    _, _, known = posed()
    told: list[tuple[int, int, str]] = []
    train(known, "regulon", quick("regulon", epochs=2), progress=lambda *w: told.append(w))
    assert [done for done, _, _ in told] == list(range(1, told[-1][1] + 1))
    assert "regulon" in told[0][2]
    assert "AUROC" in told[-1][2]


def test_compiled_training_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, known = posed()
    recipe = quick("regulon", patience=None)
    plain = train(known, "regulon", recipe, 2)
    monkeypatch.setattr(training, "WORTH", 1)
    compiled = train(known, "regulon", recipe, 2)
    np.testing.assert_allclose(compiled.score(EVERY), plain.score(EVERY), atol=2e-3)


# ------------------------------------------------------------------------------- what it learns


def test_it_learns_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held-out genes, where nothing can be known but from expression."""
    monkeypatch.setattr(training, "WORTH", 10**9)
    problem, split, known = posed("gene")
    questions = draw_questions(problem, "gene", "matched", 0)
    assert (questions.split.parts == split.parts).all()
    options = {"width": 16, "hidden": 32, "input_dropout": 0.2, "dropout": 0.3}
    recipe = quick("regulon", epochs=40, learning_rate=0.01, options=options)
    trained = train(known, "regulon", recipe)
    assert auroc(questions.test_labels, trained.score(questions.test)) > 0.7
    noise = replace(
        known,
        expression=replace(
            known.expression,
            values=np.random.default_rng(0).normal(size=(80, 30)).astype(np.float32),
        ),
    )
    blind = train(noise, "regulon", recipe)
    assert auroc(questions.test_labels, blind.score(questions.test)) < 0.65


def test_the_best_weights_are_kept() -> None:
    _, _, known = posed()
    recipe = quick("regulon", epochs=30, patience=3, learning_rate=0.05)
    trained = train(known, "regulon", recipe)
    held = validation_pairs(known, 0, recipe)
    assert held is not None
    column = trained.history["validation_auroc"]
    assert auroc(held[1], trained.score(held[0])) == pytest.approx(max(column), abs=1e-9)
    assert len(column) == min(30, int(np.argmax(column)) + 1 + 3)


@pytest.mark.parametrize("name", METHODS)
def test_every_method(name: str) -> None:
    # R13.1, R13.2: each is trained, gives finite scores, and sees no test edge.
    problem, split, known = posed("edge")
    settings = {"epochs": 1, "batch": 64, "warm_up": 0}
    if name in PLANS:
        recipe = replace(PLANS[name].recipe, **settings)
    else:
        recipe = quick("regulon", epochs=1)
    one = method(name, recipe)(known, 0).score(EVERY)
    assert np.isfinite(one).all()
    assert one.std() > 0
    hidden = replace(problem, edges=problem.edges & (split.parts != 2))
    two = method(name, recipe)(hidden.known(split), 0).score(EVERY)
    assert (one == two).all()


def test_probabilities_fit_the_validation_part() -> None:
    _, _, known = posed("edge")
    trained = train(known, "expression", quick("expression", epochs=10))
    assert trained.prevalence is not None
    held = np.argwhere(known.validation_allowed)
    p = trained.probability(held)
    truth = known.validation_edges[tuple(held.T)]
    assert abs(p.mean() - truth.mean()) < 0.02
    order = np.argsort(trained.log_odds(held))
    assert (np.diff(p[order]) >= 0).all()
    assert trained.prevalence.slope > 0


def test_without_validation_it_trains_to_the_end() -> None:
    problem, _, known = posed()
    everything = replace(
        known,
        edges=problem.edges,
        allowed=np.ones_like(known.allowed),
        validation_edges=np.zeros_like(known.edges),
        validation_allowed=np.zeros_like(known.edges),
    )
    trained = train(everything, "regulon", quick("regulon", patience=1, epochs=4))
    assert len(trained.history["loss"]) == 4
    assert "validation_auroc" not in trained.history
    assert trained.prevalence is None
    assert ((trained.probability(EVERY) > 0) & (trained.probability(EVERY) < 1)).all()


def test_members_differ() -> None:
    _, _, known = posed()
    told: list[tuple[int, int, str]] = []
    recipe = quick("regulon", epochs=1)
    both = train_ensemble(known, "regulon", recipe, 2, 2, lambda *w: told.append(w))
    assert [member.seed for member in both.members] == [4, 5]
    assert (both.spread(EVERY) > 0).any()
    alone = train(known, "regulon", recipe, 5)
    assert (both.members[1].score(EVERY) == alone.score(EVERY)).all()
    assert told[-1][0] == told[-1][1]
    assert told[-1][2].startswith("member 2 of 2")


# ------------------------------------------------------------------------------ what is refused


def test_nothing_to_learn_from() -> None:
    _, _, known = posed()
    with pytest.raises(GRNError, match="no known edge"):
        train(Known.of_all(known.expression, known.tfs))


def test_settings_that_do_not_fit() -> None:
    _, _, known = posed()
    with pytest.raises(GRNError, match="infonce"):
        train(known, "cross-encoder", Recipe(loss="infonce"))
    with pytest.raises(GRNError, match="expected one of"):
        train(known, "no such model")
    with pytest.raises(GRNError, match="expected one of"):
        method("no such model")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_training_that_explodes() -> None:
    _, _, known = posed()
    recipe = quick("embedding", optimizer="sgd", learning_rate=1e20, epochs=6)
    with pytest.raises(GRNError, match="smaller learning rate"):
        train(known, "embedding", replace(recipe, patience=None))


def test_the_hash_of_what_is_known() -> None:
    _, _, known = posed()
    other = known.allowed.copy()
    other[0, 0] = not other[0, 0]
    assert digest(known) == digest(replace(known))
    assert digest(known) != digest(replace(known, allowed=other))


def test_a_trained_model_says_what_it_is() -> None:
    _, _, known = posed()
    trained = train(known, "regulon", quick("regulon", epochs=1))
    assert isinstance(trained, Trained)
    assert repr(trained).startswith("Trained('regulon', ")
    assert trained.tf_names == tuple(f"gene{i}" for i in range(12))
