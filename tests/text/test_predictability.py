"""N-grams and compressors as yardsticks (R4.2): against counting by hand and against the tools."""

import gzip
import lzma
import math
from collections import Counter

import numpy as np
import pytest

from groundup.text import compressed_bits, ngram_bits
from groundup.text.predictability import WEIGHTS, ngram_counts


def by_hand(train, text, order):
    """The same model with dictionaries, character by character."""
    symbols = len(set(train) | set(text))

    def probabilities(seen, what, weights):
        counts = [
            Counter(seen[i : i + n] for i in range(len(seen) - n + 1)) for n in range(order + 1)
        ]
        followed = [Counter(seen[i : i + n] for i in range(len(seen) - n)) for n in range(order)]
        both, found = seen + what, []
        for place in range(len(seen), len(both)):
            p, row = 1 / symbols, []
            for n, w in enumerate(weights, 1):
                run, context = both[place - n + 1 : place + 1], both[place - n + 1 : place]
                p = (counts[n][run] + w * p) / (followed[n - 1][context] + w)
                row.append(p)
            found.append(row)
        return np.array(found)

    held = len(train) - len(train) // 10
    weights = []
    for _ in range(order):
        losses = [
            -np.log(probabilities(train[:held], train[held:], [*weights, w])[:, -1]).sum()
            for w in WEIGHTS
        ]
        weights.append(WEIGHTS[int(np.argmin(losses))])
    return -np.log2(probabilities(train, text, weights)).mean(axis=0)


def test_ngrams_are_those_that_one_counts_by_hand():
    random = np.random.default_rng(0)
    words = ["to ", "be ", "or ", "not ", "nobody "]
    train = "".join(random.choice(words, 60))
    text = "".join(random.choice(words, 9)) + "!"
    ids = [np.array(list(map(ord, part))) for part in (train, text)]
    found = ngram_bits(*ids, order=3)
    assert found == pytest.approx(by_hand(train, text, 3).tolist(), abs=1e-12)
    assert found[2] < found[1] < found[0] < math.log2(len(set(train + text)))


def test_the_probabilities_of_all_symbols_add_up_to_one():
    train = np.random.default_rng(1).integers(0, 4, 200)
    nats = [ngram_bits(np.append(train, 3), [symbol], order=4) for symbol in range(4)]
    for order in range(4):
        assert sum(2 ** -row[order] for row in nats) == pytest.approx(1, abs=1e-12)


def test_counts_reach_over_the_end_of_what_is_counted():
    runs, contexts = ngram_counts(np.array([0, 1, 0, 1, 0]), length=4, order=2)[1]
    assert runs.tolist() == [1]  # "1 0" stood there once
    assert contexts.tolist() == [1]  # "1" was followed by something once


@pytest.mark.parametrize(("train", "order"), [(range(19), 2), (range(30), 0)])
def test_too_little_to_count_is_refused(train, order):
    with pytest.raises(ValueError, match="expected at least 1, 20 and 1"):
        ngram_bits(list(train), [1, 2], order)


def test_compressors_are_charged_for_what_the_text_adds():
    train, text = b"The quick brown fox. " * 4_000, b"The quick brown fox. " * 40
    found = compressed_bits(train, text)
    assert found["gzip"] == 8 * (len(gzip.compress(train + text, 9)) - len(gzip.compress(train, 9)))
    assert found["xz"] < 8 * len(lzma.compress(text)) / 2


def test_xz_remembers_more_than_gzip():
    noise = np.random.default_rng(2).integers(0, 256, 200_000, dtype=np.uint8).tobytes()
    found = compressed_bits(noise, noise[:20_000])
    assert found["gzip"] > 0.99 * 8 * 20_000  # it stood 200 kB ago
    assert found["xz"] < 0.02 * 8 * 20_000
