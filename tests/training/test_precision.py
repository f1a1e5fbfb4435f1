"""Loss scaling and training in mixed precision.

Proves R2.8 (mixed precision) and, for it, R1.3 (exact resumption).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim
from groundup.training import (
    Callback,
    Checkpoint,
    ClipGradients,
    GradientStatistics,
    GradScaler,
    Run,
    accuracy,
    evaluate,
    fit,
)

F = nn.functional
INF, NAN = math.inf, math.nan


def leaf(*values: float) -> nn.Parameter:
    return nn.Parameter(gu.tensor(list(values)))


def one_step(scaler: GradScaler, optimizer: optim.Optimizer, *gradients: list[float]) -> None:
    """A step with given gradients, as a backward pass of the scaled loss would leave them."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for p, g in zip(params, gradients, strict=True):
        p.grad = gu.tensor(g) * scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()


# Loss scaling


@given(st.integers(-20, 20), st.integers(0, 2**32 - 1))
def test_a_power_of_two_changes_no_bit_of_a_step(exponent: int, seed: int) -> None:
    ends = []
    for scaler in (GradScaler(init_scale=2.0**exponent), GradScaler(enabled=False)):
        generator = gu.Generator(seed)
        layer = nn.Linear(3, 2, generator=generator)
        optimizer = optim.Adam(layer.parameters(), lr=0.1)
        x = gu.randn(5, 3, generator=generator)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(layer(x).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
        ends.append([p.tolist() for p in layer.parameters()])
    assert ends[0] == ends[1]


def test_gradients_that_float16_would_lose_arrive() -> None:
    x, w = gu.full((4, 8), 1e-3), leaf(*[1.0] * 8)

    def gradient(scaler: GradScaler) -> gu.Tensor:
        optimizer = optim.SGD([w], lr=1.0)
        optimizer.zero_grad()
        with gu.autocast():
            loss = (x @ w).float().sum() * 5e-6
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        assert w.grad is not None
        return w.grad

    exact = 4 * 1e-3 * 5e-6  # 2e-8; the smallest number of float16 is 6e-8
    assert gradient(GradScaler(enabled=False)).abs().max().item() == 0
    np.testing.assert_allclose(gradient(GradScaler()).numpy(), exact, rtol=0.01)


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_a_gradient_that_is_not_finite_skips_the_step(bad: float) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0)
    optimizer, scaler = optim.Adam([a, b], lr=0.1), GradScaler(init_scale=8.0)
    one_step(scaler, optimizer, [1.0, 1.0], [1.0])
    before = a.tolist(), b.tolist(), optimizer.state_dict()
    before = (*before[:2], {k: x.tolist() for k, x in optimizer.state[a].items()})
    one_step(scaler, optimizer, [1.0, bad], [1.0])
    after = a.tolist(), b.tolist(), {k: x.tolist() for k, x in optimizer.state[a].items()}
    assert after == before
    assert scaler.get_scale() == 4.0
    one_step(scaler, optimizer, [1.0, 1.0], [1.0])
    assert a.tolist() != before[0]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_the_scale_follows_its_rule(good: list[bool], interval: int) -> None:
    w = leaf(1.0)
    optimizer = optim.SGD([w], lr=0.0)
    scaler = GradScaler(init_scale=1024.0, growth_interval=interval)
    scale, streak = 1024.0, 0
    for ok in good:
        one_step(scaler, optimizer, [1.0 if ok else NAN])
        streak = streak + 1 if ok else 0
        scale *= 1.0 if ok else 0.5
        if streak == interval:
            scale, streak = scale * 2, 0
        assert scaler.get_scale() == scale


def test_the_scale_stays_finite() -> None:
    optimizer = optim.SGD([leaf(1.0)], lr=0.0)
    scaler = GradScaler(init_scale=2.0**126, growth_interval=1)
    for _ in range(5):
        one_step(scaler, optimizer, [0.0])
    assert scaler.get_scale() == 2.0**127


def test_one_optimizer_of_two_may_skip() -> None:
    a, b, c = leaf(1.0), leaf(1.0), leaf(1.0)
    first, second, idle = (optim.SGD([p], lr=1.0) for p in (a, b, c))
    scaler = GradScaler(init_scale=4.0)
    a.grad, b.grad = gu.tensor([8.0]), gu.tensor([INF])
    scaler.step(first)
    scaler.step(second)
    with pytest.raises(RuntimeError, match="no parameter of this optimizer has a gradient"):
        scaler.step(idle)
    scaler.update()
    assert (a.item(), b.item(), scaler.get_scale()) == (-1.0, 1.0, 2.0)


