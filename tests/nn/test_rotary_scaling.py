"""R2.6: rotary positions for texts longer than those of training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import nn

SCALINGS = {
    "linear": nn.PositionInterpolation(4.0),
    "yarn": nn.YaRN(4.0, 64),
    "llama3": nn.Llama3Scaling(4.0, 64),
}
every_scaling = pytest.mark.parametrize("name", SCALINGS)


def own(dim: int, base: float = 10000.0) -> np.ndarray:
    return base ** (-2 * np.arange(dim // 2) / dim)


def test_interpolated_positions_are_those_of_training() -> None:
    x = gu.randn(9, 8, generator=gu.Generator(0))
    net = nn.RotaryPositions(8, 12, scaling=nn.PositionInterpolation(3.0))
    expected = F.rotary(x, gu.arange(9).float() / 3)
    assert gu.allclose(net(x), expected, atol=1e-6)
    assert not gu.allclose(net(x), nn.RotaryPositions(8, 12)(x), atol=1e-2)


@every_scaling
def test_a_factor_of_one_changes_nothing(name: str) -> None:
    scaling = {
        "linear": nn.PositionInterpolation(1.0),
        "yarn": nn.YaRN(1.0, 64),
        "llama3": nn.Llama3Scaling(1.0, 64),
    }[name]
    np.testing.assert_allclose(scaling.frequencies(32, 500.0).numpy(), own(32, 500.0), 1e-12)
    assert scaling.attention == 1


@pytest.mark.parametrize(("name", "fast", "slow"), [("yarn", 32, 1), ("llama3", 4, 1)])
def test_pairs_that_turn_often_are_kept_and_slow_ones_are_divided(
    name: str, fast: float, slow: float
) -> None:
    context, factor, dim = 4096, 8.0, 128
    scaling: Any = nn.YaRN(factor, context) if name == "yarn" else nn.Llama3Scaling(factor, context)
    ratio = scaling.frequencies(dim, 10000.0).numpy() / own(dim)
    turns = context * own(dim) / (2 * math.pi)
    rounding = 10000 ** (2 / dim)  # by one pair, where the ends of a ramp are rounded
    assert np.allclose(ratio[turns > fast * rounding], 1)
    assert np.allclose(ratio[turns < slow / rounding], 1 / factor)
    between = (turns < fast / rounding) & (turns > slow * rounding)
    assert between.sum() > 5
    assert ((ratio[between] > 1 / factor) & (ratio[between] < 1)).all()
    assert (np.diff(ratio) <= 1e-12).all()


def test_yarn_sharpens_attention_by_the_square_of_its_factor() -> None:
    scaling = nn.YaRN(8.0, 64)
    q = gu.randn(5, 8, generator=gu.Generator(0))
    net = nn.RotaryPositions(8, 5, scaling=scaling)
    assert scaling.attention == pytest.approx(0.1 * math.log(8) + 1)
    lengths = net(q).norm(dim=-1) / q.norm(dim=-1)
    np.testing.assert_allclose(lengths.numpy(), scaling.attention, 1e-5)
    assert nn.YaRN(8.0, 64, attention_factor=1.0).attention == 1


def test_divisors_of_a_file_are_any_scaling() -> None:
    wanted = nn.Llama3Scaling(8.0, 32).frequencies(16, 500.0).numpy()
    factors = tuple((own(16, 500.0) / wanted).tolist())
    found = nn.FrequencyFactors(factors).frequencies(16, 500.0)
    np.testing.assert_allclose(found.numpy(), wanted, 1e-12)


@every_scaling
@pytest.mark.parametrize("interleaved", [True, False])
def test_products_depend_on_the_distance_alone(name: str, interleaved: bool) -> None:
    q, k = (gu.randn(8, generator=gu.Generator(i)).double() for i in (0, 1))
    net = nn.RotaryPositions(8, 200, interleaved=interleaved, scaling=SCALINGS[name])

    def product(m: int, n: int) -> float:
        a, b = (net(x.unsqueeze(0), gu.tensor([p])) for x, p in ((q, m), (k, n)))
        return (a * b).sum().item()

    assert product(3, 10) == pytest.approx(product(103, 110), abs=1e-5)
    assert product(3, 10) != pytest.approx(product(3, 11), abs=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.PositionInterpolation(0.5), "PositionInterpolation: factor is 0.5"),
        (lambda: nn.YaRN(math.nan, 64), "YaRN: factor is nan"),
        (lambda: nn.YaRN(2.0, 64, beta_fast=1.0, beta_slow=2.0), "YaRN: context 64, beta_slow 2.0"),
        (lambda: nn.Llama3Scaling(2.0, 0), "Llama3Scaling: context 0"),
        (lambda: nn.FrequencyFactors((1.0, 0.0)), "FrequencyFactors: 0.0 is not positive"),
        (
            lambda: nn.RotaryPositions(8, scaling=nn.FrequencyFactors((1.0, 2.0))),
            "FrequencyFactors: 2 factors for 4 pairs",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
