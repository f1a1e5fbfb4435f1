"""Every primitive compiled gives what it gives uncompiled, and so do its gradients (R1.4).

The calls are those with which the primitives themselves are tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tests.engine.calls import CALLS
from tests.engine.test_primitives import PRIMITIVES

import groundup as gu
from groundup.engine.base import wrap

TOLERANCE = {"float16": 1e-2, "float32": 2e-5, "float64": 1e-10}


def agree(compiled: gu.Tensor, eager: gu.Tensor) -> None:
    """Whether two results agree within rounding."""
    a, b = compiled.numpy(), eager.numpy()
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    near = TOLERANCE.get(b.dtype.name, 0)
    scale = np.abs(b[np.isfinite(b)]).max(initial=1.0) if near else 1
    np.testing.assert_allclose(a, b, rtol=near, atol=near * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", sorted(CALLS))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_value_and_gradients(name: str, dtype: str, data: st.DataObject) -> None:
    primitive, call = PRIMITIVES[name], data.draw(CALLS[name])

    def function(*xs: gu.Tensor) -> Any:
        leaves = [x.detach().requires_grad_() if x.is_floating_point() else x for x in xs]
        out = primitive(*leaves, **call.static)
        wanted = [x for x in leaves if x.requires_grad]
        if not out.requires_grad:
            return [out]
        seed = gu.linspace(0.5, 1.5, max(out.numel(), 1), dtype=out.dtype)[: out.numel()]
        found = gu.grad((out * seed.reshape(out.shape)).sum(), wanted, allow_unused=True)
        return [out.detach(), *[g for g in found if g is not None]]

    xs = [wrap(x.astype(dtype) if x.dtype.kind == "f" else x) for x in call.arrays]
    for compiled, eager in zip(gu.compile(function)(*xs), function(*xs), strict=True):
        agree(compiled, eager)
