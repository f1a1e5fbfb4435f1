"""Sizes that depend on other sizes: what a number is at any batch, found from a few batches.

A program is traced at several sizes of the dimensions that may vary. A number in it, such as a
length in the shape of a ``reshape``, is then known at each of them, and a formula is looked for
that gives it: a constant, or a sum of products of the sizes with whole coefficients, simplest
first. There are always more traces than coefficients, so a formula that fits is one that was
checked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Monomial = tuple[str, ...]
"""A product of dimensions by their names."""
Sample = Mapping[str, int]
"""The size of each dimension that may vary, in one trace."""


@dataclass(frozen=True)
class Size:
    """A constant and a sum of products of dimensions.

    Attributes:
        constant: what is added.
        terms: products with their coefficients.

    Example:
        >>> str(Size(1, ((("batch", "length"), 2),)))
        '2*batch*length + 1'
    """

    constant: int
    terms: tuple[tuple[Monomial, int], ...] = ()

    @property
    def fixed(self) -> bool:
        """Whether it depends on nothing."""
        return not self.terms

    @property
    def symbol(self) -> str | None:
        """The dimension that it is, if it is one."""
        if self.constant == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0][0] if len(self.terms[0][0]) == 1 else None
        return None

    def __str__(self) -> str:
        parts = [
            "*".join(m if c == 1 else (str(c), *m)) if m else str(c)
            for m, c in (*self.terms, *([((), self.constant)] if self.constant else []))
        ]
        return " + ".join(parts) or "0"


def products(names: Sequence[str]) -> Iterator[Monomial]:
    """Products of up to three dimensions, the shortest first.

    Example:
        >>> list(products(["n"]))
        [('n',), ('n', 'n'), ('n', 'n', 'n')]
    """
    for degree in (1, 2, 3):
        yield from itertools.combinations_with_replacement(names, degree)


def value_of(product: Monomial, sample: Sample) -> int:
    """A product at one sample.

    Example:
        >>> value_of(("n", "t"), {"n": 2, "t": 5})
        10
    """
    value = 1
    for name in product:
        value *= sample[name]
    return value


def fit(samples: Sequence[Sample], values: Sequence[int]) -> Size | None:
    """The simplest formula that gives these numbers; None if there is none.

    Args:
        samples: sizes of the dimensions in each trace.
        values: the number in each trace.

    Example:
        >>> samples = [{"n": 2}, {"n": 3}, {"n": 4}, {"n": 20}]
        >>> str(fit(samples, [13, 19, 25, 121])), fit(samples, [1, 1, 2, 10])
        ('6*n + 1', None)
    """
    if len(set(values)) == 1:
        return Size(int(values[0]))
    names = sorted(samples[0])
    singles = [(product,) for product in products(names)]
    sums = [tuple((name,) for name in names)] if len(names) > 1 else []
    pairs = list(itertools.combinations(products(names), 2))
    for chosen in (*singles, *sums, *pairs):
        if len(chosen) + 1 >= len(samples):
            continue
        table = np.array([[value_of(m, s) for m in chosen] + [1] for s in samples], np.float64)
        found = np.linalg.lstsq(table, np.array(values, np.float64), rcond=None)[0]
        whole = [round(float(c)) for c in found]
        if all(
            sum(c * value_of(m, s) for m, c in zip(chosen, whole, strict=False)) + whole[-1] == v
            for s, v in zip(samples, values, strict=True)
        ):
            terms = [(m, c) for m, c in zip(chosen, whole, strict=False) if c]
            return Size(whole[-1], tuple(terms))
    return None


def fit_ratio(
    samples: Sequence[Sample], values: Sequence[float]
) -> tuple[float, Monomial, bool] | None:
    """A number ``c`` and a product ``m`` so that the values are ``c m`` or ``c / m``, or None.

    Returns:
        (c, m, whether m divides).

    Example:
        >>> fit_ratio([{"n": 2}, {"n": 4}, {"n": 5}], [0.5, 0.25, 0.2])
        (1.0, ('n',), True)
    """
    for product in products(sorted(samples[0])):
        sizes = np.array([value_of(product, s) for s in samples], np.float64)
        for divides in (True, False):
            factors = np.array(values, np.float64) * (sizes if divides else 1 / sizes)
            if np.all(np.isfinite(factors)) and np.allclose(factors, factors[0], rtol=1e-6, atol=0):
                return float(factors[0]), product, divides
    return None
