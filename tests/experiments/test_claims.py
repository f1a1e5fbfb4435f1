"""Verdicts: false claims are refuted, and among many claims hardly ever is one judged falsely."""

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

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
    assert judge([claim(1.5, digits=1, minus="b")], apart)[0].verdict == "holds"
    mixed = seeds(a=better.tolist(), b=np.roll(hard, 3).tolist())
    assert judge([claim(1.5, digits=1, minus="b")], mixed)[0].verdict == "undecided"


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
    alone = Claim("x", "", "", 0.7, "a", digits=1)
    assert judge([alone], seeds(a=values))[0].verdict == "holds"
    others = [Claim(f"o{i}", "", "", 2.0, "a") for i in range(20)]
    assert judge([alone, *others], seeds(a=values))[0].verdict == "undecided"
    exact = [Claim(f"e{i}", "", "", 2.0, "n", estimate="exact") for i in range(20)]
    assert judge([alone, *exact], seeds(a=values, n=[2.0] * 5))[0].verdict == "holds"


@pytest.mark.slow
def test_false_claims_are_hardly_ever_confirmed_and_true_ones_hardly_ever_refuted():
    """The probability of even one false verdict among eight claims is at most 5 %."""
    draw = np.random.default_rng(0)
    truth = 3.0
    claims = [
        Claim("1", "just false", "", truth + 1e-9, "m0", digits=9),
        Claim("2", "just true", "", truth, "m1"),
        Claim("3", "false", "", truth + 0.4, "m2", digits=1),
        Claim("4", "just false", "", truth - 1e-9, "m3", "at most", digits=9),
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
        {"of": "n", "estimate": "exact"},
        {"claimed": np.inf},
        {"neutral": np.nan},
        {"claimed": 0.25},
        {"claimed": 0.25, "digits": 1},
        {"digits": -1},
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(wrong):
    """A figure that is shown with fewer digits than it has would be judged by what nobody sees."""
    with pytest.raises(ValueError, match="expected"):
        Claim(**{"id": "c", "text": "", "source": "", "claimed": 1, "metric": "a"} | wrong)


odd = st.floats() | st.sampled_from([0.0, 1.0, -1.0, 100.0, 1e300, 1e-300, np.inf, np.nan])


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(odd, odd), max_size=5),
    other=st.sampled_from([{}, {"minus": "b"}, {"over": "b"}, {"of": "b"}]),
    comparison=st.sampled_from(["at least", "at most", "equals"]),
    estimate=st.sampled_from(["mean", "median", "exact"]),
    figure=st.integers(-3, 100),
)
def test_whatever_is_measured_gives_a_verdict(rows, other, comparison, estimate, figure):
    """Infinities, zeros to divide by, numbers beyond a float's range; JSON for any program."""
    if "of" in other:
        estimate = "mean"
    stated = claim(figure, comparison, estimate=estimate, **other)
    values = {i: {"a": a, "b": b} for i, (a, b) in enumerate(rows)}
    (found,) = judge([stated], values)
    assert (found.verdict == "not measured") == (found.p is None)
    assert found.verdict != "not measured" or found.note
    if len(rows) == 1 and estimate != "exact" and "of" not in other:
        assert found.verdict in ("undecided", "not measured"), "one seed shows no spread"
    json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert all(isinstance(cell, str) for cell in found.cells())


@pytest.mark.parametrize("n", [5, 12])
def test_rounding_errors_are_no_effect(n):
    """0.1 + 0.2 is not 0.3 in any of the seeds, which would make a difference out of none."""
    a, b = [0.1 + 0.2] * n, [0.3] * n
    for stated in (claim(1, minus="b"), claim(2, over="b")):
        assert verdict(stated, a=a, b=b) == "undecided" if n == 5 else "refuted"
        assert "in part" not in verdict(stated, a=a, b=b)
    same = [50.0 + 7 * i + 1e-3 for i in range(3)]
    found = judge([claim(0, minus="b")], seeds(a=same, b=[50.0 + 7 * i for i in range(3)]))[0]
    assert found.verdict == "undecided", "three equal differences have no spread to judge by"


def test_an_exact_figure_at_the_border_counts_as_inside():
    for comparison in ("at most", "at least", "equals"):
        assert verdict(claim(0.3, comparison, estimate="exact", digits=1), a=[0.1 + 0.2]) == "holds"
    for border in (0.25, 0.35):
        assert verdict(claim(0.3, "equals", estimate="exact", digits=1), a=[border]) == "holds"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("n", [2, 5, 20])
def test_no_family_of_true_hypotheses_is_judged_falsely_more_often_than_it_says(count, n):
    """Every claim's figure is the truth itself, where a false verdict is likeliest."""
    draw = np.random.default_rng(count * 100 + n)
    wrong, repetitions = 0, 600
    kinds = [
        ({"comparison": "at least"}, "refuted"),
        ({"comparison": "at most"}, "refuted"),
        ({"minus": "b", "comparison": "at most", "neutral": 9.0}, "refuted"),
        ({"over": "c", "neutral": 3.0}, "refuted"),
        ({"comparison": "equals", "digits": 6}, "refuted"),
    ]
    chosen = [kinds[i % len(kinds)] for i in range(count)]
    stated = [
        Claim(f"{i}", "", "", 2 if "over" in more else 3, f"a{i}", **more)
        for i, (more, _) in enumerate(chosen)
    ]
    for _ in range(repetitions):
        columns = {"b": [0.0] * n, "c": np.exp(draw.normal(0, 0.2, n)).tolist()}
        for i, (more, _) in enumerate(chosen):
            ratio = 2 * np.exp(draw.normal(0, 0.2, n)) * columns["c"]
            values = ratio if "over" in more else draw.normal(3.0, 1.0, n)
            columns[f"a{i}"] = values.tolist()
        found = judge(stated, seeds(**columns))
        wrong += any(f.verdict == bad for f, (_, bad) in zip(found, chosen, strict=True))
    assert wrong / repetitions <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repetitions)


def test_a_small_negative_figure_is_no_minus_zero():
    claim = Claim("c", "words", "source", 1, "a/x", minus="b/x", digits=0)
    assert [claim.figure(value) for value in (-0.4, 0.4, -0.6)] == ["0", "0", "-1"]
