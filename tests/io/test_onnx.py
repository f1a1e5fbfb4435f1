"""Exporting without the package that writes the files. R4.3."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import groundup as gu
from groundup import nn
from groundup.io import export_onnx


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [name for name in sys.modules if name.startswith("groundup.io.onnx.")]
    for name in own:
        if name.rpartition(".")[2] in ("files", "operators", "writer"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in ("files", "operators", "writer"):
        monkeypatch.delattr(f"groundup.io.onnx.{name}", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'groundup\[onnx\]'"):
        export_onnx(nn.Linear(2, 3), gu.zeros(1, 2), tmp_path / "one.onnx")
    assert not list(tmp_path.iterdir())
