"""What becomes of old answers while new ones are learned.

The queries of a first task are learned, then those of a second; after each part of the second, the
first is asked again. Forgetting is how far its accuracy falls from its best (Chaudhry et al., 2018,
section 3). `without_replay` gives a buffer that replays next to nothing old, to compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .ensemble import Ensemble
from .replay import ReplayBuffer

Pairs = Sequence[tuple[str, str]]
"""Queries with their answers."""


@dataclass(frozen=True)
class Forgetting:
    """How the accuracy on the first task went.

    Attributes:
        old: accuracy on the first task after it was learned, and after each part of the second.
        new: accuracy on the second task at the end.

    Example:
        >>> Forgetting((0.9, 0.7, 0.8), 1.0).lost
        0.1
    """

    old: tuple[float, ...]
    new: float

    @property
    def lost(self) -> float:
        """The best accuracy on the first task less that at the end."""
        return round(max(self.old) - self.old[-1], 12)


def accuracy(ensemble: Ensemble, pairs: Pairs) -> float:
    """Share of the queries whose answer the generator writes exactly.

    Example:
        >>> from groundup.apps.finch.models.presets import build
        >>> accuracy(build("nano"), [("hi", "greeting")])
        0.0
    """
    return sum(ensemble.generator.suggest(q)[0] == a for q, a in pairs) / max(1, len(pairs))


def measure_forgetting(ensemble: Ensemble, first: Pairs, second: Pairs, parts: int) -> Forgetting:
    """Learn one task after the other, and see what is left of the first.

    Args:
        ensemble: the models; they are changed.
        first: the queries of the first task in the order in which they come; those that come more
            than once are asked once.
        second: those of the second.
        parts: in which the second is learned.

    Example:
        >>> from groundup.apps.finch.models.presets import build
        >>> found = measure_forgetting(build("nano"), [("a", "x")], [("b", "y")] * 2, parts=2)
        >>> len(found.old)
        3
    """
    asked = list(dict.fromkeys(first))
    _learn(ensemble, first)
    old = [accuracy(ensemble, asked)]
    size = -(-len(second) // parts)
    for start in range(0, len(second), size):
        _learn(ensemble, second[start : start + size])
        old.append(accuracy(ensemble, asked))
    return Forgetting(tuple(old), accuracy(ensemble, list(dict.fromkeys(second))))


def _learn(ensemble: Ensemble, pairs: Pairs) -> None:
    for query, answer in pairs:
        ensemble.learn(query, answer)
        ensemble.work(0.0)
    while ensemble.work(60.0):
        pass


def without_replay(newest: int = 32, seed: int = 0) -> ReplayBuffer:
    """A buffer that holds the newest examples alone: what learning is like without a reservoir.

    Example:
        >>> without_replay().fresh
        1.0
    """
    return ReplayBuffer(entries=1, newest=newest, fresh=1.0, seed=seed)
