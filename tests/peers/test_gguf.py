"""Packed weights are read as the gguf package reads them. R1.6."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groundup.io import PACKINGS, read_gguf, unpack

gguf = pytest.importorskip("gguf")


@pytest.mark.parametrize("name", [name for name in PACKINGS if name not in ("F32", "F16")])
def test_blocks_of_any_bytes_are_unpacked_alike(name: str) -> None:
    packing = PACKINGS[name]
    random = np.random.default_rng(0)
    data = random.integers(0, 256, (64, packing.nbytes), dtype=np.uint8)
    kind = gguf.GGMLQuantizationType[name]
    with np.errstate(all="ignore"):
        expected = gguf.dequantize(data, kind).reshape(-1)
        found = unpack(data.reshape(-1), packing)
    sure = np.isfinite(expected)
    assert sure.mean() > 0.5
    np.testing.assert_allclose(found[sure], expected[sure], rtol=1e-6, atol=0)


def test_a_file_of_the_packages_writer_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    random = np.random.default_rng(0)
    weights = random.normal(size=(6, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 3)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "Ġc"])
    writer.add_array("numbers", [1.5, 2.5])
    writer.add_tensor("plain", weights)
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("packed", gguf.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_gguf(path)
    assert found.metadata["general.architecture"] == "llama"
    assert found.metadata["llama.block_count"] == 3
    assert found.metadata["tokenizer.ggml.tokens"] == ["a", "b", "Ġc"]
    assert found.metadata["numbers"] == [1.5, 2.5]
    np.testing.assert_array_equal(found.tensors["plain"].unpacked(), weights)
    assert found.tensors["packed"].packing.name == "Q8_0"
    np.testing.assert_allclose(found.tensors["packed"].unpacked(), weights, atol=0.02)
