"""What any model has to be better than: simple methods, each a `Method` of `problem.py`.

They stand in every table of an evaluation. `degree` tells what counting edges is worth, and it is
the one that others are tested against.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..task.problem import Method
from .clr import clr
from .correlation import correlation
from .degree import degree
from .logistic import logistic
from .majority import majority
from .nearby import nearby
from .neighbours import neighbours
from .table import TableScorer, given
from .trees import trees

BASELINES: Mapping[str, Method] = {
    "majority": majority,
    "degree": degree,
    "correlation": correlation,
    "clr": clr,
    "trees": trees,
    "logistic": logistic,
    "neighbours": neighbours,
    "nearby": nearby,
}
"""By name; ``trees`` needs minutes where the others need a second."""

__all__ = [
    "BASELINES",
    "TableScorer",
    "clr",
    "correlation",
    "degree",
    "given",
    "logistic",
    "majority",
    "nearby",
    "neighbours",
    "trees",
]
