"""Learning while the traffic goes on: one small step after another, and weights to answer with.

A step is AdamW (Loshchilov and Hutter, 2019) on a batch of new and replayed examples, with a linear
warm-up and clipped gradients, compiled as a whole for each of the few shapes that batches have. The
rate stays as it is after the warm-up: a stream has no end to fall towards. What answers are made
with is the running average of the weights (Polyak and Juditsky, 1992), which a high rate needs: it
follows the weights at once in the beginning, and over about 1 / (1 - decay) steps later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ....engine.autograd import no_grad
from ....engine.compiler.run import compile
from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ....nn.utils import clip_grad_norm_
from ....optim import AdamW
from ..errors import FinchError
from ..state import State
from .network import Network

N = TypeVar("N", bound=Network)

WARM_UP = 20
"""Steps until the rate is whole."""
DECAY = 0.99
"""Share of the average that a step keeps, in the end."""
TABLES = 12.0
"""How much faster the tables of vectors learn than the rest: most of their rows are rarely met."""
LONGEST_STEP = 1.0
"""Norm of the gradients at most."""


class Online(Generic[N]):
    """A network that learns, its average that answers, and the optimizer between.

    Args:
        net: what learns.
        average: another of the same sizes, whose weights become the average.
        loss: the loss of a batch of tensors.
        rate: learning rate.
        weight_decay: share of the weights, times the rate, that a step takes away.
        head_pace: how fast the weights called "head" learn, compared with the rest.

    Attributes:
        steps: made so far.

    Example:
        >>> from groundup.apps.finch.models.network import Decoder, Sizes
        >>> sizes = Sizes(300, 64, 8, 16, layers=1, heads=2, feedforward=32)
        >>> batch = [np.full((2, 8), 5), np.ones((2, 8, 24), int), np.full((2, 2), 1)]
        >>> def loss(net, *x): return (net(*x).select(-1, 70) - 1).square().mean()
        >>> online = Online(Decoder(sizes), Decoder(sizes), loss)
        >>> online.update(batch) > online.update(batch)
        True
    """

    def __init__(
        self,
        net: N,
        average: N,
        loss: Callable[..., Tensor],
        rate: float = 2e-3,
        weight_decay: float = 0.01,
        head_pace: float = 1.0,
    ) -> None:
        self.net, self.average = net, average
        self._loss = loss
        self.rate, self.steps = rate, 0
        tables = [net.embedding.token.weight, net.embedding.feature.weight]
        head = [p for name, p in net.named_parameters() if name.startswith("head.")]
        others = [p for p in net.parameters() if all(p is not one for one in tables + head)]
        parts = [(tables, TABLES), (head, head_pace), (others, 1.0)]
        groups = [{"params": params, "pace": pace} for params, pace in parts if params]
        self.optimizer = AdamW(groups, lr=rate, weight_decay=weight_decay)
        self._begin()
        self.average.eval()
        self.average.load_state_dict(net.state_dict())
        self._share = tensor(1.0)  # of the weights in the average, at this step
        self._pairs = [
            (mean, new) for mean, new in zip(average.parameters(), net.parameters(), strict=True)
        ]
        self._step = compile(self._whole_step)

    def _begin(self) -> None:
        """Make the moments now, not in the first step, which would be compiled for itself."""
        for group in self.optimizer.param_groups:
            for param in group["params"]:
                self.optimizer.state_of(param, group)
        self.optimizer.load_state_dict(self.optimizer.state_dict())  # one count of steps for all

    def _whole_step(self, *batch: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self._loss(self.net, *batch)
        loss.backward()
        clip_grad_norm_(self.net.parameters(), LONGEST_STEP)
        self.optimizer.step()
        with no_grad():
            for mean, new in self._pairs:
                mean.assign(mean + (new - mean) * self._share)
        return loss.detach()

    def update(self, batch: Sequence[NDArray[Any]]) -> float:
        """One step; the loss before it.

        Raises:
            FinchError: the loss is no number; the weights are lost, and must be set back.
        """
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = group["pace"] * self.rate * min(1.0, self.steps / WARM_UP)
        with no_grad():
            self._share.assign(1 - min(DECAY, self.steps / (10 + self.steps)))
        loss = float(self._step(*[tensor(array) for array in batch]).item())
        if not np.isfinite(loss):
            raise FinchError(
                f"the loss of step {self.steps} is {loss}; go back to the last checkpoint, or "
                "reset the scope"
            )
        return loss

    def allow(self, known: int) -> None:
        """Let the first so many ids be written."""
        with no_grad():
            for net in (self.net, self.average):
                net.allow(known)

    def grow(self, made_of: Mapping[int, Sequence[int]], known: int) -> None:
        """Begin with new tokens: each has the mean of the vectors of what it is made of.

        Args:
            made_of: for each new id the ids that wrote it before.
            known: ids that there are now.
        """
        weight = self.net.embedding.token.weight
        moments = self.optimizer.state[weight].values()
        tables = [weight, self.average.embedding.token.weight, *moments]
        with no_grad():
            for table in tables:
                if table.ndim == 2:
                    rows = table.detach().numpy().copy()
                    for i, pieces in sorted(made_of.items()):
                        rows[i] = rows[list(pieces)].mean(axis=0)
                    table.assign(tensor(rows))
        self.allow(known)

    def state(self) -> State:
        """All of it: arrays, and a JSON value."""
        arrays = {
            f"net/{name}": x.detach().numpy().copy() for name, x in self.net.state_dict().items()
        }
        for name, x in self.average.state_dict().items():
            arrays[f"average/{name}"] = x.detach().numpy().copy()
        saved = self.optimizer.state_dict()["state"]
        for i, tensors in saved.items():
            for name, x in tensors.items():
                arrays[f"optimizer/{i}/{name}"] = x.detach().numpy().copy()
        return arrays, {"steps": self.steps, "generator": self.net.generator.get_state()}

    def load(self, arrays: Mapping[str, NDArray[Any]], value: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            FinchError: it is damaged, or of other sizes.
        """
        parts: dict[str, dict[str, Any]] = {"net": {}, "average": {}}
        moments: dict[int, dict[str, Tensor]] = {}
        try:
            for name, array in arrays.items():
                part, rest = name.split("/", 1)
                if part == "optimizer":
                    place, moment = rest.split("/")
                    moments.setdefault(int(place), {})[moment] = tensor(array)
                else:
                    parts[part][rest] = tensor(array)
            self.net.load_state_dict(parts["net"])
            self.average.load_state_dict(parts["average"])
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
            self.steps = int(value["steps"])
            self.net.generator.set_state(value["generator"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise FinchError(f"a model's state does not fit: {error}; reset the scope") from error
