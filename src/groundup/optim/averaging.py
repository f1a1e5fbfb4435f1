"""Running averages of weights, which often predict better than the last weights.

Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging"; with
exponentially falling weights as in Tarvainen and Valpola (2017), "Mean teachers are better role
models", equation 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from ..engine.autograd import no_grad
from ..engine.tensor import Tensor


class Averageable(Protocol):
    """What is asked of a module: parameters and buffers with names."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """All parameters with their names."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their names."""


class EMA:
    """Exponential moving average of a module's weights.

    Call ``update`` after each optimizer step::

        average <- decay average + (1 - decay) weight

    The average starts as the weights of the moment when it is made.

    Args:
        module: the module, usually an ``nn.Module``.
        decay: share of the average that each update keeps; it spans about ``1 / (1 - decay)``
        updates. use_buffers: average floating buffers too (running statistics of normalisation
        layers).

    Attributes:
        averages: the averages, by the names of what they average.

    Raises:
        ValueError: the decay is not in [0, 1].

    Example:
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> _ = layer.load_state_dict({"weight": gu.zeros(1, 1)})
        >>> ema = EMA(layer, decay=0.75)
        >>> _ = layer.load_state_dict({"weight": gu.ones(1, 1)})
        >>> ema.update()
        >>> with ema.average_parameters():
        ...     layer.weight.item()
        0.25
        >>> layer.weight.item()
        1.0
    """

    def __init__(self, module: Averageable, decay: float = 0.999, use_buffers: bool = True) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"EMA: decay is {decay}, expected a number from 0 to 1")
        self.decay = decay
        self._live = dict(module.named_parameters())
        if use_buffers:
            buffers = module.named_buffers()
            self._live.update({name: x for name, x in buffers if x.is_floating_point()})
        with no_grad():
            self.averages = {name: x.clone() for name, x in self._live.items()}

    def update(self) -> None:
        """Move the averages towards the weights as they are now."""
        with no_grad():
            for name, average in self.averages.items():
                average.assign(average.lerp(self._live[name], 1 - self.decay))

    @contextmanager
    def average_parameters(self) -> Iterator[None]:
        """Inside, the module has the averages for its weights; afterwards its own, bit for bit."""
        with no_grad():
            own = {name: x.clone() for name, x in self._live.items()}
            self._write(self.averages)
        try:
            yield
        finally:
            self._write(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by name; they fit the module's ``load_state_dict(strict=False)`` too."""
        return dict(self.averages)

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        """Overwrite the averages.

        Raises:
            ValueError: names or shapes do not fit. The message lists them; nothing was changed.
        """
        problems = [f"{name} is missing" for name in self.averages if name not in state_dict]
        problems += [
            f"{name} is not known here" for name in state_dict if name not in self.averages
        ]
        problems += [
            f"{name} has shape {state_dict[name].shape}, expected {average.shape}"
            for name, average in self.averages.items()
            if name in state_dict and state_dict[name].shape != average.shape
        ]
        if problems:
            raise ValueError(f"EMA: nothing was changed: {'; '.join(problems)}")
        with no_grad():
            for name, average in self.averages.items():
                average.assign(state_dict[name])

    def _write(self, values: Mapping[str, Tensor]) -> None:
        with no_grad():
            for name, x in self._live.items():
                x.assign(values[name])
