"""What a run recorded: a row for each step and a row for each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..engine.dtypes import float64
from ..engine.ops.creation import tensor

Table = dict[str, list[float]]


class History:
    """Two tables of numbers, kept as columns, which is what a plot wants.

    Attributes:
        steps: for each step its "epoch" (from 0), "loss" and "lr" (of the first parameter group).
        epochs: for each epoch the mean "loss" of its steps, "lr" at its end, and with validation
            "validation_loss" and "validation_" with the name of each metric.

    Example:
        >>> history = History()
        >>> history.add_step(epoch=0, loss=0.5, lr=0.1)
        >>> history.add_step(epoch=0, loss=0.25, lr=0.1)
        >>> history.steps["loss"]
        [0.5, 0.25]
    """

    def __init__(self) -> None:
        self.steps: Table = {}
        self.epochs: Table = {}

    def add_step(self, **row: float) -> None:
        """Append a row to ``steps``.

        Example:
            >>> history = History()
            >>> history.add_step(epoch=0, loss=0.5, lr=0.1)
            >>> len(history.steps["lr"])
            1
        """
        _append(self.steps, row)

    def add_epoch(self, **row: float) -> None:
        """Append a row to ``epochs``; a column that is new has NaN in the earlier rows.

        Example:
            >>> history = History()
            >>> history.add_epoch(loss=0.5)
            >>> history.add_epoch(loss=0.25, validation_loss=0.75)
            >>> history.epochs
            {'loss': [0.5, 0.25], 'validation_loss': [nan, 0.75]}
        """
        _append(self.epochs, row)

    def state_dict(self) -> dict[str, Any]:
        """Both tables, each column a float64 tensor.

        Example:
            >>> history = History()
            >>> history.add_epoch(loss=0.5)
            >>> history.state_dict()["epochs"]["loss"].tolist()
            [0.5]
        """
        return {
            name: {key: tensor(column, dtype=float64) for key, column in table.items()}
            for name, table in (("steps", self.steps), ("epochs", self.epochs))
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Example:
            >>> history, other = History(), History()
            >>> history.add_epoch(loss=0.5)
            >>> other.load_state_dict(history.state_dict())
            >>> other.epochs
            {'loss': [0.5]}
        """
        self.steps = {key: column.tolist() for key, column in state["steps"].items()}
        self.epochs = {key: column.tolist() for key, column in state["epochs"].items()}


def _append(table: Table, row: Mapping[str, float]) -> None:
    rows = len(next(iter(table.values()), []))
    for name in row:
        table.setdefault(name, [math.nan] * rows)
    for name, column in table.items():
        column.append(float(row.get(name, math.nan)))
