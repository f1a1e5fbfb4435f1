"""What can be set of a mind."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from ..errors import FinchError
from ..models.presets import preset
from ..students import Bayes, Exact, Linear, Neighbours, Semantic, Student

STUDENTS = ("exact", "normalised", "semantic", "neighbours", "bayes", "linear")
LIMITS = (
    "delta", "confidence", "cold_start", "conservative",
    "audit_start", "audit_floor", "audit_half", "minimum",
)  # fmt: skip
"""Settings that may change while a mind lives; the others are built into it."""


@dataclass(frozen=True, slots=True)
class MindSettings:
    """Settings of one mind, checked.

    Attributes:
        delta: largest share of errors wanted among local answers.
        confidence: with which it is kept.
        cold_start: so many requests are forwarded whatever a stage says.
        conservative: up to so many, half of delta may be used.
        audit_start: share of answerable requests that is checked at first.
        audit_floor: and in the end.
        audit_half: audits after which the share has halved.
        minimum: outcomes that it takes to trust a threshold.
        window: outcomes that are remembered.
        students: names of the quick stages, of `STUDENTS`.
        classes: answers that the classifying students tell apart.
        entries: queries that caches and neighbours store.
        bits: n-grams are hashed into ``2**bits`` buckets.
        replay: old examples learned from again with each new one, by the linear student.
        models: whether three transformers are asked where the students are in doubt.
        preset: of their sizes.
        longest_query: characters of a query that are read.
        longest_answer: characters of an answer; longer ones are never learned or served.

    Raises:
        FinchError: a value is out of its range.

    Example:
        >>> MindSettings(delta=0.02).delta
        0.02
        >>> MindSettings(delta=2)
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: delta 2: expected a number between 0 and 1
    """

    delta: float = 0.05
    confidence: float = 0.95
    cold_start: int = 50
    conservative: int = 200
    audit_start: float = 0.5
    audit_floor: float = 0.05
    audit_half: int = 100
    minimum: int = 100
    window: int = 2000
    students: tuple[str, ...] = ("exact", "neighbours", "bayes", "linear")
    classes: int = 512
    entries: int = 20_000
    bits: int = 16
    replay: int = 4
    models: bool = True
    preset: str = "nano"
    longest_query: int = 4000
    longest_answer: int = 4000

    def __post_init__(self) -> None:
        for name in ("delta", "confidence", "audit_start", "audit_floor"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise FinchError(f"{name} {value}: expected a number between 0 and 1")
        if self.audit_floor > self.audit_start:
            raise FinchError(
                f"audit_floor {self.audit_floor}: expected no more than audit_start, "
                f"{self.audit_start}"
            )
        if not 0 <= self.cold_start <= self.conservative:
            raise FinchError(
                f"cold_start {self.cold_start} and conservative {self.conservative}: expected two "
                "whole numbers, the first not negative and the second not smaller"
            )
        limits = {
            "audit_half": (1, 10**6), "minimum": (1, 10**6), "window": (100, 10**6),
            "classes": (2, 10**5), "entries": (1, 10**7), "bits": (8, 24), "replay": (0, 100),
            "longest_query": (1, 10**6), "longest_answer": (1, 10**6),
        }  # fmt: skip
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise FinchError(f"{name} {value}: expected a whole number from {least} to {most}")
        if self.minimum > self.window:
            raise FinchError(
                f"minimum {self.minimum}: expected no more than the window, {self.window}"
            )
        preset(self.preset)
        unknown = [name for name in self.students if name not in STUDENTS]
        if unknown or len(set(self.students)) != len(self.students):
            raise FinchError(
                f"students {', '.join(self.students)}: expected different ones of "
                f"{', '.join(STUDENTS)}"
            )

    def with_limits_of(self, other: Self) -> Self:
        """These sizes and stages with another's limits: a saved mind under new settings.

        Args:
            other: of which everything in `LIMITS` is taken.

        Example:
            >>> MindSettings(bits=12).with_limits_of(MindSettings(delta=0.01)).bits
            12
        """
        return replace(self, **{name: getattr(other, name) for name in LIMITS})

    def to_json(self) -> dict[str, Any]:
        """As JSON.

        Example:
            >>> MindSettings.from_json(MindSettings(bits=12).to_json()).bits
            12
        """
        return {**asdict(self), "students": list(self.students)}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Self:
        """The settings that `to_json` gave."""
        return cls(**{**facts, "students": tuple(facts["students"])})

    def make_student(self, name: str, seed: int) -> Student:
        """A student that has learned nothing.

        Args:
            name: one of `STUDENTS`.
            seed: of what it draws.

        Example:
            >>> MindSettings().make_student("linear", 0).name
            'linear'
        """
        bits, longest = self.bits, self.longest_query
        match name:
            case "exact" | "normalised":
                return Exact(self.entries, normalise=name == "normalised")
            case "semantic":
                return Semantic(most=self.entries, bits=bits, longest=longest)
            case "neighbours":
                return Neighbours(most=self.entries, bits=bits, longest=longest)
            case "bayes":
                return Bayes(self.classes, bits, longest=longest)
            case "linear":
                return Linear(
                    self.classes, bits, replay=self.replay, remember=min(8192, self.entries),
                    longest=longest, seed=seed,
                )  # fmt: skip
        raise FinchError(f"student {name}: expected one of {', '.join(STUDENTS)}")


KINDS: dict[str, type[Student]] = {
    "exact": Exact,
    "normalised": Exact,
    "semantic": Semantic,
    "neighbours": Neighbours,
    "bayes": Bayes,
    "linear": Linear,
}
"""The class of each student."""
