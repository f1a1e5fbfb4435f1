"""A small task that every test of the loop can train on."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, TensorDataset


class Task(NamedTuple):
    """What `fit` takes, made anew from a seed; equal seeds, equal tasks."""

    model: nn.Module
    loss: Callable[..., gu.Tensor]
    optimizer: optim.Optimizer
    data: DataLoader

    def weights(self) -> dict[str, list[Any]]:
        return {name: x.tolist() for name, x in self.model.state_dict().items()}


def make_task(
    seed: int = 0,
    optimizer: Callable[..., optim.Optimizer] = lambda parameters: optim.Adam(parameters, lr=0.01),
    hidden: int = 6,
    **loader: Any,
) -> Task:
    source = gu.Generator(42)
    x = gu.randn(22, 4, generator=source)
    y = (x.sum(1) > 0).long()
    gu.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, hidden),
        nn.BatchNorm1d(hidden),
        nn.Tanh(),
        nn.Dropout(0.3),
        nn.Linear(hidden, 2),
    )
    arguments = {"batch_size": 4, "shuffle": True} | loader
    data = DataLoader(TensorDataset(x, y), **arguments)
    return Task(model, nn.functional.cross_entropy, optimizer(model.parameters()), data)


@pytest.fixture
def task() -> Callable[..., Task]:
    return make_task
