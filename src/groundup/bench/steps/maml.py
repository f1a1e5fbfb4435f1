"""Learning initial weights from which a few steps suffice (Finn et al., 2017), sine regression.

Each task takes inner steps of gradient descent on its first points; the loss is that of the adapted
weights on its other points, and its gradient goes through all inner steps (second order).

Shapes: M tasks of K points each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .workload import Array, Workload

STEPS = 5
RATE = 0.01


@dataclass(frozen=True)
class Sizes:
    hidden: int = 40
    tasks: int = 4
    points: int = 10


def regressor(lib: Any, sizes: Sizes) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Linear(1, sizes.hidden),
        nn.Tanh(),
        nn.Linear(sizes.hidden, sizes.hidden),
        nn.Tanh(),
        nn.Linear(sizes.hidden, 1),
    )


def adapted_error(lib: Any, module: Any, x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
    """The mean over the tasks."""
    in_torch = lib.__name__ == "torch"
    grad = lib.autograd.grad if in_torch else lib.grad
    call = lib.func.functional_call if in_torch else lib.functional_call
    error = lib.nn.functional.mse_loss
    losses = []
    for task in range(x.shape[0]):
        weights = dict(module.named_parameters())
        for _ in range(STEPS):
            loss = error(call(module, weights, (x[task],)), y[task])
            gradients = grad(loss, list(weights.values()), create_graph=True)
            pairs = zip(weights.items(), gradients, strict=True)
            weights = {name: w - RATE * g for (name, w), g in pairs}
        losses.append(error(call(module, weights, (new_x[task],)), new_y[task]))
    return lib.stack(losses).mean()


def batch(numbers: np.random.Generator, sizes: Sizes) -> tuple[Array, ...]:
    amplitude = numbers.uniform(0.1, 5.0, (sizes.tasks, 1, 1))
    phase = numbers.uniform(0.0, np.pi, (sizes.tasks, 1, 1))
    found = []
    for _ in range(2):
        x = numbers.uniform(-5.0, 5.0, (sizes.tasks, sizes.points, 1))
        found += [x, amplitude * np.sin(x - phase)]
    return tuple(array.astype(np.float32) for array in found)


MAML = Workload(
    "maml",
    "MAML, sine regression 1-40-40-1, 4 tasks, 5 inner steps",
    regressor,
    adapted_error,
    batch,
    sizes=Sizes(),
    small=Sizes(hidden=6, tasks=2, points=4),
    example=lambda x, *_: (x[0, :1],),
)
