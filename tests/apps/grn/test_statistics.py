"""Intervals cover, tests err as seldom as they say, and both know that TFs are clusters. R13.4."""

import numpy as np
import pytest
from scipy.stats import norm

from groundup.apps.grn.evaluation.statistics import (
    Scored,
    bootstrap,
    holm,
    permutation_test,
)
from groundup.apps.grn.task.metrics import auprc, auroc

TFS = 40
EACH = 6


def _pairs(
    random: np.random.Generator, *, signal: float, of_tf: float = 0.0, tie: int | None = None
) -> Scored:
    """Pairs of TFs that are found more or less well: the signal differs between TFs."""
    tfs = np.repeat(np.arange(TFS), 2 * EACH)
    labels = np.tile(np.arange(2 * EACH) < EACH, TFS)
    own = signal + of_tf * random.normal(size=TFS)
    scores = labels * own[tfs] + random.normal(size=len(tfs))
    return Scored(tfs, labels, scores if tie is None else np.round(scores, tie))


@pytest.mark.parametrize("tie", [None, 0])
def test_values_are_those_of_the_metrics(tie: int | None) -> None:
    random = np.random.default_rng(0)
    seeds = [_pairs(random, signal=0.7, tie=tie) for _ in range(3)]
    by_hand = np.mean([auroc(s.labels, s.scores) for s in seeds])
    assert bootstrap(seeds, "auroc", random, resamples=20).value == pytest.approx(by_hand)
    by_hand = np.mean([auprc(s.labels, s.scores) for s in seeds])
    assert bootstrap(seeds, "auprc", random, resamples=20).value == pytest.approx(by_hand)


@pytest.mark.parametrize("tie", [None, 0])
def test_a_draw_is_the_metric_of_the_pairs_that_were_drawn(tie: int | None) -> None:
    """One draw, done by copying pairs."""
    scored = _pairs(np.random.default_rng(1), signal=0.5, tie=tie)
    counts = np.random.default_rng(2).multinomial(TFS, np.full(TFS, 1 / TFS), size=1)[0]
    copies = np.repeat(np.arange(len(scored.tfs)), counts[scored.tfs])
    for name, metric in (("auroc", auroc), ("auprc", auprc)):
        found = bootstrap([scored], name, np.random.default_rng(2), resamples=1)
        expected = metric(scored.labels[copies], scored.scores[copies])
        assert found.low == pytest.approx(expected)


def test_intervals_cover() -> None:
    """Of 150 intervals of 95 %, the truth is in all but a few, TFs being unlike one another."""
    random = np.random.default_rng(3)
    # Edges of N(0.6, 1 + 0.8^2), others of N(0, 1).
    truth = norm.cdf(0.6 / np.sqrt(2 + 0.8**2))
    covered = 0
    for _ in range(150):
        found = bootstrap([_pairs(random, signal=0.6, of_tf=0.8)], "auroc", random, resamples=150)
        covered += found.low <= truth <= found.high
    assert 0.86 <= covered / 150 <= 1


def test_clusters_widen_the_interval() -> None:
    """Drawing pairs as if they were independent claims more than there is."""
    scored = _pairs(np.random.default_rng(4), signal=0.6, of_tf=1.5)
    alone = Scored(np.arange(len(scored.tfs)), scored.labels, scored.scores)
    clustered, naive = (
        bootstrap([pairs], "auroc", np.random.default_rng(0), resamples=300)
        for pairs in (scored, alone)
    )
    assert clustered.high - clustered.low > 1.3 * (naive.high - naive.low)


def test_seeds_that_say_the_same_add_no_certainty() -> None:
    scored = _pairs(np.random.default_rng(5), signal=0.6, of_tf=0.5)
    one, five = (
        bootstrap([scored] * count, "auroc", np.random.default_rng(0), resamples=300)
        for count in (1, 5)
    )
    assert five.low == pytest.approx(one.low)
    assert five.high == pytest.approx(one.high)