def test_several_losses() -> None:
    scaler = GradScaler(init_scale=4.0)
    losses = [gu.tensor(1.0), (gu.tensor(2.0), gu.tensor(3.0))]
    one, (two, three) = scaler.scale(losses)
    assert [x.item() for x in (one, two, three)] == [4.0, 8.0, 12.0]
    with pytest.raises(TypeError, match="got float"):
        scaler.scale(1.0)


def test_state_continues(tmp_path: Path) -> None:
    def scaler() -> GradScaler:
        return GradScaler(init_scale=3.0, growth_interval=3)

    optimizer = optim.SGD([leaf(1.0)], lr=0.0)
    a, b = scaler(), GradScaler()
    for _ in range(2):
        one_step(a, optimizer, [1.0])
    b.load_state_dict(a.state_dict())
    for s in (a, b):
        one_step(s, optimizer, [1.0])
    assert a.state_dict() == b.state_dict()
    assert a.get_scale() == 6.0
    assert GradScaler(enabled=False).state_dict() == {}
    with pytest.raises(RuntimeError, match="the state is empty"):
        a.load_state_dict({})


def test_off_it_does_nothing() -> None:
    w, loss = leaf(1.0), gu.tensor(3.0)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler(enabled=False)
    assert scaler.scale(loss) is loss
    w.grad = gu.tensor([INF])
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    scaler.load_state_dict({})
    assert (w.item(), scaler.get_scale()) == (-INF, 1.0)


