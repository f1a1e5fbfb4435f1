"""Models whose weights stay packed as the file has them. R1.6."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.models.public_files import small_gguf

import groundup as gu
from groundup import nn
from groundup.engine.files import CheckpointError
from groundup.io import read_gguf
from groundup.models import load_pretrained
from groundup.models.decoding import generate
from groundup.models.pretrained import write_folder

PACKED = {"blk": 3, "token_embd": 8, "output.": 8}  # Q4_1 and Q8_0


@pytest.fixture(params=[False, True], ids=["", "tied"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    _, content = small_gguf(PACKED, tied=request.param)
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    return path


def test_weights_stay_packed_unless_asked(path: Path) -> None:
    model, _ = load_pretrained(path)
    kinds = [type(m) for m in model.modules() if isinstance(m, nn.PackedLinear | nn.Linear)]
    assert kinds == [nn.PackedLinear] * (7 + 1)
    assert isinstance(model.token, nn.PackedEmbedding)
    assert (model.head.weight is model.token.weight) == model.config.tied
    assert {p.ndim for p in model.parameters()} == {1}  # what is left are the norms
    full, _ = load_pretrained(path, dtype=gu.float32)
    assert not list(full.buffers()) or all(b.dtype != gu.uint8 for b in full.buffers())
    tokens = gu.arange(5)
    np.testing.assert_array_equal(model.token(tokens).numpy(), full.token(tokens).detach().numpy())
    double, _ = load_pretrained(path, dtype=gu.float64)
    assert double.token.weight.dtype == gu.float64
    with pytest.raises(TypeError, match="not a floating dtype"):
        load_pretrained(path, dtype=gu.int8)


def test_logits_are_near_those_of_unpacked_weights(path: Path) -> None:
    """Beside how the logits are spread, those of 8-bit activations are off by 1 % on average."""
    model, _ = load_pretrained(path)
    full, _ = load_pretrained(path, dtype=gu.float32)
    tokens = gu.tensor([[0, 20, 40, 60, 80, 100]])
    found, expected = model(tokens).detach(), full(tokens).detach()
    off = (found - expected).abs() / expected.std()
    assert 0 < float(off.mean()) < 0.01  # they are computed otherwise
    assert float(off.max()) < 0.05


def test_what_is_generated_is_the_likeliest(path: Path) -> None:
    """The compiled step, with its cache, writes what whole passes without a cache choose."""
    model, _ = load_pretrained(path)
    prompt = [0, 70, 71]
    [written] = generate(model, [prompt], max_new_tokens=8)
    text = list(prompt)
    for _ in range(8):
        text.append(int(model(gu.tensor([text]))[0, -1].argmax().item()))
    assert written == text[len(prompt) :]


def test_the_state_can_be_kept(path: Path, tmp_path: Path) -> None:
    model, _ = load_pretrained(path)
    gu.save(model.state_dict(), tmp_path / "state")
    again, _ = load_pretrained(path)
    with gu.no_grad():
        for buffer in again.buffers():
            if buffer.dtype == gu.uint8:
                buffer.assign(gu.zeros_like(buffer))
    again.load_state_dict(gu.load(tmp_path / "state")[0])
    tokens = gu.tensor([[0, 20, 40]])
    np.testing.assert_array_equal(again(tokens).detach(), model(tokens).detach())


def test_packed_weights_have_no_public_folder(path: Path, tmp_path: Path) -> None:
    model, _ = load_pretrained(path)
    with pytest.raises(ValueError, match="packed weights"):
        write_folder(model, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_packed_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    _, content = small_gguf(PACKED)
    size = b"llama.feed_forward_length" + struct.pack("<I", 4)
    wrong = content.replace(size + struct.pack("<I", 64), size + struct.pack("<I", 32))
    assert wrong != content
    path = tmp_path / "m.gguf"
    path.write_bytes(wrong)
    with pytest.raises(CheckpointError, match=r"ffn_gate\.weight' has shape \(64, 32\), expected"):
        load_pretrained(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("block_count", 2**31, "2,147,483,648 blocks, but only 12 tensors"),
        ("feed_forward_length", 2**31, "sizes that cannot be|has shape"),
        ("embedding_length", 2**31, "sizes that cannot be|has shape"),
    ],
)
def test_sizes_beyond_the_file_are_refused(
    key: str, value: int, message: str, tmp_path: Path
) -> None:
    _, content = small_gguf(PACKED)
    place = content.index(f"llama.{key}".encode()) + len(f"llama.{key}") + 4
    path = tmp_path / "m.gguf"
    path.write_bytes(content[:place] + struct.pack("<I", value) + content[place + 4 :])
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(path)


def test_no_random_numbers_are_drawn(path: Path) -> None:
    gu.manual_seed(5)
    load_pretrained(path)
    load_pretrained(path, dtype=gu.float32)
    found = gu.rand(3)
    gu.manual_seed(5)
    np.testing.assert_array_equal(found, gu.rand(3))


def test_the_memory_is_that_of_the_file(path: Path) -> None:
    """But for the rows that fill the last eight: here 5 of 264, twice if the head is not tied."""
    model, _ = load_pretrained(path)
    own = sum(b.numel() for b in model.buffers() if b.dtype == gu.uint8)
    tensors = [t for t in read_gguf(path).tensors.values() if t.packing.name != "F32"]
    fill = (5 * 34) * (1 if model.config.tied else 2)
    assert own == sum(t.data.size for t in tensors) + fill
