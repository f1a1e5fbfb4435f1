"""What came of a race: times and ratios, their means, and which library is ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

NAMES = {
    "torch": "PyTorch",
    "compiled": "groundup",
    "eager": "groundup, eager",
    "torch-compile": "torch.compile",
    "jax": "JAX",
}
"""What the peers are called, in the order in which they are shown."""
COMPILERS = ("torch-compile", "jax")
"""Of other libraries."""


@dataclass
class Timing:
    """One peer at one workload.

    Attributes:
        seconds: of one call, median.
        ratio: the reference's seconds over these, median of neighbouring turns; above 1 is faster.
        low, high: quartiles of the ratio.
        start: seconds of the first call, compilation included.
        peak: megabytes above what the process had when its libraries were imported, while it ran.
    """

    seconds: float
    ratio: float
    low: float
    high: float
    start: float
    peak: float

    def ratios(self) -> str:
        """The median with the middle half.

        Example:
            >>> Timing(0.001, 2.0, 1.9, 2.125, 0.1, 10.0).ratios()
            '2.00 (1.90 to 2.12)'
        """
        return f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Row:
    """One workload at one number of threads; what each peer took, or why it has no time.

    Attributes:
        share: of the row in a mean.
        reference: the peer that ratios are to.
        left: what a compiler did not take and left to its library's eager code, in its own words.
    """

    title: str
    name: str
    threads: int
    share: float
    reference: str
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """For whoever waits.

        Example:
            >>> Row("XOR", "xor", 1, 1.0, "torch").line()
            'XOR, one thread: all agree'
        """
        found = [f"{NAMES[p]} {t.seconds * 1e3:.3g} ms" for p, t in self.timings.items()]
        found += [f"{NAMES[p]} FAILED: {reason(why)}" for p, why in self.wrong.items()]
        return f"{self.title}, {counted(self.threads)}: {', '.join(found) or 'all agree'}"

    def best(self, peers: Sequence[str] = COMPILERS) -> tuple[str, float] | None:
        """The fastest of some peers and its ratio; None if none has a time.

        Example:
            >>> row = Row("XOR", "xor", 1, 1.0, "torch")
            >>> row.timings["jax"] = Timing(0.001, 2.0, 1.9, 2.1, 0.1, 10.0)
            >>> row.best()
            ('jax', 2.0)
        """
        found = [(p, self.timings[p].ratio) for p in peers if p in self.timings]
        return max(found, key=lambda one: one[1]) if found else None


def reason(error: str) -> str:
    """The last line of what a process wrote that names an error.

    Example:
        >>> reason("Traceback ..." + chr(10) + "RuntimeError: no double backward")
        'RuntimeError: no double backward'
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    text = (errors or lines or ["it ended"])[-1]
    return text if len(text) <= 200 else f"{text[:197]}..."


def counted(threads: int) -> str:
    """In words.

    Example:
        >>> counted(2)
        'two threads'
    """
    return {1: "one thread", 2: "two threads"}.get(threads, f"{threads} threads")


def peers_of(rows: Sequence[Row]) -> list[str]:
    """Those that there is anything to say about.

    Example:
        >>> peers_of([Row("XOR", "xor", 1, 1.0, "torch", wrong={"jax": "no memory"})])
        ['jax']
    """
    return [p for p in NAMES if any(p in row.timings or p in row.wrong for row in rows)]


def by_threads(rows: Sequence[Row]) -> dict[int, list[Row]]:
    """The rows of each number of threads.

    Example:
        >>> list(by_threads([Row("XOR", "xor", 2, 1.0, "torch")]))
        [2]
    """
    return {n: [row for row in rows if row.threads == n] for n in sorted({r.threads for r in rows})}


def geometric_mean(
    rows: Sequence[Row], ratio: Callable[[Row], float | None]
) -> tuple[float, float]:
    """Of what a function gives for each row that has it, each with the share of its row.

    Returns:
        The mean and the sum of those shares; NaN and 0 without any.

    Example:
        >>> rows = [Row("XOR", "xor", n, 1.0, "torch") for n in (1, 4)]
        >>> geometric_mean(rows, lambda row: row.threads)
        (2.0, 2.0)
    """
    found = [(row.share, value) for row in rows if (value := ratio(row)) is not None]
    shares = math.fsum(share for share, _ in found)
    if not found:
        return math.nan, 0.0
    return math.exp(math.fsum(s * math.log(value) for s, value in found) / shares), shares


def mean_ratio(rows: Sequence[Row], peer: str) -> tuple[float, float]:
    """The geometric mean of a peer's ratios, over as many rows as it has.

    Example:
        >>> mean_ratio([], "jax")
        (nan, 0.0)
    """
    return geometric_mean(
        rows, lambda row: row.timings[peer].ratio if peer in row.timings else None
    )


def ahead(rows: Sequence[Row]) -> tuple[float, float]:
    """How often groundup is faster than the best of the other compilers.

    Returns:
        At how many rows it is, and at how many there is something to compare.

    Example:
        >>> row = Row("XOR", "xor", 1, 1.0, "torch")
        >>> row.timings["compiled"] = Timing(0.001, 2.0, 1.9, 2.1, 0.1, 10.0)
        >>> row.timings["jax"] = Timing(0.002, 1.0, 0.9, 1.1, 0.1, 10.0)
        >>> ahead([row])
        (1.0, 1.0)
    """
    able = [(row, best) for row in rows if "compiled" in row.timings and (best := row.best())]
    won = [row.share for row, best in able if row.timings["compiled"].ratio > best[1]]
    return math.fsum(won), math.fsum(row.share for row, _ in able)


def behind(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Where a peer is faster than groundup: the row, and the fastest peer.

    Example:
        >>> row = Row("XOR", "xor", 1, 1.0, "torch")
        >>> row.timings["compiled"] = Timing(0.002, 0.5, 0.4, 0.6, 0.1, 10.0)
        >>> row.timings["torch"] = Timing(0.001, 1.0, 1.0, 1.0, 0.1, 10.0)
        >>> [(row.name, peer) for row, peer in behind([row])]
        [('xor', 'torch')]
    """
    found = []
    for row in rows:
        best = row.best([peer for peer in row.timings if peer not in ("compiled", "eager")])
        if best and "compiled" in row.timings and best[1] > row.timings["compiled"].ratio:
            found.append((row, best[0]))
    return found
