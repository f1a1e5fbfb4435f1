import io
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from rich.console import Console

import groundup as gu
from groundup import nn, optim
from groundup.training import (
    Average,
    Callback,
    Checkpoint,
    ClipGradients,
    EarlyStopping,
    GradientStatistics,
    Progress,
    Schedule,
    fit,
)

F = nn.functional
lr_scheduler = optim.lr_scheduler


class Record(Callback):
    """The weights after every step and epoch, and the gradients that the optimizer used."""

    def __init__(self) -> None:
        self.steps: list[dict[str, np.ndarray]] = []
        self.epochs: list[dict[str, np.ndarray]] = []
        self.gradients: list[dict[str, np.ndarray]] = []

    @staticmethod
    def _weights(run) -> dict[str, np.ndarray]:
        return {name: x.detach().numpy().copy() for name, x in run.model.named_parameters()}

    def on_fit_start(self, run) -> None:
        self.steps.append(self._weights(run))

    def on_step_end(self, run) -> None:
        self.steps.append(self._weights(run))
        self.gradients.append(
            {name: x.grad.numpy().copy() for name, x in run.model.named_parameters()}
        )

    def on_epoch_end(self, run) -> None:
        self.epochs.append(self._weights(run))


# Early stopping. R2.8


def stopped_by(values: list[float], stopping: EarlyStopping) -> tuple[int, nn.Linear, Record]:
    """Train with a metric that takes given values; the number of epochs, the model, the weights."""
    model, record = nn.Linear(1, 1), Record()
    given_values = iter(values)
    history = fit(
        model,
        F.mse_loss,
        optim.SGD(model.parameters(), lr=0.01),
        [(gu.ones(4, 1), gu.ones(4, 1))],
        epochs=len(values),
        validation=[(gu.ones(1, 1), gu.ones(1, 1))],
        metrics={"given": lambda output, target: next(given_values)},
        callbacks=[record, stopping],
    )
    return len(history.epochs["loss"]), model, record


def expected_stop(values: list[float], patience: int, min_delta: float) -> tuple[int, int]:
    """(epochs run, best epoch), from the definition."""
    best, best_epoch = values[0], 0
    for epoch, value in enumerate(values[1:], start=1):
        if value < best - min_delta:
            best, best_epoch = value, epoch
        if epoch - best_epoch >= patience:
            return epoch + 1, best_epoch
    return len(values), best_epoch


@given(
    st.lists(st.integers(0, 20).map(float), min_size=1, max_size=15),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 3.0]),
    st.sampled_from(["min", "max"]),
)
def test_early_stopping_follows_its_definition(
    values: list[float], patience: int, min_delta: float, mode: str
) -> None:
    shown = values if mode == "min" else [-value for value in values]
    stopping = EarlyStopping(patience, min_delta, mode, monitor="validation_given")
    epochs, model, record = stopped_by(shown, stopping)
    expected, best_epoch = expected_stop(values, patience, min_delta)
    assert epochs == expected
    assert (stopping.best_epoch, stopping.best) == (best_epoch, shown[best_epoch])
    assert np.array_equal(model.weight.detach().numpy(), record.epochs[best_epoch]["weight"])


@pytest.mark.parametrize("patience", [1, 3, 7])
def test_a_metric_that_never_improves_stops_after_the_patience(patience: int) -> None:
    epochs, *_ = stopped_by([1.0] * 20, EarlyStopping(patience, monitor="validation_given"))
    assert epochs == patience + 1


def test_a_metric_that_always_improves_never_stops() -> None:
    falling = [1 / (i + 1) for i in range(20)]
    epochs, *_ = stopped_by(falling, EarlyStopping(1, monitor="validation_given"))
    assert epochs == 20


def test_nan_is_no_improvement_and_no_best_value() -> None:
    stopping = EarlyStopping(2, monitor="validation_given")
    epochs, *_ = stopped_by([math.nan, 3.0, math.nan, math.nan, 1.0], stopping)
    assert (epochs, stopping.best, stopping.best_epoch) == (4, 3.0, 1)


def test_without_restoring_the_last_weights_stay() -> None:
    stopping = EarlyStopping(2, monitor="validation_given", restore_best=False)
    _, model, record = stopped_by([1.0, 2.0, 3.0, 4.0], stopping)
    assert np.array_equal(model.weight.detach().numpy(), record.epochs[-1]["weight"])


def test_a_column_that_is_not_there_is_named(task) -> None:
    with pytest.raises(KeyError, match="no column 'validation_loss', it has loss, lr; pass valid"):
        fit(*task(), epochs=1, callbacks=[EarlyStopping()])


# Schedules. R2.8


