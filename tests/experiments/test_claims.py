"""Verdicts: false claims are refuted, and among many claims hardly ever is one judged falsely."""

import numpy as np
import pytest

from groundup.experiments.claims import Claim, judge


def seeds(**metrics):
    """Metrics by seed from a list of values for each."""
    return {
        seed: dict(zip(metrics, row, strict=True))
        for seed, row in enumerate(zip(*metrics.values(), strict=True))
    }


def claim(figure, comparison="at least", metric="a", **more):
    return Claim(
        "c", f"{metric} is {comparison} {figure}", "a test", figure, metric, comparison, **more
    )


def verdict(stated, **metrics):
    return judge([stated], seeds(**metrics))[0].verdict


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ([91.0, 92.0, 93.0], "holds"),
        ([85.0, 86.0, 85.5], "refuted"),
        ([80.0, 99.0, 90.0], "undecided"),
        ([120.0], "undecided"),
    ],
)
def test_at_least_and_its_mirror_at_most(measured, expected):
    assert verdict(claim(89), a=measured) == expected
    assert verdict(claim(-89, "at most"), a=[-m for m in measured]) == expected


def test_equals_to_the_digits_that_were_given():
    exact = {"comparison": "equals", "estimate": "exact"}
    assert verdict(claim(6.7, digits=1, **exact), a=[6.74]) == "holds"
    assert verdict(claim(6.7, digits=1, **exact), a=[6.76]) == "refuted"
    assert verdict(claim(8320, **exact), a=[9610.0, 9610.0]) == "refuted"
    sharp = [6.699, 6.701, 6.7, 6.702, 6.698]
    assert verdict(claim(6.7, "equals", digits=1), a=sharp) == "holds"
    assert verdict(claim(6.8, "equals", digits=1), a=sharp) == "refuted"
    assert verdict(claim(6.7, "equals", digits=1), a=[6.0, 7.5, 6.6, 6.8]) == "undecided"


def test_a_difference_is_taken_seed_by_seed():
    """Seeds that are hard for one condition are hard for the other; only pairing shows the gain."""
    hard = np.linspace(50, 90, 8)
    better = hard + np.array([2.1, 1.9, 2.0, 2.2, 1.8, 2.0, 2.1, 1.9])
    apart = seeds(a=better.tolist(), b=hard.tolist())
    assert judge([claim(1.5, minus="b")], apart)[0].verdict == "holds"
    mixed = seeds(a=better.tolist(), b=np.roll(hard, 3).tolist())
    assert judge([claim(1.5, minus="b")], mixed)[0].verdict == "undecided"


def test_right_direction_but_another_figure_holds_in_part():
    a, b = [98.0, 98.2, 97.9, 98.1], [96.0, 96.1, 96.2, 96.0]
    found = judge([claim(7, minus="b", unit=" points", digits=1)], seeds(a=a, b=b))[0]
    assert found.verdict == "holds in part"
    assert "figure is excluded" in found.note
    assert verdict(claim(7, minus="b"), a=b, b=a) == "refuted"
    assert verdict(claim(-7, "at most", minus="b"), a=b, b=a) == "holds in part"


def test_ratios_have_one_as_no_effect():
    slow, fast = [300.0, 320.0, 310.0, 290.0], [100.0, 110.0, 95.0, 105.0]
    four = claim(4.2, over="b", digits=1)
    assert verdict(four, a=slow, b=fast) == "holds in part"
    assert verdict(claim(2.5, over="b", digits=1), a=slow, b=fast) == "holds"
    assert verdict(four, a=fast, b=slow) == "refuted"
    assert judge([four], seeds(a=[1.0, 2.0], b=[0.0, 1.0]))[0].verdict == "not measured"


def test_counts_are_judged_by_all_trials_together():
    often = claim(90, of="n", unit=" %")
    found = judge([often], seeds(a=[1990.0, 1984.0], n=[2000.0, 2000.0]))[0]
    assert found.verdict == "holds"
    assert found.measured_text == "99 % (99 to 100)"
    assert verdict(often, a=[5.0, 4.0], n=[10.0, 10.0]) == "refuted"
    assert verdict(often, a=[10.0], n=[10.0]) == "undecided"


