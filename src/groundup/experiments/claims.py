"""Claims and verdicts: a figure from somewhere, beside what was measured.

A verdict rests on tests of one-sided hypotheses: that the claim is false (rejecting it, the claim
holds), that it is true (rejecting it, the claim is refuted), and, where the claim has a direction,
that there is no effect in that direction or one in the other. All hypotheses of an experiment
together are corrected by Holm's method at 5 %, so that with a probability of at least 95 % none of
its verdicts is false. The interval that is shown beside a verdict is the plain 95 % interval of
that one claim, cut to the values that are possible; a claim may therefore be undecided although its
own interval excludes the figure.

What is compared is decided by the claim before anything is measured:

    metric                     a metric as it is
    metric, minus=other        the difference of two conditions, seed by seed; no effect is 0
    metric, over=other         their ratio, seed by seed; no effect is 1
    metric, of=trials          successes of independent trials, in percent, all seeds together
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from .statistics import ANY, Estimate, Interval, Mean, Median, Proportion, Ratio, holm

Verdict = Literal["holds", "holds in part", "refuted", "undecided", "not measured"]
LEVEL = 0.05
"""Probability of a false verdict in an experiment."""


@dataclass(frozen=True)
class Claim:
    """A statement that can be measured.

    Attributes:
        id: short name, unique in its experiment.
        text: what is claimed, in words.
        source: the document that claims it, and the place there.
        claimed: the figure.
        metric: name of the metric that it is about.
        comparison: "at least", "at most", or "equals" (to the digits given).
        minus: the metric is claimed to exceed this one by the figure.
        over: the metric is claimed to be the figure times this one; both positive.
        of: the metric counts successes, and this one the independent trials; figures in percent.
        estimate: "mean" over seeds, "median" (no assumption about the distribution; infinite values
            are allowed), or "exact" for what does not depend on the seed, such as a count of
            parameters.
        neutral: the figure of no effect, such as what chance gives. It is 0 for a difference and 1
            for a ratio unless given; without one the claim has no direction.
        unit: what stands behind the figures, such as " %".
        digits: digits after the point that are shown, and to which "equals" is judged.

    Raises:
        ValueError: more than one of `minus`, `over` and `of`; a comparison or an estimate of
            another name; an estimate for a proportion, which has its own; figures that are not
            finite, or with more digits than are shown.

    Example:
        >>> claim = Claim("sum", "two and two are five", "folklore", 5, "sum", "equals",
        ...               estimate="exact")
        >>> judge([claim], {0: {"sum": 4.0}})[0].verdict
        'refuted'
    """

    id: str
    text: str
    source: str
    claimed: float
    metric: str
    comparison: Literal["at least", "at most", "equals"] = "at least"
    minus: str | None = None
    over: str | None = None
    of: str | None = None
    estimate: Literal["mean", "median", "exact"] = "mean"
    neutral: float | None = None
    unit: str = ""
    digits: int = 0

    def __post_init__(self) -> None:
        given = [n for n in ("minus", "over", "of") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"claim {self.id!r}: {' and '.join(given)} given, expected one")
        if self.comparison not in ("at least", "at most", "equals"):
            raise ValueError(
                f"claim {self.id!r}: comparison {self.comparison!r}, expected 'at least', "
                "'at most' or 'equals'"
            )
        if self.estimate not in ("mean", "median", "exact"):
            raise ValueError(
                f"claim {self.id!r}: estimate {self.estimate!r}, expected 'mean', 'median' or "
                "'exact'"
            )
        if self.of is not None and self.estimate != "mean":
            raise ValueError(
                f"claim {self.id!r}: estimate {self.estimate!r} of a proportion, expected none: "
                "the trials of all seeds are counted together"
            )
        figures = [self.claimed, *([] if self.neutral is None else [self.neutral])]
        if not all(map(math.isfinite, figures)):
            raise ValueError(f"claim {self.id!r}: figures {figures}, expected finite ones")
        if self.digits < 0 or not math.isclose(
            self.claimed, round(self.claimed, self.digits), rel_tol=1e-12, abs_tol=0.0
        ):
            raise ValueError(
                f"claim {self.id!r}: claimed {self.claimed:.15g} with digits={self.digits}, which "
                f"would be shown as {self.claimed:.{max(0, self.digits)}f}; expected as many "
                "digits as the figure has"
            )

    @property
    def metrics(self) -> list[str]:
        """The metrics that it needs."""
        return [m for m in (self.metric, self.minus, self.over, self.of) if m is not None]

    @property
    def direction(self) -> tuple[int, float] | None:
        """+1 or -1, whether more or less than no effect is claimed, and the figure of no effect."""
        neutral = self.neutral
        if neutral is None:
            neutral = 0.0 if self.minus is not None else 1.0 if self.over is not None else None
        if neutral is None or self.claimed == neutral:
            return None
        sign = 1 if self.claimed > neutral else -1
        against = {"at least": -1, "at most": 1, "equals": 0}[self.comparison]
        return None if sign == against else (sign, neutral)

    def figure(self, value: float) -> str:
        """A figure as this claim shows it, without the unit."""
        if not math.isfinite(value):
            return f"{value:g}"
        return f"{round(value, self.digits) + 0.0:,.{self.digits}f}"  # -0.0 + 0.0 is 0.0

    @property
    def claimed_text(self) -> str:
        """The claimed figure with its sign and unit."""
        sign = {"at least": "≥ ", "at most": "≤ ", "equals": ""}[self.comparison]
        return f"{sign}{self.figure(self.claimed)}{self.unit}"


@dataclass(frozen=True)
class Finding:
    """A claim with what was measured and the verdict.

    Attributes:
        claim: the claim.
        verdict: "holds"; "holds in part" (the direction is confirmed, the figure is not);
            "refuted"; "undecided" (these seeds neither confirm nor exclude it); "not measured".
        note: what else there is to know, such as why it was not measured.
        values: what the claim is about, for each seed; for a proportion the percentages.
        value: their median; for a proportion the percentage of all trials together.
        interval: 95 %, cut to the values that are possible; None if there is none.
        p: p-value after Holm's correction of what the verdict rests on.

    Example:
        >>> claim = Claim("c", "reaches 87 %", "a book", 87, "accuracy", unit=" %")
        >>> found = judge([claim], {seed: {"accuracy": 96.0 + seed} for seed in range(4)})[0]
        >>> found.value, found.verdict, found.p < 0.01
        (97.5, 'holds', True)
    """

    claim: Claim
    verdict: Verdict
    note: str = ""
    values: tuple[float, ...] = ()
    value: float = math.nan
    interval: Interval | None = None
    p: float | None = None

    @property
    def measured_text(self) -> str:
        """Median and interval, as a table shows them."""
        if math.isnan(self.value):
            return "–"
        text = f"{self.claim.figure(self.value)}{self.claim.unit}"
        if self.interval and self.interval.low < self.interval.high:
            low, high = self.claim.figure(self.interval.low), self.claim.figure(self.interval.high)
            text += f" ({low} to {high})"
        return text

    def cells(self) -> tuple[str, str, str, str]:
        """Text, claimed, measured and verdict, as a table shows them.

        Example:
            >>> claim = Claim("c", "reaches 87 %", "a book", 87, "accuracy", unit=" %", digits=1)
            >>> seeds = {0: {"accuracy": 96.0}, 1: {"accuracy": 97.0}, 2: {"accuracy": 98.0}}
            >>> judge([claim], seeds)[0].cells()
            ('reaches 87 %', '≥ 87.0 %', '97.0 % (94.5 to 99.5)', 'holds')
        """
        return self.claim.text, self.claim.claimed_text, self.measured_text, self.verdict

    def to_json(self) -> dict[str, Any]:
        """The finding for a program: JSON values only."""
        claim, interval = self.claim, self.interval
        return {
            "id": claim.id,
            "text": claim.text,
            "source": claim.source,
            "comparison": claim.comparison,
            "claimed": claim.claimed,
            "unit": claim.unit.strip(),
            "metrics": claim.metrics,
            "values": [_number(v) for v in self.values],
            "median": _number(self.value),
            "interval": [_number(interval.low), _number(interval.high)] if interval else None,
            "p": self.p,
            "claimed_text": claim.claimed_text,
            "measured_text": self.measured_text,
            "verdict": self.verdict,
            "note": self.note,
        }


def _number(value: float) -> float | str | None:
    """JSON has neither infinities nor NaN."""
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def judge(
    claims: Sequence[Claim],
    results: Mapping[int, Mapping[str, float]],
    level: float = LEVEL,
    possible: Callable[[str], Interval] = lambda _: ANY,
) -> list[Finding]:
    """Judge all claims of an experiment together.

    Args:
        claims: what is claimed.
        results: the metrics of each seed.
        level: largest probability of a false verdict among all of them.
        possible: gives by a metric's name the values that it can have. Intervals are cut to them;
            the tests do not use them.

    Returns:
        A finding for each claim, in their order.

    Example:
        >>> gain = Claim("g", "a beats b by 5", "a book", 5, "a", minus="b", digits=1)
        >>> runs = {s: {"a": 3.0 + 0.1 * s, "b": 1.0} for s in range(5)}
        >>> found = judge([gain], runs)[0]
        >>> found.verdict, found.measured_text
        ('holds in part', '2.2 (2.0 to 2.4)')
    """
    measured = [_measure(claim, results) for claim in claims]
    hypotheses = [None if m.estimate is None else _p_values(m.claim, m.estimate) for m in measured]
    # What is exact is no test, and so takes no share of the level.
    tested = [
        (i, j)
        for i, p_values in enumerate(hypotheses)
        if p_values is not None and claims[i].estimate != "exact"
        for j in range(len(p_values))
    ]
    for (i, j), p in zip(tested, holm([hypotheses[i][j] for i, j in tested]), strict=True):  # type: ignore[index]
        hypotheses[i][j] = p  # type: ignore[index]
    return [_finding(m, p, level, possible) for m, p in zip(measured, hypotheses, strict=True)]


@dataclass(frozen=True)
class _Measured:
    claim: Claim
    values: tuple[float, ...] = ()
    estimate: Estimate | None = None
    note: str = ""


def _measure(claim: Claim, results: Mapping[int, Mapping[str, float]]) -> _Measured:
    """The values that a claim is about, and the estimate that they give, or why there is none."""
    if not results:
        return _Measured(claim, note="no seed was run")
    for seed, metrics in results.items():
        for name in claim.metrics:
            if name not in metrics:
                return _Measured(claim, note=f"seed {seed} has no metric {name!r}")
            if math.isnan(metrics[name]):
                return _Measured(claim, note=f"seed {seed}: {name!r} is not a number")
    column = {name: [metrics[name] for metrics in results.values()] for name in claim.metrics}
    values = column[claim.metric]
    try:
        if claim.of is not None:
            trials = column[claim.of]
            percent = [100 * a / b if b else math.nan for a, b in zip(values, trials, strict=True)]
            return _Measured(claim, tuple(percent), Proportion(sum(values), sum(trials)))
        if claim.minus is not None:
            values = [_difference(a, b) for a, b in zip(values, column[claim.minus], strict=True)]
        if claim.over is not None:
            below = column[claim.over]
            if min(*values, *below) <= 0:
                return _Measured(claim, note="a ratio of values that are not positive")
            values = [a / b for a, b in zip(values, below, strict=True)]
        if claim.estimate == "median":
            return _Measured(claim, tuple(values), Median(values))
        if claim.estimate == "exact":
            if len(set(values)) > 1:
                note = "said to be exact, but it differs between seeds"
                return _Measured(claim, tuple(values), note=note)
            return _Measured(claim, tuple(values), _Exact(values[0]))
        estimate = Ratio(values) if claim.over is not None else Mean(values)
    except ValueError as error:
        return _Measured(claim, tuple(values), note=str(error))
    return _Measured(claim, tuple(values), estimate)


def _difference(a: float, b: float) -> float:
    """The difference without the digits that only rounding made, which would look like a spread."""
    scale = max(abs(a), abs(b))
    if not 0 < scale < math.inf:
        return a - b
    return round(a - b, 12 - math.floor(math.log10(scale)))


@dataclass(frozen=True)
class _Exact:
    """What is known without error."""

    value: float

    def interval(self, confidence: float = 0.95) -> Interval:
        return Interval(self.value, self.value)

    def p_at_most(self, bound: float) -> float:
        return float(self.value <= bound)

    def p_at_least(self, bound: float) -> float:
        return float(self.value >= bound)


def _p_values(claim: Claim, found: Estimate) -> list[float]:
    """p-values of: the claim is false; the claim is true; there is nothing in its direction."""
    if claim.comparison == "at least":
        p_values = [found.p_at_most(claim.claimed), found.p_at_least(claim.claimed)]
    elif claim.comparison == "at most":
        p_values = [found.p_at_least(claim.claimed), found.p_at_most(claim.claimed)]
    else:
        slack = 0.5 * 10.0**-claim.digits
        low, high = claim.claimed - slack, claim.claimed + slack
        # Outside is two hypotheses, both to be rejected; inside may be left on either side.
        outside = max(found.p_at_most(low), found.p_at_least(high))
        inside = min(1.0, 2 * min(found.p_at_least(low), found.p_at_most(high)))
        p_values = [outside, inside]
    if claim.direction is not None:
        sign, neutral = claim.direction
        p_values.append(found.p_at_most(neutral) if sign > 0 else found.p_at_least(neutral))
    return p_values


def _finding(
    measured: _Measured,
    p_values: list[float] | None,
    level: float,
    possible: Callable[[str], Interval],
) -> Finding:
    claim, found = measured.claim, measured.estimate
    if found is None or p_values is None:
        return Finding(claim, "not measured", measured.note, measured.values)
    value = found.value if isinstance(found, Proportion) else median(measured.values)
    interval: Interval | None = found.interval()
    if interval == ANY:
        interval = None
    elif interval is not None and not isinstance(found, Proportion | Ratio):
        own = possible(claim.metric)
        other = None if claim.minus is None else possible(claim.minus)
        if claim.over is None:
            interval = interval.within(own if other is None else own.minus(other))

    def finding(verdict: Verdict, p: float, note: str = "") -> Finding:
        return Finding(claim, verdict, note, measured.values, value, interval, p)

    false, true, *rest = p_values
    nothing = rest[0] if rest else 1.0
    # A deterministic figure is at the bound or not; "at least" includes the bound itself.
    if isinstance(found, _Exact):
        false = float(not _is_true(claim, found.value))
        true = 1.0 - false
    if false <= level:
        return finding("holds", false)
    if nothing <= level:
        excluded = true <= level
        note = "the figure is excluded" if excluded else "these seeds do not decide the figure"
        return finding("holds in part", nothing, f"the direction is right, {note}")
    if true <= level:
        return finding("refuted", true)
    few = "one seed says nothing of the spread" if len(measured.values) == 1 else ""
    return finding("undecided", min(false, true), few or "more seeds would decide")


def _is_true(claim: Claim, value: float) -> bool:
    """Whether an exact value is as claimed; what differs by rounding alone is the same."""
    if claim.comparison == "equals":
        return abs(value - claim.claimed) <= 0.5 * 10.0**-claim.digits * (1 + 1e-9)
    if math.isclose(value, claim.claimed, rel_tol=1e-12):
        return True
    return value > claim.claimed if claim.comparison == "at least" else value < claim.claimed
