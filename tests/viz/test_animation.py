"""Recordings of trainings and the page made of them. R3.13."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.viz.diagrams import SVG, parse, parts

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim
from groundup.data import DataLoader, Subset, TensorDataset
from groundup.experiments import Trial
from groundup.runs import Store
from groundup.training import Callback, fit
from groundup.training.run import Run as Training
from groundup.viz.animation import Chart, Film, Recorder, Recording, write_animation
from groundup.viz.animation.examples import choose, meaning
from groundup.viz.animation.frame import GRID, Camera
from groundup.viz.animation.page import SCRIPTS, _packed
from groundup.viz.animation.recorder import _due
from groundup.viz.animation.scene import heights, scene
from groundup.viz.network_stages import Block, Column, stages


class Branched(nn.Module):
    """Not a chain, so it cannot be drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.a(x) + self.b(x)


class Last(nn.Module):
    """A recurrent layer and what comes of its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.out = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        return self.out(gu.relu(self.recurrent(x)[0][:, -1]))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), (4,)),
    "wide": (lambda: nn.Sequential(nn.Linear(4, 90), nn.ReLU(), nn.Linear(90, 3)), (4,)),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(0.5), nn.Linear(36, 3), nn.Softmax(dim=-1),
        ),
        (1, 8, 8),
    ),
    "lstm": (Last, (7, 3)),
}  # fmt: skip


def training(model: nn.Module, shape: tuple[int, ...], loss: Any = F.cross_entropy) -> Training:
    x, y = gu.randn(20, *shape), gu.arange(20) % 3 % model_outputs(model, shape)
    return Training(model, loss, optim.SGD(model.parameters(), lr=0.1), [(x, y)], 3)


def model_outputs(model: nn.Module, shape: tuple[int, ...]) -> int:
    return model(gu.zeros(2, *shape)).shape[1]


# -------------------------------------------------------------------------- what a frame holds


@pytest.mark.parametrize("name", MODELS)
def test_a_frame_is_what_the_diagram_shows(name: str) -> None:
    gu.manual_seed(1)
    make, shape = MODELS[name]
    run = training(make(), shape)
    camera = Camera(run, 8)
    frame = camera.frame()
    inputs = camera.fixed["inputs"]
    assert len(inputs) == 6 if name != "lstm" else len(inputs) >= 4
    seen = set()
    for k, x in enumerate(inputs):
        for i, stage in enumerate(stages(run.model, x[None])):
            if isinstance(stage, Column) and stage.values is not None:
                np.testing.assert_allclose(frame[f"values.{i}"][k], stage.values, atol=1e-6)
                seen.add(f"values.{i}")
            if isinstance(stage, Column) and stage.weight is not None and stage.size <= 64:
                shown = frame[f"weight.{i}"]
                rows = range(stage.weight.shape[1])
                columns = rows if len(rows) <= 64 else [*rows[:8], *rows[-8:]]
                np.testing.assert_allclose(shown, stage.weight[:, list(columns)], atol=1e-6)
                np.testing.assert_allclose(frame[f"bias.{i}"], stage.bias, atol=1e-6)
            if isinstance(stage, Block) and stage.maps is not None:
                np.testing.assert_allclose(frame[f"maps.{i}"][k], stage.maps[:16], atol=1e-6)
                seen.add(f"maps.{i}")
            if isinstance(stage, Block) and stage.kernels is not None:
                np.testing.assert_allclose(frame[f"kernels.{i}"], stage.kernels[:16], atol=1e-6)
    assert {key for key in frame if key.startswith(("values.", "maps."))} == seen
    outputs = run.model.eval()(gu.tensor(inputs))
    expected = outputs if camera.about["meaning"] == "classes" else F.softmax(outputs, dim=-1)
    np.testing.assert_allclose(frame["outputs"], expected.detach().numpy(), atol=1e-5)


def test_weights_beyond_the_drawn_ones_are_summarised() -> None:
    gu.manual_seed(2)
    run = training(MODELS["wide"][0](), (4,))
    frame = Camera(run, 6).frame()
    weight = run.model[2].weight.detach().numpy()
    quantiles = frame["quantiles.2"]
    assert quantiles[0] == weight.min()
    assert quantiles[-1] == weight.max()
    scale = float(np.abs(weight).max())
    found = heights(quantiles[None], scale)[0]
    counts, _ = np.histogram(weight, bins=len(found), range=(-scale, scale))
    np.testing.assert_allclose(found, counts / counts.max(), atol=0.35)
    np.testing.assert_allclose(found.cumsum() / found.sum(), counts.cumsum() / 270, atol=0.03)


def test_the_surface_is_the_model_on_a_grid() -> None:
    gu.manual_seed(3)
    for outputs, loss in ((1, F.binary_cross_entropy_with_logits), (2, F.cross_entropy), (3, None)):
        model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, outputs))
        x, k = gu.randn(30, 2), gu.arange(30) % max(2, outputs)
        y = k.float().unsqueeze(1) if outputs == 1 else k
        sgd = optim.SGD(model.parameters(), lr=0.1)
        camera = Camera(Training(model, loss or F.cross_entropy, sgd, [(x, y)], 1), 6)
        frame = camera.frame()
        (x0, x1), (y0, y1) = camera.about["range"]
        assert x0 < x.numpy()[:, 0].min() < x.numpy()[:, 0].max() < x1
        for row, column in itertools.product((0, 17, GRID - 1), (0, 30, GRID - 1)):
            point = [x0 + (x1 - x0) * column / (GRID - 1), y1 + (y0 - y1) * row / (GRID - 1)]
            given = model(gu.tensor([point]))
            if outputs == 1:
                expected = gu.sigmoid(given).item()
            elif outputs == 2:
                expected = F.softmax(given, dim=1)[0, 1].item()
            else:
                ordered = np.sort(F.softmax(given, dim=1).detach().numpy()[0])
                expected = ordered[-1] - ordered[-2]
                assert frame["winner"][row, column] == given.argmax(dim=1).item()
            assert frame["surface"][row, column] == pytest.approx(expected, abs=1e-5)


BINARY = np.array([[0.0], [1.0], [1.0], [0.0]])


def test_the_loss_tells_what_outputs_are() -> None:
    half = np.full((4, 1), 0.4)
    assert meaning(half, BINARY, F.mse_loss, (1,)) == "values"
    assert meaning(half, BINARY, F.binary_cross_entropy, (1,)) == "binary"
    assert meaning(half, BINARY, nn.BCEWithLogitsLoss(), (1,)) == "binary logits"
    assert (
        meaning(half, BINARY, lambda a, b: F.binary_cross_entropy_with_logits(a, b), (1,))
        == "binary logits"
    )
    assert meaning(half, np.array([[0.2], [1.0], [3.0], [0.0]]), F.mse_loss, (1,)) == "values"
    labels = np.array([0, 1, 2, 0])
    assert meaning(np.full((4, 3), 1 / 3), labels, F.nll_loss, (3,)) == "classes"
    assert meaning(np.full((4, 3), -1.1), labels, F.nll_loss, (3,)) == "logits"


def test_examples_are_of_every_class_and_move_no_loader() -> None:
    x, y = gu.randn(50, 4), gu.arange(50) % 5
    model = nn.Linear(4, 5)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    for data in (
        DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True),
        DataLoader(Subset(TensorDataset(x, y), range(10, 50)), batch_size=4, shuffle=True),
    ):
        before = gu.engine.random.default_generator.get_state()
        found = choose(Training(model, F.cross_entropy, sgd, data, 1), 10)
        assert found is not None
        assert sorted(found.targets.tolist()) == [0, 1, 2, 3, 4]
        assert all((row == x.numpy()).all(axis=1).any() for row in found.inputs)
        assert gu.engine.random.default_generator.get_state() == before
    stream = iter([(x, y)])
    assert choose(Training(model, F.cross_entropy, sgd, stream, 1), 10) is None


# --------------------------------------------------------------------------- which moments


@given(st.integers(1, 10_000), st.integers(4, 90))
def test_moments_are_few_and_reach_from_end_to_end(steps: int, most: int) -> None:
    pace = steps / (most - 1) ** 2
    found = [step for step in range(steps + 1) if _due(step, pace)]
    assert found[0] == 0
    assert found[-1] == steps
    assert len(found) <= most
    gaps = np.diff(found)
    assert all(later >= earlier - 1 for earlier, later in itertools.pairwise(gaps))


@given(st.floats(1e-6, 50), st.integers(0, 5_000))
def test_slower_moments_are_among_the_faster(pace: float, step: int) -> None:
    assert _due(step, pace) or not _due(step, 4 * pace)


def filmed(
    path: Path, epochs: int, *, sized: bool = True, more: tuple[Callback, ...] = (), **options: Any
) -> Recording:
    gu.manual_seed(0)
    x, y = gu.randn(24, 2), gu.arange(24) % 2
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Tanh(), nn.Linear(4, 2))
    loader = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=True)
    data = loader if sized else Unsized(loader)
    adam = optim.Adam(model.parameters(), lr=0.01)
    recorders = [Recorder(path, **options)]
    fit(model, F.cross_entropy, adam, data, epochs=epochs, callbacks=[*recorders, *more])
    return Recording.load(path)


class Unsized:
    """Batches whose number is not told."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __iter__(self) -> Any:
        return iter(self.loader)


