"""The polynomials of ``groundup.engine.compiler.emit.vector_tables``, derived anew.

Each is the ratio p/q that meets its function at as many points as it has coefficients. The points
are those of Chebyshev, which keeps the error within a small factor of the smallest possible one, or
such points crowded towards the low end (``crowding`` above 1) or the high end (below 1), where the
result asks for it. Finding the coefficients is solving a linear system, here with 60 digits.

    python -m tests.compiler.fits        # prints them
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp

from groundup.engine.compiler.emit.vector_values import nearest

mp.mp.dps = 60

Function = Callable[[mp.mpf], mp.mpf]


@dataclass(frozen=True)
class Fit:
    """One table: the function, where it is fitted, and the degrees of p and q."""

    name: str
    bits: int
    function: Function
    low: mp.mpf
    high: mp.mpf
    top: int
    bottom: int = 0
    crowding: float = 1.0

    def coefficients(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of p and q, lowest first, rounded to the format."""
        count = self.top + self.bottom + 1
        rows, values = mp.matrix(count, count), mp.matrix(count, 1)
        for i in range(count):
            share = (1 - mp.cos(mp.pi * (2 * i + 1) / (2 * count))) / 2
            x = self.low + (self.high - self.low) * share**self.crowding
            values[i] = self.function(x)
            for k in range(self.top + 1):
                rows[i, k] = x**k
            for k in range(1, self.bottom + 1):
                rows[i, self.top + k] = -values[i] * x**k
        found = list(mp.lu_solve(rows, values))
        found.insert(self.top + 1, mp.mpf(1))
        rounded = [nearest(float(c), self.bits) for c in found]
        return tuple(rounded[: self.top + 1]), tuple(rounded[self.top + 1 :])


def _odd(function: Function) -> Function:
    """f(x) / x as a function of x²."""
    return lambda z: function(mp.sqrt(z)) / mp.sqrt(z)


def _log_tail(s: mp.mpf) -> mp.mpf:
    return (mp.log((1 + s) / (1 - s)) / s - 2) / s**2


HALF = mp.log(2) / 2 * mp.mpf("1.001")
OTHER = HALF * mp.mpf("1.001")  # no point of the fit at 0, where the formula is 0/0
LOW, HIGH = mp.sqrt(0.5) - 1, mp.sqrt(2) - 1
RATIO = (HIGH / (2 + HIGH)) ** 2 * mp.mpf("1.001")  # of s², with s = f / (2 + f)
QUARTER = (mp.pi / 2) ** 2 * mp.mpf("1.001")

FITS = [
    *(
        Fit("EXP", bits, lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF, OTHER, degree)
        for bits, degree in ((32, 4), (64, 9))
    ),
    Fit("LOG", 32, lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3, LOW, HIGH, 8),
    Fit("LOG", 64, lambda z: _log_tail(mp.sqrt(z)), mp.mpf(0), RATIO, 6),
    *(
        Fit("POW", bits, lambda z: (_log_tail(mp.sqrt(z)) - mp.mpf(2) / 3) / z, mp.mpf(0), RATIO, d)
        for bits, d in ((32, 2), (64, 7))
    ),
    *(
        Fit("SIN", bits, lambda z: (_odd(mp.sin)(z) - 1) / z, mp.mpf(0), QUARTER, degree, 0, 0.4)
        for bits, degree in ((32, 3), (64, 7))
    ),
    *(
        Fit("TANH", bits, lambda z: (_odd(mp.tanh)(z) - 1) / z, mp.mpf(0), mp.mpf(0.25), degree)
        for bits, degree in ((32, 3), (64, 9))
    ),
    *(
        Fit("ERF", bits, lambda z: _odd(mp.erf)(z) - 1, mp.mpf(0), mp.mpf(1), degree)
        for bits, degree in ((32, 5), (64, 12))
    ),
    Fit("ERFC", 32, lambda x: mp.log(mp.erfc(x)), mp.mpf(1), mp.mpf("3.92"), 7, 0, 1.5),
    Fit("ERFC", 64, lambda x: mp.erfc(x) * mp.exp(x**2), mp.mpf(1), mp.mpf("5.93"), 6, 7, 1.5),
]


if __name__ == "__main__":
    for fit in FITS:
        print(f"{fit.name}[{fit.bits}] =", *fit.coefficients(), sep="\n    ")
