"""The answers: what they hold, and how they refuse. R12.2."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from groundup.runs import Store
from groundup.web import create_app
from groundup.web.cache import SeriesCache

from .conftest import LOCAL, Served


def test_about(client: TestClient, sample: Served) -> None:
    found = client.get("/api/about").json()
    assert found["folder"] == str(sample.folder)


def test_the_list_has_every_kind_of_run(client: TestClient) -> None:
    runs = client.get("/api/runs").json()["runs"]
    assert {run["status"] for run in runs} == {"done", "failed", "stopped", "lost", "queued"}
    assert [run["created"] for run in runs] == sorted((r["created"] for r in runs), reverse=True)
    failed = next(run for run in runs if run["status"] == "failed")
    assert failed["error"].startswith("FloatingPointError")
    assert failed["metrics"]["loss"] is None  # NaN
    assert failed["config"]["optimizer.lr"] == 0.02
    assert "epoch" not in failed["metrics"]
    assert not any("/" in name for name in failed["metrics"])


def test_the_list_comes_in_pages(client: TestClient) -> None:
    everything = client.get("/api/runs").json()["runs"]
    found, more, offset = [], True, 0
    while more:
        page = client.get(f"/api/runs?offset={offset}&limit=4").json()
        found += page["runs"]
        offset, more = offset + len(page["runs"]), page["more"]
        assert len(page["runs"]) <= 4
    assert found == everything


def test_everything_about_a_run(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][3]
    found = client.get(f"/api/runs/{run_id}").json()
    kinds = {series["name"]: series["kind"] for series in found["series"]}
    assert kinds["loss"] == "metric"
    assert kinds["gradient_norm/0.weight"] == "layer"
    assert kinds["system/cpu"] == kinds["examples_per_second"] == "system"
    assert kinds["epoch"] == "epoch"
    assert found["environment"]["command"] == "groundup run digits"
    assert found["log"][0]["text"].startswith("test accuracy")


def test_points_are_those_that_were_logged(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    (found,) = client.get(f"/api/series?run={run_id}&name=loss").json()["series"]
    with Store(sample.folder) as store:
        points = store.points(run_id, "loss")
    assert found["x"] == points.steps.tolist()
    np.testing.assert_allclose(found["y"], points.values, rtol=1e-6)
    assert found["count"] == len(points)


def test_many_points_come_in_buckets(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["transformer"][0]
    answer = client.get(f"/api/series?run={run_id}&name=loss&buckets=50").json()
    (found,) = answer["series"]
    with Store(sample.folder) as store:
        points = store.points(run_id, "loss")
    assert 50 <= len(found["x"]) <= 51
    assert min(found["low"]) == pytest.approx(points.values.min(), rel=1e-6)
    assert max(found["high"]) == pytest.approx(points.values.max(), rel=1e-6)
    assert all(np.array(found["low"]) <= np.array(found["mean"]))
    part = np.floor((np.array(found["x"]) - answer["origin"]) / answer["width"])
    assert part.tolist() == sorted(set(part.tolist()))


def test_a_closer_look_shows_single_points(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["transformer"][0]
    query = f"/api/series?run={run_id}&name=loss&buckets=50&low=100.5&high=120.5"
    (found,) = client.get(query).json()["series"]
    assert found["x"] == list(range(100, 122))  # one more on each side


def test_several_runs_share_a_grid(client: TestClient, sample: Served) -> None:
    ids = sample.runs["transformer"][:2]
    query = f"/api/series?run={ids[0]}&run={ids[1]}&name=loss&buckets=40"
    first, second = client.get(query).json()["series"]
    assert set(second["x"]) < set(first["x"]) | {second["x"][-1]}


# An epoch is counted where its end was logged, and in proportion in between.
def test_epochs_lie_between_steps(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    query = f"/api/series?run={run_id}&name=loss&x=epoch"
    (found,) = client.get(query).json()["series"]
    x = np.array(found["x"])
    assert x[16] == 1.0
    assert x[-1] == 40.0
    np.testing.assert_allclose(np.diff(x), 1 / 17, rtol=1e-6)


def test_time_begins_with_the_run(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    (found,) = client.get(f"/api/series?run={run_id}&name=loss&x=time").json()["series"]
    assert found["x"] == sorted(found["x"])
    assert 0 < found["x"][0] < 2


def test_a_logarithmic_axis_leaves_out_what_is_not_positive(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("line") as run:
        for step in range(-3, 1000):
            run.log(step, loss=step)
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        query = f"/api/series?run={run.id}&name=loss&log=1&buckets=30"
        (found,) = client.get(query).json()["series"]
    assert min(found["x"]) > 0
    assert min(found["low"]) == 1
    ratios = np.diff(np.log(found["x"]))
    assert ratios.max() / ratios.min() < 12  # small steps lie apart, but no bucket is empty later
    assert len(found["x"]) <= 31


def test_what_is_not_a_number_is_told(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["transformer"][2]
    (exact,) = client.get(f"/api/series?run={run_id}&name=loss").json()["series"]
    assert exact["y"][-1] is None
    (coarse,) = client.get(f"/api/series?run={run_id}&name=loss&buckets=20").json()["series"]
    assert coarse["bad"][-1] > 0
    assert coarse["bad"][0] == 0


def test_steps_out_of_order_are_sorted(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("line") as run:
        for step in (5, 1, 3):
            run.log(step, loss=step)
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        (found,) = client.get(f"/api/series?run={run.id}&name=loss").json()["series"]
    assert (found["x"], found["y"]) == ([1, 3, 5], [1, 3, 5])


def test_layers_are_rows_of_one_table(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    found = client.get(f"/api/layers?run={run_id}&kind=gradient_norm").json()
    assert found["kinds"] == ["gradient_norm", "weight_norm"]
    names = [layer["name"] for layer in found["layers"]]
    assert {"0.weight", "0.bias", "3.weight", "6.bias"} <= set(names)
    assert all(len(layer["mean"]) == found["parts"] for layer in found["layers"])
    with Store(sample.folder) as store:
        points = store.points(run_id, f"gradient_norm/{names[0]}")
    assert found["parts"] == len(points)
    np.testing.assert_allclose(found["layers"][0]["mean"], points.values, rtol=1e-4)


def test_layers_in_fewer_parts_are_means(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    found = client.get(f"/api/layers?run={run_id}&kind=weight_norm&buckets=10").json()
    name = found["layers"][0]["name"]
    with Store(sample.folder) as store:
        points = store.points(run_id, f"weight_norm/{name}")
    assert found["parts"] == 10
    part = np.floor((points.steps - found["origin"]) / found["width"]).astype(int)
    means = [points.values[part == i].mean() for i in range(10)]
    np.testing.assert_allclose(found["layers"][0]["mean"], means, rtol=1e-4)


def test_figures_are_served_as_they_are(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][0]
    figures = client.get(f"/api/figures?run={run_id}").json()["figures"]
    assert [(f["name"], f["step"]) for f in figures] == [
        ("confusion", None), ("samples", 100), ("samples", 1000), ("samples", 3000),
    ]  # fmt: skip
    answer = client.get(f"/api/runs/{run_id}/figures/{figures[0]['file']}")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.content == (sample.folder / run_id / "figures" / "confusion.svg").read_bytes()


def test_claims(client: TestClient, sample: Served) -> None:
    run_id = sample.runs["digits"][3]
    claims = client.get(f"/api/claims?run={run_id}").json()["claims"]
    assert {c["verdict"] for c in claims} == {"holds", "holds in part", "refuted", "not measured"}
    (gain,) = (c for c in claims if c["claim"] == "gain")
    assert (gain["seeds"], gain["claimed"], gain["low"]) == (5, 2.5, 1.7)


def test_tags_and_note_are_changed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        run_id = store.queue("digits", note="old").id
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        answer = client.patch(f"/api/runs/{run_id}", json={"tags": ["b ", "a"]})
        assert answer.json() == {"id": run_id, "tags": ["a", "b"], "note": "old"}
        client.patch(f"/api/runs/{run_id}", json={"note": "new\nlines ✓"})
        assert client.get(f"/api/runs/{run_id}").json()["note"] == "new\nlines ✓"
    with Store(tmp_path) as store:
        assert store.get(run_id).tags == ("a", "b")


def test_an_answer_is_valid_json_whatever_was_logged(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("x", {"a": math.nan, "b": [math.inf]}) as run:
        run.log(1, loss=math.nan, other=-math.inf, epoch=math.nan)
        run.log_text("</script>\u2028 <b>")

    def strict(text: str) -> None:
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))

    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        for path in ("/api/runs", f"/api/runs/{run.id}"):
            strict(client.get(path).text)
        strict(client.get(f"/api/series?run={run.id}&name=loss&x=epoch").text)


def test_an_empty_folder(tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        assert client.get("/api/runs").json() == {"runs": [], "more": False}


def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        run_id = store.queue("digits").id
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        # A newer version of the program has taken over.
        shutil.copy(tmp_path / "runs.sqlite", tmp_path / "new.sqlite")
        with closing(sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None)) as db:
            db.execute("PRAGMA user_version = 999")
            db.execute("CREATE TABLE more (x)")
        (tmp_path / "new.sqlite").replace(tmp_path / "runs.sqlite")
        answer = client.get(f"/api/runs/{run_id}")
        assert answer.status_code == 503
        assert "version 999" in answer.json()["error"]


# Reading piece by piece gives what reading at once gives, and a rewind is noticed.
def test_the_cache_follows_the_series(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store.start("line") as run:
        cache = SeriesCache(store, most_bytes=2000)
        for step in range(300):
            run.log(step, loss=step, other=-step)
            if step % 37 == 0:
                run.flush()
                info = store.get(run.id)
                for name in ("loss", "other"):
                    found, whole = cache.points(info, name), store.points(run.id, name)
                    np.testing.assert_array_equal(found.steps, whole.steps)
                    np.testing.assert_array_equal(found.values, whole.values)
        run.rewind(10)
        run.log(11, loss=1000)
        run.flush()
        assert cache.points(store.get(run.id), "loss").values[-1] == 1000
        assert len(cache.points(store.get(run.id), "loss")) == 12
