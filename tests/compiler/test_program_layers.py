"""Every layer trains compiled as it trains uncompiled (R1.4)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim

STEPS = 20

LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: nn.Linear(4, 3), (5, 4)),
    (lambda: nn.Linear(4, 3, bias=False), (2, 5, 4)),
    (lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), (6, 4)),
    (lambda: nn.GELU(), (3, 4)),
    (lambda: nn.GELU("tanh"), (3, 4)),
    (lambda: nn.SiLU(), (3, 4)),
    (lambda: nn.Mish(), (3, 4)),
    (lambda: nn.ELU(), (3, 4)),
    (lambda: nn.Softplus(2.5), (3, 4)),
    (lambda: nn.LogSigmoid(), (3, 4)),
    (lambda: nn.Softmax(1), (3, 4)),
    (lambda: nn.Softmax(0), (3, 4, 2)),
    (lambda: nn.LogSoftmax(-1), (3, 4)),
    (lambda: nn.Conv1d(3, 4, 3), (2, 3, 9)),
    (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), (2, 4, 9)),
    (lambda: nn.Conv1d(3, 4, 3, padding=2, padding_mode="reflect"), (2, 3, 9)),
    (lambda: nn.Conv2d(3, 4, 3), (2, 3, 6, 7)),
    (lambda: nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=(1, 2)), (2, 3, 6, 7)),
    (lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False, dilation=2), (2, 4, 8, 8)),
    (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 2, 5, 5)),
    (lambda: nn.ConvTranspose1d(4, 6, 3, stride=3, padding=1, output_padding=2), (2, 4, 5)),
    (lambda: nn.ConvTranspose2d(3, 4, 2, stride=2), (2, 3, 4, 5)),
    (lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True), (2, 3, 8)),
    (lambda: nn.MaxPool2d(2), (2, 3, 6, 6)),
    (lambda: nn.AvgPool2d(3, 2, 1, True), (2, 3, 6, 8)),
    (lambda: nn.AdaptiveAvgPool2d((3, None)), (2, 3, 6, 7)),
    (lambda: nn.Upsample(scale_factor=2), (2, 3, 5)),
    (lambda: nn.Upsample((7, 4), mode="bilinear"), (2, 3, 5, 4)),
    (lambda: nn.BatchNorm1d(4), (6, 4)),
    (lambda: nn.BatchNorm1d(4, momentum=None), (3, 4, 5)),
    (lambda: nn.BatchNorm2d(3), (4, 3, 4, 5)),
    (lambda: nn.LayerNorm(5), (3, 4, 5)),
    (lambda: nn.LayerNorm((4, 5), bias=False), (3, 4, 5)),
    (lambda: nn.RMSNorm(5), (3, 4, 5)),
    (lambda: nn.GroupNorm(2, 4), (3, 4, 5)),
    (lambda: nn.Dropout(0.3), (30, 4)),
    (lambda: nn.Dropout2d(0.5), (2, 3, 4, 4)),
    (lambda: First(nn.RNN(4, 5)), (6, 3, 4)),
    (lambda: First(nn.LSTM(4, 5, num_layers=2, bidirectional=True)), (6, 3, 4)),
    (lambda: First(nn.GRU(4, 5, batch_first=True)), (3, 6, 4)),
    (lambda: SelfAttention(8, 2), (2, 5, 8)),
]
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05, lr_decay=0.1),
}


class First(nn.Module):
    """The first result of a module that has several."""

    def __init__(self, inner: nn.Module) -> None:
        self.inner = inner

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.inner(x)[0]


class SelfAttention(nn.Module):
    """A sequence that attends to itself."""

    def __init__(self, width: int, heads: int) -> None:
        self.inner = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


def train(model: nn.Module, shape: tuple[int, ...], optimizer: str, compiled: bool) -> list[Any]:
    """Twenty steps; the losses, the parameters, buffers and gradients after them."""
    gu.manual_seed(1)
    scale = gu.ones(1, requires_grad=True)
    params = [scale, *model.parameters()]
    rule = OPTIMIZERS[optimizer](params)

    def step(x: gu.Tensor, rate: float = 0.0) -> gu.Tensor:
        rule.zero_grad()
        out = model(x + scale * x.sin())
        loss = (out.sin() - 0.3).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 0.7)
        rule.step()
        return loss.detach()

    call = gu.compile(step) if compiled else step
    losses = []
    for i in range(STEPS):
        rule.param_groups[0]["lr"] *= 0.97
        losses.append(call(gu.randn(*shape, generator=gu.Generator(i))).item())
    grads = [p.grad.numpy() for p in params if p.grad is not None]
    state = [x.detach().numpy().copy() for x in model.state_dict().values()]
    return [np.array(losses), *state, *grads, gu.rand(3).numpy()]


@pytest.mark.parametrize("case", range(len(LAYERS)))
def test_layer(case: int) -> None:
    make, shape = LAYERS[case]
    gu.manual_seed(0)
    model = make()
    twin = copy.deepcopy(model)
    optimizer = list(OPTIMIZERS)[case % len(OPTIMIZERS)]
    for a, b in zip(
        train(model, shape, optimizer, True), train(twin, shape, optimizer, False), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