@pytest.mark.parametrize("sized", [True, False])
def test_the_number_of_frames_is_bounded(tmp_path: Path, sized: bool) -> None:
    for epochs in (1, 3, 60):
        found = filmed(tmp_path / f"{epochs}", epochs, sized=sized, frames=12)
        assert found.steps[0] == 0
        assert found.steps[-1] == 4 * epochs
        assert (np.diff(found.steps) > 0).all()
        assert 4 <= len(found) <= 12
        if sized:
            np.testing.assert_allclose(found.epochs, found.steps / 4)
        else:
            assert np.isnan(found.epochs).all()


def test_recording_changes_nothing(tmp_path: Path) -> None:
    def trained(recorders: list[Callback]) -> list[Any]:
        gu.manual_seed(5)
        x, y = gu.randn(20, 1, 8, 8), gu.arange(20) % 3
        model = MODELS["cnn"][0]()
        loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)
        adam = optim.Adam(model.parameters(), lr=0.01)
        history = fit(model, F.cross_entropy, adam, loader, epochs=3, callbacks=recorders)
        state = {name: value.tolist() for name, value in model.state_dict().items()}
        return [state, history.steps, gu.rand(3).tolist(), model.training]

    assert trained([Recorder(tmp_path / "a")]) == trained([])


