"""The first examples of the course at reduced size. R3.1, R3.2, R3.3."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Claim, Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import backpropagation, boolean_functions, forward_pass
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.runs import Store


def small(name: str, folder: Path, **settings: int) -> tuple[Results, str]:
    """An experiment with one seed: its results, and the text of its report."""
    loaded = load(name)
    with Store(folder) as store:
        results = run_seeds(loaded, loaded.config(**settings), (0,), store)
        return results, write_report(results, store).read_text(encoding="utf-8")


def verdict(claim: Claim, metrics: dict[str, float], seeds: int = 40) -> str:
    return judge([claim], dict.fromkeys(range(seeds), metrics))[0].verdict


# R3.1


def test_the_network_by_hand_computes_xor_and_each_hidden_unit_its_gate() -> None:
    model = forward_pass.by_hand()
    hidden = model[1](model[0](forward_pass.INPUTS))
    np.testing.assert_allclose(hidden[:, 0].tolist(), [0, 1, 1, 1], atol=1e-4)
    np.testing.assert_allclose(hidden[:, 1].tolist(), [1, 1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(model(forward_pass.INPUTS)[:, 0].tolist(), [0, 1, 1, 0], atol=1e-4)


def test_many_random_networks_at_once_answer_as_one_by_one() -> None:
    gu.manual_seed(3)
    answers = forward_pass.answers_of_random_networks(2, 50, 3.0)
    gu.manual_seed(3)
    w1, b1, w2, b2 = (3.0 * gu.randn(*s) for s in ((50, 2, 2), (50, 1, 2), (50, 2, 1), (50, 1, 1)))
    for i in range(50):
        for j, x in enumerate(itertools.product((0.0, 1.0), repeat=2)):
            h = 1 / (1 + np.exp(-(np.array(x) @ w1[i].numpy() + b1[i].numpy())))
            assert answers[i, j].item() == float((h @ w2[i].numpy() + b2[i].numpy()).item() > 0)


def test_random_networks_compute_xor_less_often_than_a_coin(tmp_path: Path) -> None:
    results, page = small("forward_pass", tmp_path, draws=4000)
    metrics = results.metrics[0]
    assert metrics["hand/right"] == 4
    assert all(metrics[f"2-{width}-1/share"] < 1 for width in forward_pass.WIDTHS)
    found = {f.claim.id: f.verdict for f in results.findings}
    assert found["random-2"] == found["by-hand"] == "holds"
    assert page.count("<svg") >= 4


# R3.2


def test_gradients_by_hand_are_those_of_the_engine() -> None:
    assert max(backpropagation.largest_difference(seed) for seed in range(5)) < 1e-14


def test_gradients_by_hand_are_those_of_differences() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(7, 2)), random.integers(0, 2, (7, 1)).astype(float)
    weights = [random.normal(size=s) for s in ((3, 2), (3,), (1, 3), (1,))]

    def loss(w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-(np.tanh(x @ w1.T + b1) @ w2.T + b2)))
        return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())

    found = backpropagation.by_hand(x, y, *weights)
    for weight, gradient in zip(weights, found.values(), strict=True):
        for place in np.ndindex(weight.shape):
            before, near = weight[place], []
            for step in (1e-5, -1e-5):
                weight[place] = before + step
                near.append(loss(*weights))
            weight[place] = before
            assert gradient[place] == pytest.approx((near[0] - near[1]) / 2e-5, abs=1e-8)


def test_no_line_separates_xor() -> None:
    grid = np.linspace(-2, 2, 17)
    x = backpropagation.INPUTS.numpy()
    w1, w2, b = (axis.reshape(-1, 1) for axis in np.meshgrid(grid, grid, grid))
    answers = x[:, 0] * w1 + x[:, 1] * w2 + b > 0
    right = (answers == (np.array(backpropagation.FUNCTIONS["XOR"]) > 0)).sum(axis=1)
    assert right.max() == 3


def test_a_hidden_layer_is_what_xor_needs(tmp_path: Path) -> None:
    results, page = small("backpropagation", tmp_path, steps=400)
    metrics = results.metrics[0]
    for name in ("AND-2-1", "OR-2-1", "AND-2-2-1", "OR-2-2-1", "XOR-2-4-1"):
        assert metrics[f"{name}/right"] == 4, name
    assert metrics["XOR-2-1/right"] <= 3
    by_id = {claim.id: claim for claim in backpropagation.CLAIMS}
    assert verdict(by_id["XOR-line"], metrics) == "refuted"
    assert verdict(by_id["AND-line"], metrics) == "holds"
    assert page.count("<svg") >= 3


# R3.3


@pytest.mark.parametrize("bits", [2, 3])
def test_the_adder_adds(bits: int) -> None:
    x = boolean_functions.table(bits)
    low, high = boolean_functions.adder(x).int().T.tolist()
    assert [2 * c + s for s, c in zip(low, high, strict=True)] == x.sum(dim=1).int().tolist()


def test_majority_and_parity() -> None:
    x = boolean_functions.table(3)
    count = x.sum(dim=1).int().tolist()
    assert boolean_functions.majority(x).squeeze(1).tolist() == [n >= 2 for n in count]
    assert boolean_functions.parity(x).squeeze(1).tolist() == [n % 2 for n in count]


def test_the_truth_tables_are_learned_and_some_not_without_a_hidden_layer(tmp_path: Path) -> None:
    results, page = small("boolean_functions", tmp_path, steps=500)
    metrics = results.metrics[0]
    for task, (bits, _) in boolean_functions.TASKS.items():
        assert metrics[f"{task}/rows"] == 2**bits, task
    assert metrics["majority-3-no-hidden/rows"] == 8
    for task in ("parity-3", "half-adder", "full-adder"):
        assert metrics[f"{task}-no-hidden/learned"] == 0
    by_id = {claim.id: claim for claim in boolean_functions.CLAIMS}
    assert verdict(by_id["parity-3"], metrics) == "holds"
    false = Claim(
        "false", "no hidden units are needed for parity", "nobody", 80,
        "parity-3-no-hidden/learned", of="parity-3-no-hidden/tried",
    )  # fmt: skip
    assert verdict(false, metrics) == "refuted"
    assert page.count("<svg") >= 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("forward_pass", {"draws": 0}),
        ("backpropagation", {"steps": 30}),
        ("boolean_functions", {"hidden": 0}),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        load(name).config(**settings)
