"""Splits: which items to train on, which to choose a model with, which to test it on.

Three ways: at random, with the proportions of the classes kept (stratified), and with items that
belong together kept together (grouped: all cells of one patient, all pages of one book), so that
a test measures generalisation to new groups.

Sizes are rounded by largest remainders (Hamilton's method): every share is its exact size rounded
down or up, and the shares add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine.random import Generator, default_generator
from .dataset import Dataset, Indices, Subset

Floats = NDArray[np.float64]


def random_split(
    dataset: Dataset, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """Cut a data set into parts at random.

    Args:
        dataset: what to cut.
        lengths: the sizes of the parts, which add up to the size of the set; or fractions that
            add up to 1. With fractions, what rounding down leaves over goes to the first parts,
            one each.
        generator: source of the random order; the default generator if None.

    Returns:
        A ``Subset`` for each part; each item is in exactly one.

    Raises:
        ValueError: the lengths do not add up, or one is negative.

    Example:
        >>> train, test = random_split(range(10), [0.8, 0.2], generator=gu.Generator(0))
        >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
        (8, 2, True)
    """
    n = len(dataset)
    sizes = list(lengths)
    if math.isclose(sum(sizes), 1) and not _whole(sizes, n):
        sizes = [math.floor(n * fraction) for fraction in lengths]
        for i in range(n - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
    if not sizes or not _whole(sizes, n) or min(lengths) < 0:
        raise ValueError(
            f"random_split: lengths {list(lengths)} for {n} items; expected sizes that add up to "
            f"{n}, or fractions that add up to 1, none of them negative"
        )
    order = (generator or default_generator).permutation(n)
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, part) for part in np.split(order, ends[:-1])]


def _whole(sizes: Sequence[int | float], total: int) -> bool:
    return all(float(size).is_integer() for size in sizes) and sum(sizes) == total


def split(
    n: int,
    fractions: Sequence[float],
    *,
    stratify: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    generator: Generator | None = None,
) -> list[Indices]:
    """Indices of the parts of a data set of ``n`` items.

    Args:
        n: the number of items.
        fractions: the share of each part; they add up to 1.
        stratify: a class for each item, (n,). Each class is cut in these fractions, so in each
            part the count of a class is its exact share rounded down or up.
        groups: a group for each item, (n,). All items of a group go to the same part; sizes come as
            close to the fractions as whole groups allow (the largest groups are placed first, each
            where most is missing).
        generator: source of the random order; the default generator if None.

    Returns:
        For each part its indices, int64, ascending. Each index from 0 to n - 1 is in exactly one.

    Raises:
        ValueError: the fractions do not add up to 1, a part would be empty, a class has fewer
            members than there are parts, there are fewer groups than parts, or classes and groups
            are both given (whole groups seldom have the proportions of the classes).

    Example:
        >>> train, test = split(8, [0.75, 0.25], stratify=[0, 0, 0, 0, 1, 1, 1, 1])
        >>> (test // 4).tolist()  # one of each class
        [0, 1]
        >>> train, test = split(6, [0.5, 0.5], groups=["a", "b", "a", "b", "a", "b"])
        >>> sorted([train.tolist(), test.tolist()])
        [[0, 2, 4], [1, 3, 5]]
    """
    shares = np.asarray(fractions, np.float64)
    if shares.ndim != 1 or (shares <= 0).any() or not np.isclose(shares.sum(), 1):
        raise ValueError(
            f"split: fractions {list(fractions)}; expected positive numbers that add up to 1"
        )
    if stratify is not None and groups is not None:
        raise ValueError(
            "split: stratify and groups were both given, but whole groups cannot be cut in the "
            "proportions of the classes; give one of them"
        )
    shares = shares / shares.sum()
    generator = generator or default_generator
    if groups is not None:
        part = _grouped(_members(groups, n, "groups"), shares, generator)
    elif stratify is not None:
        part = _stratified(_members(stratify, n, "stratify"), shares, generator)
    else:
        part = np.empty(n, np.int64)
        sizes = _rounded(n * shares, np.zeros(len(shares)))
        part[generator.permutation(n)] = np.repeat(np.arange(len(shares)), sizes)
    parts = [np.flatnonzero(part == i) for i in range(len(shares))]
    for i, found in enumerate(parts):
        if not len(found):
            raise ValueError(
                f"split: part {i} (fraction {float(shares[i]):.4g}) of {n} items would be empty; "
                "give it a larger fraction or the data set more items"
            )
    return parts


def _members(values: ArrayLike, n: int, name: str) -> dict[str, Indices]:
    """The items of each class or group, by its name."""
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(
            f"split: {name} has shape {array.shape}, expected ({n},), one for each item"
        )
    kinds, which = np.unique(array, return_inverse=True)
    order = np.argsort(which, kind="stable")
    found = np.split(order, np.cumsum(np.bincount(which, minlength=len(kinds)))[:-1])
    return {repr(kind): items for kind, items in zip(kinds.tolist(), found, strict=True)}


def _rounded(exact: Floats, missing: Floats) -> Indices:
    """Each number rounded down or up, with the sum kept.

    Args:
        exact: not negative, with a whole sum.
        missing: how much earlier roundings have left each part short of its share; decides, with
            the fraction that is cut off, who is rounded up.
    """
    tidy = np.round(exact, 9)  # 0.7 * 10 is 7, whatever its last bit
    down = np.floor(tidy)
    cut_off = tidy - down
    spare = round(float(exact.sum() - down.sum()))
    ranking = np.where(cut_off > 0, cut_off + missing, -np.inf)
    down[np.argsort(-ranking, kind="stable")[:spare]] += 1
    return down.astype(np.int64)


def _stratified(classes: dict[str, Indices], shares: Floats, generator: Generator) -> Indices:
    """The part of each item, every class cut by itself."""
    n = sum(map(len, classes.values()))
    part = np.empty(n, np.int64)
    missing = np.zeros(len(shares))
    for name, items in classes.items():
        if len(items) < len(shares):
            raise ValueError(
                f"split: class {name} has {len(items)} of the {n} items, too few for {len(shares)} "
                "parts; merge or drop the class, or do not stratify"
            )
        exact = len(items) * shares
        sizes = _rounded(exact, missing)
        missing += exact - sizes
        shuffled = items[generator.permutation(len(items))]
        part[shuffled] = np.repeat(np.arange(len(shares)), sizes)
    return part


def _grouped(groups: dict[str, Indices], shares: Floats, generator: Generator) -> Indices:
    """The part of each item: the largest group first, each where most items are missing."""
    if len(groups) < len(shares):
        raise ValueError(
            f"split: {len(groups)} groups cannot fill {len(shares)} parts; a group is never cut"
        )
    members = list(groups.values())
    shuffled = [members[i] for i in generator.permutation(len(members))]
    n = sum(map(len, members))
    part = np.empty(n, np.int64)
    missing = n * shares
    empty = set(range(len(shares)))
    left = len(shuffled)
    for items in sorted(shuffled, key=len, reverse=True):
        open_parts = sorted(empty) if left == len(empty) else range(len(shares))
        chosen = max(open_parts, key=lambda i: missing[i])
        part[items] = chosen
        missing[chosen] -= len(items)
        empty.discard(chosen)
        left -= 1
    return part
