"""TensorBoard's own reader finds in our export what the store holds."""

from pathlib import Path

import numpy as np
import pytest

from groundup.runs import Store, export_tensorboard

pytest.importorskip("tensorboardX")
pytest.importorskip("tensorboard")


def test_the_official_reader(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Store(tmp_path / "runs") as store:
        with store.start("digits", {"rate": 0.125}) as run:
            for step in range(3000):
                run.log(step, loss=1 / (step + 1), **{"gradient_norm/0.weight": step * 0.5})
            run.log(10**12, loss=float("inf"))
        (folder,) = export_tensorboard(store, [run.id], tmp_path / "tensorboard")
        reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        reader.Reload()
        tags = reader.Tags()
        assert sorted(tags["scalars"]) == ["gradient_norm/0.weight", "loss"]
        for name in tags["scalars"]:
            found, points = reader.Scalars(name), store.points(run.id, name)
            assert [event.step for event in found] == points.steps.tolist()
            assert [event.wall_time for event in found] == points.times.tolist()
            values = np.array([event.value for event in found], np.float32)
            assert np.array_equal(values, points.values.astype(np.float32))
        (text,) = reader.Tensors(tags["tensors"][0])
        assert b'"rate": 0.125' in text.tensor_proto.string_val[0]
