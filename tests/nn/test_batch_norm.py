"""Batch normalisation takes its statistics once and differentiates as if it did not know (R2.3)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.engine.base import mode

F = nn.functional


def normalized(x: gu.Tensor, tracked: bool) -> gu.Tensor:
    running = (gu.zeros(3, dtype=x.dtype), gu.ones(3, dtype=x.dtype)) if tracked else (None, None)
    return F.batch_norm(x, *running, training=True)


def test_known_statistics_change_neither_values_nor_derivatives() -> None:
    x = gu.randn(5, 3, 4, dtype=gu.float64, generator=gu.Generator(0)).requires_grad_()
    c = gu.randn(5, 3, 4, dtype=gu.float64, generator=gu.Generator(1))
    found = []
    for tracked in (False, True):
        y = normalized(x, tracked)
        (g,) = gu.grad((y * c).sum(), x, create_graph=True)
        assert g is not None
        (h,) = gu.grad((g * g * c).sum(), x)
        assert h is not None
        found.append([t.detach().numpy() for t in (y, g, h)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert np.abs(found[0][2]).max() > 0.01


def test_running_statistics_are_those_of_the_batch() -> None:
    x = gu.randn(6, 3, 2, generator=gu.Generator(0)) * 3 + 1
    mean, var = gu.zeros(3), gu.ones(3)
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    columns = x.double().numpy().swapaxes(0, 1).reshape(3, -1)
    np.testing.assert_allclose(mean.numpy(), 0.25 * columns.mean(1), rtol=1e-5)
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * columns.var(1, ddof=1), rtol=1e-5)


@pytest.mark.parametrize("tracked", [False, True])
def test_each_statistic_is_summed_once(tracked: bool) -> None:
    counts: Counter[str] = Counter()
    mode.observers = (lambda primitive, *_: counts.update([primitive.name]),)
    try:
        normalized(gu.ones(4, 3), tracked)
    finally:
        mode.observers = ()
    assert counts["standardize"] == 1
    assert counts["sum"] == (2 if tracked else 0)