def test_calls_in_a_wrong_order_are_refused() -> None:
    w = leaf(1.0)
    optimizer, scaler = optim.SGD([w], lr=1.0), GradScaler()
    w.grad = gu.tensor([1.0])
    with pytest.raises(RuntimeError, match="update: no gradients were unscaled"):
        scaler.update()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="unscaled already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="unscale_: this optimizer made its step"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="step: this optimizer made its step"):
        scaler.step(optimizer)
    scaler.update()
    half = nn.Parameter(gu.ones(1).half())
    half.grad = gu.ones(1).half()
    with pytest.raises(ValueError, match="a gradient is float16"):
        scaler.unscale_(optim.SGD([half], lr=1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cuda"}, "device 'cuda'"),
        ({"init_scale": 0.0}, "init_scale 0.0"),
        ({"growth_factor": 1.0}, "growth_factor 1.0"),
        ({"backoff_factor": 1.5}, "backoff_factor 1.5"),
        ({"growth_interval": 0}, "growth_interval 0"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradScaler(**arguments)


# fit(..., precision="float16")


def steep(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """A loss whose scaled gradients exceed float16 at first, so that the scaler has to work."""
    return F.cross_entropy(output, target) * 100


class Scales(Callback):
    """The scale after every step; stops with an error after a given one."""

    def __init__(self, crash: int = 0) -> None:
        self.seen: list[float] = []
        self.crash = crash

    def on_step_end(self, run: Run) -> None:
        self.seen.append(run.scaler.get_scale())
        if run.step == self.crash:
            raise ZeroDivisionError


def test_the_loop_is_the_loop_that_one_would_write(task) -> None:
    a, b = task(), task()
    gu.manual_seed(1)
    history = fit(a.model, steep, a.optimizer, a.data, epochs=2, precision="float16")
    gu.manual_seed(1)
    scaler, losses = GradScaler(), []
    for _ in range(2):
        for x, y in b.data:
            b.optimizer.zero_grad()
            with gu.autocast():
                loss = steep(b.model(x), y)
            scaler.scale(loss).backward()
            scaler.step(b.optimizer)
            scaler.update()
            losses.append(loss.item())
    assert a.weights() == b.weights()
    assert history.steps["loss"] == losses
    assert scaler.get_scale() < 2.0**16
    assert {p.dtype for p in a.model.parameters()} == {gu.float32}


@pytest.mark.parametrize("compile", [False, True])
def test_bfloat16_is_computed_without_a_scale(task, compile: bool) -> None:
    a, b = task(), task()
    history = fit(
        a.model, steep, a.optimizer, a.data, epochs=1, seed=1, precision="bfloat16", compile=compile
    )
    gu.manual_seed(1)
    losses = []
    for x, y in b.data:
        b.optimizer.zero_grad()
        with gu.autocast(dtype=gu.bfloat16):
            output = b.model(x)
            loss = steep(output, y)
        assert (output.dtype, loss.dtype) == (gu.bfloat16, gu.float32)
        loss.backward()
        b.optimizer.step()
        losses.append(loss.item())
    if compile:
        np.testing.assert_allclose(history.steps["loss"], losses, rtol=0.02)
    else:
        assert a.weights() == b.weights()
        assert history.steps["loss"] == losses
    assert {p.dtype for p in a.model.parameters()} == {gu.float32}


@pytest.mark.parametrize("accumulate", [1, 4])
def test_resuming_after_any_step(task, tmp_path: Path, accumulate: int) -> None:
    def train(seed: int = 0, path: Path | None = None, crash: int = 0, **arguments: Any):
        run, scales = task(seed), Scales(crash)
        saving = [Checkpoint(path, per="step")] if path else []
        history = fit(
            run.model,
            steep,
            run.optimizer,
            run.data,
            epochs=3,
            precision="float16",
            accumulate=accumulate,
            callbacks=[*saving, scales],
            **arguments,
        )
        return run.weights(), history.steps, scales.seen

    *whole, scales = train()
    assert len(set(scales)) > 1, "the scale never changed: there was no state to restore"
    for crash in range(2, len(scales) + 1):
        path = tmp_path / f"{crash}.safetensors"
        with pytest.raises(ZeroDivisionError):
            train(path=path, crash=crash)
        *again, rest = train(seed=crash, resume=path)
        assert again == whole
        assert rest == scales[crash - 1 :]


@pytest.mark.parametrize("before", ["float32", "float16"])
def test_a_run_continues_in_its_own_precision(task, tmp_path: Path, before: str) -> None:
    path = tmp_path / "run.safetensors"
    after = "float16" if before == "float32" else "float32"
    fit(*task(), epochs=1, precision=before, callbacks=[Checkpoint(path)])
    run = task(seed=1)
    weights = run.weights()
    with pytest.raises(gu.CheckpointError, match=f"precision {before}, here it is {after}"):
        fit(*run, epochs=2, precision=after, resume=path)
    assert run.weights() == weights


def test_callbacks_see_unscaled_gradients(task) -> None:
    norms = []
    for precision in ("float32", "float16"):
        run, statistics = task(), GradientStatistics()
        fit(
            *run,
            epochs=1,
            seed=5,
            precision=precision,
            callbacks=[statistics, ClipGradients(max_norm=1e-3)],
        )
        norms.append([column["norm"][0] for column in statistics.gradients.values()])
    assert max(norms[0]) > 0.01
    np.testing.assert_allclose(norms[1], norms[0], rtol=0.02, atol=1e-4)


def test_validation_is_in_float32(task) -> None:
    run = task()
    batches = [run.data.dataset.tensors]
    history = fit(*run, epochs=1, precision="float16", validation=batches)
    found = evaluate(run.model, batches, {"loss": run.loss})
    assert history.epochs["validation_loss"][-1] == found["loss"]


def test_an_unknown_precision_is_named(task) -> None:
    with pytest.raises(ValueError, match="precision 'half'; expected 'float32', 'float16' or"):
        fit(*task(), epochs=1, precision="half")


def glyphs(count: int, seed: int) -> tuple[gu.Tensor, gu.Tensor]:
    """Noisy 8 x 8 images of ten shapes, flattened, and which shape each of them is."""
    shapes = np.random.default_rng(99).uniform(0, 1, (10, 64))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    images = shapes[labels] + rng.normal(0, 0.6, (count, 64))
    return gu.tensor(images, dtype=gu.float32), gu.tensor(labels)


def test_a_network_learns_as_well_as_in_float32() -> None:
    x, y = glyphs(1000, seed=0)
    held_out = [glyphs(2000, seed=1)]
    batches = [(x[i : i + 50], y[i : i + 50]) for i in range(0, 1000, 50)]
    found = {}
    for precision in ("float32", "float16", "bfloat16"):
        gu.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        adam = optim.Adam(model.parameters(), lr=0.003)
        history = fit(model, F.cross_entropy, adam, batches, epochs=8, precision=precision)
        found[precision] = evaluate(model, held_out, {"accuracy": accuracy})["accuracy"]
        assert history.epochs["loss"][-1] < 0.3 * history.epochs["loss"][0]
    assert found["float32"] > 0.85
    assert abs(found["float16"] - found["float32"]) < 0.01
    assert abs(found["bfloat16"] - found["float32"]) < 0.01
