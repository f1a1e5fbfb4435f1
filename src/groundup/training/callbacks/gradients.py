"""How gradients and weights develop, layer by layer: where they vanish, where they explode.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks"
(2010), look at the same numbers: if the gradients shrink from layer to layer on their way down,
the lower layers do not learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...engine.autograd import no_grad
from ...engine.dtypes import float64, int64
from ...engine.ops.creation import tensor
from ...engine.tensor import Tensor
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run

Columns = dict[str, dict[str, list[float]]]
MEASURES = {
    "norm": lambda x: x.norm(),
    "mean": lambda x: x.mean(),
    "max": lambda x: x.abs().max(),
}


class GradientStatistics(Callback):
    """Record norm, mean and largest magnitude of each parameter and of its gradient.

    The gradients are those of the backward pass: before clipping if this callback stands before
    ``ClipGradients``, after it otherwise. A parameter without a gradient is recorded as 0.

    Args:
        every: steps between two records, at least 1.

    Attributes:
        steps: the steps (from 0) that were recorded.
        gradients: by parameter's name, then by "norm", "mean" or "max": a number for each record.
        weights: the same of the parameters, before the step changed them.

    Raises:
        ValueError: ``every`` is below 1.

    Example:
        >>> from groundup.training import fit
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        >>> batches = [(gu.ones(4, 2), gu.ones(4, 1))]
        >>> statistics = GradientStatistics(every=5)
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> _ = fit(model, nn.functional.mse_loss, sgd, batches, epochs=12, callbacks=[statistics])
        >>> statistics.steps, list(statistics.gradients)
        ([0, 5, 10], ['0.weight', '0.bias', '2.weight', '2.bias'])
        >>> len(statistics.gradients["0.weight"]["norm"])
        3
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"GradientStatistics: every {every}, expected at least 1")
        self.every = every
        self.steps: list[int] = []
        self.gradients: Columns = {}
        self.weights: Columns = {}

    def on_backward_end(self, run: Run) -> None:
        """Record if it is time."""
        if run.step % self.every:
            return
        self.steps.append(run.step)
        for name, parameter in run.model.named_parameters():
            gradient = parameter * 0 if parameter.grad is None else parameter.grad
            _record(self.gradients, name, gradient)
            _record(self.weights, name, parameter)

    def state_dict(self) -> dict[str, Any]:
        """All records.

        Example:
            >>> GradientStatistics().state_dict()["gradients"]
            {}
        """
        return {
            "steps": tensor(self.steps, dtype=int64),
            "gradients": _as_tensors(self.gradients),
            "weights": _as_tensors(self.weights),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state_dict`` gave.

        Example:
            >>> statistics = GradientStatistics()
            >>> statistics.load_state_dict(statistics.state_dict())
        """
        self.steps = state["steps"].tolist()
        self.gradients = _as_lists(state["gradients"])
        self.weights = _as_lists(state["weights"])


@no_grad()
def _record(columns: Columns, name: str, x: Tensor) -> None:
    of_this = columns.setdefault(name, {measure: [] for measure in MEASURES})
    for measure, function in MEASURES.items():
        of_this[measure].append(function(x).item())


def _as_tensors(columns: Columns) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: tensor(numbers, dtype=float64) for key, numbers in of_one.items()}
        for name, of_one in columns.items()
    }


def _as_lists(columns: Mapping[str, Mapping[str, Tensor]]) -> Columns:
    return {
        name: {key: numbers.tolist() for key, numbers in of_one.items()}
        for name, of_one in columns.items()
    }
