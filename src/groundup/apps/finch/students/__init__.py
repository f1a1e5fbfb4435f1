"""Quick learners, which answer within a millisecond: caches, neighbours, counts, a linear model."""

from __future__ import annotations

from .bayes import Bayes
from .exact import Exact
from .linear import Linear
from .neighbours import Neighbours
from .semantic import Semantic
from .student import Student

__all__ = ["Bayes", "Exact", "Linear", "Neighbours", "Semantic", "Student"]