def test_a_recording_ends_where_numbers_do(tmp_path: Path) -> None:
    x, y = gu.randn(8, 2), gu.randn(8, 1)
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    sgd = optim.SGD(model.parameters(), lr=1e12)
    fit(model, F.mse_loss, sgd, [(x, y)], epochs=9, callbacks=[Recorder(tmp_path / "a")])
    found = Recording.load(tmp_path / "a")
    assert 0 < len(found) < 9
    assert found.about["ended"] > found.steps[-1]
    assert all(np.isfinite(values).all() for values in found.frames.values())
    page = write_animation([Film("a", found)], tmp_path / "a.html", title="A").read_text()
    assert "a number was not finite" in page


def test_what_cannot_be_shown_is_left_alone(tmp_path: Path) -> None:
    x, y = gu.randn(8, 4), gu.arange(8) % 3
    model = Branched()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    fit(model, F.cross_entropy, sgd, [(x, y)], epochs=2, callbacks=[Recorder(tmp_path / "a")])
    found = Recording.load(tmp_path / "a")
    assert set(found.frames) == {"outputs"}
    assert "takes values of" in found.about["camera"]["not drawn"]
    assert scene(found, []) is None

    def none_left(model: nn.Module, data: Any, **options: Any) -> bool:
        path = tmp_path / "none"
        sgd = optim.SGD(model.parameters(), lr=0.1)
        fit(model, F.cross_entropy, sgd, data, epochs=2, callbacks=[Recorder(path, **options)])
        return not path.exists()

    assert none_left(nn.Linear(4, 3), [(x, y)], largest=14)  # it has 15 parameters
    assert none_left(Branched(), Unsized([(x, y)]))  # type: ignore[arg-type]
    assert not none_left(nn.Linear(4, 3), [(x, y)], largest=15)


# ------------------------------------------------------------------- stopped, killed, resumed


class Stop(Callback):
    """Fails after a step, as a killed process does for what is in the files."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_boundary(self, run: Training) -> None:
        if run.step == self.step and run.position:
            raise ZeroDivisionError


def line(store: Store, run_id: str, stop: int, seconds: float, monkeypatch: Any) -> Path:
    """Train in a trial whose checkpoints come after so many seconds; the recording's path."""
    monkeypatch.setattr("groundup.experiments.trial.Keep.__init__.__defaults__", (seconds, ()))
    gu.manual_seed(0)
    x, y = gu.randn(24, 2), gu.arange(24) % 2
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.2), nn.Tanh(), nn.Linear(4, 2))
    loader = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=True)
    adam = optim.Adam(model.parameters(), lr=0.01)
    with store.resume(run_id) as run:
        Trial(run).fit(
            "net", model, F.cross_entropy, adam, loader, epochs=8, callbacks=[Stop(stop)]
        )
    return run.folder / "recordings" / "net.safetensors"


@pytest.mark.parametrize("stop", [1, 9, 31])
def test_resuming_neither_loses_nor_repeats_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    with Store(tmp_path) as store:
        whole = Recording.load(line(store, store.queue("a").id, -1, 0.0, monkeypatch))
        for seconds in (0.0, 0.004, 1e9):  # a checkpoint each step, now and then, none
            killed = store.queue("a").id
            with pytest.raises(ZeroDivisionError):
                line(store, killed, stop, seconds, monkeypatch)
            found = Recording.load(line(store, killed, -1, 0.0, monkeypatch))
            assert found.about == whole.about
            assert found.steps.tolist() == whole.steps.tolist()
            for name, values in whole.frames.items():
                np.testing.assert_array_equal(found.frames[name], values)
        # A fit that is complete leaves its recording as it is.
        before = (path := line(store, killed, -1, 0.0, monkeypatch)).read_bytes()
        assert line(store, killed, -1, 0.0, monkeypatch).read_bytes() == before
        assert path.exists()


