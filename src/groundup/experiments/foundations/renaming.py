"""Formulas whose variables are renamed: the data of the lesson on attention.

Tokens are numbers: 0 to 4 are variables in the source and names in the target, then come =, four
operators, and the blank, which stands where there is none: before the first token that is written,
and behind a formula that is shorter than others.

Shapes: n formulas of as many tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import groundup as gu

VARIABLES, NAMES, OPERATORS = "xyzvw", "abcde", "+-*/"
EQUALS, BLANK = 5, 10
LENGTHS, LONGER = (5, 7, 9, 11, 13), (15, 17)
"""Tokens of the formulas to learn from, and of others to test on."""
HELD_OUT = 100
"""Formulas of each length in the test, and half as many in the validation."""
EXAMPLE = np.array([[0, 5, 1, 6, 2]])
"""x = y + z, in no training data."""

Array = np.ndarray
Batch = tuple[gu.Tensor, gu.Tensor, gu.Tensor]


def spell(tokens: Array | list[int], letters: str) -> list[str]:
    """Tokens as text, for axes."""
    return [(letters + "=" + OPERATORS)[int(t)] for t in tokens]


def draw(count: int, length: int, random: np.random.Generator) -> Array:
    """Formulas at random, (count, length)."""
    tokens = np.full((count, length), EQUALS)
    tokens[:, 0::2] = random.integers(0, len(VARIABLES), (count, (length + 1) // 2))
    tokens[:, 3::2] = random.integers(EQUALS + 1, BLANK, (count, (length - 3) // 2))
    return tokens


def first_places(variables: Array) -> Array:
    """For each variable of each row the index where it stands first, (n, k) -> (n, k)."""
    return (variables[:, :, None] == variables[:, None, :]).argmax(axis=2)


def rename(source: Array, task: str) -> Array:
    """What the formulas become, (n, length)."""
    target = source.copy()
    if task == "order":
        first = first_places(source[:, 0::2])
        new = first == np.arange(first.shape[1])
        target[:, 0::2] = np.take_along_axis(new.cumsum(axis=1) - 1, first, axis=1)
    return target


def batch(source: Array, task: str, length: int = 0) -> Batch:
    """Source, what the decoder wrote before each token if it made no mistake, and target.

    Args:
        source: formulas of one length, (n, tokens).
        task: map or order.
        length: blanks are put behind up to this length.
    """
    target = rename(source, task)
    start = np.full((len(source), 1), BLANK)
    rows = source, np.concatenate([start, target[:, :-1]], axis=1), target
    behind = ((0, 0), (0, max(0, length - source.shape[1])))
    source, before, target = (np.pad(r, behind, constant_values=BLANK) for r in rows)
    return gu.tensor(source), gu.tensor(before), gu.tensor(target)


def together(formulas: list[Array], task: str) -> Batch:
    """Formulas of several lengths as one batch."""
    parts = [batch(f, task, max(LENGTHS)) for f in formulas]
    source, before, target = (gu.cat(list(p)) for p in zip(*parts, strict=True))
    return source, before, target


@dataclass(frozen=True)
class Split:
    """Formulas by length; none of one part is in another."""

    train: list[Array]
    validation: list[Array]
    test: dict[int, Array]


def split(seed: int, examples: int) -> Split:
    """The formulas of a seed, the same for both tasks.

    Args:
        seed: of the random numbers.
        examples: to learn from.
    """
    random = np.random.default_rng(seed)
    held_out = {EXAMPLE.tobytes()}

    def take(count: int, length: int, hold_out: bool) -> Array:
        rows: list[Array] = []
        while len(rows) < count:
            row = draw(1, length, random)
            if row.tobytes() not in held_out:
                rows.append(row)
                held_out.update([row.tobytes()] if hold_out else [])
        return np.concatenate(rows)

    test = {length: take(HELD_OUT, length, True) for length in (*LENGTHS, *LONGER)}
    validation = [take(HELD_OUT // 2, length, True) for length in LENGTHS]
    train = [take(examples // len(LENGTHS), length, False) for length in LENGTHS]
    return Split(train, validation, test)


def baselines(parts: Split, task: str) -> dict[str, float]:
    """Test formulas right in percent, by what learns no weights."""
    train = [(x, rename(x, task)) for x in parts.train]
    tests = [(parts.test[n], rename(parts.test[n], task)) for n in LENGTHS]
    counts = np.zeros((BLANK, BLANK))
    for x, y in train:
        np.add.at(counts, (x, y), 1)
    table = counts.argmax(axis=1)
    usual = {  # the commonest token at each place
        x.shape[1]: np.array([np.bincount(column).argmax() for column in y.T]) for x, y in train
    }
    right = {
        f"{task}-table": [(table[x] == y).all(axis=1).mean() for x, y in tests],
        f"{task}-commonest": [(usual[x.shape[1]] == y).all(axis=1).mean() for x, y in tests],
    }
    return {f"{name}/test_exact": 100 * float(np.mean(r)) for name, r in right.items()}
