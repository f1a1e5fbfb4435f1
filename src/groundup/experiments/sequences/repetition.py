"""Blocks of random tokens that repeat, and what counting and copying make of them.

Rules give the probabilities of the next token at each place, (N, T, TOKENS), for tokens (N, T).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

import groundup as gu

TOKENS, LENGTH, SHORTEST, LONGEST = 64, 48, 8, 16
WEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3)

Array = np.ndarray


@dataclass(frozen=True)
class Sequences:
    """Repeated blocks: the tokens (N, LENGTH + 1) and the lengths of the blocks (N,)."""

    tokens: Array
    blocks: Array

    @property
    def pair(self) -> tuple[gu.Tensor, gu.Tensor]:
        """What is read, and what is to be predicted, (N, LENGTH) each."""
        return gu.tensor(self.tokens[:, :-1]), gu.tensor(self.tokens[:, 1:])

    @property
    def known(self) -> Array:
        """Which targets can be known from what stands before, (N, LENGTH)."""
        return np.arange(1, LENGTH + 1) > self.blocks[:, None]

    def matches(self) -> Array:
        """From where (query) which places (key) stand just after the same token, (N, T, T)."""
        x = self.tokens[:, :-1]
        after = np.zeros((len(x), LENGTH, LENGTH), bool)
        after[:, :, 1:] = x[:, :, None] == x[:, None, :-1]
        return after & np.tri(LENGTH, dtype=bool)


def draw(random: np.random.Generator, count: int, block: int | None = None) -> Sequences:
    """Random blocks of one length, or of any from the shortest to the longest, repeated."""
    low, high = (SHORTEST, LONGEST) if block is None else (block, block)
    blocks = random.integers(low, high + 1, count)
    content = random.integers(0, TOKENS, (count, high))
    places = np.arange(LENGTH + 1) % blocks[:, None]
    return Sequences(np.take_along_axis(content, places, axis=1), blocks)


def seen(x: Array, weight: float) -> Array:
    """By how often each token stood in the sequence so far, each ``weight`` times more."""
    counts = np.eye(TOKENS)[x].cumsum(axis=1) + weight
    return counts / counts.sum(axis=2, keepdims=True)


def pairs(train: Array, x: Array) -> Array:
    """By how often each token followed the last one in training, each once more."""
    counts = np.ones((TOKENS, TOKENS))
    np.add.at(counts, (train[:, :-1], train[:, 1:]), 1)
    return (counts / counts.sum(axis=1, keepdims=True))[x]


def copier(x: Array, doubt: float) -> Array:
    """What followed the longest run of tokens that stood before, the last time it did."""
    n, t = x.shape
    p = np.full((n, t, TOKENS), 1 / TOKENS)
    run = np.zeros((n, t + 1), int)  # run[:, j + 1]: length of what ends at j and at i
    for i in range(1, t):
        run[:, 1 : i + 1] = np.where(x[:, :i] == x[:, i : i + 1], run[:, :i] + 1, 0)
        last = i - 1 - run[:, i:0:-1].argmax(axis=1)
        known = np.flatnonzero(run[np.arange(n), last + 1])
        p[known, i] *= doubt
        p[known, i, x[known, last[known] + 1]] += 1 - doubt
    return p


def said(p: Array, data: Sequences) -> dict[str, float]:
    """What the targets say of probabilities: mean losses, and the share that is right."""
    loss = -np.log(np.take_along_axis(p, data.tokens[:, 1:, None], axis=2)[..., 0])
    known = data.known
    right = p.argmax(axis=2) == data.tokens[:, 1:]
    return {
        "repeated": float(loss[known].mean()),
        "right": 100 * float(right[known].mean()),
    }


def baselines(train: Array, validation: Sequences, test: Sequences) -> dict[str, float]:
    """What is known without a network; the weights are chosen on the validation sequences."""
    x, metrics = test.tokens[:, :-1], {"chance/repeated_test": math.log(TOKENS)}
    predicted = {"pairs": pairs(train, x)}
    for name, rule in (("seen", seen), ("copier", copier)):
        tried = {w: rule(validation.tokens[:, :-1], w) for w in WEIGHTS}
        best = min(tried, key=lambda w: said(tried[w], validation)["repeated"])
        predicted[name] = rule(x, best)
    for name, p in predicted.items():
        metrics |= {f"{name}/{what}_test": value for what, value in said(p, test).items()}
    return metrics
