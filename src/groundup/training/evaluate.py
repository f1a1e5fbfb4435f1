"""Measuring a model on data: metrics over batches, and all predictions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..engine.autograd import no_grad
from ..engine.ops.shaping import cat
from ..engine.tensor import Tensor
from ..nn.module import Module

Metric = Callable[[Any, Tensor], Tensor | float]
Batch = Sequence[Tensor]


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode without gradients inside; afterwards each module has the mode that it had.

    Example:
        >>> model = nn.Dropout()
        >>> with evaluating(model):
        ...     print(model.training)
        False
        >>> model.training
        True
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(
    model: Module, data: Iterable[Batch], metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """The mean of each metric over all examples.

    A metric is computed for each batch and weighted by its number of examples, so it must be a
    mean over examples, as losses and accuracies are. For others (F1, area under a curve) call
    ``predict`` and then the metric.

    Args:
        model: put in evaluation mode meanwhile.
        data: batches (*inputs, target).
        metrics: functions of (output, target) by name.

    Returns:
        The means by name.

    Raises:
        ValueError: there is no batch.

    Example:
        >>> from groundup.training import accuracy
        >>> batches = [(gu.eye(3), gu.tensor([0, 1, 1])), (gu.eye(1, 3), gu.tensor([0]))]
        >>> evaluate(nn.Identity(), batches, {"accuracy": accuracy})
        {'accuracy': 0.75}
    """
    sums = dict.fromkeys(metrics, 0.0)
    count = 0
    with evaluating(model):
        for batch in data:
            *inputs, target = checked(batch)
            output = model(*inputs)
            for name, metric in metrics.items():
                sums[name] += float(metric(output, target)) * len(target)
            count += len(target)
    if not count:
        raise ValueError("evaluate: the data gave no batch; give a list or a DataLoader with items")
    return {name: total / count for name, total in sums.items()}


def predict(model: Module, data: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """All outputs and targets.

    Args:
        model: put in evaluation mode meanwhile; gives one tensor (B, ...).
        data: batches (*inputs, target).

    Returns:
        (outputs, targets), (N, ...) each, in the order of the data.

    Raises:
        ValueError: there is no batch.

    Example:
        >>> outputs, targets = predict(nn.Identity(), [(gu.ones(2, 3), gu.zeros(2))] * 4)
        >>> outputs.shape, targets.shape
        ((8, 3), (8,))
    """
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    with evaluating(model):
        for batch in data:
            *inputs, target = checked(batch)
            outputs.append(model(*inputs))
            targets.append(target)
    if not targets:
        raise ValueError("predict: the data gave no batch; give a list or a DataLoader with items")
    return cat(outputs), cat(targets)


def checked(batch: Any) -> Batch:
    """The batch itself, if it has inputs and a target.

    Raises:
        TypeError: it is not a tuple or list of at least two.

    Example:
        >>> checked((gu.ones(2), gu.ones(2)))[0].shape
        (2,)
    """
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        given = f"{len(batch)} part" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(
            f"a batch is (*inputs, target), got {given}; to reconstruct the input, use it as the "
            "target too: TensorDataset(x, x)"
        )
    return batch
