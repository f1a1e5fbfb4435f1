"""The training steps that the benchmarks measure do in PyTorch and in JAX what they do here (R1.4).

Twins by construction: a network is written once and built by either library, the losses for JAX are
written apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from benchmarks.steps import WORKLOADS
from benchmarks.steps.workload import Workload, loaded, training_step

import groundup as gu

torch = pytest.importorskip("torch")

STEPS = 5


def trained(workload: Workload, lib: Any, **options: Any) -> tuple[list[float], dict[str, Any]]:
    """The losses of some steps, each on another batch, and the weights after them."""
    sizes = workload.small
    module = loaded(lib, workload, sizes, workload.weights(sizes))
    step = training_step(lib, workload, module, **options)
    losses = run(step, lib.tensor, workload)
    return losses, {name: x.detach().numpy() for name, x in module.state_dict().items()}


def run(step: Callable[..., Any], tensor: Any, workload: Workload) -> list[float]:
    batches = workload.batches(STEPS, workload.small)
    return [float(step(*map(tensor, batch))) for batch in batches]


def assert_same(
    workload: Workload, ours: tuple[list[float], Any], theirs: tuple[list[float], Any]
) -> None:
    np.testing.assert_allclose(ours[0], theirs[0], rtol=2e-5, atol=2e-5)
    before = workload.weights(workload.small)
    assert set(before) == set(ours[1]) == set(theirs[1])
    for name, start in before.items():
        way = np.linalg.norm(theirs[1][name] - start)
        assert np.linalg.norm(ours[1][name] - theirs[1][name]) < 5e-3 * way, name


@pytest.mark.parametrize("name", WORKLOADS)
def test_pytorch(name: str) -> None:
    workload = WORKLOADS[name]
    theirs = trained(workload, torch, fused=True)
    assert_same(workload, trained(workload, gu), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    from benchmarks.steps.jax_twins import Trained

    workload = WORKLOADS[name]
    twin = Trained(workload, workload.small, workload.weights(workload.small))
    losses = run(twin, jax.numpy.array, workload)
    weights = {name: np.asarray(x) for name, x in twin.weights.items()}
    assert_same(workload, trained(workload, gu), (losses, weights))
