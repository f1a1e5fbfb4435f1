"""Convolution and pooling in compiled functions: as in the eager engine, and never by NumPy. R1.4.

Sizes are odd on purpose: windows that do not fill the image, phases of different lengths, vectors
that cross lines, groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn
from groundup.engine.base import Array
from groundup.nn import functional as F

Function = Callable[..., gu.Tensor]
DTYPES = [np.float32, np.float64]


def agree(function: Function, *arrays: Array) -> Any:
    """Compare results and gradients with the eager engine's; the report on the program."""

    def both(*inputs: gu.Tensor) -> list[gu.Tensor]:
        y = function(*inputs)
        weights = (y.detach() * 3 + 1).cos()
        gradients = gu.grad((y * weights).sum(), list(inputs))
        return [y, *(g for g in gradients if g is not None)]

    inputs = [gu.tensor(x, requires_grad=True) for x in arrays]
    compiled = gu.compile(both)
    tolerance = 2e-5 if arrays[0].dtype == np.float32 else 1e-12
    for found, wanted in zip(compiled(*inputs), both(*inputs), strict=True):
        a, b = found.detach().numpy(), wanted.detach().numpy()
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * (1 + np.abs(b).max()))
    (report,) = gu.explain(compiled).programs
    assert [step.operations for step in report.steps if step.kind == "call"] == []
    assert report.native == 1
    return report


