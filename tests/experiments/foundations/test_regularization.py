"""Lesson 11 at reduced size: penalties, dropout, wrong labels, claims. R3.11, R2.3, R2.8."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.data import DataLoader, TensorDataset
from groundup.experiments import Claim, judge, load, run_seeds, try_out
from groundup.experiments.foundations import regularization as lesson
from groundup.experiments.foundations.wrong_labels import nearest_neighbour, parts
from groundup.runs import Store
from groundup.training import fit

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


def test_parts_have_wrong_labels_where_they_should() -> None:
    learn, validation, test = parts("noisy", 4)
    assert [len(part.true) for part in (learn, validation, test)] == [100, 300, 1397]
    wrong = [int((part.given != part.true).sum()) for part in (learn, validation, test)]
    assert wrong == [30, 90, 0]
    assert set(learn.given.tolist()) <= set(range(10))
    assert np.bincount(learn.true.numpy()).tolist() == pytest.approx([10] * 10, abs=1)
    clean = parts("clean", 4)[0]
    assert gu.equal(clean.images, learn.images)
    assert gu.equal(clean.given, learn.true)
    some = learn.some(50, 4)
    assert np.bincount(some.true.numpy()).tolist() == pytest.approx([5] * 10, abs=1)
    rows = {x.tobytes() for x in learn.images.numpy()}
    assert all(x.tobytes() in rows for x in some.images.numpy())


def test_an_l2_penalty_is_weight_decay_of_twice_its_size() -> None:
    """R2.3: the gradient of the penalty is 2 lambda w, which is what SGD's weight decay adds."""
    learn, validation, _ = parts("clean", 0)
    config = lesson.Config(epochs=3)
    found = lesson.train(learn, validation, {"l2": 0.03}, config, 7)

    gu.manual_seed(7)
    model = lesson.network()
    groups: list[dict[str, Any]] = [
        {"params": [model[1].weight, model[4].weight], "weight_decay": 2 * 0.03},
        {"params": [model[1].bias, model[4].bias]},
    ]
    sgd = optim.SGD(groups, lr=config.lr, momentum=0.9)
    data = DataLoader(TensorDataset(learn.images, learn.given), batch_size=20, shuffle=True)
    fit(model, F.cross_entropy, sgd, data, epochs=3)
    for name, expected in model.state_dict().items():
        np.testing.assert_allclose(found.state_dict()[name].numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("start", [-1.5, 0.2])
def test_the_best_weights_under_both_penalties(start: float) -> None:
    """The closed forms of the lesson, found by descent on the penalties of R2.3."""
    strength, found = 0.3, {}
    for name, penalty in (("l1", nn.l1_penalty), ("l2", nn.l2_penalty)):
        w = gu.tensor([start], requires_grad=True)
        sgd = optim.SGD([w], lr=0.02)
        for _ in range(500):
            sgd.zero_grad()
            loss = 0.5 * (w - start).square().sum() + strength * penalty([w])
            loss.backward()
            sgd.step()
        found[name] = w.item()
    threshold = np.sign(start) * max(abs(start) - strength, 0.0)
    assert found["l1"] == pytest.approx(threshold, abs=0.02 * strength + 1e-3)
    assert found["l2"] == pytest.approx(start / (1 + 2 * strength), abs=1e-3)


def test_the_whole_network_is_the_geometric_mean_of_all_thinned_ones() -> None:
    """All 2^6 masks, each as probable as p makes it."""
    gu.manual_seed(0)
    p, hidden = 0.3, 6
    model = nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Dropout(p), nn.Linear(hidden, 4))
    x = gu.randn(5, 3)
    h = model[1](model[0](x))
    mean = np.zeros((5, 4))
    for mask in itertools.product((0.0, 1.0), repeat=hidden):
        kept = sum(mask)
        answer = F.log_softmax(model[3](h * gu.tensor(mask) / (1 - p)), dim=1)
        mean += (1 - p) ** kept * p ** (hidden - kept) * answer.detach().numpy()
    geometric = np.exp(mean)
    geometric /= geometric.sum(axis=1, keepdims=True)
    whole = F.softmax(model.eval()(x), dim=1)
    np.testing.assert_allclose(geometric, whole.detach().numpy(), rtol=1e-5)


def test_dropout_and_noise_on_a_linear_unit_are_penalties() -> None:
    gu.manual_seed(1)
    p, std, n = 0.4, 0.5, 400_000
    w, x, y = gu.tensor([0.5, -1.0, 2.0]), gu.tensor([1.0, 0.3, -0.7]), 0.4
    error = (y - (w * x).sum()).square().item()
    dropped = (y - (F.dropout(x.expand(n, 3), p) * w).sum(dim=1)).square().mean().item()
    noisy = (y - ((x + std * gu.randn(n, 3)) * w).sum(dim=1)).square().mean().item()
    assert dropped == pytest.approx(error + p / (1 - p) * (w * x).square().sum().item(), rel=0.02)
    assert noisy == pytest.approx(error + std**2 * w.square().sum().item(), rel=0.02)


def test_the_nearest_neighbour_is_that_of_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    learn, _, test = parts("noisy", 3)
    (x, y), (points, labels) = (
        (part.images.flatten(1).numpy(), given.numpy())
        for part, given in ((learn, learn.given), (test, test.true))
    )
    expected = 100 * KNeighborsClassifier(1).fit(x, y).score(points, labels)
    assert nearest_neighbour(learn, test) == pytest.approx(expected, abs=0.3)  # ties


def test_wrong_labels_are_learned_by_heart_unless_something_is_done() -> None:
    names = ("none", "l2", "patience")
    settings = {"tasks": ("noisy",), "conditions": names, "extras": False, "epochs": 60}
    found = try_out("regularization", 101, **settings)
    assert found["none/memorised"] == 100
    for name in names[1:]:
        assert found[f"{name}/memorised"] < 90, name
        assert found[f"{name}/noisy_test"] > found["none/noisy_test"] + 3, name
    by_id = {claim.id: claim for claim in lesson.CLAIMS}
    false = Claim("false", "no harm done", "nobody", 90, "none/noisy_test")
    claims = [by_id["by-heart"], by_id["l2-tuned"], by_id["l2-0.01-gain-noisy"], false]
    findings = judge(claims, {seed: {**found, "l2-0.01/noisy_test": 72.0} for seed in range(12)})
    assert [f.verdict for f in findings] == ["holds", "holds", "holds in part", "refuted"]


def test_every_figure_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SIZES", (25, 400))
    monkeypatch.setattr(lesson, "MASKS", 2)
    loaded = load("regularization")
    names = (*lesson.WATCHED, "l1", "dropout-0.5")
    with Store(tmp_path) as store:
        results = run_seeds(loaded, loaded.config(epochs=2, conditions=names), (0,), store)
    found = dict(lesson.sections(results))
    assert {title: len(blocks) for title, blocks in found.items()} == {
        "By epoch": 2,
        "By number of images": 1,
        "The first layer": 4,
    }
    assert {"neighbour/clean_test", "thinned/noisy_test"} <= results.metrics[0].keys()


@pytest.mark.parametrize("wrong", [{"epochs": 1}, {"tasks": ("dirty",)}, {"conditions": ("l3",)}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        lesson.Config(**wrong)