def test_what_was_never_reached_is_infinite_and_judged_by_the_median():
    steps = claim(100, "at most", estimate="median")
    late = [150.0, 300.0, np.inf, 170.0, np.inf, 400.0, 260.0]
    assert verdict(steps, a=late) == "refuted"
    assert verdict(steps, a=[50.0, 60.0, 40.0, 55.0, 45.0, np.inf, 70.0, 65.0]) == "undecided"
    assert verdict(steps, a=[50.0, 60.0, 40.0, 55.0, 45.0, 52.0, 70.0, 65.0]) == "holds"


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({}, "no seed"),
        ({0: {"b": 1.0}}, "no metric 'a'"),
        ({0: {"a": 1.0}, 3: {"a": np.nan}}, "seed 3"),
        ({0: {"a": np.inf}, 1: {"a": 1.0}}, "finite"),
    ],
)
def test_what_has_no_values_is_not_measured(results, words):
    found = judge([claim(1)], results)[0]
    assert found.verdict == "not measured"
    assert words in found.note


def test_what_was_said_to_be_exact_and_is_not_is_not_measured():
    found = judge([claim(5, "equals", estimate="exact")], seeds(a=[5.0, 6.0]))[0]
    assert found.verdict == "not measured"
    assert "differs between seeds" in found.note


def test_many_claims_are_corrected_and_exact_ones_take_no_share():
    values = [1.0, 2.0, 3.0, 2.5, 1.5]
    alone = Claim("x", "", "", 0.7, "a")
    assert judge([alone], seeds(a=values))[0].verdict == "holds"
    others = [Claim(f"o{i}", "", "", 2.0, "a") for i in range(20)]
    assert judge([alone, *others], seeds(a=values))[0].verdict == "undecided"
    exact = [Claim(f"e{i}", "", "", 2.0, "n", estimate="exact") for i in range(20)]
    assert judge([alone, *exact], seeds(a=values, n=[2.0] * 5))[0].verdict == "holds"


def test_false_claims_are_hardly_ever_confirmed_and_true_ones_hardly_ever_refuted():
    """The probability of even one false verdict among eight claims is at most 5 %."""
    draw = np.random.default_rng(0)
    truth = 3.0
    claims = [
        Claim("1", "just false", "", truth + 1e-9, "m0"),
        Claim("2", "just true", "", truth, "m1"),
        Claim("3", "false", "", truth + 0.4, "m2"),
        Claim("4", "just false", "", truth - 1e-9, "m3", "at most"),
        Claim("5", "no effect, said to be one", "", 2.0, "m4", minus="m0"),
        Claim("6", "true", "", truth - 1, "m5"),
        Claim("7", "true", "", truth, "m6", "equals", digits=0),
        Claim("8", "false", "", truth + 1, "m7", "equals", digits=0, neutral=truth),
    ]
    allowed = [
        {"refuted", "undecided"},
        {"holds", "undecided"},
        {"refuted", "undecided"},
        {"refuted", "undecided"},
        {"refuted", "undecided"},
        {"holds", "undecided"},
        {"holds", "undecided"},
        {"refuted", "undecided"},
    ]
    wrong = 0
    repetitions = 700
    for _ in range(repetitions):
        values = draw.normal(truth, 1.0, (8, 6))
        found = judge(claims, seeds(**{f"m{i}": values[i].tolist() for i in range(8)}))
        wrong += any(f.verdict not in ok for f, ok in zip(found, allowed, strict=True))
    assert wrong / repetitions <= 0.05 + 0.015


def test_a_false_claim_is_refuted_once_there_are_enough_seeds():
    draw = np.random.default_rng(0)
    stated = [claim(97)] + [Claim(f"o{i}", "", "", 90, "a") for i in range(5)]
    found = judge(stated, seeds(a=draw.normal(92, 1, 10).tolist()))
    assert [f.verdict for f in found] == ["refuted"] + ["holds"] * 5


def test_cells_show_claim_measurement_interval_and_verdict():
    stated = claim(87, unit=" %", digits=1)
    text, claimed, measured, said = judge([stated], seeds(a=[96.0, 97.0, 98.0]))[0].cells()
    assert (text, claimed, said) == ("a is at least 87", "≥ 87.0 %", "holds")
    assert measured == "97.0 % (94.5 to 99.5)"


@pytest.mark.parametrize(
    "wrong",
    [
        {"minus": "b", "over": "c"},
        {"comparison": "about"},
        {"estimate": "guess"},
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Claim("c", "", "", 1, "a", **wrong)
