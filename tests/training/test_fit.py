import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim
from groundup.data import DataLoader, TensorDataset
from groundup.training import Callback, History, fit

F = nn.functional


def regression(n: int = 60) -> tuple[gu.Tensor, gu.Tensor]:
    g = gu.Generator(0)
    x = gu.randn(n, 3, generator=g)
    return x, x @ gu.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * gu.randn(n, 1, generator=g) + 3


def test_linear_regression_ends_at_least_squares() -> None:
    x, y = regression()
    model = nn.Linear(3, 1)
    fit(model, F.mse_loss, optim.SGD(model.parameters(), lr=0.2), [(x, y)], epochs=300)
    design = np.hstack([x.numpy(), np.ones((60, 1))])
    solution, *_ = np.linalg.lstsq(design, y.numpy(), rcond=None)
    found = [*model.weight.detach().reshape(-1).tolist(), model.bias.item()]
    assert np.allclose(found, solution.reshape(-1), atol=1e-4)


def test_the_loop_is_the_loop_that_one_would_write(task) -> None:
    a, b = task(), task()
    gu.manual_seed(1)
    history = fit(*a, epochs=3, compile=False)
    gu.manual_seed(1)
    losses = []
    for _ in range(3):
        for x, y in b.data:
            b.optimizer.zero_grad()
            loss = b.loss(b.model(x), y)
            loss.backward()
            b.optimizer.step()
            losses.append(loss.item())
    assert a.weights() == b.weights()
    assert history.steps["loss"] == losses
    assert history.steps["epoch"] == [0] * 6 + [1] * 6 + [2] * 6
    means = np.array(losses).reshape(3, 6).mean(1)
    assert np.allclose(history.epochs["loss"], means, rtol=1e-12)


# R1.3
def test_same_seed_same_bits(task) -> None:
    def train(seed: int):
        run = task()
        history = fit(*run, epochs=2, seed=seed)
        return run.weights(), history.steps

    assert train(1) == train(1)
    assert train(1) != train(2)


@given(st.integers(1, 5), st.integers(1, 4))
def test_accumulated_batches_are_one_batch(batches: int, accumulate: int) -> None:
    """The gradient of the mean over k batches of equal size is that over all their examples."""
    x, y = regression(12 * batches)
    parts = [(x[i : i + 4], y[i : i + 4]) for i in range(0, len(x), 4)]
    whole = [
        (x[i : i + 4 * accumulate], y[i : i + 4 * accumulate])
        for i in range(0, len(x), 4 * accumulate)
    ]
    ends = []
    for data, k in ((parts, accumulate), (whole, 1)):
        gu.manual_seed(0)
        model = nn.Linear(3, 1)
        sgd = optim.SGD(model.parameters(), lr=0.05)
        history = fit(model, F.mse_loss, sgd, data, epochs=2, accumulate=k)
        ends.append((model.weight.detach().numpy(), history.steps["loss"], history.epochs["loss"]))
    for a, b in zip(*ends, strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_several_inputs() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Parameter(gu.zeros(()))

        def forward(self, a: gu.Tensor, b: gu.Tensor) -> gu.Tensor:
            return self.scale * (a + b)

    model = Sum()
    a, b = gu.rand(20), gu.rand(20)
    data = DataLoader(TensorDataset(a, b, 3 * (a + b)), batch_size=5)
    fit(model, F.mse_loss, optim.SGD(model.parameters(), lr=0.3), data, epochs=40)
    assert abs(model.scale.item() - 3) < 1e-3


class Log(Callback):
    """The hooks in the order of their calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        for hook in vars(Callback):
            if hook.startswith("on_"):
                setattr(self, hook, lambda run, hook=hook: self.calls.append(hook))


def test_order_of_the_hooks(task) -> None:
    log = Log()
    fit(*task(batch_size=11), epochs=2, callbacks=[log])
    step = ["on_backward_end", "on_step_end", "on_boundary"]
    epoch = ["on_epoch_start", *step, *step, "on_epoch_end", "on_boundary"]
    assert log.calls == ["on_fit_start", *epoch, *epoch, "on_fit_end", "on_exit"]


def test_after_an_error_only_on_exit_is_called(task) -> None:
    class Fail(Callback):
        def on_step_end(self, run) -> None:
            raise ZeroDivisionError

    log = Log()
    with pytest.raises(ZeroDivisionError):
        fit(*task(), epochs=2, callbacks=[Fail(), log])
    assert log.calls[-2:] == ["on_backward_end", "on_exit"]


@pytest.mark.parametrize("last", [1, 4, 6, 7])
def test_stop_ends_after_the_running_step(task, last: int) -> None:
    class Stop(Callback):
        def on_step_end(self, run) -> None:
            run.stop = run.step == last

    history = fit(*task(), epochs=5, callbacks=[Stop()])
    assert len(history.steps["loss"]) == last
    assert len(history.epochs.get("loss", [])) == (last - 1) // 6


def test_training_mode_and_evaluation_mode(task) -> None:
    run = task()
    run.model.eval()
    seen = set()
    with run.model[3].register_forward_hook(lambda m, args, y: seen.add((m.training, len(y)))):
        x, y = run.data.dataset.tensors
        fit(*run, epochs=1, validation=[(x, y)])
    assert seen == {(True, 4), (True, 2), (False, 22)}


def test_no_epochs_no_change(task) -> None:
    run = task()
    before = run.weights()
    history = fit(*run, epochs=0)
    assert run.weights() == before
    assert history.steps == history.epochs == {}


def test_validation_is_recorded_with_its_metrics(task) -> None:
    run = task()
    x, y = run.data.dataset.tensors
    ones = {"ones": lambda output, target: target.float().mean()}
    history = fit(*run, epochs=3, validation=[(x[:10], y[:10]), (x[10:], y[10:])], metrics=ones)
    assert list(history.epochs) == ["loss", "lr", "validation_loss", "validation_ones"]
    assert np.allclose(history.epochs["validation_ones"], y.float().mean().item())
    run.model.eval()
    last = F.cross_entropy(run.model(x), y).item()
    assert math.isclose(history.epochs["validation_loss"][-1], last, rel_tol=1e-5)


def test_mistakes_are_named(task) -> None:
    model, loss, optimizer, data = task()
    for batch, given_ in ((gu.ones(3, 4), "Tensor"), ((gu.ones(3, 4),), "1 part")):
        with pytest.raises(TypeError, match=rf"a batch is \(\*inputs, target\), got {given_}"):
            fit(model, loss, optimizer, [batch], epochs=1)
    with pytest.raises(ValueError, match=r"epoch 1 gave no batch; .* unlike a generator"):
        fit(model, loss, optimizer, (batch for batch in list(data)), epochs=2)
    with pytest.raises(ValueError, match="epochs 1 and accumulate 0"):
        fit(model, loss, optimizer, data, epochs=1, accumulate=0)
    with pytest.raises(ValueError, match="the data gave no batch"):
        fit(model, loss, optimizer, data, epochs=1, validation=[])


def test_a_column_that_comes_late_has_no_early_values() -> None:
    history = History()
    history.add_epoch(loss=1)
    history.add_epoch(loss=2, validation_loss=3)
    history.add_epoch(loss=4)
    assert history.epochs["loss"] == [1, 2, 4]
    assert np.array_equal(history.epochs["validation_loss"], [np.nan, 3, np.nan], equal_nan=True)
