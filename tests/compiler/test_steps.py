"""Whole training steps, those that the benchmarks measure, train compiled as uncompiled (R1.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.bench.steps import WORKLOADS
from groundup.bench.steps.workload import Workload, loaded, training_step
from groundup.experiments.foundations.digits import cnn

STEPS = 20
SLOW = {"unet"}
"""Takes longer to compile."""


def trained(workload: Workload, compiled: bool) -> tuple[list[float], dict[str, Any], Any]:
    """The losses of twenty steps, each on another batch, and the weights after them."""
    sizes = workload.small
    module = loaded(gu, workload, sizes, workload.weights(sizes))
    step = training_step(gu, workload, module)
    call = gu.compile(step) if compiled else step
    batches = workload.batches(STEPS, sizes)
    losses = [call(*map(gu.tensor, batch)).item() for batch in batches]
    return losses, {name: x.numpy() for name, x in module.state_dict().items()}, call


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in WORKLOADS],
)
def test_step(name: str) -> None:
    workload = WORKLOADS[name]
    before = workload.weights(workload.small)
    losses, weights, _ = trained(workload, compiled=False)
    found, changed, call = trained(workload, compiled=True)
    np.testing.assert_allclose(found, losses, rtol=2e-5, atol=2e-5)
    for key, start in before.items():
        # Adam divides by the gradient's size, so that a weight goes as far by a gradient that is
        # hardly more than rounding: what counts is the way that all weights of a name went.
        way = np.linalg.norm(weights[key] - start)
        assert way > 0, f"{key} was not trained"
        assert np.linalg.norm(changed[key] - weights[key]) < 5e-3 * way, key
    programs = [traced for traces in call.traces.values() for traced in traces]
    assert len(programs) == 1, f"compiled anew: {programs[0].why}"


def test_the_digits_network_is_the_experiments() -> None:
    workload = WORKLOADS["cnn"]
    assert str(workload.model(gu, workload.sizes)) == str(cnn())


def test_twelve_steps() -> None:
    assert sum(workload.share for workload in WORKLOADS.values()) == 12
