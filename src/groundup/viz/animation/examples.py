"""Which inputs a recording follows, and what the numbers that a model gives for them stand for.

The examples are rows of the validation data, or else of the training data, that lie in memory
already: reading a loader would change the order in which it gives its batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...data import Subset, TensorDataset
from ...engine.autograd import no_grad
from ...engine.ops.creation import as_tensor
from ...engine.tensor import Tensor
from ...training.run import Run as Training

Numbers = NDArray[Any]
Meaning = Literal["classes", "logits", "binary", "binary logits", "values"]

ROWS = 512
"""Rows that examples are chosen from."""
POINTS = 300
"""Points on a decision surface."""
FEW = 6
"""Examples where there are no classes, or fewer classes than this."""


@dataclass(frozen=True)
class Examples:
    """What a recording follows.

    Attributes:
        inputs: (n, ...), what the model takes.
        targets: (n, ...) of these inputs.
        points: (m, 2) where inputs have two numbers, otherwise None; with its targets.
    """

    inputs: Numbers
    targets: Numbers
    points: Numbers | None = None
    point_targets: Numbers | None = None


def choose(run: Training, most: int) -> Examples | None:
    """Choose inputs to follow: of each class as many as there is room for.

    Args:
        run: a training before its first step.
        most: how many at most.

    Returns:
        The examples, or None where no data lies in memory as (input, target).

    Example:
        >>> model, x, y = nn.Linear(2, 3), gu.randn(9, 2), gu.arange(9) % 3
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> found = choose(Training(model, nn.functional.cross_entropy, sgd, [(x, y)], 1), 6)
        >>> found.targets.tolist(), found.points.shape
        ([0, 0, 1, 1, 2, 2], (9, 2))
    """
    rows = _rows(run.validation) or _rows(run.data)
    if rows is None:
        return None
    inputs, targets = rows
    chosen = _spread(targets, most)
    if inputs.ndim != 2 or inputs.shape[1] != 2 or inputs.dtype.kind != "f":
        return Examples(inputs[chosen], targets[chosen])
    return Examples(inputs[chosen], targets[chosen], inputs[:POINTS], targets[:POINTS])


def _rows(data: Any) -> tuple[Numbers, Numbers] | None:
    """The first inputs and targets, without iterating over anything that has a state."""
    tensors: Sequence[Tensor] | None = None
    if isinstance(data, Sequence) and data:
        tensors = data[0]
    elif getattr(data, "transform", None) is None:
        dataset = getattr(data, "dataset", None)
        if isinstance(dataset, TensorDataset):
            tensors = dataset.tensors
        elif isinstance(dataset, Subset) and isinstance(dataset.dataset, TensorDataset):
            tensors = dataset.batch(np.arange(min(ROWS, len(dataset))))
    if tensors is None or len(tensors) != 2 or not all(isinstance(t, Tensor) for t in tensors):
        return None
    inputs, targets = (np.array(t[:ROWS].detach().numpy()) for t in tensors)
    usable = inputs.ndim > 0 and len(inputs) == len(targets) > 0
    return (inputs, targets) if usable else None


def _spread(targets: Numbers, most: int) -> Numbers:
    """Places of as many rows of each class as there is room for; the first rows without classes."""
    flat = targets.reshape(len(targets), -1)
    values = np.unique(flat[:, 0])
    if flat.shape[1] != 1 or not (values == np.rint(values)).all() or len(values) > 20:
        return np.arange(min(FEW, most, len(targets)))
    each = max(1, FEW // len(values))
    places = [np.flatnonzero(flat[:, 0] == value)[:each] for value in values]
    return np.concatenate(places)[:most]


def meaning(
    outputs: Numbers, targets: Numbers, loss: Callable[..., Tensor], shape: tuple[int, ...]
) -> Meaning:
    """What the outputs of a model stand for, given what it is compared with.

    Whether a single output is a probability, its logit, or a number that should be 0 or 1, is asked
    of the loss: only a loss of logits prefers the output 10 to the output 1 where the target is 1.

    Args:
        outputs: (n, k), of the model.
        targets: (n, ...).
        loss: that the model is trained with.
        shape: of the model's output for one example.

    Returns:
        "classes" (probabilities), "logits" (of classes), "binary" (one probability), "binary
        logits", or "values".

    Example:
        >>> from groundup.nn import functional as F
        >>> zeros, truth = np.zeros((4, 1)), np.array([[0.0], [1.0], [1.0], [0.0]])
        >>> meaning(zeros, truth, F.mse_loss, (1,))
        'values'
        >>> meaning(zeros, truth, F.binary_cross_entropy_with_logits, (1,))
        'binary logits'
        >>> meaning(np.zeros((4, 3)), np.array([0, 1, 2, 0]), F.cross_entropy, (3,))
        'logits'
    """
    if targets.dtype.kind in "iu" and targets.ndim == 1 and outputs.shape[1] > 1:
        total = outputs.sum(axis=1)
        certain = (outputs >= 0).all() and np.allclose(total, 1, atol=1e-3)
        return "classes" if certain else "logits"
    if outputs.shape[1] != 1 or not np.isin(targets, (0, 1)).all():
        return "values"
    one = np.ones((1, *shape), np.float32)
    try:
        with no_grad():
            near, far = (float(loss(as_tensor(one * k), as_tensor(one)).item()) for k in (1, 10))
    except (ValueError, TypeError, IndexError):  # a loss of probabilities may refuse 10
        return "binary"
    if far < near:
        # A loss of logits is never done; one of probabilities is 0 where the target is met.
        return "binary logits" if near > 1e-6 else "binary"
    return "values"


def probabilities(outputs: Numbers, kind: Meaning) -> Numbers:
    """Outputs (..., k) as probabilities where they stand for some.

    Example:
        >>> probabilities(np.zeros((1, 4)), "logits")
        array([[0.25, 0.25, 0.25, 0.25]])
    """
    if kind == "logits":
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    if kind == "binary logits":
        return 0.5 + 0.5 * np.tanh(outputs / 2)
    return outputs
