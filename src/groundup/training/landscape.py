"""The loss around a network's weights: a surface over two directions in the space of weights.

Li, Xu, Taylor, Studer and Goldstein, "Visualizing the loss landscape of neural nets" (2018). With
ReLU, a layer's weights times 10 and the next one's divided by 10 are the same network, so that a
step of fixed length means nothing by itself. In their random directions each filter therefore has
the norm of the weights' own filter: a step of 1 is as large as the weights, wherever they are.

The surface along a path of training is drawn over the two principal components of the path
(section 7 of the paper); in random directions a path is invisible, because in a space of many
dimensions they are nearly orthogonal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..engine.dtypes import float64
from ..engine.ops.creation import linspace, tensor, zeros_like
from ..engine.random import Generator
from ..engine.tensor import Tensor
from ..nn.functional_call import functional_call
from ..nn.init import normal_
from ..nn.module import Module
from .evaluate import Batch, checked, evaluating

Direction = Mapping[str, Tensor]
Limits = tuple[float, float]
"""The two ends of an axis, the lower one first."""
EDGE = 0.25
"""Of a path's extent: what `span` leaves around it on each side."""


@dataclass(frozen=True)
class Landscape:
    """A loss over a plane of weights; see ``loss_landscape``.

    Attributes:
        x: steps along the first direction, (points,).
        y: steps along the second direction, (points,).
        loss: (points, points) float64; row i and column j belong to ``y[i]`` and ``x[j]``.

    Example:
        >>> Landscape(gu.arange(2), gu.arange(3), gu.zeros(3, 2)).loss.shape
        (3, 2)
    """

    x: Tensor
    y: Tensor
    loss: Tensor


@dataclass(frozen=True)
class PathPlane:
    """The plane in which a path of training is seen best; see ``directions_of_path``.

    Attributes:
        directions: the first and the second principal component, of norm 1 over all weights.
        coordinates: the snapshots in this plane, (snapshots, 2) float64; the model's weights are at
            (0, 0).
        explained: shares of the path's variance that lie along the two directions.

    Example:
        >>> PathPlane(({}, {}), gu.tensor([[0.0, 1.0], [4.0, 1.0]]), (1.0, 0.0)).span
        ((-1.0, 5.0), (-0.25, 1.25))
    """

    directions: tuple[Direction, Direction]
    coordinates: Tensor
    explained: tuple[float, float]

    @property
    def span(self) -> tuple[Limits, Limits]:
        """Limits of x and y that hold the path, the model's weights and an edge around them."""
        ends = []
        for numbers in zip([0.0, 0.0], *self.coordinates.tolist(), strict=True):
            low, high = min(numbers), max(numbers)
            edge = EDGE * (high - low) or 1.0
            ends.append((low - edge, high + edge))
        return ends[0], ends[1]


def loss_landscape(
    model: Module,
    loss: Callable[..., Tensor],
    batches: Iterable[Batch],
    directions: tuple[Direction, Direction] | None = None,
    *,
    span: float | tuple[Limits, Limits] = 1.0,
    points: int = 25,
    generator: Generator | None = None,
) -> Landscape:
    """The mean loss at the model's weights plus ``x`` times one direction and ``y`` times another.

    Computed in evaluation mode. The weights themselves are never written: the model is called with
    others in their place.

    Args:
        model: any module.
        loss: function of (output, target) with one number as result, a mean over the examples.
        batches: (*inputs, target) each; all are used at each point.
        directions: two mappings from names of parameters to tensors of their shapes; parameters
            without a name in one stay. Default: two of ``filter_normalised_direction``.
        span: how far to go: from ``-span`` to ``span`` along both, or the limits of x and of y.
        points: along each direction, at least 2. An odd number has the weights in the middle.
        generator: where random directions come from; default: the one ``manual_seed`` seeds.

    Returns:
        The places and the losses. The loss may be infinite or not a number far from the weights.

    Raises:
        KeyError: a direction names what is no parameter.
        ValueError: shapes differ, fewer than 2 points, limits out of order, or no batch.

    Example:
        >>> from groundup.training import loss_landscape
        >>> model = nn.Linear(1, 1, bias=False)
        >>> batches = [(gu.ones(1, 1), model.weight.detach())]  # the best weight is its own
        >>> one = ({"weight": gu.ones(1, 1)}, {})
        >>> loss_landscape(model, nn.functional.mse_loss, batches, one, points=3).loss.tolist()
        [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]
    """
    if points < 2:
        raise ValueError(f"loss_landscape: points {points}, expected at least 2")
    ends = span if isinstance(span, tuple) else ((-span, span), (-span, span))
    for low, high in ends:
        if not low < high:
            raise ValueError(
                f"loss_landscape: span {span}, expected a number above 0 or "
                "((low, high), (low, high))"
            )
    if directions is None:
        directions = (
            filter_normalised_direction(model, generator),
            filter_normalised_direction(model, generator),
        )
    weights = dict(model.named_parameters())
    for direction in directions:
        _check(direction, weights, model)
    batches = [checked(batch) for batch in batches]
    if not batches:
        raise ValueError("loss_landscape: no batch, expected at least one (*inputs, target)")
    x, y = (linspace(low, high, points, dtype=float64) for low, high in ends)
    first, second = directions
    middle = {name: w.detach() for name, w in weights.items() if name in first or name in second}

    def mean_loss(place: Direction) -> float:
        total, count = 0.0, 0
        for *inputs, target in batches:
            share = loss(functional_call(model, place, tuple(inputs)), target)
            total, count = total + share.item() * len(target), count + len(target)
        return total / count

    surface = []
    with evaluating(model):
        for b in y.tolist():
            row = _moved(middle, b, second)
            surface.append([mean_loss(_moved(row, a, first)) for a in x.tolist()])
    return Landscape(x, y, tensor(surface, dtype=float64))


