"""Warm-up, clipping and schedules at reduced size. R3.12, R2.8."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.experiments import Claim, Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.foundations import training_utilities
from groundup.experiments.foundations.unstable import Adder, Reader, sums
from groundup.experiments.runner import run_seeds
from groundup.runs import Store


def small(folder: Path, seeds: tuple[int, ...] = (0,), **settings: Any) -> Results:
    loaded = load("training_utilities")
    with Store(folder) as store:
        return run_seeds(loaded, loaded.config(**settings), seeds, store)


# What the lesson derives, R3.12


def test_adams_first_step_has_the_size_of_the_rate_and_later_ones_are_a_quarter_in_noise() -> None:
    sizes = 10.0 ** np.arange(-6, 6)
    random = np.random.default_rng(0)
    x = gu.zeros(12, 400, dtype=gu.float64, requires_grad=True)
    adam = optim.Adam([x], lr=0.01, betas=(0.9, 0.999), eps=1e-30)
    moved = []
    for _ in range(200):
        before = x.detach().numpy().copy()
        x.grad = gu.tensor(sizes[:, None] * random.standard_normal((12, 400)))
        adam.step()
        moved.append(np.abs(x.detach().numpy() - before) / 0.01)
    np.testing.assert_allclose(moved[0], 1.0, rtol=1e-9)
    root_mean_square = np.sqrt(np.mean(np.square(moved[-100:]), axis=(0, 2)))
    np.testing.assert_allclose(root_mean_square, math.sqrt(0.1 / 1.9), rtol=0.1)


def test_adam_undoes_a_factor_that_is_the_same_in_all_steps() -> None:
    gradients = np.random.default_rng(1).standard_normal((20, 5))
    ends = []
    for factor in (1.0, 1e-3):
        x = gu.zeros(5, dtype=gu.float64, requires_grad=True)
        adam = optim.Adam([x], lr=0.1, eps=1e-30)
        for gradient in gradients:
            x.grad = gu.tensor(factor * gradient)
            adam.step()
        ends.append(x.detach().numpy().copy())
    np.testing.assert_allclose(*ends, rtol=1e-9)


def test_clipping_by_norm_keeps_the_direction_and_by_value_does_not() -> None:
    for clip, cosine in (
        (lambda p: nn.utils.clip_grad_norm_(p, 1.0), 1.0),
        (lambda p: nn.utils.clip_grad_value_(p, 1.0), 100.01 / math.sqrt(1.01 * 10000.01)),
    ):
        x = nn.Parameter(gu.zeros(2, dtype=gu.float64))
        x.grad = gu.tensor([100.0, 0.1], dtype=gu.float64)
        before = x.grad.numpy().copy()
        clip([x])
        after = x.grad.numpy()
        found = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        assert found == pytest.approx(cosine, rel=1e-9)
    weights = sum(p.numel() for p in Adder().parameters())
    assert weights == 337
    bound = training_utilities.CLIPPING["value"]["max_value"]
    assert 0.9 < bound * math.sqrt(weights) <= 1.0


# The networks and their data


def test_sums_are_of_the_marked_numbers() -> None:
    x, y = (t.numpy() for t in sums(50, 20, np.random.default_rng(0)))
    for half in (x[:, :10, 1], x[:, 10:, 1]):
        assert (half.sum(axis=1) == 1).all()
    for numbers, truth in zip(x, y, strict=True):
        assert numbers[numbers[:, 1] == 1, 0].sum() == pytest.approx(truth.item(), rel=1e-6)
    assert sums(20_000, 4, np.random.default_rng(0))[1].numpy().var() == pytest.approx(1 / 6, 0.05)


def test_the_adder_is_the_recurrence_by_hand() -> None:
    gu.manual_seed(0)
    model = Adder()
    w, u, b, c = (p.detach().numpy() for p in model.rnn.parameters())
    x = sums(3, 6, np.random.default_rng(0))[0]
    h = np.zeros((3, 16))
    assert (u == np.eye(16)).all()
    for t in range(6):
        h = np.maximum(0, x.numpy()[:, t] @ w.T + b + h @ u.T + c)
    hand = h @ model.answer.weight.detach().numpy().T + model.answer.bias.detach().numpy()
    np.testing.assert_allclose(model(x).detach().numpy(), hand, rtol=1e-4, atol=1e-5)


def test_only_post_norm_leaves_normalised_tokens() -> None:
    gu.manual_seed(0)
    image = gu.rand(4, 1, 8, 8)
    for post in (True, False):
        model = Reader(2, post)
        tokens = model.read(image.squeeze(1)) + model.place
        spread = model.blocks(tokens).detach().numpy().std(axis=2)
        assert np.allclose(spread, 1, atol=1e-2) == post
        assert model(image).shape == (4, 10)


# R2.8


def test_the_schedules_are_their_formulas() -> None:
    t, steps, lines = np.arange(268), 268, {}
    for name in training_utilities.COMPARED:
        optimizer = optim.SGD([gu.zeros(1)], lr=1.0)
        plan, lines[name] = training_utilities.SCHEDULES[name](optimizer, steps), []
        for _ in t:
            lines[name].append(optimizer.param_groups[0]["lr"])
            plan.step()
    rise = np.minimum(1, (1 + 0.99 * t) / 100)
    fall = (1 + np.cos(np.pi * (t - 100) / 168)) / 2
    expected = {
        "constant": np.ones(268),
        "step": np.where(t < 134, 1, np.where(t < 201, 0.3, 0.09)),
        "exponential": 0.02 ** (t / 268),
        "cosine": (1 + np.cos(np.pi * t / 268)) / 2,
        "warmup": rise,
        "warmup+cosine": np.where(t < 100, (t + 1) / 101, fall),
    }
    for name, line in expected.items():
        close = 0.011 if name == "warmup" else 1e-9
        np.testing.assert_allclose(lines[name], line, atol=close, err_msg=name)


# The experiment, R3.12


def verdicts(results: Results, claims: list[Claim]) -> list[str]:
    metrics = results.metrics[0]
    return [f.verdict for f in judge(claims, dict.fromkeys(range(50), metrics))]


def test_a_recurrent_network_explodes_unless_it_is_clipped(tmp_path: Path) -> None:
    results = small(tmp_path, parts=("explosion", "clipping"), rnn_steps=100, draws=1)
    metrics = results.metrics[0]
    assert metrics["unclipped/exploded"] == 1
    assert metrics["unclipped/exploded_at"] < 100
    assert metrics["norm/stable"] == metrics["value/stable"] == 1
    by_id = {claim.id: claim for claim in training_utilities.CLAIMS}
    chosen = [by_id[name] for name in ("unclipped", "clipped", "by-value", "iteration")]
    false = Claim(
        "false", "unclipped it never explodes", "nobody", 80,
        "unclipped/stable", of="unclipped/tried",
    )  # fmt: skip
    assert verdicts(results, [*chosen, false]) == ["holds"] * 3 + ["refuted"] * 2
    assert [title for title, _ in training_utilities.sections(results)] == [
        "Schedules", "Clipping", "Learning rates",
    ]  # fmt: skip


def test_an_mlp_needs_neither(tmp_path: Path) -> None:
    metrics = small(tmp_path, parts=("MLP",), mlp_epochs=8).metrics[0]
    accuracies = [metrics[f"{name}/test_accuracy"] for name in training_utilities.MLPS]
    assert min(accuracies) > 90
    assert max(accuracies) - min(accuracies) < 2


@pytest.mark.slow
def test_a_post_norm_transformer_needs_warm_up(tmp_path: Path) -> None:
    results = small(tmp_path, parts=("rate", "failure"), epochs=2, draws=1)
    metrics = results.metrics[0]
    assert metrics["post/early"] == metrics["post/failed"] == 1
    assert metrics["post+warmup/trained"] == 1
    assert metrics["post/gap"] > 0.5
    by_id = {claim.id: claim for claim in training_utilities.CLAIMS}
    chosen = [by_id[name] for name in ("without-warm-up", "early", "with-warm-up")]
    assert verdicts(results, chosen) == ["holds"] * 3


@pytest.mark.parametrize(
    "settings",
    [{"rnn_steps": 150}, {"depth": 0}, {"rates": ()}, {"parts": ("all",)}, {"compared": ("Adam",)}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        training_utilities.Config(**settings)
