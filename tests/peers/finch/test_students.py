"""Students and bounds beside scikit-learn's and SciPy's (R14.2, R14.3)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import beta, binomtest

from groundup.apps.finch.guard.bounds import upper_bound
from groundup.apps.finch.mind.combine import Combine
from groundup.apps.finch.mind.thought import Opinion
from groundup.apps.finch.rehearsal.clinc150 import load_clinc150
from groundup.apps.finch.students import Bayes, Linear, Neighbours
from groundup.apps.finch.students.grams import grams
from groundup.apps.finch.students.index import Index

sklearn = pytest.importorskip("sklearn", reason="scikit-learn, of the extra `data`, is missing")
from scipy.sparse import csr_matrix  # noqa: E402
from sklearn.feature_extraction.text import TfidfTransformer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.naive_bayes import MultinomialNB  # noqa: E402
from sklearn.neighbors import NearestNeighbors  # noqa: E402

BITS = 14


def some_intents(classes: int, each: int, seed: int = 100) -> list[tuple[str, str]]:
    """A small part of CLINC150: some intents, as many requests of each."""
    pairs = load_clinc150(seed)
    chosen = sorted({intent for _, intent in pairs if intent != "oos"})[:classes]
    kept: dict[str, list[tuple[str, str]]] = {intent: [] for intent in chosen}
    for query, intent in pairs:
        if intent in kept and len(kept[intent]) < each:
            kept[intent].append((query, intent))
    out = [pair for some in kept.values() for pair in some]
    return [out[place] for place in np.random.default_rng(seed).permutation(len(out))]


def as_matrix(queries: list[str]) -> csr_matrix:
    found = [grams(query, BITS) for query in queries]
    ends = np.cumsum([0, *(len(one) for one in found)])
    columns = np.concatenate(found)
    return csr_matrix((np.ones(len(columns)), columns, ends), (len(queries), 1 << BITS))


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.5, 0.999))
def test_bounds_are_scipys(errors: int, more: int, confidence: float) -> None:
    trials = errors + more
    if more == 0:
        assert upper_bound(errors, trials, confidence) == 1
        return
    ours = float(upper_bound(errors, trials, confidence))
    assert ours == pytest.approx(beta.ppf(confidence, errors + 1, more), abs=1e-8)
    interval = binomtest(errors, trials, alternative="less").proportion_ci(confidence, "exact")
    assert ours == pytest.approx(interval.high, abs=1e-8)


def test_likeness_is_the_cosine_of_tf_idf() -> None:
    pairs = some_intents(12, 15)
    stored, asked = [q for q, _ in pairs[:150]], [q for q, _ in pairs[150:]]
    index = Index(BITS, read=10**6)
    for number, query in enumerate(stored):
        index.add(grams(query, BITS), number)
    index._lengths[:150] = [index._length(grams(query, BITS)) for query in stored]
    having = np.asarray((as_matrix(stored) > 0).sum(axis=0)).ravel()
    weights = TfidfTransformer(norm=None, smooth_idf=True).fit(as_matrix(stored))
    # The same formula up to the constant in the logarithm, which is ours here.
    weights.idf_ = np.log((2 + len(stored)) / (1 + having))
    peer = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute")
    peer.fit(weights.transform(as_matrix(stored)))
    distances, _ = peer.kneighbors(weights.transform(as_matrix(asked)))
    for query, expected in zip(asked, 1 - distances, strict=True):
        _, likeness = index.nearest(grams(query, BITS), 5)
        assert likeness == pytest.approx(expected[: len(likeness)], abs=1e-9)


def test_bayes_ranks_classes_as_scikit_learns() -> None:
    pairs = some_intents(10, 25)
    train, held_out = pairs[:200], pairs[200:]
    smoothing = 0.02
    student = Bayes(bits=BITS, smoothing=smoothing)
    for query, answer in train:
        student.learn(query, answer)
    peer = MultinomialNB(alpha=smoothing, fit_prior=False)
    peer.fit(as_matrix([q for q, _ in train]), [a for _, a in train])
    expected = peer.predict(as_matrix([q for q, _ in held_out]))
    # The size of the vocabulary in the smoothing is a quarter of the buckets with us.
    same = [student.suggest(q).answer == e for (q, _), e in zip(held_out, expected, strict=True)]
    assert np.mean(same) >= 0.95


def test_one_pass_of_linear_is_near_a_fit_of_all() -> None:
    pairs = some_intents(30, 60)
    train, held_out = pairs[:1400], pairs[1400:]
    student, voters = Linear(bits=BITS), Neighbours(bits=BITS)
    for query, answer in train:
        student.learn(query, answer)
        voters.learn(query, answer)
    weights = TfidfTransformer().fit(as_matrix([q for q, _ in train]))
    peer = LogisticRegression(C=30, max_iter=300)
    peer.fit(weights.transform(as_matrix([q for q, _ in train])), [a for _, a in train])
    batch = peer.score(
        weights.transform(as_matrix([q for q, _ in held_out])), [a for _, a in held_out]
    )
    online = np.mean([student.suggest(q).answer == a for q, a in held_out])
    nearest = np.mean([voters.suggest(q).answer == a for q, a in held_out])
    assert online > batch - 0.03
    assert online > nearest


def test_the_combination_is_a_logistic_regression() -> None:
    # Without drift and with a wide prior the filter's mean comes near the fit of all at once.
    random = np.random.default_rng(0)
    odds = random.normal(0, 2, 3000)
    right = random.random(3000) < 1 / (1 + np.exp(-(0.5 + 1.5 * odds)))
    combine = Combine(["linear"])
    for value, outcome in zip(odds, right.tolist(), strict=True):
        said = [Opinion("linear", f"a{random.integers(10**9)}", float(1 / (1 + np.exp(-value))))]
        combine.learn(said, lambda _, outcome=outcome: outcome)
    peer = LogisticRegression(C=1e6).fit(odds[:, None], right)
    for value in (-2.0, 0.0, 2.0):
        ours = combine.weigh([Opinion("linear", "new", float(1 / (1 + np.exp(-value))))])[1]
        assert ours == pytest.approx(peer.predict_proba([[value]])[0, 1], abs=0.04)
