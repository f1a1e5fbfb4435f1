"""What tokens cost, as the user says: there is no table of prices in the program.

A price is of a million tokens, in whatever currency. A model without a price of its own takes the
price of the longest name that its own name begins with, because releases add dates to names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import FinchError


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens.

    Attributes:
        input: of those that are sent.
        output: of those that come back.

    Example:
        >>> Price(3.0, 15.0).of(1_000_000, 100_000)
        4.5
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        for name, value in (("input", self.input), ("output", self.output)):
            if not (math.isfinite(value) and value >= 0):
                raise FinchError(f"{name} costs {value} a million tokens; expected 0 or more")

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The cost of some tokens."""
        return (self.input * input_tokens + self.output * output_tokens) / 1e6


class Prices:
    """Prices by model.

    Args:
        table: names of models, or what they begin with, and their prices.
        currency: as it is shown.

    Example:
        >>> prices = Prices({"large": Price(3.0, 15.0), "large-5": Price(5.0, 25.0)}, "EUR")
        >>> prices.of("large-5-20270101").input, prices.of("largest"), prices.of("large-4").input
        (5.0, None, 3.0)
    """

    def __init__(self, table: Mapping[str, Price] | None = None, currency: str = "USD") -> None:
        self.table = dict(table or {})
        self.currency = currency

    def of(self, model: str) -> Price | None:
        """The price of a model; None if the user has given none."""
        fits = [
            name
            for name in self.table
            if model == name or (model.startswith(name) and not model[len(name)].isalnum())
        ]
        return self.table[max(fits, key=len)] if fits else None