def test_a_fit_can_do_without(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("a") as run:
        model, x = nn.Linear(1, 1), gu.ones(4, 1)
        sgd = optim.SGD(model.parameters(), lr=0.1)
        Trial(run).fit("a", model, F.mse_loss, sgd, [(x, x)], epochs=2, animate=False)
        assert not (run.folder / "recordings").exists()


# ------------------------------------------------------------------------------- the file


def test_damaged_and_foreign_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    filmed(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(gu.CheckpointError, match="truncated"):
        Recording.load(path)
    gu.save({"a": gu.ones(2)}, path)
    with pytest.raises(gu.CheckpointError, match="not the recording of a training"):
        Recording.load(path)
    gu.save({}, path, {"kind": "groundup recording", "version": 99})
    with pytest.raises(gu.CheckpointError, match="version 99"):
        Recording.load(path)


def test_what_half_precision_cannot_hold_is_kept_whole(tmp_path: Path) -> None:
    large = np.array([[1e6], [2e6]], np.float32)
    frames = {"outputs": large, "values.0": large / 1e6}
    Recording({}, {}, np.arange(2), np.zeros(2), frames).save(tmp_path / "a")
    found = Recording.load(tmp_path / "a")
    assert (found.frames["outputs"] == large).all()
    assert gu.load(tmp_path / "a")[0]["frames/values.0"].dtype == np.float16


# ------------------------------------------------------------------------------- the page


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=30), st.sampled_from([8, 16]))
def test_numbers_on_the_page_are_near_the_recorded_ones(values: list[float], bits: int) -> None:
    told = _packed(np.array([values]), 3.0, bits)
    content = np.frombuffer(base64.b64decode(told["data"]), f"<i{bits // 8}")
    most = 2 ** (bits - 1) - 1
    np.testing.assert_allclose(content / most * 3.0, values, atol=3.0 / most)
    assert told["shape"] == [1, len(values)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return filmed(tmp_path_factory.mktemp("film") / "a", 20)


def test_the_page_is_one_file_that_runs_its_own_script_only(
    tmp_path: Path, recording: Recording
) -> None:
    film = Film("[[script]] </script>", recording, [Chart("Loss [[title]]", {"a": ([1], [2])})])
    title = "A <b> & [[data]]"
    page = write_animation([film], tmp_path / "a.html", title=title, subtitle="x").read_text()
    again = write_animation([film], tmp_path / "b.html", title=title, subtitle="x").read_text()
    assert page == again
    assert "<title>A &lt;b&gt; &amp; [[data]]</title>" in page
    assert page.count("</script>") == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    script = page[page.rindex("<script>") + 8 : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    content = json.loads(data[1])
    assert content["films"][0]["name"] == "[[script]] </script>"
    assert content["films"][0]["steps"] == recording.steps.tolist()


def test_the_script_sets_text_as_text_and_evaluates_nothing() -> None:
    folder = files("groundup.viz.animation")
    for name in SCRIPTS:
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(",
            text,
        ), name
    shipped = {path.name for path in folder.iterdir()}
    assert {*SCRIPTS, "player.css", "page.html"} <= shipped


def test_the_drawing_is_that_of_the_diagram(recording: Recording) -> None:
    drawn = scene(recording, ["a", "b"])
    assert drawn is not None
    root, told = parse(drawn[0]), drawn[1]
    circles = [len(list(group.iter(f"{SVG}circle"))) for group in parts(root, "nodes")]
    assert circles == [2, 4, 2]
    assert not any(list(group) for group in parts(root, "weights"))
    assert [stage["size"] for stage in told["stages"]] == [2, 4, 2]
    assert told["widths"] == sorted(told["widths"])
    assert told["opacities"] == sorted(told["opacities"])
    largest = max(float(np.abs(recording.frames[f"weight.{i}"]).max()) for i in (1, 2))
    assert told["weight"] >= largest


def test_there_must_be_something_to_play(tmp_path: Path) -> None:
    for films in ([], [Film("a", Recording({"camera": {"stages": []}}))]):
        with pytest.raises(ValueError, match="at least one film"):
            write_animation(films, tmp_path / "a.html", title="A")
    with pytest.raises(ValueError, match="frames 3"):
        Recorder(tmp_path / "a", frames=3)
