"""Results as tables: a row for each condition, a column for each measure; claims and verdicts.

A cell shows the median over the seeds and, where they differ, Student's t interval of the mean, cut
to the values that are possible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from .runner import Results
from .statistics import ANY, Interval, Mean

CLAIM_HEADERS = ("claim", "claimed", "measured", "verdict")
MEDIANS = (
    "Median over the seeds, with the 95 % interval of the mean where they differ, cut to the "
    "values that are possible."
)
VERDICTS = (
    "Verdicts are corrected for the number of claims (Holm), so that with a probability of 95 % "
    "none is false."
)
NOTE = f"{MEDIANS} {VERDICTS}"

Table = tuple[list[str], list[list[str]]]


def number(value: float) -> str:
    """A number with four digits that count, or all before the point.

    Example:
        >>> number(9610.0), number(97.2222), number(0.0123456), number(float("inf"))
        ('9,610', '97.22', '0.01235', 'inf')
    """
    if not math.isfinite(value):
        return f"{value:g}"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:#.4g}" if abs(value) >= 1e-4 else f"{value:.3e}"


def summary(values: Sequence[float], possible: Interval = ANY) -> str:
    """Median and interval of some values, one for each seed.

    Args:
        values: of a metric.
        possible: what the metric can be; the interval is cut to it.

    Example:
        >>> summary([96.0, 97.0, 98.0]), summary([650.0, 650.0]), summary([])
        ('97 (94.52 to 99.48)', '650', '–')
        >>> summary([98.0, 99.0, 100.0], Interval(0, 100))
        '99 (96.52 to 100)'
    """
    if not values:
        return "–"
    if any(map(math.isnan, values)):
        return "not a number"
    text = number(median(values))
    if max(values) == min(values) or not all(map(math.isfinite, values)):
        return text
    found = Mean(values).interval().within(possible)
    return f"{text} ({number(found.low)} to {number(found.high)})"


def metrics_table(results: Results) -> Table:
    """Headers and rows: conditions down, measures across.

    Returns:
        (headers, rows); no rows if no seed came to its end.
    """
    names = list(dict.fromkeys(name for metrics in results.metrics.values() for name in metrics))
    parts = {name: name.rpartition("/") for name in names}
    conditions = list(dict.fromkeys(condition for condition, _, _ in parts.values()))
    measures = list(dict.fromkeys(measure for _, _, measure in parts.values()))
    label = results.experiment.label
    rows = []
    for condition in conditions:
        row = [label(condition) if condition else "all"]
        for measure in measures:
            name = f"{condition}/{measure}" if condition else measure
            possible = results.experiment.possible(name)
            row.append(summary(results.column(name), possible) if name in parts else "–")
        rows.append(row)
    return ["", *map(label, measures)], rows


def claims_table(results: Results) -> Table:
    """Headers and rows: each claim with its figure, what was measured, and the verdict."""
    return list(CLAIM_HEADERS), [list(finding.cells()) for finding in results.findings]
