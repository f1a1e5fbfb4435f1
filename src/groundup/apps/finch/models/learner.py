"""What router, generator and validator share: they read queries, learn online, grow, and resume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from ..state import State
from .network import Sizes
from .online import N, Online
from .reading import Reader
from .tokenizer import TrafficTokenizer


class Learner(Generic[N]):
    """A network that learns online, with the words that it reads.

    Args:
        sizes: of the network.
        tokenizer: shared with the other models.
        online: the network, its average and the optimizer.
        seed: of the words that are left out in learning.

    Example:
        >>> from groundup.apps.finch.models.generator import Generator
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> generator = Generator(sizes, TrafficTokenizer(300))
        >>> arrays, value = generator.state()
        >>> generator.load(arrays, value)
    """

    def __init__(
        self, sizes: Sizes, tokenizer: TrafficTokenizer, online: Online[N], seed: int
    ) -> None:
        self.sizes, self.tokenizer, self.online = sizes, tokenizer, online
        self.reader = Reader(tokenizer, sizes.rows, sizes.query)
        self.online.allow(len(tokenizer))
        self._random = np.random.Generator(np.random.PCG64(seed))

    def grow(self, made_of: Mapping[int, Sequence[int]]) -> None:
        """Begin with tokens that the tokenizer has made."""
        self.online.grow(made_of, len(self.tokenizer))

    def state(self) -> State:
        """All but the tokenizer: arrays, and a JSON value."""
        arrays, value = self.online.state()
        return arrays, {**value, "random": self._random.bit_generator.state}

    def load(self, arrays: Mapping[str, NDArray[Any]], value: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            FinchError: it does not fit.
        """
        self.online.load(arrays, value)
        self._random.bit_generator.state = value["random"]
