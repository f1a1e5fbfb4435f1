"""The lesson on activations at reduced size. R3.5, R2.10."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.experiments import Claim, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import activations
from groundup.experiments.foundations.activations import ACTIVATIONS, DEPTH, WIDTH
from groundup.experiments.runner import run_seeds
from groundup.runs import Store
from groundup.training import fit

S = np.linspace(-8, 8, 160_001)
SIGMOID = special.expit(S)
SLOPES = {
    "sigmoid": SIGMOID * (1 - SIGMOID),
    "tanh": 1 - np.tanh(S) ** 2,
    "ReLU": (S > 0) * 1.0,
    "leaky_ReLU": np.where(S > 0, 1.0, 0.01),
    "GELU": special.ndtr(S) + S * np.exp(-(S**2) / 2) / math.sqrt(2 * math.pi),
    "SiLU": SIGMOID * (1 + S * (1 - SIGMOID)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_those_of_the_formulas_and_the_largest_is_right(name: str) -> None:
    s = gu.tensor(S).requires_grad_()
    (slope,) = gu.grad(ACTIVATIONS[name].layer()(s).sum(), s)
    inside = np.abs(S) > 1e-9  # at 0 ReLU has no slope
    np.testing.assert_allclose(slope.numpy()[inside], SLOPES[name][inside], atol=1e-9)
    assert ACTIVATIONS[name].slope == pytest.approx(SLOPES[name].max(), abs=1e-3)
    assert ACTIVATIONS[name].slope >= SLOPES[name].max() - 1e-9


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_arrives_is_within_the_bound(name: str) -> None:
    gu.manual_seed(4)
    model = activations.network(name, 64, 10)
    gain = ACTIVATIONS[name].gain
    for layer in list(model)[1:-1:2]:
        assert gu.allclose(layer.weight @ layer.weight.T, gain**2 * gu.eye(WIDTH), atol=1e-4)
    sizes = activations.arrived(model, activations.digits(4).validation)
    assert len(sizes) == DEPTH
    for layers in range(1, DEPTH):
        share = 100 * sizes[-1 - layers] / sizes[-1]
        assert 0 < share <= activations.bound(name, layers) * (1 + 1e-5)


def test_the_gradient_is_the_one_by_hand() -> None:
    """Two of the layers, in NumPy: W^T (f'(s) * dL/dh)."""
    gu.manual_seed(0)
    model = activations.network("tanh", 2, 2).double()
    x, y = (part[:30] for part in activations.spirals(0).validation)
    h, sums, weights = x.double().numpy(), [], []
    for layer in list(model)[1::2]:
        weights.append(layer.weight.detach().numpy())
        sums.append(h @ weights[-1].T)
        h = np.tanh(sums[-1])
    p = special.softmax(sums.pop(), axis=1)
    gradient = (p - np.eye(2)[y.numpy()]) @ weights.pop()
    wanted = []
    for s, w in zip(reversed(sums), reversed(weights), strict=True):
        wanted.append(math.sqrt(np.mean(gradient**2)))
        gradient = (gradient * (1 - np.tanh(s) ** 2)) @ w
    found = activations.arrived(model, (x.double(), y))
    np.testing.assert_allclose(found, wanted[::-1], rtol=1e-9)


def test_dead_units_are_counted_and_leaky_ones_come_back() -> None:
    """Units whose sums are always below zero: without a slope they stay, with one they leave."""
    points = activations.spirals(0)
    x, y = points.train.tensors
    shares = {}
    for name in ("ReLU", "leaky_ReLU"):
        gu.manual_seed(0)
        model = activations.network(name, 2, 2)
        bias = gu.where(gu.arange(WIDTH) < 16, -9.0, 0.0)  # a quarter of layer 1
        with gu.no_grad():
            model[1].bias.assign(bias)
        before = activations.alive(model, x)
        if name == "ReLU":
            off = (model[1](model[0](x)) <= 0).all(dim=0).float().mean().item()
            assert before[0] == pytest.approx(100 * (1 - off))
        fit(model, F.cross_entropy, optim.Adam(model.parameters(), lr=0.01), [(x, y)], epochs=3)
        shares[name] = before[0], activations.alive(model, x)[0]
        moved = (model[1].bias - bias)[:16].abs().max().item()
        assert (moved > 0) == (name == "leaky_ReLU")
    assert shares["ReLU"][0] <= 75
    assert shares["ReLU"][1] <= 75
    assert shares["leaky_ReLU"] == (100, 100)


def test_spirals_are_two_arms_that_no_line_separates() -> None:
    x, y = activations.spirals(1).train.tensors
    assert x.shape == (800, 2)
    assert 0.4 < y.double().mean().item() < 0.6
    radius, angle = x.norm(dim=1).numpy() / 2, np.arctan2(*x.numpy().T[::-1])
    arm = np.rint((angle - 5 * np.pi * radius) / np.pi) % 2
    far = radius > 0.4  # the noise turns points near the middle far
    assert (arm[far] == y.numpy()[far]).mean() > 0.97
    ones = gu.cat([x, gu.ones(800, 1)], dim=1).numpy()
    line = np.linalg.lstsq(ones, 2 * y.numpy() - 1, rcond=None)[0]
    assert ((ones @ line > 0) == y.numpy()).mean() < 0.7


@pytest.mark.slow
def test_relu_learns_what_sigmoids_do_not(tmp_path: Path) -> None:
    loaded = load("activations")
    config = loaded.config(activations=("sigmoid", "ReLU"), tasks=("digits",), epochs=4)
    with Store(tmp_path) as store:
        results = run_seeds(loaded, config, (0,), store)
        found = dict(activations.sections(results))
    metrics = results.metrics[0]
    assert metrics["ReLU-digits/test_accuracy"] > 90
    by_id = {claim.id: claim for claim in activations.CLAIMS}

    def verdict(claim: Claim) -> str:
        return judge([claim], dict.fromkeys(range(10), metrics))[0].verdict

    for name in ("vanishes", "bound", "fails-digits", "active", "ReLU-passes"):
        assert verdict(by_id[name]) == "holds", name
    false = Claim("false", "sigmoids learn it", "nobody", 90, "sigmoid-digits/test_accuracy")
    assert verdict(false) == "refuted"
    rows = next(iter(results.outcomes.values())).tensors("gradients-ReLU")["gradients"]
    assert rows.shape == (5, DEPTH)
    assert {title: len(blocks) for title, blocks in found.items()} == {
        "Activations and their slopes": 2,
        "Gradients by layer": 2,
        "Landscapes": 2,
        "Learning rates": 1,
    }


def test_watching_goes_on_where_it_stopped() -> None:
    batch = activations.digits(0).validation
    gu.manual_seed(0)
    model = activations.network("ReLU", 64, 10)
    sgd = optim.SGD(model.parameters(), lr=0.01)
    first = activations.Watch(batch)
    fit(model, F.cross_entropy, sgd, [batch], epochs=2, callbacks=[first])
    second = activations.Watch(batch)
    second.load_state_dict(first.state_dict())
    fit(model, F.cross_entropy, sgd, [batch], epochs=1, callbacks=[second])
    assert second.rows[:3] == first.rows
    assert len(second.rows) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activations": ("relu",)}, "no activation relu: expected of sigmoid, "),
        ({"tasks": ("xor",)}, "no task xor: expected of digits, adam, spirals"),
        ({"epochs": 0}, "expected at least 1 of each"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        activations.Config(**settings)  # type: ignore[arg-type]


def test_softmax_with_cross_entropy_has_the_gradient_that_the_lesson_says() -> None:
    scores = gu.randn(5, 4, generator=gu.Generator(0), dtype=gu.float64).requires_grad_()
    y = gu.tensor([0, 1, 2, 3, 0])
    p = nn.Softmax(dim=1)(scores).detach()
    (gradient,) = gu.grad(F.cross_entropy(scores, y, reduction="sum"), scores)
    assert gu.allclose(gradient, p - gu.eye(4, dtype=gu.float64)[y])
