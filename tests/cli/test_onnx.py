"""`groundup onnx`, with small models made here. R4.3."""

from __future__ import annotations

import pytest
from tests.models.public_files import small_gguf
from typer.testing import CliRunner

from groundup.cli import app

onnx = pytest.importorskip("onnx")


def test_a_public_model_is_written(tmp_path):
    model, content = small_gguf()
    (tmp_path / "m.gguf").write_bytes(content)
    out = tmp_path / "m.onnx"
    found = CliRunner().invoke(app, ["onnx", str(tmp_path / "m.gguf"), str(out)])
    assert found.exit_code == 0, found.stderr
    assert found.stdout.strip() == str(out)
    graph = onnx.load(out).graph
    assert [x.name for x in (*graph.input, *graph.output)] == ["tokens", "mask", "logits"]
    dims = [d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim]
    assert dims == ["batch", "length", model.config.vocab_size]
    assert set(model.state_dict()) <= {x.name for x in graph.initializer}


def test_wrong_names_are_explained(tmp_path):
    found = CliRunner().invoke(app, ["onnx", "nothing.gguf", str(tmp_path / "m.bin")])
    assert found.exit_code == 2
    assert "expected a name that ends in .onnx" in found.stderr
    found = CliRunner().invoke(app, ["onnx", "nothing.gguf", str(tmp_path / "m.onnx")])
    assert found.exit_code == 1
    assert "there is no such file" in found.stderr
    assert not list(tmp_path.iterdir())
