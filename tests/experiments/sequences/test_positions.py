"""The experiment on positions at reduced size. R2.7, R4.2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.experiments.sequences import positions
from groundup.runs import Store


def small(folder: Path, *ways: str, **settings: Any) -> tuple[Results, str]:
    """The experiment with one seed: its results, and the text of its report."""
    loaded = load("positions")
    with Store(folder) as store:
        results = run_seeds(loaded, loaded.config(ways=ways, **settings), (0,), store)
        return results, write_report(results, store).read_text(encoding="utf-8")


def verdict(name: str, metrics: Mapping[str, float]) -> str:
    claim = next(c for c in positions.CLAIMS if c.id == name)
    return judge([claim], dict.fromkeys(range(10), metrics))[0].verdict


def one(model: gu.models.GPT, text: gu.Tensor, place: int) -> float:
    """The bits of the character after so many, read by themselves."""
    with gu.no_grad():
        p = gu.softmax(model(text[:place].unsqueeze(0))[0, -1].double(), dim=0)
    return -math.log2(p[text[place].item()].item())


@pytest.mark.parametrize("way", positions.WAYS)
def test_bits_are_those_of_one_character_after_another(way: str) -> None:
    gu.manual_seed(0)
    model = positions.network(way, 12).eval()
    with gu.no_grad():
        for p in model.parameters():  # as drawn, all characters would be nearly even
            if p.ndim == 2:
                p.assign(8 * p)
    text = gu.tensor(np.random.default_rng(0).integers(0, 12, 90))
    found = positions.bits(model, text, length=40, stride=20, most=2)
    assert found.shape == (2, 40)
    assert found.std() > 0.3
    for window, place in ((0, 1), (0, 40), (1, 7), (1, 40)):
        start = 20 * window
        expected = one(model, text[start : start + place + 1], place)
        assert found[window, place - 1] == pytest.approx(expected, rel=1e-3)


def test_a_sliding_window_has_the_last_32_characters_alone() -> None:
    gu.manual_seed(0)
    model = positions.network("rotary", 12).eval()
    text = gu.tensor(np.random.default_rng(0).integers(0, 12, 256 + 1))
    expected = [one(model, text[place - 32 : place + 1], 32) for place in range(129, 257, 4)]
    assert positions.sliding(model, text, most=64) == pytest.approx(np.mean(expected), rel=1e-3)


@pytest.mark.slow
def test_rows_of_a_table_after_the_training_length_stay_as_they_were(tmp_path: Path) -> None:
    results, page = small(tmp_path, "learned", steps=40, windows=16)
    gu.manual_seed(0)
    symbols = positions.python_reference().symbols
    before = positions.network("learned", symbols).state_dict()["position.weight"].numpy()
    after = results.outcomes[0].weights("learned")["position.weight"].numpy()
    np.testing.assert_array_equal(after[32:], before[32:])
    assert (after[:32] != before[:32]).all(axis=1).all()
    metrics = results.metrics[0]
    assert metrics["learned/to_32_test"] < math.log2(symbols) - 1
    places = results.outcomes[0].tensors("places")["learned"].numpy()
    assert places.mean() == pytest.approx(metrics["learned/all_test"])
    assert places[64:128].mean() == pytest.approx(metrics["learned/to_128_test"])
    assert "<svg" in page
    assert "<table" in page


@pytest.mark.slow
def test_alibi_reads_on_and_sines_do_not(tmp_path: Path) -> None:
    metrics = small(tmp_path, "sinusoidal", "alibi", steps=400, windows=100)[0].metrics[0]
    assert verdict("alibi", metrics) == "holds"
    assert verdict("sinusoidal", metrics) in ("holds", "holds in part")
    assert verdict("alibi-sinusoidal", metrics) in ("holds", "holds in part")


def test_claims_can_be_refuted() -> None:
    metrics = {"alibi/to_32_test": 2.0, "alibi/all_test": 2.5, "sinusoidal/to_32_test": 2.0}
    assert verdict("alibi", metrics) == "refuted"
    assert verdict("sinusoidal", metrics | {"sinusoidal/all_test": 1.9}) == "refuted"
    assert verdict("sinusoidal", metrics | {"sinusoidal/all_test": 2.7}) == "holds"


@pytest.mark.parametrize("settings", [{"steps": 5}, {"windows": 0}, {"ways": ("relative",)}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        load("positions").config(**settings)
