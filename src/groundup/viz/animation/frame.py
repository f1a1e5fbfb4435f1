"""What is kept of one moment of a training.

A `Camera` runs a model on its examples, in evaluation mode and without changing anything, and keeps
what the diagram of `viz.network` shows: the weights between nodes that are drawn, quantiles of all
weights where a layer is summarised, the values of the examples; besides, what the model gives for
each of them, and for a grid of inputs where inputs have two numbers. Its arrays, by name, where
``i`` counts the stages of the diagram:

    weight.i       (nodes drawn, nodes drawn before)
    bias.i         (nodes drawn,)
    quantiles.i    (QUANTILES,) of all weights
    kernels.i      (pictures, height, width)
    values.i       (examples, nodes), or those drawn where the diagram shows no others
    maps.i         (examples, pictures, height, width)
    outputs        (examples, k): probabilities of classes, or what the model gives
    surface        (GRID, GRID): the same of one output, or of the second of two classes; of more
                   classes by how much the likeliest is more probable than the next
    winner         (GRID, GRID): which class that is
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import nn
from ...engine.ops.creation import as_tensor
from ...nn.summary import unchanged
from ...training.run import Run as Training
from ..network_marks import reduced
from ..network_plan import Place, plan
from ..network_run import Run, run as run_one, run_together
from ..network_stages import Block, Column, Stage, stages
from .examples import Examples, choose, meaning, probabilities

Numbers = NDArray[Any]

MAX_NODES = 64
QUANTILES = 129
GRID = 48
MARGIN = 0.12
"""Of the decision surface around the points, as a share of their extent."""
MOST_OUTPUTS = 100


class Camera:
    """Takes frames of one model.

    Args:
        run: a training; its model is looked at before the first step or where it is resumed.
        most: how many examples at most.

    Attributes:
        about: what has to be known of the model to draw its frames, as JSON.
        fixed: the examples.

    Example:
        >>> x, y = gu.randn(8, 2), gu.arange(8) % 2
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> sgd = optim.SGD(model.parameters(), lr=0.1)
        >>> camera = Camera(Training(model, nn.functional.cross_entropy, sgd, [(x, y)], 1), 4)
        >>> {name: values.shape for name, values in camera.frame().items()}["values.1"]
        (4, 3)
        >>> camera.about["meaning"]
        'logits'
    """

    def __init__(self, run: Training, most: int) -> None:
        self._run = run
        self._model = run.model
        self._examples = choose(run, most)
        self._grid: Numbers | None = None
        self._stages: list[Stage] = []
        self._places: list[Place] = []
        self.about: dict[str, Any] = {"model": type(run.model).__name__, "stages": []}
        self.fixed: dict[str, Numbers] = {}
        with self._untouched():
            self._find_outputs()
            self._find_stages()

    def frame(self) -> dict[str, Numbers]:
        """What there is to keep now.

        Raises:
            ValueError: a number is not finite.
        """
        found: dict[str, Numbers] = {}
        with self._untouched():
            given: Numbers | None = None
            if self._places:
                found, given = self._network()
            if self._examples is not None and "meaning" in self.about:
                if given is None:
                    given = self._given(self._examples.inputs)
                given = given.reshape(len(self._examples.inputs), -1)
                found["outputs"] = probabilities(given, self.about["meaning"]).astype(np.float32)
            if self._grid is not None:
                found |= self._surface()
        if any(not np.isfinite(values).all() for values in found.values()):
            raise ValueError("a number is not finite")
        return found

    @contextmanager
    def _untouched(self) -> Iterator[None]:
        """Evaluation mode; everything that is random is put back."""
        before = [generator.get_state() for generator in self._run.generators]
        try:
            with unchanged(self._model):
                yield
        finally:
            for generator, state in zip(self._run.generators, before, strict=True):
                generator.set_state(state)

    # What the model is

    def _find_outputs(self) -> None:
        """Whether the examples can be followed, and what the model's outputs are."""
        examples = self._examples
        if examples is None:
            return
        try:
            output = self._model(as_tensor(examples.inputs))
            given = np.asarray(output.detach().numpy(), np.float64)
        except (ValueError, TypeError, IndexError, AttributeError):
            self._examples = None
            return
        self.fixed |= {"inputs": examples.inputs, "targets": examples.targets}
        flat = given.reshape(len(given), -1) if given.ndim else given.reshape(1, 1)
        if len(flat) != len(examples.inputs) or flat.shape[1] > MOST_OUTPUTS:
            return
        kind = meaning(flat, examples.targets, self._run.loss, given.shape[1:])
        self.about |= {"meaning": kind, "outputs": flat.shape[1]}
        if examples.points is not None and (kind != "values" or flat.shape[1] == 1):
            self._find_grid(examples)

    def _find_grid(self, examples: Examples) -> None:
        """The inputs that a decision surface is made of, row by row from the top."""
        assert examples.points is not None
        assert examples.point_targets is not None
        low, high = examples.points.min(axis=0), examples.points.max(axis=0)
        room = np.where(high > low, high - low, 1.0) * MARGIN
        low, high = low - room, high + room
        across = np.linspace(low[0], high[0], GRID)
        down = np.linspace(high[1], low[1], GRID)
        x, y = np.meshgrid(across, down)
        grid = np.stack([x.ravel(), y.ravel()], axis=1)
        self._grid = grid.astype(examples.inputs.dtype)
        self.about["range"] = [[float(low[i]), float(high[i])] for i in range(2)]
        self.fixed |= {"points": examples.points, "point_targets": examples.point_targets}

    def _find_stages(self) -> None:
        """What is drawn of the model, if it can be drawn."""
        inputs = None if self._examples is None else self._examples.inputs
        try:
            if inputs is None:
                found = stages(self._model, None)
            else:
                found = stages(self._model, inputs[:1])
                run_together(self._model, [inputs[k : k + 1] for k in range(len(inputs))])
        except (ValueError, TypeError) as error:
            self.about["not drawn"] = str(error)
            return
        self._stages = found
        self._places = plan(found, MAX_NODES).places
        self.about["stages"] = [_described(stage) for stage in found]

    # What it is at this moment

    def _network(self) -> tuple[dict[str, Numbers], Numbers | None]:
        """The arrays of the diagram, and what the model gives for each example."""
        run, axis, count = self._run_now()
        kept: dict[str, Numbers] = {}
        for i, (stage, place) in enumerate(zip(self._stages, self._places, strict=True)):
            values = _batched(run, stage.source, axis, count)
            module: Any = run.calls[stage.call].module
            if isinstance(stage, Column):
                nodes = list(place.ys)
                if stage.weight is not None:
                    weight, before = _numbers(module.weight), self._places[i - 1]
                    kept[f"weight.{i}"] = weight[np.ix_(nodes, list(before.ys))]
                    if before.hidden or place.hidden:
                        kept[f"quantiles.{i}"] = _quantiles(weight)
                if stage.bias is not None:
                    kept[f"bias.{i}"] = _numbers(module.bias)[nodes]
                if stage.values is not None:
                    rows = values.reshape(count, -1, stage.size)[:, -1]
                    whole = not place.hidden or place.cells[0]
                    kept[f"values.{i}"] = rows if whole else rows[:, nodes]
            else:
                kernels, maps = place.pictures
                if stage.kernels is not None and kernels is not None:
                    weight = _numbers(module.weight).reshape(stage.kernels.shape)
                    kept[f"kernels.{i}"] = reduced(weight[: kernels.count])
                if stage.maps is not None and maps is not None:
                    shown = values.reshape(count, *stage.maps.shape)[:, : maps.count]
                    kept[f"maps.{i}"] = reduced(shown)
        given = None if run.output is None else _batched(run, (-1, "output"), axis, count)
        return {name: values.astype(np.float32) for name, values in kept.items()}, given

    def _run_now(self) -> tuple[Run, int, int]:
        """The model run on all examples: the run, the batch dimension, and how many they are."""
        if self._examples is None:
            return run_one(self._model, None), 0, 1
        inputs = self._examples.inputs
        batch = [inputs[k : k + 1] for k in range(len(inputs))]
        return *run_together(self._model, batch), len(inputs)

    def _given(self, inputs: Numbers) -> Numbers:
        return np.asarray(self._model(as_tensor(inputs)).detach().numpy(), np.float64)

    def _surface(self) -> dict[str, Numbers]:
        assert self._grid is not None
        given = probabilities(self._given(self._grid), self.about["meaning"]).astype(np.float32)
        given = given.reshape(len(self._grid), -1)
        if given.shape[1] <= 2:
            return {"surface": given[:, -1].reshape(GRID, GRID)}
        first, second = np.sort(given, axis=1)[:, :-3:-1].T
        return {
            "surface": (first - second).reshape(GRID, GRID),
            "winner": given.argmax(axis=1).astype(np.uint8).reshape(GRID, GRID),
        }


