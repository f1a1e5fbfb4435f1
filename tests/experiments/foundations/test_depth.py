"""The lesson on depth at reduced size. R3.6, R2.3, R2.10, R3.13."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn
from groundup.experiments import Claim, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import depth, signal_propagation
from groundup.experiments.foundations.depth import KINDS, network
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.runs import Store
from groundup.training import gradient_flow


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("layers", [4, 6, 16])
def test_a_network_has_as_many_layers_with_weights_as_it_says(name: str, layers: int) -> None:
    model = network(KINDS[name], layers, 8)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == layers
    assert len(depth.stream(layers)) == 1 + (layers - 2) // 2
    assert model(gu.rand(3, 1, 8, 8)).shape == (3, 10)


def test_plain_and_residual_networks_differ_by_the_shortcuts_alone() -> None:
    weights = []
    for name in ("plain", "residual"):
        gu.manual_seed(1)
        weights.append([p.detach().numpy() for p in network(KINDS[name], 8, 8).parameters()])
    for plain, residual in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, residual)


# R2.3: He's initialisation


def test_he_has_the_variance_of_the_paper_and_no_biases() -> None:
    gu.manual_seed(0)
    model = network(KINDS["plain-He"], 16, 64)
    weights = [p.detach().numpy() for name, p in model.named_parameters() if p.ndim == 2]
    assert np.var(np.concatenate([w.ravel() for w in weights])) == pytest.approx(2 / 64, rel=0.05)
    assert not any(p.any().item() for name, p in model.named_parameters() if p.ndim == 1)


# R2.10: the gradient of each block, by hand and by formula


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_the_gradient_of_each_block_is_the_one_by_hand(name: str) -> None:
    """In NumPy: $g_k = (I + J_k)^T g_{k+1}$, without the I where there is no shortcut."""
    gu.manual_seed(2)
    model = network(KINDS[name], 8, 8).double()
    x, y = (part[:20] for part in depth.shown(2))
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    w = [layer.weight.detach().numpy() for layer in linear]
    b = [layer.bias.detach().numpy() for layer in linear]
    shortcut = float(name == "residual")
    stream = [x.flatten(1).double().numpy() @ w[0].T + b[0]]
    middles = []
    for k in range(1, 7, 2):
        middles.append(np.maximum(stream[-1], 0) @ w[k].T + b[k])
        added = np.maximum(middles[-1], 0) @ w[k + 1].T + b[k + 1]
        stream.append(shortcut * stream[-1] + added)
    logits = np.maximum(stream[-1], 0) @ w[7].T + b[7]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    g = ((p - np.eye(10)[y.numpy()]) @ w[7]) * (stream[-1] > 0)
    wanted = [math.sqrt(np.mean(g**2))]
    for k in (2, 1, 0):
        back = ((g @ w[2 * k + 2]) * (middles[k] > 0)) @ w[2 * k + 1] * (stream[k] > 0)
        g = shortcut * g + back
        wanted.append(math.sqrt(np.mean(g**2)))
    flow = gradient_flow(model, F.cross_entropy, (x.double(), y), depth.stream(8))
    found = [layer.gradient for layer in flow.values()]
    np.testing.assert_allclose(found, wanted[::-1], rtol=1e-9)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("gain", [1 / 3, 1.0, 2.0])
def test_formulas_are_what_wide_random_layers_do(residual: bool, gain: float) -> None:
    random = np.random.default_rng(0)
    n, blocks = 300, 4
    h = start = random.standard_normal((n, 50))
    for _ in range(blocks):
        out = h
        for _ in range(2):
            out = random.normal(0, math.sqrt(gain / n), (n, n)) @ np.maximum(out, 0)
        h = residual * h + out
    a, b = start[:, :25], start[:, 25:]
    first = np.sum(a * b, 0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
    formula = signal_propagation.expected(
        gain, blocks, residual=residual, norm="", size=1.0, cosine=float(first.mean())
    )
    grown = math.log10(math.sqrt(np.mean(h**2) / np.mean(start**2)))
    assert formula.signal == pytest.approx(grown, abs=0.1)
    if not residual:
        a, b = h[:, :25], h[:, 25:]
        last = np.sum(a * b, 0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
        assert formula.cosine == pytest.approx(last.mean(), abs=0.05)


def test_batch_normalisation_makes_the_gradient_grow_by_the_variance_of_a_relu() -> None:
    z = np.linspace(-9, 9, 200_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    relu = np.maximum(z, 0)
    mean, square = (float(np.sum(f * density) * (z[1] - z[0])) for f in (relu, relu**2))
    a_block = signal_propagation.expected(
        2.0, 1, residual=False, norm="BatchNorm", size=1.0, cosine=0.0
    )
    # A layer's factor is (nv / 2) / (nv (square - mean^2)), of squares; a block has two layers.
    assert a_block.gradient == pytest.approx(math.log10(0.5 / (square - mean**2)), abs=1e-6)


def test_deep_random_networks_do_as_the_lesson_says() -> None:
    gradients = {}
    for name, kind in KINDS.items():
        gu.manual_seed(3)
        model = network(kind, 64, 64)
        ends = (depth.stream(64)[0], depth.stream(64)[-1])
        first, last = gradient_flow(model, F.cross_entropy, depth.shown(3), ends).values()
        gradients[name] = signal_propagation.decades(first.gradient, last.gradient)
    assert gradients["plain"] == pytest.approx(-31 * math.log10(6), abs=1)
    assert abs(gradients["plain-He"]) < 1
    assert 0 < gradients["residual"] < 0.5
    assert 0 < gradients["residual-LN"] < 1.5
    assert gradients["plain-BN"] == pytest.approx(31 * math.log10(math.pi / (math.pi - 1)), abs=1)
    assert gradients["residual-BN"] < gradients["plain-BN"] - 2


# The experiment


def test_steps_are_counted_to_the_first_mean_that_is_low() -> None:
    losses = [2.0, 1.0, 0.15, 0.05, 0.05, 3.0, 0.0, 0.0]
    assert depth.arrival(losses, 1) == 4
    assert depth.arrival(losses, 2) == 4
    assert depth.arrival(losses, 3) == 5
    assert depth.arrival(losses, 4) == 8  # never: all steps


@pytest.mark.slow
def test_shortcuts_let_sixteen_layers_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "RANDOM", depth.RANDOM[:1])
    monkeypatch.setattr(depth, "DRAWS", 1)
    loaded = load("depth")
    config = loaded.config(epochs=4, depths=(16,), networks=("plain", "residual"))
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, (0,), store)
        page = write_report(results, store).read_text(encoding="utf-8")
    metrics = results.metrics[0]
    assert metrics["plain-16/test_accuracy"] < 20
    assert metrics["residual-16/test_accuracy"] > 80
    assert metrics["plain-16/steps"] == 4 * 16 >= metrics["residual-16/steps"]
    assert metrics["plain-16/gradient"] < -4
    assert abs(metrics["residual-16/gradient"]) < 0.5
    assert page.count("<svg") >= 4
    false = Claim("false", "no shortcuts are needed", "nobody", 90, "plain-16/test_accuracy")
    several = {seed: {"plain-16/test_accuracy": 10.0 + 0.1 * seed} for seed in range(6)}
    assert judge([false], several)[0].verdict == "refuted"


@pytest.mark.slow
def test_landscapes_are_drawn_of_networks_that_were_trained(tmp_path: Path) -> None:
    loaded = load("depth")
    config = loaded.config(epochs=2, depths=(16,), networks=("plain-He", "residual"))
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, (0,), store)
    assert "Loss landscapes" in dict(depth.sections(results))


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 0}, {"depths": (7,)}, {"depths": (2,)}, {"networks": ("deep",)}, {"depths": (8,)}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|there are"):
        depth.Config(**settings)
