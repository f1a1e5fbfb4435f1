"""Induction heads: the parts against a network made by hand, and a short run. R2.6, R2.7, R4.2."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Claim, judge
from groundup.experiments.experiment import load
from groundup.experiments.runner import run_seeds
from groundup.experiments.sequences import induction, repetition
from groundup.experiments.sequences.attention_only import HEADS, WIDTH, Network, circuits
from groundup.runs import Store

SIZE, KEEN = 16, 40.0


def by_hand() -> Network:
    """The circuit of the lesson for 16 tokens and places: one head looks back, one matches."""
    model = Network(SIZE, SIZE, layers=2, smeared=False)
    unit, zero = np.eye(SIZE), np.zeros((SIZE, SIZE))
    own, before, answer, place = (slice(i * SIZE, (i + 1) * SIZE) for i in range(4))

    def put(weight: gu.Tensor, *blocks: tuple[slice, slice, np.ndarray]) -> None:
        array = np.zeros(weight.shape, np.float32)
        for rows, columns, block in blocks:
            array[rows, columns] = block
        weight.assign(gu.tensor(array))

    first, second = model.layers
    every = slice(0, SIZE)
    with gu.no_grad():
        put(model.token.weight, (every, own, unit))
        put(model.position, (every, place, unit))
        put(first.query.weight, (own, place, KEEN * np.eye(SIZE, k=1)))  # t asks for t - 1
        put(first.key.weight, (own, place, unit))
        put(first.value.weight, (own, own, unit))
        put(first.out.weight, (before, own, unit))
        put(second.query.weight, (own, own, KEEN * unit))
        put(second.key.weight, (own, before, unit))
        put(second.value.weight, (own, own, unit))
        put(second.out.weight, (answer, own, unit))
        put(model.head.weight, (every, answer, KEEN * unit), (every, own, zero))
    return model


@pytest.fixture(scope="module")
def blocks() -> repetition.Sequences:
    """Eight different tokens out of 16, and the same again."""
    random = np.random.default_rng(0)
    half = np.stack([random.permutation(SIZE)[:8] for _ in range(5)])
    return repetition.Sequences(np.concatenate([half, half, half[:, :1]], axis=1), np.full(5, 8))


def answers(model: Network, data: repetition.Sequences, **removal: object) -> np.ndarray:
    with gu.no_grad():
        return model.look(gu.tensor(data.tokens[:, :-1]), **removal)[0].argmax(dim=2).numpy()


# Sequences and rules


def test_sequences_repeat_their_blocks_and_targets_say_where() -> None:
    data = repetition.draw(np.random.default_rng(3), 50)
    assert data.tokens.shape == (50, repetition.LENGTH + 1)
    assert set(data.blocks) <= set(range(8, 17))
    assert len(set(data.blocks)) > 5
    for row, block, known in zip(data.tokens, data.blocks, data.known, strict=True):
        assert (row[block:] == row[:-block]).all()
        assert np.flatnonzero(known)[0] == block  # predicts place block + 1
        assert known[block:].all()
    assert set(repetition.draw(np.random.default_rng(3), 9, 20).blocks) == {20}


def test_matches_are_the_places_after_the_same_token() -> None:
    data = repetition.draw(np.random.default_rng(4), 3)
    for tokens, found in zip(data.tokens.tolist(), data.matches(), strict=True):
        for t in range(repetition.LENGTH):
            expected = [s for s in range(1, t + 1) if tokens[s - 1] == tokens[t]]
            assert np.flatnonzero(found[t]).tolist() == expected


def test_the_copier_agrees_with_a_search_by_hand() -> None:
    random = np.random.default_rng(5)
    x = random.integers(0, 4, (6, 30))  # few tokens: many runs of different lengths
    p = repetition.copier(x, 0.1)
    np.testing.assert_allclose(p.sum(axis=2), 1)
    for row, given in zip(x.tolist(), p, strict=True):
        for t in range(30):
            best, after = 0, None
            for j in range(t):
                run = 0
                while run <= j and row[j - run] == row[t - run]:
                    run += 1
                if run >= best and run:
                    best, after = run, row[j + 1]
            assert given[t].max() == pytest.approx(1 / 64 if after is None else 0.9 + 0.1 / 64)
            assert after is None or given[t].argmax() == after


def test_counting_tokens_and_pairs() -> None:
    x = np.array([[1, 1, 2]])
    p = repetition.seen(x, 0.5)[0]
    assert p[2, 1] == pytest.approx(2.5 / 35)
    assert p[2, 2] == pytest.approx(1.5 / 35)
    p = repetition.pairs(np.array([[1, 2, 1, 2, 3]]), np.array([[2]]))[0, 0]
    assert p[1] == p[3] == pytest.approx(2 / 66)


# The circuit


def test_the_circuit_by_hand_continues_what_it_has_seen(blocks: repetition.Sequences) -> None:
    right = answers(by_hand(), blocks) == blocks.tokens[:, 1:]
    assert right[:, 9:].all()  # place 0 sees itself as its previous token: place 8 has a tie
    assert not right[:, :7].any()


def test_removing_either_head_destroys_it_and_only_keys_pass_it_on(
    blocks: repetition.Sequences,
) -> None:
    model, truth = by_hand(), blocks.tokens[:, 10:]
    for head in ((0, 0), (1, 0)):
        assert (answers(model, blocks, removed=[head])[:, 9:] == truth).mean() < 0.3
    assert (answers(model, blocks, removed=[(0, 1), (1, 3)])[:, 9:] == truth).all()
    for role, whole in (("query", True), ("key", False), ("value", True), ("output", True)):
        found = answers(model, blocks, removed=[(0, 0)], roles=(role,))[:, 9:]
        assert bool((found == truth).all()) is whole


def test_scores_and_circuits_find_its_heads(
    blocks: repetition.Sequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repetition, "LENGTH", SIZE)
    model = by_hand()
    with gu.no_grad():
        prefix, previous = induction.scores(model.look(gu.tensor(blocks.tokens[:, :-1]))[1], blocks)
    assert prefix[1, 0] > 90  # a tie at place 8
    assert previous[0, 0] > 99
    assert induction.found_heads(prefix, 1) == ([(1, 0)], [(1, 1), (1, 2), (1, 3)])
    assert induction.found_heads(previous, 0)[0] == [(0, 0)]
    assert induction.found_heads(previous, 1)[0] != []  # none reaches 30 %: the best one


def test_copying_and_composition_agree_with_the_whole_matrices() -> None:
    gu.manual_seed(0)
    model = Network(30, 8, layers=2, smeared=False)
    copying, composition = circuits(model)
    e, u = model.token.weight.detach().numpy(), model.head.weight.detach().numpy()
    d = WIDTH // HEADS
    for i, layer in enumerate(model.layers):
        for h in range(HEADS):
            part = slice(h * d, (h + 1) * d)
            v = layer.value.weight.detach().numpy()[part]
            o = layer.out.weight.detach().numpy()[:, part]
            values = np.linalg.eigvals(u @ o @ v @ e.T)
            assert copying[i, h] == pytest.approx(values.sum().real / abs(values).sum(), abs=1e-3)
    assert composition.shape == (HEADS, HEADS)
    assert (composition > 0).all()
    assert (composition < 1).all()


def test_smeared_keys_mix_each_key_with_the_one_before() -> None:
    gu.manual_seed(0)
    plain, smeared = (Network(10, 6, layers=1, smeared=s) for s in (False, True))
    weights = dict(plain.state_dict())
    smeared.load_state_dict({**weights, "layers.0.own": gu.full((HEADS, 1, 1), 50.0)})
    tokens = gu.tensor([[1, 2, 3, 4, 5, 6]])
    assert gu.allclose(smeared(tokens), plain(tokens), atol=1e-5)
    smeared.load_state_dict({**weights, "layers.0.own": gu.full((HEADS, 1, 1), -50.0)})
    with gu.no_grad():
        one, other = (m.look(tokens)[1][0].numpy() for m in (plain, smeared))
    # With the keys of the place before, two queries' scores stand one place further on.
    ratio, shifted = (
        one[0, :, 5, 0:3] / one[0, :, 5, 1:4],
        other[0, :, 5, 1:4] / other[0, :, 5, 2:5],
    )
    np.testing.assert_allclose(ratio, shifted, rtol=1e-3)


# The experiment


def test_formation_tells_a_step_from_a_slope() -> None:
    steps = np.arange(1, 101.0)
    abrupt = np.where(steps < 60, 3.0, 0.2)
    prefix = np.where(steps < 62, 10.0, 80.0)
    found = induction.formation(np.c_[steps, abrupt, prefix, prefix])
    assert (found["fallen"], found["formed"]) == (60, 62)
    assert found["abrupt"] > 100
    slope = math.log(64) * (1 - steps / 200)
    found = induction.formation(np.c_[steps, slope, 0 * steps, 0 * steps])
    assert found["fallen"] == found["formed"] == math.inf
    assert found["abrupt"] < 1.5


def test_a_short_run_has_all_that_claims_and_report_need(tmp_path: Path) -> None:
    loaded = load("induction")
    config = loaded.config(steps=12, networks=("two-layers",))
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, (0,), store)
        titles = [title for title, _ in induction.sections(results)]
    metrics = results.metrics[0]
    needed = {m for claim in loaded.claims for m in claim.metrics if m[:4] not in ("one-", "two-")}
    assert needed <= set(metrics)
    assert metrics["copier/repeated_test"] < 0.3 < metrics["seen/repeated_test"] < math.log(64)
    assert metrics["pairs/repeated_test"] == pytest.approx(math.log(64), abs=0.5)
    assert metrics["two-layers/repeated_test"] > 3  # nothing is learned in 12 steps
    assert "Inside of two layers" in titles


def test_a_false_claim_is_refuted() -> None:
    claim = Claim("c", "one layer suffices", "a test", 90, "one-layer/right_test", unit=" %")
    measured = {seed: {"one-layer/right_test": 27.0 + 0.1 * seed} for seed in range(6)}
    assert judge([claim], measured)[0].verdict == "refuted"


@pytest.mark.slow
def test_two_layers_learn_it_and_one_does_not(tmp_path: Path) -> None:
    loaded = load("induction")
    with Store(tmp_path) as store:
        results = run_seeds(loaded, loaded.config(), (0,), store)
    found = results.metrics[0]
    assert found["two-layers/right_test"] > 85
    assert found["one-layer/right_test"] < 50
    assert found["one-smeared/right_test"] > 85
    assert found["no-previous-key/repeated_test"] > found["two-layers/repeated_test"] + 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"steps": 0}, "expected at least 2"), ({"networks": ("three-layers",)}, "expected some of")],
)
def test_bad_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        induction.Config(**settings)  # type: ignore[arg-type]
