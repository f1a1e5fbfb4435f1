"""R1.3, R1.5: exact resumption inside one process, and checkpoints that do not fit."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn, optim
from groundup.data import TensorDataset
from groundup.engine.state import pack, unpack
from groundup.training import (
    Average,
    Callback,
    Checkpoint,
    EarlyStopping,
    GradientStatistics,
    Schedule,
    fit,
    load_checkpoint,
    save_checkpoint,
)

EPOCHS, STEPS = 3, 18  # six batches an epoch


class Crash(Callback):
    """Fail after a given number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, run) -> None:
        if run.step == self.step:
            raise ZeroDivisionError


def callbacks(run) -> list[Callback]:
    schedule = optim.lr_scheduler.CosineAnnealingLR(run.optimizer, T_max=STEPS)
    return [
        Schedule(schedule),
        GradientStatistics(every=2),
        Average(optim.EMA(run.model, decay=0.9)),
        EarlyStopping(patience=2),
    ]


def result(run, history, extra: list[Callback]) -> dict[str, Any]:
    return {
        "weights": run.weights(),
        "history": (history.steps, history.epochs),
        "gradients": extra[1].gradients,
        "averages": {name: x.tolist() for name, x in extra[2].ema.averages.items()},
        "next": gu.rand(3).tolist(),
    }


def train(
    run,
    path: Path | None = None,
    crash: int = 0,
    resume: Path | None = None,
    accumulate: int = 1,
    **when: Any,
):
    extra = callbacks(run)
    x, y = run.data.dataset.tensors
    saving = [Checkpoint(path, **when)] if path else []
    history = fit(
        *run,
        epochs=EPOCHS,
        validation=[(x, y)],
        callbacks=[*saving, *extra, *([Crash(crash)] if crash else [])],
        accumulate=accumulate,
        resume=resume,
    )
    return result(run, history, extra)


