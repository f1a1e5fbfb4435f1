"""Initial values have the scale that the papers ask for (R2.3)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest

import groundup as gu
from groundup import nn

SHAPES = [(200, 300), (40, 30, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("fill", "variance"),
    [
        (nn.init.xavier_uniform_, lambda i, o: 2 / (i + o)),
        (nn.init.xavier_normal_, lambda i, o: 2 / (i + o)),
        (nn.init.kaiming_uniform_, lambda i, o: 2 / i),
        (nn.init.kaiming_normal_, lambda i, o: 2 / i),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), lambda i, o: 2 / o),
        (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="linear"), lambda i, o: 1 / i),
        (lambda w: nn.init.kaiming_uniform_(w, a=math.sqrt(5)), lambda i, o: 1 / (3 * i)),
        (lambda w: nn.init.xavier_normal_(w, gain=3.0), lambda i, o: 18 / (i + o)),
    ],
)
def test_variance(
    shape: tuple[int, ...],
    fill: Callable[[gu.Tensor], gu.Tensor],
    variance: Callable[[int, int], float],
    seed: int,
) -> None:
    w = gu.empty(shape)
    assert fill(w) is w
    size = math.prod(shape[2:])
    expected = variance(shape[1] * size, shape[0] * size)
    assert abs(w.mean().item()) < 5 * math.sqrt(expected / w.numel())
    assert w.var().item() == pytest.approx(expected, rel=0.03)


def test_uniform_values_reach_their_bound_and_do_not_pass_it(seed: int) -> None:
    w = nn.init.xavier_uniform_(gu.empty(200, 300))
    bound = math.sqrt(6 / 500)
    assert 0.99 * bound < w.abs().max().item() <= bound
    w = nn.init.uniform_(gu.empty(10000), 2, 5)
    assert 2 <= w.min().item() < 2.01
    assert 4.99 < w.max().item() <= 5


def test_signals_keep_their_scale_through_a_deep_relu_network(seed: int) -> None:
    """He et al. (2015): with their initialisation the variance neither fades nor explodes."""
    x = gu.randn(200, 256)
    good, small = x, x
    for _ in range(20):
        good = (good @ nn.init.kaiming_normal_(gu.empty(256, 256), nonlinearity="relu").T).relu()
        small = (small @ nn.init.xavier_normal_(gu.empty(256, 256)).T).relu()
    assert 0.2 < good.square().mean().item() < 3
    assert small.square().mean().item() < 1e-4


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3), (60, 60)])
def test_orthogonal(shape: tuple[int, ...], seed: int) -> None:
    w = nn.init.orthogonal_(gu.empty(shape, dtype="float64"), gain=2.0)
    matrix = w.numpy().reshape(shape[0], -1) / 2
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_matrices_prefer_no_direction(seed: int) -> None:
    """The sign and size of every entry are as in the uniform distribution over rotations."""
    draws = np.stack([nn.init.orthogonal_(gu.empty(3, 3)).numpy() for _ in range(1500)])
    np.testing.assert_allclose(draws.mean(0), 0, atol=0.06)
    np.testing.assert_allclose((draws**2).mean(0), 1 / 3, atol=0.04)


def test_truncated_normal(seed: int) -> None:
    w = nn.init.trunc_normal_(gu.empty(20000), mean=1.0, std=2.0, a=0.0, b=3.0).numpy()
    assert w.min() >= 0
    assert w.max() <= 3
    grid = np.linspace(0, 3, 100001)
    density = np.exp(-((grid - 1) ** 2) / 8)
    assert w.mean() == pytest.approx((grid * density).sum() / density.sum(), abs=0.02)
    with pytest.raises(ValueError, match="move or widen"):
        nn.init.trunc_normal_(gu.empty(2), mean=100.0)


def test_constants_and_gains() -> None:
    assert nn.init.ones_(gu.empty(2)).tolist() == [1.0, 1.0]
    assert nn.init.zeros_(gu.ones(2)).tolist() == [0.0, 0.0]
    assert nn.init.constant_(gu.empty(2), -3).tolist() == [-3.0, -3.0]
    assert nn.init.calculate_gain("relu") == pytest.approx(math.sqrt(2))
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx(math.sqrt(2 / 1.04))
    with pytest.raises(ValueError, match="expected one of linear"):
        nn.init.calculate_gain("softmax")


def test_the_same_generator_gives_the_same_values_and_parameters_can_be_filled() -> None:
    for fill in (
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.trunc_normal_,
        nn.init.xavier_uniform_,
        nn.init.xavier_normal_,
        nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_,
        nn.init.orthogonal_,
    ):
        state = gu.default_generator.get_state()
        a = fill(nn.Parameter(gu.empty(3, 4)), generator=gu.Generator(5))  # type: ignore[operator]
        b = fill(nn.Parameter(gu.empty(3, 4)), generator=gu.Generator(5))  # type: ignore[operator]
        assert gu.equal(a, b)
        assert a.requires_grad
        assert a.is_leaf
        assert gu.default_generator.get_state() == state  # the default one was not touched


def test_misuse_is_explained() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        nn.init.xavier_uniform_(gu.empty(3))
    with pytest.raises(ValueError, match="'fan_in' or 'fan_out'"):
        nn.init.kaiming_normal_(gu.empty(3, 3), mode="fan")


def test_layers_take_a_generator() -> None:
    makers: list[Callable[[gu.Generator], nn.Module]] = [
        lambda g: nn.Linear(3, 4, generator=g),
        lambda g: nn.Conv1d(3, 4, 2, generator=g),
        lambda g: nn.Conv2d(3, 4, 2, generator=g),
        lambda g: nn.ConvTranspose1d(3, 4, 2, generator=g),
        lambda g: nn.ConvTranspose2d(3, 4, 2, generator=g),
    ]
    for make in makers:
        a, b, c = make(gu.Generator(1)), make(gu.Generator(1)), make(gu.Generator(2))
        assert all(gu.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
        assert not any(gu.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


def test_skipping_leaves_tensors_and_random_numbers_alone() -> None:
    """And only inside, only in this thread."""
    gu.manual_seed(3)
    x = gu.full((4, 4), 7.0)
    ways = [
        nn.init.uniform_, nn.init.normal_, nn.init.trunc_normal_, nn.init.zeros_, nn.init.ones_,
        nn.init.xavier_uniform_, nn.init.xavier_normal_, nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_, nn.init.orthogonal_,
    ]  # fmt: skip
    elsewhere = gu.full((4, 4), 7.0)
    with nn.init.skip():
        for way in ways:
            assert way(x) is x
        nn.init.constant_(x, 2.0)
        nn.Linear(4, 4)
        thread = threading.Thread(target=nn.init.zeros_, args=(elsewhere,))
        thread.start()
        thread.join()
    assert x.tolist() == [[7.0] * 4] * 4
    assert elsewhere.tolist() == [[0.0] * 4] * 4
    drawn = gu.rand(2)
    gu.manual_seed(3)
    assert gu.equal(drawn, gu.rand(2))
    with pytest.raises(KeyError), nn.init.skip():
        raise KeyError
    assert nn.init.zeros_(x).tolist() == [[0.0] * 4] * 4