def _batched(run: Run, source: tuple[int, str], axis: int, count: int) -> Numbers:
    """What a stage's values are taken from, with the examples as the first dimension."""
    call, kind = source
    if kind in ("example", "output"):
        found = run.example if kind == "example" else run.output
    else:
        found = getattr(run.calls[call], kind)[0]
    assert found is not None
    where = axis if count > 1 and found.ndim > axis and found.shape[axis] == count else 0
    return np.moveaxis(found, where, 0) if found.ndim else found


def _numbers(tensor: Any) -> Numbers:
    return np.asarray(tensor.detach().numpy())


def _quantiles(weight: Numbers) -> Numbers:
    """Quantiles at equal distances, each an element of the weights."""
    ordered = np.sort(weight, axis=None)
    return ordered[np.rint(np.linspace(0, ordered.size - 1, QUANTILES)).astype(int)]


def _described(stage: Stage) -> dict[str, Any]:
    """The structure of a stage without its numbers."""
    if isinstance(stage, Column):
        return {
            "size": stage.size,
            "weight": stage.weight is not None,
            "bias": stage.bias is not None,
            "values": stage.values is not None,
            "bars": stage.bars,
            "functions": stage.functions,
            "first": stage.first,
            "note": stage.note,
        }
    return {
        "kind": stage.kind,
        "shape": list(stage.shape),
        "details": stage.details,
        "kernels": None if stage.kernels is None else list(stage.kernels.shape),
        "maps": None if stage.maps is None else list(stage.maps.shape),
        "functions": stage.functions,
    }


