"""At first nothing is answered locally, then little."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FinchError


@dataclass(frozen=True, slots=True)
class ColdStart:
    """How many forwarded requests it takes.

    Attributes:
        always: so many are forwarded whatever a student says.
        conservative: up to so many, the error may be half of delta only.

    Example:
        >>> start = ColdStart()
        >>> start.share(49), start.share(199), start.share(200)
        (0.0, 0.5, 1.0)
    """

    always: int = 50
    conservative: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.always <= self.conservative:
            raise FinchError(
                f"cold start of {self.always} and {self.conservative}: expected two whole numbers, "
                "the first not negative and the second not smaller"
            )

    def share(self, forwarded: int) -> float:
        """What part of delta may be used after so many forwarded requests."""
        if forwarded < self.always:
            return 0.0
        return 0.5 if forwarded < self.conservative else 1.0
