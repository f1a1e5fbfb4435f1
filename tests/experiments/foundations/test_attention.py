"""The lesson on attention at reduced size. R3.9, R2.6, R2.7."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Claim, Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import attention, renaming
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.runs import Store


def small(folder: Path, *races: str, **settings: int) -> tuple[Results, str]:
    """The lesson with one seed: its results, and the text of its report."""
    loaded = load("attention")
    with Store(folder) as store:
        results = run_seeds(loaded, loaded.config(races=races, **settings), (0,), store)
        return results, write_report(results, store).read_text(encoding="utf-8")


def verdict(name: str, metrics: dict[str, float]) -> str:
    claim = next(c for c in attention.CLAIMS if c.id == name)
    return judge([claim], dict.fromkeys(range(40), metrics))[0].verdict


def in_order(formula: str) -> str:
    """Renaming by first appearance, one letter after the other."""
    names: list[str] = list(dict.fromkeys(filter(str.isalpha, formula)))
    return "".join("abcde"[names.index(c)] if c in names else c for c in formula)


# The formulas


def test_the_document_s_example_is_the_same_in_both_readings() -> None:
    assert "".join(renaming.spell(renaming.EXAMPLE[0], renaming.VARIABLES)) == "x=y+z"
    for task in ("map", "order"):
        target = renaming.rename(renaming.EXAMPLE, task)
        assert "".join(renaming.spell(target[0], renaming.NAMES)) == "a=b+c"


def test_renaming_agrees_with_a_dictionary() -> None:
    source = renaming.draw(200, 13, np.random.default_rng(0))
    by_order, by_map = renaming.rename(source, "order"), renaming.rename(source, "map")
    assert in_order("w=z+w") == "a=b+a"
    for row, order, fixed in zip(source, by_order, by_map, strict=True):
        text = "".join(renaming.spell(row, renaming.VARIABLES))
        assert text[1] == "="
        assert set(text[3::2]) <= set("+-*/")
        assert "".join(renaming.spell(order, renaming.NAMES)) == in_order(text)
        mapped = text.translate(str.maketrans("xyzvw", "abcde"))
        assert "".join(renaming.spell(fixed, renaming.NAMES)) == mapped


def test_no_formula_is_in_two_parts() -> None:
    parts = renaming.split(0, 1000)
    train, validation, test = (
        [row.tobytes() for formulas in part for row in formulas]
        for part in (parts.train, parts.validation, parts.test.values())
    )
    assert len(train) == 1000
    assert len(set(test)) == 100 * 7
    assert len(set(validation)) == 50 * 5
    assert not set(test) & set(validation)
    assert not set(train) & {*test, *validation, renaming.EXAMPLE.tobytes()}


def test_the_baselines_count() -> None:
    parts = renaming.split(0, 5000)
    found = renaming.baselines(parts, "map") | renaming.baselines(parts, "order")
    assert found["map-table/test_exact"] == 100
    assert found["order-table/test_exact"] < 10
    assert found["map-commonest/test_exact"] < 5


# Attention


@pytest.mark.parametrize("seed", range(3))
def test_gradients_by_hand_are_those_of_the_engine_and_of_differences(seed: int) -> None:
    assert attention.hand_difference(seed) < 1e-14
    random = np.random.default_rng(seed)
    q, k, v, g = (random.standard_normal(s) for s in ((2, 4), (3, 4), (3, 5), (2, 5)))

    def value() -> float:
        scores = np.exp(q @ k.T / 2)
        return float((scores / scores.sum(axis=1, keepdims=True) @ v * g).sum())

    for array, gradient in zip((q, k, v), attention.by_hand(q, k, v, g), strict=True):
        for place in np.ndindex(array.shape):
            before, near = array[place], []
            for step in (1e-5, -1e-5):
                array[place] = before + step
                near.append(value())
            array[place] = before
            assert gradient[place] == pytest.approx((near[0] - near[1]) / 2e-5, abs=1e-8)


def test_the_variance_of_scores_is_their_width() -> None:
    found = attention.scale_of_scores(16, np.random.default_rng(0))
    assert found["d=16/variance"] == pytest.approx(16, rel=0.05)
    assert found["d=16/scaled_variance"] == pytest.approx(1, rel=0.05)
    # The mean of 1 - sum(p^2) where the scores decide little and where they decide all.
    assert found["d=16/slopes"] < 0.5 < found["d=16/scaled_slopes"] < 0.9


# The networks


@pytest.mark.parametrize("name", ["bottleneck", "attention", "self-attention"])
def test_blanks_change_nothing_and_greedy_writing_agrees_with_exact(name: str) -> None:
    gu.manual_seed(0)
    model = attention.network(name).eval()
    source = renaming.draw(20, 7, np.random.default_rng(1))
    x, before, target = renaming.batch(source, "order")
    longer = renaming.batch(source, "order", length=13)
    with gu.no_grad():
        output, weights = model.write(x, before)
        padded, more = model.write(*longer[:2])
    np.testing.assert_allclose(output.numpy(), padded[:, :7].numpy(), atol=1e-5)
    if weights is not None and more is not None:
        np.testing.assert_allclose(weights.sum(dim=-1).numpy(), 1, atol=1e-6)
        assert (more[:, :, 7:] == 0).all()
    # What it would write itself is the only target that counts as right.
    written = attention.translate(model, x)
    start = gu.full((20, 1), renaming.BLANK)
    own = model(x, gu.cat([start, written[:, :-1]], dim=1))
    assert attention.exact(own, written) == 100
    assert (
        attention.exact(output, target)
        == 100 * (written == target).all(dim=1).double().mean().item()
    )


def test_a_bottleneck_knows_the_source_by_its_last_state_only() -> None:
    gu.manual_seed(0)
    source = gu.tensor(renaming.draw(1, 9, np.random.default_rng(2)))
    before = gu.full((1, 9), renaming.BLANK)

    class Given(gu.nn.Module):
        def forward(self, _: gu.Tensor) -> gu.Tensor:
            return memory

    for name, sees in (("bottleneck", 1), ("attention", 9)):
        model = attention.network(name)
        memory = gu.randn(1, 9, model.gru.hidden_size, requires_grad=True)
        model.encoder = Given()
        model(source, before).sum().backward()
        assert memory.grad is not None
        assert (memory.grad.abs().sum(dim=2) > 0).sum().item() == sees


def test_the_bottleneck_has_the_most_parameters() -> None:
    count = {
        name: sum(p.numel() for p in attention.network(name).parameters())
        for name in ("bottleneck", "attention", "self-attention")
    }
    assert max(count, key=count.__getitem__) == "bottleneck"


# The experiment


@pytest.mark.slow
def test_attention_needs_no_memory_for_a_map(tmp_path: Path) -> None:
    races = "map-bottleneck", "map-attention"
    results, page = small(tmp_path, *races, examples=2560, epochs=3)
    metrics = results.metrics[0]
    assert metrics["map-attention/test_13"] > metrics["map-bottleneck/test_13"] + 10
    assert metrics["map-attention/test_aligned"] > 50
    assert verdict("table", metrics) == verdict("variance", metrics) == "holds"
    assert verdict("memory", metrics) == verdict("slopes", metrics) == "holds"
    false = Claim(
        "false", "the bottleneck is better", "nobody", 10, "map-bottleneck/test_exact",
        minus="map-attention/test_exact",
    )  # fmt: skip
    assert judge([false], dict.fromkeys(range(40), metrics))[0].verdict == "refuted"
    assert page.count("<svg") >= 3


def test_the_heads_that_are_drawn_are_those_of_the_encoder() -> None:
    gu.manual_seed(0)
    encoder = attention.Onlooker(32).eval()
    source = renaming.draw(4, 5, np.random.default_rng(0))
    source[:, 4] = source[:, 0]  # x = y + x: the last looks at the first
    source[:, 2] = (source[:, 0] + 1) % 5
    maps = encoder.look(gu.tensor(source))[1]
    found = attention.repeats(encoder, source)
    assert found.shape == (2, 4)
    expected = [100 * m[:, :, 4, 0].mean(dim=0).detach().numpy() for m in maps]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
def test_an_order_is_learned_by_comparing(tmp_path: Path) -> None:
    results, page = small(tmp_path, "order-attention", "order-self-attention")
    metrics = results.metrics[0]
    gain = metrics["order-self-attention/test_exact"] - metrics["order-attention/test_exact"]
    assert gain > 0
    assert page.count("<svg") >= 4


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"examples": 4}, {"batch_size": 0}, {"races": ("map-memory",)}]
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        load("attention").config(**settings)
