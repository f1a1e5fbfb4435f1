"""The digits experiment at reduced size (R3.8): figures, baselines, report, reproducibility."""

import re

import numpy as np
import pytest

from groundup.experiments.experiment import load
from groundup.experiments.foundations import digits
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds, try_out
from groundup.runs import Store

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The experiment with one seed and two epochs: its results, and the text of its report."""
    loaded = load("digits")
    with Store(tmp_path_factory.mktemp("digits")) as store:
        results = run_seeds(loaded, loaded.config(epochs=2), (0,), store)
        page = write_report(results, store)
        yield results, page.read_text(encoding="utf-8"), page


def test_parameter_counts_are_those_of_the_layers():
    counts = {
        name: sum(p.numel() for p in build().parameters())
        for name, build in digits.NETWORKS.items()
    }
    assert counts["MLP"] == 64 * 128 + 128 + 128 * 10 + 10 == 9610
    assert counts["CNN"] == (16 * 9 + 16) + (32 * 16 * 9 + 32) + (32 * 10 + 10) == 5130
    assert counts["softmax"] == 64 * 10 + 10


def test_the_three_parts_share_no_image_and_the_classes_are_balanced():
    parts = digits.split(0)
    assert [len(part) for part in parts] == pytest.approx([1078, 359, 360], abs=2)
    shares = [np.bincount(part.tensors[1].numpy(), minlength=10) / len(part) for part in parts]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.01)
    np.testing.assert_allclose(shares[2], shares[0], atol=0.01)


def test_baselines_agree_with_scikit_learn():
    from sklearn.dummy import DummyClassifier
    from sklearn.neighbors import KNeighborsClassifier

    parts = digits.split(3)
    (x, y), (points, labels) = (
        (part.tensors[0].flatten(1).numpy(), part.tensors[1].numpy())
        for part in (parts.train, parts.test)
    )
    nearest = KNeighborsClassifier(1).fit(x, y).score(points, labels)
    common = DummyClassifier(strategy="most_frequent").fit(x, y).score(points, labels)
    assert digits.nearest_neighbour(parts) == pytest.approx(nearest, abs=0.006)  # ties
    assert digits.majority(parts) == pytest.approx(common, abs=0.01)


def test_metrics_are_those_of_the_predictions_that_were_kept(ran):
    results, _, _ = ran
    kept = results.outcomes[0].tensors("predictions")
    right = (kept["CNN"] == kept["labels"]).double().mean().item()
    metrics = results.metrics[0]
    assert metrics["CNN/test_accuracy"] == pytest.approx(100 * right)
    assert metrics["MLP/parameters"] == 9610
    assert 0 < metrics["CNN/seconds"] < 60


def test_claims_about_parameters_are_refuted_and_fewer_holds_in_part(ran):
    verdicts = {finding.claim.id: finding.verdict for finding in ran[0].findings}
    assert verdicts["mlp-parameters"] == verdicts["cnn-parameters"] == "refuted"
    assert verdicts["fewer-parameters"] == "holds in part"
    assert verdicts["cnn-gain"] == "undecided", "one seed says nothing of the spread"


def test_the_report_needs_nothing_from_elsewhere(ran):
    _, page, path = ran
    assert page.count("<svg") >= 6
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|data:)[^\"'\s>]+", page)
    for title in ("Result", "Learning", "Mistakes of the CNN", "What the CNN learned", "Layers"):
        assert title in page
    assert "Nearest neighbour" in page
    assert {"loss.svg", "validation_accuracy.svg"} <= {
        figure.name for figure in (path.parent / "figures").iterdir()
    }


def test_the_same_seed_gives_the_same_network():
    first, second = (try_out("digits", 1, epochs=1, networks=("CNN",)) for _ in range(2))
    del first["CNN/seconds"], second["CNN/seconds"]
    assert first == second


def test_a_cnn_learns_the_digits():
    assert try_out("digits", 2, epochs=8, networks=("CNN",))["CNN/test_accuracy"] > 90


@pytest.mark.parametrize(
    ("wrong", "words"), [({"epochs": 0}, "at least 1"), ({"networks": ("CMN",)}, "no network CMN")]
)
def test_nothing_to_do_is_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        digits.Config(**wrong)
