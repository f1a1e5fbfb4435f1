"""The training steps that the benchmarks measure do in PyTorch and in JAX what they do here (R1.4).

Twins by construction: a network is written once and built by either library, the losses for JAX are
written apart.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.bench.steps import WORKLOADS
from groundup.bench.steps.workload import Workload, forward_pass, loaded, training_step

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("name", WORKLOADS)
def test_forward_pass(name: str) -> None:
    found = []
    for lib in (gu, torch):
        workload = WORKLOADS[name]
        module = loaded(lib, workload, workload.small, workload.weights(workload.small))
        forward = forward_pass(lib, module)
        examples = workload.examples(STEPS, workload.small)
        found.append([arrays(forward(*map(lib.tensor, example))) for example in examples])
    assert_same_outputs(*found)


def arrays(output: Any) -> list[Any]:
    return [np.asarray(x) for x in (output if isinstance(output, tuple) else [output])]


def assert_same_outputs(ours: list[list[Any]], theirs: list[list[Any]]) -> None:
    for some, others in zip(ours, theirs, strict=True):
        for a, b in zip(some, others, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("jax")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("jax_twins")


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_jax(name: str, twins: Any) -> None:
    workload = WORKLOADS[name]
    twin = twins.Trained(workload, workload.small, workload.weights(workload.small))
    losses = run(twin, twins.jnp.array, workload)
    weights = {name: np.asarray(x) for name, x in twin.weights.items()}
    assert_same(workload, trained(workload, gu), (losses, weights))


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_forward_pass_of_jax(name: str, twins: Any) -> None:
    workload = WORKLOADS[name]
    weights = workload.weights(workload.small)
    twin = twins.Applied(workload, workload.small, weights)
    forward = forward_pass(gu, loaded(gu, workload, workload.small, weights))
    examples = workload.examples(STEPS, workload.small)
    ours = [arrays(forward(*map(gu.tensor, example))) for example in examples]
    theirs = [arrays(twin(*map(twins.jnp.array, example))) for example in examples]
    assert_same_outputs(ours, theirs)