def numbers(dtype: Any, *shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


IMAGES = {
    # size, kernel, stride, padding, dilation, groups, channels, outputs
    "same": ((16, 16), (3, 3), (1, 1), (1, 1), (1, 1), 1, 8, 16),
    "valid": ((5, 7), (3, 3), (1, 1), (0, 0), (1, 1), 1, 3, 4),
    "one pixel": ((7, 7), (1, 1), (1, 1), (0, 0), (1, 1), 1, 5, 3),
    "one pixel, strides": ((7, 9), (1, 1), (2, 2), (0, 0), (1, 1), 1, 5, 3),
    "halved": ((8, 8), (3, 3), (2, 2), (1, 1), (1, 1), 1, 8, 16),
    "one stride": ((9, 8), (3, 2), (2, 1), (1, 0), (1, 1), 1, 4, 6),
    "dilated": ((13, 11), (3, 3), (1, 1), (2, 2), (2, 2), 1, 4, 6),
    "dilated, strides": ((11, 10), (3, 3), (2, 2), (1, 1), (2, 1), 2, 4, 6),
    "common factor": ((14, 15), (3, 4), (4, 2), (1, 1), (2, 2), 1, 3, 2),
    "three groups": ((12, 13), (3, 4), (3, 2), (2, 1), (1, 3), 3, 6, 3),
    "depthwise": ((10, 6), (3, 3), (1, 1), (1, 1), (1, 1), 5, 5, 10),
    "kernel as image": ((4, 4), (4, 4), (1, 1), (0, 0), (1, 1), 1, 3, 8),
    "beyond the kernel": ((3, 3), (3, 3), (1, 1), (3, 3), (1, 1), 1, 3, 4),
    "patches": ((20, 21), (5, 5), (5, 5), (0, 0), (1, 1), 1, 3, 4),
    "many phases": ((20, 21), (7, 5), (5, 6), (2, 1), (1, 1), 1, 3, 4),
    "many phases, dilated": ((23, 21), (3, 4), (5, 6), (2, 1), (2, 3), 2, 4, 2),
    "large tile": ((9, 40), (3, 3), (1, 1), (1, 1), (1, 1), 1, 17, 19),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", IMAGES)
def test_convolution_of_images(name: str, dtype: Any) -> None:
    size, kernel, stride, padding, dilation, groups, channels, outputs = IMAGES[name]

    def convolve(x: gu.Tensor, w: gu.Tensor, b: gu.Tensor) -> gu.Tensor:
        return F.conv2d(x, w, b, stride, padding, dilation, groups)

    x = numbers(dtype, 3, channels, *size)
    w = numbers(dtype, outputs, channels // groups, *kernel)
    agree(convolve, x, w, numbers(dtype, outputs))


@pytest.mark.parametrize("name", IMAGES)
def test_transposed_convolution_of_images(name: str) -> None:
    size, kernel, stride, padding, dilation, groups, channels, outputs = IMAGES[name]
    extra = tuple(min(1, s - 1) for s in stride)
    around = tuple(min(1, p) for p in padding)

    def convolve(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return F.conv_transpose2d(x, w, None, stride, around, extra, groups, dilation)

    x = numbers(np.float32, 2, outputs, *size)
    agree(convolve, x, numbers(np.float32, outputs, channels // groups, *kernel))


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "padding", "dilation", "groups"),
    [
        (17, 3, 1, 1, 1, 1),
        (50, 5, 2, 2, 1, 1),
        (33, 4, 3, 0, 2, 2),
        (64, 1, 1, 0, 1, 1),
        (19, 16, 20, 3, 1, 1),
    ],
)
def test_convolution_of_sequences(
    length: int, kernel: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    def convolve(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return F.conv1d(x, w, None, stride, padding, dilation, groups)

    x, w = numbers(np.float64, 3, 4, length), numbers(np.float64, 6, 4 // groups, kernel)
    agree(convolve, x, w)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (2, 3, 0, 1), (3, 2, 1, 2), (5, 4, 2, 1)],
)
def test_pooling(kernel: int, stride: int, padding: int, dilation: int) -> None:
    x = numbers(np.float32, 2, 3, 11, 12)
    agree(lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode=True), x)
    agree(lambda x: F.avg_pool2d(x, kernel, stride, padding), x)
    agree(lambda x: F.avg_pool2d(x, kernel, stride, padding, True, False), x)
    agree(lambda x: F.max_pool1d(x, kernel, stride, padding), numbers(np.float64, 2, 3, 23))


def test_an_image_whose_channels_come_last() -> None:
    def convolve(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return F.conv2d(x.permute(0, 3, 1, 2), w)

    agree(convolve, numbers(np.float32, 2, 9, 8, 5), numbers(np.float32, 4, 5, 3, 3))


def test_a_view_of_an_image() -> None:
    def convolve(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        return F.conv2d(x[:, 1:, ::2, 1:-1].flip(3), w.transpose(0, 1), stride=2)

    agree(convolve, numbers(np.float32, 2, 4, 20, 13), numbers(np.float32, 3, 5, 3, 3))


def test_gradients_of_gradients() -> None:
    def bend(x: gu.Tensor, w: gu.Tensor) -> gu.Tensor:
        y = F.conv2d(x, w, stride=2, padding=1).tanh()
        (g,) = gu.grad(y.sum(), [x], create_graph=True)
        assert g is not None
        return (g * g).mean()

    agree(bend, numbers(np.float64, 2, 3, 7, 9), numbers(np.float64, 4, 3, 3, 3))


def test_nothing_is_unfolded() -> None:
    """Nine copies of the image would be 9 MB."""
    x, w = numbers(np.float32, 8, 32, 32, 32), numbers(np.float32, 16, 32, 3, 3)
    report = agree(lambda x, w: F.conv2d(x, w, padding=1), x, w)
    assert report.arena < 5 * x.nbytes


class UNet(nn.Module):
    """Down by a stride, up by repeating, with what was there before laid beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.down = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.grow = nn.Upsample(scale_factor=2)
        self.skip = nn.Conv2d(10, 4, 1)
        self.last = nn.Conv2d(10, 1, 3, padding=1)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        a = self.first(x)
        b = F.silu(self.down(F.silu(self.norm(a))))
        c = gu.cat([self.grow(b), a], 1)
        return self.last(gu.cat([self.skip(c), F.silu(c[:, 4:])], 1))


def test_a_training_step_is_one_native_call() -> None:
    losses = []
    for compiled in (False, True):
        gu.manual_seed(0)
        model = UNet()
        optimizer = gu.optim.Adam(model.parameters(), lr=1e-2)

        def step(
            x: gu.Tensor, model: UNet = model, optimizer: gu.optim.Adam = optimizer
        ) -> gu.Tensor:
            loss = F.mse_loss(model(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        x = gu.tensor(numbers(np.float32, 3, 1, 8, 8))
        if not compiled:
            losses.append([step(x).item() for _ in range(6)])
            continue
        run = gu.compile(step)
        losses.append([run(x).item() for _ in range(6)])
        for report in gu.explain(run).programs:
            assert report.native == 1
            assert all(one.kind != "call" for one in report.steps)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[1][-1] < losses[1][0]