def filter_normalised_direction(
    model: Module, generator: Generator | None = None
) -> dict[str, Tensor]:
    """A random direction in which each filter has the norm of the model's own (Li et al., 2018).

    Normal numbers, rescaled row by row: a filter is what the first index of a parameter selects,
    the weights of one unit or of one output channel. Parameters with a single dimension (biases,
    gains and biases of normalisation) do not move.

    Args:
        model: any module.
        generator: where the numbers come from; default: the one that ``manual_seed`` seeds.

    Returns:
        Names of parameters to tensors of their shapes and dtypes.

    Example:
        >>> from groundup.training import filter_normalised_direction
        >>> model = nn.Linear(3, 2)
        >>> way = filter_normalised_direction(model)
        >>> gu.allclose(way["weight"].norm(dim=1), model.weight.norm(dim=1).detach())
        True
        >>> way["bias"].tolist()
        [0.0, 0.0]
    """
    direction = {}
    for name, parameter in model.named_parameters():
        weight = parameter.detach()
        if weight.dim() < 2:
            direction[name] = zeros_like(weight)
            continue
        way = normal_(weight.clone(), generator=generator)
        norms = weight.flatten(1).norm(dim=1) / way.flatten(1).norm(dim=1)
        direction[name] = way * norms.reshape(-1, *[1] * (weight.dim() - 1))
    return direction


def directions_of_path(model: Module, snapshots: Sequence[Mapping[str, Tensor]]) -> PathPlane:
    """The plane through a model's weights that shows a path of training best.

    Its directions are the two principal components of the snapshots (Li et al., 2018, section 7).

    Args:
        model: stands where the surface will be centred, as a rule at the path's end.
        snapshots: of the parameters, at least 3, in the order of training: clones of
            ``model.state_dict()``, for example. What is no parameter in them is left out.

    Returns:
        Directions, the path's coordinates in them, and how much of its variance they explain.

    Raises:
        KeyError: a snapshot lacks a parameter.
        ValueError: fewer than 3 snapshots, another shape, or weights that never moved.

    Example:
        >>> from groundup.training import directions_of_path
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> path = [{"weight": gu.tensor([[float(i), 0.0]])} for i in (2, 1, 0)]
        >>> plane = directions_of_path(model, path)
        >>> [[abs(round(a, 3)) for a in row] for row in plane.coordinates.tolist()]
        [[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    """
    if len(snapshots) < 3:
        raise ValueError(f"directions_of_path: {len(snapshots)} snapshots, expected at least 3")
    weights = dict(model.named_parameters())
    for i, snapshot in enumerate(snapshots):
        if missing := [name for name in weights if name not in snapshot]:
            raise KeyError(f"directions_of_path: snapshot {i} lacks {', '.join(missing)}")
        _check({name: snapshot[name] for name in weights}, weights, model)
    center = _as_row(weights, weights)
    rows = np.stack([_as_row(snapshot, weights) for snapshot in snapshots]) - center
    _, sizes, ways = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    variances = sizes**2
    if not variances[0]:
        raise ValueError("directions_of_path: all snapshots are the same, so there is no path")
    shares = variances / variances.sum()
    return PathPlane(
        (_as_direction(ways[0], weights), _as_direction(ways[1], weights)),
        tensor(rows @ ways[:2].T, dtype=float64),
        (float(shares[0]), float(shares[1])),
    )


def _moved(place: Direction, step: float, direction: Direction) -> dict[str, Tensor]:
    return {**place, **{name: place[name] + step * way for name, way in direction.items()}}


def _check(direction: Direction, weights: Mapping[str, Tensor], model: Module) -> None:
    for name, way in direction.items():
        if name not in weights:
            raise KeyError(
                f"{type(model).__name__} has no parameter {name!r}; it has {', '.join(weights)}"
            )
        if way.shape != weights[name].shape:
            raise ValueError(f"{name} has shape {way.shape}, expected {weights[name].shape}")


def _as_row(values: Mapping[str, Tensor], names: Iterable[str]) -> np.ndarray:
    parts = [values[name].detach().to(float64).numpy().ravel() for name in names]
    return np.concatenate(parts)


def _as_direction(row: np.ndarray, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    direction, start = {}, 0
    for name, weight in weights.items():
        part = row[start : start + weight.numel()].reshape(weight.shape)
        direction[name] = tensor(part, dtype=weight.dtype)
        start += weight.numel()
    return direction
