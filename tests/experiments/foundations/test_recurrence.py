"""Recurrent networks at reduced size. R3.7, R2.4, R2.10."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.experiments import Claim, Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import recurrence, recurrent_memory, recurrent_text
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.runs import Store


def small(name: str, folder: Path, **settings: Any) -> tuple[Results, str]:
    """An experiment with one seed: its results, and the text of its report."""
    loaded = load(name)
    with Store(folder) as store:
        results = run_seeds(loaded, loaded.config(**settings), (0,), store)
        return results, write_report(results, store).read_text(encoding="utf-8")


def verdict(claim: Claim, metrics: dict[str, float]) -> str:
    return judge([claim], dict.fromkeys(range(10), metrics))[0].verdict


# Counting


def test_answers_are_what_the_sequences_hold() -> None:
    random = np.random.default_rng(0)
    x, share = recurrence.counting(random, 200, 7)
    assert x.shape == (200, 7, 1)
    assert (7 * share[:, 0]).tolist() == pytest.approx(x.sum(dim=1)[:, 0].tolist())
    _, share = recurrence.counting(random, 500, 7, any_count=True)
    assert {round(7 * s) for s in share[:, 0].tolist()} == set(range(8))
    x, which = recurrent_memory.recalling(random, 200, 10)
    first = x[:, :3, 0].int().tolist()
    assert [4 * a + 2 * b + c for a, b, c in first] == which.tolist()
    assert x[:, :, 1].sum(dim=0).tolist() == [200.0] * 3 + [0.0] * 7


@pytest.mark.parametrize("name", recurrence.LAYERS)
def test_networks_of_a_task_are_equally_large(name: str) -> None:
    def size(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    assert size(recurrence.Reader(name)) == pytest.approx(2680, rel=0.03)
    assert size(recurrent_memory.network(name, 50)) == pytest.approx(2980, rel=0.05)
    writer = recurrent_text.Writer(name, 97)
    rest = size(writer) - size(writer.embedding)
    assert rest == pytest.approx(19_000, rel=0.04)
    assert size(recurrent_text.Writer(recurrent_text.BOTH, 97)) < size(writer)


def test_backpropagation_through_time_by_hand_agrees_with_the_engine() -> None:
    assert max(recurrence.difference_by_hand(seed) for seed in range(3)) < 1e-14


def test_backpropagation_through_time_by_hand_agrees_with_differences() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(5, 2))
    weights = [random.normal(size=s) for s in ((3, 3), (3, 2), (3,), (1, 3), (1,))]

    def loss(w: np.ndarray, u: np.ndarray, b: np.ndarray, v: np.ndarray, c: np.ndarray) -> float:
        h = np.zeros(3)
        for element in x:
            h = np.tanh(w @ h + u @ element + b)
        return float(((v @ h + c - 0.3) ** 2).item())

    to_w, to_h = recurrence.by_hand(x, 0.3, *weights)
    assert len(to_h) == 5
    w = weights[0]
    for place in np.ndindex(w.shape):
        before, near = w[place], []
        for step in (1e-5, -1e-5):
            w[place] = before + step
            near.append(loss(*weights))
        w[place] = before
        assert to_w[place] == pytest.approx((near[0] - near[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("name", ["RNN", "GRU-open", "LSTM-open"])
def test_the_gradient_to_a_state_is_that_of_a_state_to_start_from(name: str) -> None:
    """What comes after a state is a network of its own that starts from it. R2.10."""
    gu.manual_seed(0)
    model = recurrent_memory.network(name, 10).double()
    x, y = recurrent_memory.recalling(np.random.default_rng(0), 4, 10)
    x = x.double()
    with gu.no_grad():
        _, state = model.rnn(x[:, :7])
    parts = [s.detach().clone().requires_grad_() for s in (state if "LSTM" in name else (state,))]
    output, _ = model.rnn(x[:, 7:], tuple(parts) if "LSTM" in name else parts[0])
    nn.functional.cross_entropy(model.head(output[:, -1]), y).backward()
    expected = np.concatenate([p.grad[0].numpy() for p in parts], axis=1)
    found = recurrence.to_states(model, nn.functional.cross_entropy, x, y)
    assert len(found) == 10
    np.testing.assert_allclose(found[6].numpy(), expected, atol=1e-15)


def test_a_contraction_bounds_the_gradient_and_open_gates_keep_it() -> None:
    """The bound of Pascanu et al. (2013), and what gates change before training. R2.10."""
    gu.manual_seed(0)
    model = recurrence.Reader("RNN")
    nn.init.orthogonal_(model.rnn.weight_hh_l0, gain=0.5)
    data = recurrence.counting(np.random.default_rng(0), 5, 50)
    norms = recurrence.gradient_by_step(model, nn.functional.mse_loss, data)
    assert norms.shape == (50,)
    assert (norms[:-1] <= 0.5 * norms[1:] * (1 + 1e-6)).all().item()
    assert recurrence.decades(norms) > 49 * math.log10(2)
    data = recurrent_memory.recalling(np.random.default_rng(0), 5, 50)
    lost = {}
    for name in ("RNN", "LSTM", "GRU-open", "LSTM-open"):
        model = recurrent_memory.network(name, 50)
        norms = recurrence.gradient_by_step(model, nn.functional.cross_entropy, data)
        lost[name] = recurrence.decades(norms)
    assert min(lost["RNN"], lost["LSTM"]) > 6
    assert max(lost["GRU-open"], lost["LSTM-open"]) < 3


def test_networks_count_the_document_s_ones(tmp_path: Path) -> None:
    results, page = small("recurrence", tmp_path, steps=200, lengths=(7,))
    metrics = results.metrics[0]
    for name in recurrence.LAYERS:
        assert round(metrics[f"{name}/example_test"]) == 4
    claims = {claim.id: claim for claim in recurrence.CLAIMS}
    assert all(verdict(claims[f"example-{n}"], metrics) == "holds" for n in recurrence.LAYERS)
    assert verdict(claims["bound"], metrics) == verdict(claims["explodes"], metrics) == "holds"
    false = Claim("false", "1011010 has 5 ones", "nobody", 5, "GRU/example_test", "equals")
    assert verdict(false, metrics) == "refuted"
    assert page.count("<svg") >= 1


# Memory


def test_open_gates_hold_a_value_for_as_long_as_they_were_told() -> None:
    gu.manual_seed(0)
    model = recurrent_memory.network("LSTM-open", 200)
    i, f, _, _ = model.rnn.bias_ih_l0.detach().chunk(4)
    hold = 1 / (1 - f.sigmoid().numpy())
    assert hold.min() >= 2 - 1e-5
    assert hold.max() <= 200
    np.testing.assert_allclose(i.numpy(), -f.numpy())


def test_a_gru_recalls_ten_steps(tmp_path: Path) -> None:
    settings = {"steps": 200, "lengths": (10,), "networks": ("GRU-open",)}
    results, page = small("recurrent_memory", tmp_path, **settings)
    metrics = results.metrics[0]
    assert metrics["GRU-open/recall_10_test"] > 90
    assert metrics["GRU-open/bits_10_test"] > 2
    false = Claim("false", "it recalls nothing", "nobody", 1, "GRU-open/bits_10_test", "at most")
    assert verdict(false, metrics) == "refuted"
    assert "Learning rates" in page


# Text


def test_ngrams_are_those_counted_one_by_one() -> None:
    random = np.random.default_rng(0)
    train, text = random.integers(0, 4, 60), random.integers(0, 5, 30)
    weight, total = 2.0, 0.0
    for place in range(2, 30):
        p = 1 / 5
        for order in (1, 2, 3):
            context = text[place - order + 1 : place].tolist()
            run = [*context, text[place]]
            rows = [train[i : i + order].tolist() for i in range(60 - order + 1)]
            # A context counts wherever it stands, also where nothing follows.
            before = [train[i : i + order - 1].tolist() for i in range(60 - order + 2)]
            seen = before.count(context) if order > 1 else 60
            p = (rows.count(run) + weight * p) / (seen + weight)
        total -= math.log2(p)
    assert recurrent_text.ngram_bits(train, text, 3, 5, weight) == pytest.approx(total / 28)


def test_what_is_held_out_was_not_read() -> None:
    book = recurrent_text.python_reference()
    parts = [
        set(book.vocabulary.decode(part).split("\n\n"))
        for part in (book.train, book.validation, book.test)
    ]
    for one, other in itertools.combinations(parts, 2):
        assert not one & other
    assert len(book.train) > 7 * len(book.test)
    assert len(book.test) > 20_000


def test_blanks_hide_exactly_what_is_asked_for() -> None:
    text = gu.arange(5000).reshape(50, 100) % 9
    x, truth = recurrent_text.blanked((text, text), np.random.default_rng(0), 9)
    lost = x.numpy() == 9
    assert 0.08 < lost.mean() < 0.12
    np.testing.assert_array_equal(x.numpy()[~lost], text.numpy()[~lost])
    np.testing.assert_array_equal(truth.numpy(), np.where(lost, text.numpy(), -100))


def test_only_who_reads_both_ways_sees_what_comes() -> None:
    gu.manual_seed(0)
    x = gu.arange(12).reshape(1, 12)
    changed = gu.cat([x[:, :6], x[:, 6:] + 20], dim=1)
    one, both = (recurrent_text.Writer(name, 40) for name in ("GRU", recurrent_text.BOTH))
    same = [gu.allclose(m(x)[:, :6], m(changed)[:, :6]) for m in (one, both)]
    assert same == [True, False]


@pytest.mark.slow
def test_a_network_that_reads_both_ways_learns_to_copy(tmp_path: Path) -> None:
    results, page = small("recurrent_text", tmp_path, steps=60)
    metrics = results.metrics[0]
    grams = [metrics[f"{name}/bits_test"] for name in recurrent_text.NGRAMS]
    assert grams == sorted(grams, reverse=True)
    assert metrics["GRU/bits_test"] < grams[0]
    both = recurrent_text.BOTH
    assert metrics[f"{both}/bits_test"] < 0.5 * metrics["GRU/bits_test"]
    assert metrics[f"{both}/ahead_test"] > metrics["GRU/ahead_test"]
    assert metrics[f"{both}/restored_test"] > metrics["GRU/restored_test"]
    false = Claim(
        "false", "both ways needs as many bits as one way", "nobody", 0,
        f"{both}/bits_test", minus="GRU/bits_test",
    )  # fmt: skip
    assert verdict(false, metrics) == "refuted"
    assert "What they write" in page


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("recurrence", {"steps": 0}),
        ("recurrence", {"lengths": (8,)}),
        ("recurrence", {"networks": ("MLP",)}),
        ("recurrent_memory", {"lengths": (7,)}),
        ("recurrent_memory", {"networks": ("MLP",)}),
        ("recurrent_text", {"steps": 0}),
        ("recurrent_text", {"networks": ("MLP",)}),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        load(name).config(**settings)