def _alike(random: np.random.Generator) -> tuple[Scored, Scored]:
    """Two methods of the same worth: each is better at some TFs."""
    tfs = np.repeat(np.arange(TFS), 2 * EACH)
    labels = np.tile(np.arange(2 * EACH) < EACH, TFS)
    both = labels * (0.5 + random.normal(size=TFS))[tfs]
    one, other = (
        both + labels * 0.8 * random.normal(size=TFS)[tfs] + random.normal(size=len(tfs))
        for _ in range(2)
    )
    return Scored(tfs, labels, one), Scored(tfs, labels, np.exp(other))


def test_few_false_positives() -> None:
    """Of 200 pairs of methods that are alike about one in twenty is called different."""
    random = np.random.default_rng(6)
    p = []
    for _ in range(200):
        one, other = _alike(random)
        p.append(permutation_test([one], [other], random, permutations=99).p)
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10
    assert 0.4 <= np.mean(np.array(p) <= 0.5) <= 0.6


def test_power() -> None:
    random = np.random.default_rng(7)
    seeds = [_pairs(random, signal=1.0) for _ in range(2)]
    flat = [Scored(s.tfs, s.labels, np.zeros(len(s.tfs))) for s in seeds]
    found = permutation_test(seeds, flat, random, permutations=999)
    assert found.p == pytest.approx(0.001)
    assert found.value == pytest.approx(np.mean([auroc(s.labels, s.scores) for s in seeds]) - 0.5)


def test_a_method_does_not_differ_from_itself() -> None:
    random = np.random.default_rng(8)
    scored = _pairs(random, signal=0.5)
    other = Scored(scored.tfs, scored.labels, 5 * scored.scores - 2)
    found = permutation_test([scored], [other], random, permutations=50)
    assert (found.value, found.p) == (0, 1)


def test_a_swap_by_hand() -> None:
    """All 2^3 swaps of three TFs, done with the scores themselves."""
    random = np.random.default_rng(9)
    tfs, labels = np.repeat(np.arange(3), 4), np.tile([True, True, False, False], 3)
    one, other = (random.permutation(12.0 * np.arange(1, 13)) / 12 for _ in range(2))
    differences = []
    for bits in np.ndindex(2, 2, 2):
        swap = np.array(bits, bool)[tfs]
        mine, theirs = np.where(swap, other, one), np.where(swap, one, other)
        differences.append(auroc(labels, mine) - auroc(labels, theirs))
    share = np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12)
    found = permutation_test(
        [Scored(tfs, labels, one)], [Scored(tfs, labels, other)], random, permutations=4000
    )
    assert found.value == pytest.approx(differences[0])
    assert found.p == pytest.approx(share, abs=0.03)


def test_other_pairs_are_refused() -> None:
    random = np.random.default_rng(10)
    scored = _pairs(random, signal=0.5)
    turned = Scored(scored.tfs, ~scored.labels, scored.scores)
    with pytest.raises(ValueError, match="the same pairs"):
        permutation_test([scored], [turned], random)
    with pytest.raises(ValueError, match="the same pairs"):
        permutation_test([scored], [scored] * 2, random)


def test_holm_is_between_nothing_and_bonferroni() -> None:
    random = np.random.default_rng(11)
    p = {str(n): float(x) for n, x in enumerate(random.random(20) ** 4)}
    found = holm(p)
    assert list(found) == list(p)
    for name, value in p.items():
        assert value <= found[name] <= min(1, 20 * value)
    least = min(p, key=p.__getitem__)
    assert found[least] == pytest.approx(min(1, 20 * p[least]))
    order = sorted(p, key=p.__getitem__)
    assert np.all(np.diff([found[name] for name in order]) >= 0)


def test_holm_keeps_its_promise() -> None:
    """Ten tests of nothing: any of them below 0.05 in at most about one round of twenty."""
    random = np.random.default_rng(12)
    rounds = [min(holm({str(n): x for n, x in enumerate(random.random(10))}).values())]
    rounds += [
        min(holm({str(n): x for n, x in enumerate(random.random(10))}).values()) for _ in range(999)
    ]
    assert np.mean(np.array(rounds) < 0.05) <= 0.07