def test_a_schedule_per_step_and_one_per_epoch(task) -> None:
    def sgd(parameters):
        return optim.SGD(parameters, lr=0.8)

    run = task(optimizer=sgd)
    cosine = lr_scheduler.CosineAnnealingLR(run.optimizer, T_max=12)
    history = fit(*run, epochs=2, callbacks=[Schedule(cosine, per="step")])
    assert np.allclose(
        history.steps["lr"], [0.4 * (1 + math.cos(math.pi * i / 12)) for i in range(12)]
    )

    run = task(optimizer=sgd)
    halve = lr_scheduler.ExponentialLR(run.optimizer, gamma=0.5)
    history = fit(*run, epochs=3, callbacks=[Schedule(halve, per="epoch")])
    assert history.steps["lr"] == [0.8] * 6 + [0.4] * 6 + [0.2] * 6


def test_a_schedule_that_watches_a_column(task) -> None:
    run = task(optimizer=lambda parameters: optim.SGD(parameters, lr=1.0))
    x, y = run.data.dataset.tensors
    plateau = lr_scheduler.ReduceLROnPlateau(run.optimizer, factor=0.5, patience=0)
    history = fit(
        *run,
        epochs=4,
        validation=[(x, y)],
        metrics={"one": lambda output, target: 1.0},
        callbacks=[Schedule(plateau, per="epoch", monitor="validation_one")],
    )
    assert history.epochs["lr"] == [1.0, 1.0, 0.5, 0.25]
    with pytest.raises(ValueError, match="ReduceLROnPlateau takes per='epoch' and a column"):
        Schedule(plateau, per="epoch")
    with pytest.raises(ValueError, match="per 'hour', expected 'step' or 'epoch'"):
        Schedule(plateau, per="hour")


# Clipping. R2.8


def test_the_norm_of_a_step_is_bounded() -> None:
    model, record = nn.Linear(3, 1), Record()
    statistics = GradientStatistics()
    data = [(gu.randn(8, 3) * 100, gu.randn(8, 1) * scale) for scale in (0.0, 1e4, 1e-3)]
    fit(
        model,
        F.mse_loss,
        optim.SGD(model.parameters(), lr=1.0),
        data,
        epochs=2,
        callbacks=[statistics, ClipGradients(max_norm=0.5), record],
    )
    for i, gradients in enumerate(record.gradients):
        norm = math.sqrt(sum((g**2).sum() for g in gradients.values()))
        before = math.hypot(*(column["norm"][i] for column in statistics.gradients.values()))
        assert math.isclose(norm, min(before, 0.5), rel_tol=1e-4)
    assert before > 0.5


def test_values_are_bounded_before_the_norm() -> None:
    model, record = nn.Linear(2, 1, bias=False), Record()
    data = [(gu.tensor([[1000.0, 0.001]]), gu.tensor([[1e6]]))]
    sgd = optim.SGD(model.parameters(), lr=1.0)
    clip = ClipGradients(max_value=3.0, max_norm=1.0)
    fit(model, F.mse_loss, sgd, data, epochs=1, callbacks=[clip, record])
    # (-2e9, -2e3) becomes (-3, -3), and that has norm 1 as (-1, -1) / sqrt(2).
    assert np.allclose(record.gradients[0]["weight"], -math.sqrt(0.5), rtol=1e-4)


# Gradient statistics. R2.10


def test_statistics_are_those_of_the_gradients_and_weights(task) -> None:
    run, record, statistics = task(), Record(), GradientStatistics(every=4)
    fit(*run, epochs=2, callbacks=[statistics, record])
    assert statistics.steps == [0, 4, 8]
    for i, step in enumerate(statistics.steps):
        for columns, arrays in (
            (statistics.gradients, record.gradients[step]),
            (statistics.weights, record.steps[step]),
        ):
            assert list(columns) == list(arrays)
            for name, array in arrays.items():
                found = [columns[name][key][i] for key in ("norm", "mean", "max")]
                expected = [np.linalg.norm(array), array.mean(), np.abs(array).max()]
                assert np.allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_vanishing_gradients_are_seen_layer_by_layer() -> None:
    gu.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (nn.Linear(8, 8), nn.Sigmoid())]
    model = nn.Sequential(*layers, nn.Linear(8, 1))
    statistics = GradientStatistics()
    data = [(gu.randn(32, 8), gu.randn(32, 1))]
    sgd = optim.SGD(model.parameters(), lr=0.1)
    fit(model, F.mse_loss, sgd, data, epochs=3, callbacks=[statistics])
    # The gradient of a bias is what arrives at its layer: no input of the layer is in it.
    norms = [column["norm"][0] for name, column in statistics.gradients.items() if "bias" in name]
    # A sigmoid's slope is at most 1/4, so each layer further down gets less.
    assert all(lower < upper / 2 for lower, upper in pairwise(norms))
    assert norms[0] < 1e-4 * norms[-1]


def test_a_parameter_without_a_gradient_counts_as_zero() -> None:
    model = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
    statistics = GradientStatistics()
    sgd = optim.SGD(model[1].parameters(), lr=0.1)
    data = [(gu.ones(3, 2), gu.ones(3, 1))]
    fit(model, F.mse_loss, sgd, data, epochs=2, callbacks=[statistics])
    assert statistics.gradients["0.weight"] == {"norm": [0, 0], "mean": [0, 0], "max": [0, 0]}
    assert statistics.gradients["1.weight"]["norm"][0] > 0


