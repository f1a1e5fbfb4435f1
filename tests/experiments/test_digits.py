"""The digits experiment at reduced size (R3.8): figures, baselines, report, last line."""

import json
import re
import sys

import numpy as np
import pytest

from groundup.experiments import digits

pytest.importorskip("sklearn", reason="the digits come with scikit-learn")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The command line run once, with one seed and two epochs: what it printed, and its folder."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("digits")
    printed, before = io.StringIO(), sys.argv
    sys.argv = ["digits", "--seeds", "1", "--epochs", "2", "--folder", str(folder)]
    try:
        with contextlib.redirect_stdout(printed):
            digits.main()
    finally:
        sys.argv = before
    return printed.getvalue(), folder


def test_parameter_counts_are_those_of_the_layers():
    counts = {
        name: sum(p.numel() for p in build().parameters())
        for name, build in digits.NETWORKS.items()
    }
    assert counts["MLP"] == 64 * 128 + 128 + 128 * 10 + 10 == 9610
    assert counts["CNN"] == (16 * 9 + 16) + (32 * 16 * 9 + 32) + (32 * 10 + 10) == 5130
    assert counts["Softmax regression"] == 64 * 10 + 10


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


def test_the_last_line_is_the_path_of_the_report(ran):
    printed, folder = ran
    assert printed.rstrip().splitlines()[-1] == str(folder / "report.html")
    assert (folder / "report.html").stat().st_size > 50_000


def test_both_tables_are_printed(ran):
    printed, _ = ran
    for words in ("CNN", "MLP", "Nearest neighbour", "9,610", "5,130", "refuted"):
        assert words in printed


def test_the_report_needs_nothing_from_elsewhere(ran):
    page = (ran[1] / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 6
    assert not re.findall(r"(?:src|href)=[\"']?(?!#|data:)[^\"'\s>]+", page)
    for title in ("Result", "Learning", "Mistakes of the CNN", "What the CNN learned", "Layers"):
        assert title in page


def test_the_numbers_are_also_in_a_file(ran):
    found = json.loads((ran[1] / "result.json").read_text())
    assert [row["model"] for row in found["models"]][-1] == "CNN"
    assert {claim["verdict"] for claim in found["claims"]} <= {"holds", "refuted", "undecided"}
    assert found["environment"]["epochs"] == 2


def test_the_same_seed_gives_the_same_network():
    config = digits.Config(epochs=1)
    first, second = (
        digits.train("CNN", 1, config, 0.01, lambda: None).model.state_dict() for _ in range(2)
    )
    for name, value in first.items():
        assert value.numpy().tobytes() == second[name].numpy().tobytes()


def test_a_cnn_learns_the_digits():
    outcome = digits.train("CNN", 2, digits.Config(epochs=8), 0.01, lambda: None)
    assert outcome.test_accuracy > 0.9


@pytest.mark.parametrize("option", ["--seeds", "--epochs"])
def test_nothing_to_do_is_refused(monkeypatch, capsys, option):
    monkeypatch.setattr(sys, "argv", ["digits", option, "0"])
    with pytest.raises(SystemExit):
        digits.main()
    assert "expected at least 1" in capsys.readouterr().err
