"""The process of ``groundup.bench.worker``, with JAX as one more peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from groundup.bench import worker
from groundup.bench.steps.workload import Array


def jax(job: worker.Job) -> tuple[worker.Build, Callable[[Array], Any]]:
    """The twin of a workload, compiled whole."""
    import jax
    from jax_twins import Applied, Trained

    make = Applied if job.inference else Trained

    def build(weights: Mapping[str, Array]) -> worker.Runner:
        twin = make(job.workload, job.sizes, dict(weights))
        return worker.Runner(twin, lambda: {k: np.asarray(x) for k, x in twin.weights.items()})

    jax.devices()  # its threads and buffers count as a library
    return build, jax.numpy.array


if __name__ == "__main__":
    worker.main({**worker.PEERS, "jax": jax})