@pytest.mark.parametrize(
    ("when", "accumulate"),  # six batches are a step of four and one of two
    [
        ({"per": "step"}, 4),
        pytest.param({"per": "step"}, 1, marks=pytest.mark.slow),
        pytest.param({"per": "step", "every": 4}, 1, marks=pytest.mark.slow),
        pytest.param({"per": "step", "every": 4}, 4, marks=pytest.mark.slow),
        ({"per": "epoch"}, 1),
        pytest.param({"per": "epoch"}, 4, marks=pytest.mark.slow),
    ],
)
def test_resuming_after_any_step(
    task, tmp_path: Path, when: dict[str, Any], accumulate: int
) -> None:
    when = when | {"accumulate": accumulate}
    whole = train(task(), accumulate=accumulate)
    steps = len(whole["history"][0]["loss"])
    assert steps == EPOCHS * -(-6 // accumulate)
    for crash in range(2, steps + 1):
        path = tmp_path / f"{crash}.safetensors"
        with pytest.raises(ZeroDivisionError):
            train(task(), path, crash, **when)
        if path.exists():  # it may have crashed before the first one was due
            assert train(task(seed=crash), path, resume=path, **when) == whole


OPTIMIZERS: list[Callable[..., optim.Optimizer]] = [
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    lambda p: optim.Adagrad(p, lr=0.1),
    lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    lambda p: optim.AdamW(
        [{"params": (p := list(p))[:2], "lr": 0.1}, {"params": p[2:]}], weight_decay=0.1
    ),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resuming_every_optimizer(task, tmp_path: Path, optimizer) -> None:
    whole = train(task(optimizer=optimizer))
    path = tmp_path / "run.safetensors"
    with pytest.raises(ZeroDivisionError):
        train(task(optimizer=optimizer), path, crash=9, per="step")
    assert train(task(seed=1, optimizer=optimizer), path, resume=path) == whole


def test_patience_that_was_used_up_stays_used_up(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    values = [3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]

    def epochs_until_it_stops(*more: Callback, **arguments: Any) -> int:
        run = task()
        epoch = iter(range(len(values)))
        if "resume" in arguments:
            epoch = iter(range(3, len(values)))
        history = fit(
            *run,
            epochs=len(values),
            validation=[run.data.dataset.tensors],
            metrics={"given": lambda output, target: values[next(epoch)]},
            callbacks=[EarlyStopping(3, monitor="validation_given"), *more],
            **arguments,
        )
        return len(history.epochs["loss"])

    assert epochs_until_it_stops() == 5
    with pytest.raises(ZeroDivisionError):
        epochs_until_it_stops(Checkpoint(path), Crash(20))  # in epoch 3; one of 3 epochs waited
    assert epochs_until_it_stops(resume=path) == 5


def test_an_epoch_that_goes_on_does_not_start_again(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    class Starts(Callback):
        def __init__(self) -> None:
            self.epochs: list[int] = []

        def on_epoch_start(self, run) -> None:
            self.epochs.append(run.epoch)

    with pytest.raises(ZeroDivisionError):
        fit(*task(), epochs=3, callbacks=[Checkpoint(path, per="step"), Crash(9)])
    starts = Starts()
    fit(*task(), epochs=3, callbacks=[starts], resume=path)
    assert starts.epochs == [2]


def test_more_epochs_continue_a_run_that_ended(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    longer, first = task(), task()
    expected = fit(*longer, epochs=5)
    fit(*task(), epochs=0)  # seeds as the longer run was
    fit(*first, epochs=2, callbacks=[Checkpoint(path)])
    rest = task(seed=3)
    history = fit(*rest, epochs=5, resume=path)
    assert rest.weights() == longer.weights()
    assert (history.steps, history.epochs) == (expected.steps, expected.epochs)


def test_a_run_that_was_complete_stays_as_it_was(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole = train(task(), path)
    again = train(task(seed=5), resume=path)
    del whole["next"], again["next"]
    assert again == whole


def test_data_without_a_state_is_skipped_to_its_place(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    def train_on_list(**arguments: Any):
        run = task()
        gu.manual_seed(0)
        batches = list(run.data)
        fit(*run[:3], batches, epochs=3, accumulate=2, **arguments)
        return run.weights()

    whole = train_on_list()
    with pytest.raises(ZeroDivisionError):
        train_on_list(callbacks=[Checkpoint(path, per="step"), Crash(6)])
    assert train_on_list(resume=path) == whole


def test_augmentation_and_dropout_with_generators_of_their_own(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    def run_with(seed: int, **arguments: Any):
        noise = gu.Generator(seed)

        def transform(x: gu.Tensor, y: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
            return x + 0.1 * gu.randn(*x.shape, generator=noise), y

        run = task(seed=seed, transform=transform, generator=gu.Generator(seed + 1))
        run.model[3].generator = gu.Generator(seed + 2)
        fit(*run, epochs=2, generators=[noise], **arguments)
        return run.weights()

    whole = run_with(0)
    with pytest.raises(ZeroDivisionError):
        run_with(0, callbacks=[Checkpoint(path, per="step"), Crash(8)])
    assert run_with(50, resume=path) == whole


# Files


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_keep(task, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "run.safetensors"
    fit(*task(), epochs=5, callbacks=[Checkpoint(path, keep=keep)])
    names = ["run.safetensors", "run.1.safetensors", "run.2.safetensors"][:keep]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    epochs = [gu.load(tmp_path / name)[1]["parts"]["run"]["state"]["epoch"] for name in names]
    assert epochs == [5, 4, 3][:keep]
    assert fit(*task(), epochs=4, resume=tmp_path / names[-1]).epochs["loss"]


def test_when_checkpoints_are_written(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    class Watch(Callback):
        def __init__(self) -> None:
            self.found: list[int] = []

        def on_boundary(self, run) -> None:
            if path.exists():
                self.found.append(run.step)
                path.unlink()

    for when, expected in (
        ({"per": "epoch"}, [6, 12, 18, 24]),
        ({"per": "epoch", "every": 3}, [18, 24]),
        ({"per": "step", "every": 5}, [5, 10, 15, 20, 24]),
    ):
        watch = Watch()
        fit(*task(), epochs=4, callbacks=[Checkpoint(path, **when), watch])
        assert watch.found == expected


def everything(run, extra: list[Callback]) -> Any:
    """All that a load could change."""
    tensors: dict[str, gu.Tensor] = {}
    tree = [
        run.optimizer.state_dict(),
        run.data.state_dict(),
        *(x.state_dict() for x in extra),
        gu.default_generator.get_state(),
    ]
    packed = pack(tree, "all", tensors)
    return packed, {name: x.tolist() for name, x in tensors.items()}, run.weights()


def other_callbacks(run) -> list[Callback]:
    return [*callbacks(run)[:3], EarlyStopping(), EarlyStopping()]


def other_schedule(run) -> list[Callback]:
    return [Schedule(optim.lr_scheduler.ExponentialLR(run.optimizer, 0.9)), *callbacks(run)[1:]]


@pytest.mark.parametrize(
    ("arguments", "make", "message"),
    [
        ({"hidden": 7}, callbacks, r"0\.weight has shape \(6, 4\), expected \(7, 4\)"),
        ({"optimizer": lambda p: optim.SGD(p, lr=1)}, callbacks, "Adam, but SGD is to be restored"),
        (
            {"optimizer": lambda p: optim.Adam([{"params": [x]} for x in p])},
            callbacks,
            "part 'optimizer' does not fit",
        ),
        ({"batch_size": 5}, callbacks, "batch_size 4, this one has 5"),
        ({}, lambda run: [], "with a state were Average 1, EarlyStopping 1.* here they are none"),
        ({}, other_callbacks, "EarlyStopping 1, EarlyStopping 2"),
        ({}, other_schedule, "the schedule was CosineAnnealingLR, here it is ExponentialLR"),
    ],
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(
    task, tmp_path: Path, arguments: dict[str, Any], make: Any, message: str
) -> None:
    path = tmp_path / "run.safetensors"
    train(task(), path)
    run = task(seed=1, **arguments)
    extra = make(run)
    before = everything(run, extra)
    with pytest.raises(gu.CheckpointError, match=message) as error:
        fit(*run, epochs=EPOCHS, callbacks=extra, resume=path)
    assert str(path) in str(error.value)
    assert everything(run, extra) == before


def test_another_number_of_generators_or_accumulated_batches(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    fit(*task(), epochs=1, callbacks=[Checkpoint(path)])
    with pytest.raises(gu.CheckpointError, match="the run had generators 1, here it is 2"):
        fit(*task(), epochs=2, generators=[gu.Generator(0)], resume=path)
    with pytest.raises(gu.CheckpointError, match="the run had accumulate 1, here it is 2"):
        fit(*task(), epochs=2, accumulate=2, resume=path)


def test_files_that_are_no_checkpoints(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run = task()
    with pytest.raises(gu.CheckpointError, match="there is no such file"):
        fit(*run, epochs=1, resume=path)
    gu.save(run.model.state_dict(), path)
    with pytest.raises(gu.CheckpointError, match="not a checkpoint of training"):
        fit(*run, epochs=1, resume=path)
    fit(*run, epochs=1, callbacks=[Checkpoint(path)])
    content = path.read_bytes()
    before = run.weights()
    for length in (0, 7, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(gu.CheckpointError, match="not a readable safetensors file"):
            fit(*run, epochs=2, resume=path)
    assert run.weights() == before


def test_parts_can_be_loaded_alone(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    a, b = task(), task(seed=1)
    g = gu.Generator(4)
    g.uniform((3,))
    save_checkpoint(path, model=a.model, optimizer=a.optimizer, noise=g, note={"best": [1, None]})
    other = gu.Generator(0)
    values = load_checkpoint(path, model=b.model, noise=other)
    assert values == {"note": {"best": [1, None]}}
    assert a.weights() == b.weights()
    assert (g.uniform((3,)) == other.uniform((3,))).all()
    with pytest.raises(gu.CheckpointError, match="no part 'ema'; its parts are model, optimizer"):
        load_checkpoint(path, ema=optim.EMA(b.model))
    with pytest.raises(gu.CheckpointError, match=r"0\.weight is float32, here it is float64"):
        load_checkpoint(path, model=b.model.double())


def test_what_cannot_be_saved_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_checkpoint(path, step=1)
    with pytest.raises(TypeError, match=r"things/1 is set, which a checkpoint cannot hold"):
        save_checkpoint(path, things=[1, {2}])
    with pytest.raises(ValueError, match="two tensors are called 'a/b/c'"):
        save_checkpoint(path, a={"b/c": gu.ones(1), "b": {"c": gu.ones(1)}})
    assert load_checkpoint(path) == {"step": 1}


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.lists(st.floats(width=32, allow_nan=False), max_size=3).map(
        lambda numbers: gu.tensor(numbers, dtype=gu.float32)
    )
)
keys = st.text(alphabet="ab$", max_size=3) | st.integers()
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=10,
)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, gu.Tensor):
        return isinstance(b, gu.Tensor) and gu.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@given(trees)
def test_a_tree_comes_back_from_a_file(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = tmp_path_factory.mktemp("tree") / "tree.safetensors"
    tensors: dict[str, gu.Tensor] = {}
    packed = pack(tree, "t", tensors)
    gu.save(tensors, path, packed)
    loaded, metadata = gu.load(path)
    assert same(unpack(metadata, loaded), tree)


# Ctrl-C


class Press(Callback):
    """Ctrl-C in the middle of given steps."""

    def __init__(self, *steps: int, times: int = 1) -> None:
        self.steps = steps
        self.times = times

    def on_backward_end(self, run) -> None:
        for _ in range(self.times * (run.step in self.steps)):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_waits_for_the_step_and_leaves_a_checkpoint(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    whole = task()
    fit(*whole, epochs=3)
    for step in (0, 3, 5, 6):  # the first and the last of an epoch among them
        path.unlink(missing_ok=True)
        stopped = task()
        with pytest.raises(KeyboardInterrupt):
            fit(*stopped, epochs=3, callbacks=[Checkpoint(path, every=99), Press(step)])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        resumed = task(seed=9)
        history = fit(*resumed, epochs=3, resume=path)
        assert resumed.weights() == whole.weights()
        assert len(history.steps["loss"]) == STEPS


def test_a_second_interrupt_is_not_held_back(task, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(*task(), epochs=3, callbacks=[Checkpoint(path, every=99), Press(2, times=2)])
    assert not path.exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_is_left_alone(task) -> None:
    received = []
    before = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        fit(*task(), epochs=1, callbacks=[Press(2)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [signal.SIGINT]


def test_an_interrupt_after_the_last_step_is_not_lost(task) -> None:
    class AtTheEnd(Callback):
        def on_fit_end(self, run) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(*task(), epochs=1, callbacks=[AtTheEnd()])


def test_a_learned_loss_and_a_loss_with_a_state(task, tmp_path: Path) -> None:
    """A loss that has parameters is part of the checkpoint."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.scale = nn.Parameter(gu.ones(()))

        def forward(self, output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
            return nn.functional.cross_entropy(output * self.scale, target)

    def train_scaled(**arguments: Any):
        run, loss = task(), Scaled()
        adam = optim.Adam([*run.model.parameters(), *loss.parameters()], lr=0.01)
        fit(run.model, loss, adam, run.data, epochs=3, **arguments)
        return run.weights(), loss.scale.item()

    path = tmp_path / "run.safetensors"
    whole = train_scaled()
    with pytest.raises(ZeroDivisionError):
        train_scaled(callbacks=[Checkpoint(path, per="step"), Crash(9)])
    assert train_scaled(resume=path) == whole
    assert whole[1] != 1


def test_validation_with_a_loader_of_its_own(task, tmp_path: Path) -> None:
    """Its order changes the rounding of the mean, so its state belongs to the run's."""
    path = tmp_path / "run.safetensors"

    def train_validated(seed: int, **arguments: Any):
        run = task(seed)
        held_out = task(seed, batch_size=3, generator=gu.Generator(seed)).data
        assert isinstance(held_out.dataset, TensorDataset)
        gu.manual_seed(seed)
        return fit(*run, epochs=4, validation=held_out, **arguments).epochs

    whole = train_validated(0)
    with pytest.raises(ZeroDivisionError):
        train_validated(0, callbacks=[Checkpoint(path, per="step"), Crash(15)])
    assert train_validated(7, resume=path) == whole
