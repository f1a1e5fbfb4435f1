"""What the tests of known mistakes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import groundup as gu


def traces(compiled: Any) -> int:
    """How many traces are kept."""
    return sum(len(known) for known in compiled.traces.values())


def near(a: Any, b: Any) -> None:
    """Whether two results agree, tensor by tensor."""
    if isinstance(a, gu.Tensor):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-5, atol=1e-6)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            near(x, y)
    else:
        assert a == b


def both_ways(make: Callable[[Callable[..., Any]], Any]) -> Any:
    """What a test body leaves behind with ``gu.compile``, which must be what it leaves without."""
    gu.manual_seed(3)
    compiled = make(gu.compile)
    state = gu.default_generator.get_state()
    gu.manual_seed(3)
    near(compiled, make(lambda f: f))
    assert gu.default_generator.get_state() == state
    return compiled