# Averaging


def test_the_average_is_the_recursion(task) -> None:
    run, record = task(), Record()
    average = Average(optim.EMA(run.model, decay=0.8))
    fit(*run, epochs=2, callbacks=[record, average])
    for name, x in average.ema.averages.items():
        if name in record.steps[0]:
            expected = record.steps[0][name]
            for weights in record.steps[1:]:
                expected = 0.8 * expected + 0.2 * weights[name]
            assert np.allclose(x.numpy(), expected, atol=1e-6)
            assert gu.equal(run.model.state_dict()[name], x)  # the model ends with the average


def test_validation_sees_the_average_and_training_does_not(task) -> None:
    plain, averaged = task(), task()
    x, y = plain.data.dataset.tensors
    seen: list[gu.Tensor] = []

    def weight(output: gu.Tensor, target: gu.Tensor) -> float:
        seen.append(averaged.model[0].weight.detach().clone())
        return 0.0

    gu.manual_seed(0)
    a = fit(*plain, epochs=3)
    gu.manual_seed(0)
    average, record = Average(optim.EMA(averaged.model, decay=0.9)), Record()
    b = fit(
        *averaged,
        epochs=3,
        validation=[(x, y)],
        metrics={"weight": weight},
        callbacks=[average, record],
    )
    assert a.steps == b.steps
    assert gu.equal(seen[-1], average.ema.averages["0.weight"])
    assert not np.array_equal(seen[-1].numpy(), record.steps[-1]["0.weight"])


def test_the_best_average_is_restored(task) -> None:
    run, record = task(), Record()
    x, y = run.data.dataset.tensors
    values = iter([2.0, 1.0, 3.0, 4.0])
    average = Average(optim.EMA(run.model, decay=0.9))
    stopping = EarlyStopping(2, monitor="validation_given")
    arguments = {"epochs": 9, "validation": [(x, y)]}
    metrics = {"given": lambda output, target: next(values)}
    fit(*run, **arguments, metrics=metrics, callbacks=[average, record, stopping])
    assert np.array_equal(run.model[0].weight.detach().numpy(), record.epochs[1]["0.weight"])
    with pytest.raises(ValueError, match="put Average first"):
        fit(*run, **arguments, callbacks=[stopping, average])


# Progress


def test_progress_shows_where_training_is(task) -> None:
    screen = io.StringIO()
    run = task()
    x, y = run.data.dataset.tensors
    bar = Progress(Console(file=screen, force_terminal=True, width=160))
    history = fit(*run, epochs=2, validation=[(x, y)], callbacks=[bar])
    text = screen.getvalue()
    assert "epoch 1/2 step 0" in text
    assert "epoch 2/2 step 12" in text
    assert f"loss {history.steps['loss'][-1]:.4g}" in text
    assert f"loss {history.epochs['validation_loss'][-1]:.4g} (validation)" in text
    assert "steps/s" in text


def test_progress_is_quiet_where_there_is_no_terminal(task) -> None:
    screen = io.StringIO()
    fit(*task(), epochs=1, callbacks=[Progress(Console(file=screen))])
    assert screen.getvalue() == ""


def test_progress_gives_the_terminal_back_after_an_error(task) -> None:
    class Fail(Callback):
        def on_step_end(self, run) -> None:
            raise ZeroDivisionError

    screen = io.StringIO()
    bar = Progress(Console(file=screen, force_terminal=True))
    with pytest.raises(ZeroDivisionError):
        fit(*task(), epochs=1, callbacks=[bar, Fail()])
    assert screen.getvalue().rindex("\x1b[?25h") > screen.getvalue().rindex("\x1b[?25l")  # cursor


def test_progress_without_a_known_length() -> None:
    class Endless:
        def __iter__(self):
            return iter([(gu.ones(2, 1), gu.ones(2, 1))] * 3)

    screen = io.StringIO()
    model = nn.Linear(1, 1)
    bar = Progress(Console(file=screen, force_terminal=True, width=120))
    fit(
        model,
        F.mse_loss,
        optim.SGD(model.parameters(), lr=0.1),
        Endless(),
        epochs=2,
        callbacks=[bar],
    )
    assert "step 6" in screen.getvalue()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(patience=0), "patience 0"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta -1"),
        (lambda: EarlyStopping(mode="best"), "mode 'best'"),
        (lambda: Checkpoint("x", every=0), "every 0"),
        (lambda: Checkpoint("x", per="hour"), "per 'hour'"),
        (lambda: Checkpoint("x", keep=0), "keep 0"),
        (lambda: ClipGradients(), "at least one positive bound"),
        (lambda: ClipGradients(max_norm=0), "at least one positive bound"),
        (lambda: GradientStatistics(every=0), "every 0"),
    ],
)
def test_arguments_out_of_range(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
