"""Anomaly mode: the first operation, forward or backward, that makes a NaN or an infinity is named.

Proves R1.2.
"""

from __future__ import annotations

import math

import pytest

import groundup as gu


def leaf(*values: float) -> gu.Tensor:
    return gu.tensor(values, dtype=gu.float64, requires_grad=True)


def test_anomaly_names_the_forward_operation() -> None:
    x = leaf(-1.0, 4.0)
    with gu.detect_anomaly():
        x.exp().log()
        with pytest.raises(
            FloatingPointError, match=r"^log\(\(2,\) float64\) produced 1 NaN; .*were finite"
        ):
            (x * 2).log().relu()
        with pytest.raises(FloatingPointError, match=r"^div\(.*\) produced 2 infinity"):
            x / 0


def test_anomaly_says_when_the_input_was_to_blame() -> None:
    with gu.detect_anomaly(), pytest.raises(FloatingPointError, match="already not finite"):
        gu.tensor([math.nan, 1.0]) + 1


def test_anomaly_names_the_operation_whose_gradient_made_the_nan() -> None:
    """sqrt(0) is finite, its slope is not; times 0 that is a NaN further on."""
    x = leaf(0.0, 1.0)
    with gu.detect_anomaly():
        y = (x.sqrt() * gu.tensor([0.0, 1.0])).sum()
        with pytest.raises(FloatingPointError, match=r"^in the gradient of sqrt: div\(.*1 NaN"):
            y.backward()


def test_anomaly_in_a_second_order_gradient() -> None:
    x = leaf(0.0)
    with gu.detect_anomaly():
        (g,) = gu.grad((x**1.5).sum(), x, create_graph=True)
        with pytest.raises(FloatingPointError, match=r"^in the gradient of pow: "):
            gu.grad(g.sum(), x)


def test_anomaly_mode_ends() -> None:
    with pytest.raises(FloatingPointError), gu.detect_anomaly():
        leaf(0.0).log()
    assert leaf(0.0).log().item() == -math.inf
    with gu.detect_anomaly(), gu.detect_anomaly():
        gu.arange(3) // 2
    assert (gu.zeros(1) / 0).isnan().all()
