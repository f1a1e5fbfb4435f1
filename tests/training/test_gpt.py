"""R2.8: a GPT trained with accumulation, clipping, warm-up and label smoothing, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import groundup as gu
import groundup.nn.functional as F
from groundup import optim
from groundup.models import GPT, GPTConfig
from groundup.optim.lr_scheduler import WarmupCosineLR
from groundup.training import Callback, ClipGradients, Schedule, fit

CONFIG = GPTConfig(vocab_size=20, context=8, d_model=16, num_layers=2, num_heads=2)
TEXTS = gu.randint(0, 20, (48, 9), generator=gu.Generator(0))
NORM = 0.5


def smoothed(logits: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), label_smoothing=0.1)


def batches(size: int) -> list[tuple[gu.Tensor, gu.Tensor]]:
    parts = TEXTS.split(size)
    return [(part[:, :-1], part[:, 1:]) for part in parts]


class Norms(Callback):
    """The norm of the gradients before clipping, and the learning rate of each step."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.rates: list[float] = []

    def on_backward_end(self, run: Any) -> None:
        total = sum(float(p.grad.square().sum().item()) for p in run.model.parameters())
        self.norms.append(total**0.5)
        self.rates.append(run.optimizer.param_groups[0]["lr"])


def trained(size: int, accumulate: int, compile: bool, watch: Norms | None = None) -> Any:
    gu.manual_seed(1)
    model = GPT(CONFIG)
    adam = optim.AdamW(model.parameters(), lr=0.01)
    schedule = WarmupCosineLR(adam, warmup_steps=4, total_steps=12)
    history = fit(
        model,
        smoothed,
        adam,
        batches(size),
        epochs=3,
        accumulate=accumulate,
        compile=compile,
        callbacks=[*([watch] if watch else []), ClipGradients(max_norm=NORM), Schedule(schedule)],
    )
    return model, history.steps["loss"]


@pytest.mark.parametrize("compile", [True, False])
def test_accumulated_steps_are_those_of_a_larger_batch(compile: bool) -> None:
    whole, losses = trained(12, accumulate=1, compile=compile)
    parts, same = trained(3, accumulate=4, compile=compile)
    assert len(losses) == len(same) == 12
    np.testing.assert_allclose(same, losses, rtol=1e-4)
    assert losses[-1] < losses[0] - 0.03
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        np.testing.assert_allclose(
            b.detach().numpy(), a.detach().numpy(), rtol=2e-3, atol=2e-4, err_msg=name
        )


def test_the_norm_is_bounded_and_the_rate_rises_and_falls() -> None:
    watch = Norms()
    trained(3, 4, compile=False, watch=watch)
    assert max(watch.norms) > NORM, "nothing was clipped: the test shows nothing"
    top = watch.rates.index(max(watch.rates))
    assert 0 < top < 11
    assert all(np.diff(watch.rates[: top + 1]) > 0)
    assert all(np.diff(watch.rates[top:]) <= 0)