def rebuilt(described: dict[str, Any], before: int, weight: float, limit: float) -> Stage:
    """A stage for a drawing: its structure, with the scales as its only numbers.

    Args:
        described: as in ``about["stages"]``.
        before: size of the column before it.
        weight: the largest magnitude of any weight of the model.
        limit: the largest magnitude of the stage's values.

    Example:
        >>> rebuilt(_described(Column(2, first=True)), 0, 1.0, 1.0).size
        2
    """

    def peak(*shape: int, value: float) -> Numbers:
        array = np.zeros(shape)
        array.flat[0] = value
        return array

    if "size" not in described:
        kernels, maps = described["kernels"], described["maps"]
        return Block(
            described["kind"],
            tuple(described["shape"]),
            described["details"],
            peak(*kernels, value=weight) if kernels else None,
            peak(*maps, value=limit) if maps else None,
            described["functions"],
        )
    size = described["size"]
    return Column(
        size,
        values=peak(size, value=limit) if described["values"] else None,
        weight=peak(size, before, value=weight) if described["weight"] else None,
        bias=peak(size, value=weight) if described["bias"] else None,
        bars=described["bars"],
        functions=described["functions"],
        first=described["first"],
        note=described["note"],
    )


def parameters(model: nn.Module) -> int:
    """How many numbers a model learns.

    Example:
        >>> parameters(nn.Linear(2, 3))
        9
    """
    return sum(parameter.numel() for parameter in model.parameters())
