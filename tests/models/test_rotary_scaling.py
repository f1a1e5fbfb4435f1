"""Rotary scaling as GGUF files state it. R1.6, R2.6."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.models.public_files import entry, gguf, text

import groundup as gu
from groundup import nn
from groundup.engine.files import CheckpointError
from groundup.models import Llama, LlamaConfig
from groundup.models.pretrained.gguf import read_file
from groundup.models.pretrained.names import GGUF_LLAMA, public_name

SIZES = {"vocab_size": 12, "context": 32, "d_model": 32, "num_layers": 1, "num_heads": 2}


def number(key: str, value: float) -> bytes:
    whole = isinstance(value, int)
    return entry(f"llama.{key}", 4 if whole else 6, struct.pack("<I" if whole else "<f", value))


def write(
    path: Path, scaling: nn.RotaryScaling | None, entries: list[bytes], divisors: np.ndarray | None
) -> Llama:
    """A model with this scaling, and a file that states it by these entries or divisors."""
    gu.manual_seed(0)
    model = Llama(
        LlamaConfig(
            num_kv_heads=1, dim_feedforward=64, interleaved=True, rope_scaling=scaling, **SIZES
        )
    ).eval()
    with gu.no_grad():
        for p in model.parameters():
            p.mul_(8)  # far enough from uniform attention that positions matter
    weights = {public_name(n, GGUF_LLAMA)[0]: p.numpy() for n, p in model.state_dict().items()}
    if divisors is not None:
        weights["rope_freqs.weight"] = divisors
    sizes = {
        "context_length": 32, "embedding_length": 32, "block_count": 1, "attention.head_count": 2,
        "attention.head_count_kv": 1, "feed_forward_length": 64,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    head = [entry("general.architecture", 8, text("llama"))]
    path.write_bytes(gguf(weights, [*head, *(number(k, v) for k, v in sizes.items()), *entries]))
    return model


def kind(name: str) -> bytes:
    return entry("llama.rope.scaling.type", 8, text(name))


LONG = nn.Llama3Scaling(8.0, 16)
DIVISORS = (nn.rotary_frequencies(16) / LONG.frequencies(16, 10000.0)).float().numpy()
STATED = {
    "none": (None, [kind("none")], None),
    "linear": (
        nn.PositionInterpolation(4.0), [kind("linear"), number("rope.scaling.factor", 4.0)], None
    ),
    "yarn": (
        nn.YaRN(4.0, 16),
        [kind("yarn"), number("rope.scaling.factor", 4.0),
         number("rope.scaling.original_context_length", 16)],
        None,
    ),
    "yarn, attention": (
        nn.YaRN(4.0, 16, 2.0, 0.5, attention_factor=0.5 * nn.YaRN(4.0, 16).attention),
        [kind("yarn"), number("rope.scaling.factor", 4.0),
         number("rope.scaling.original_context_length", 16),
         number("rope.scaling.yarn_beta_fast", 2.0), number("rope.scaling.yarn_beta_slow", 0.5),
         number("rope.scaling.attn_factor", 0.5)],
        None,
    ),
    "divisors": (LONG, [], DIVISORS),
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_a_file_states_its_scaling(name: str, tmp_path: Path) -> None:
    scaling, entries, divisors = STATED[name]
    model = write(tmp_path / "m.gguf", scaling, entries, divisors)
    found, _ = read_file(tmp_path / "m.gguf")
    tokens = gu.tensor(np.random.default_rng(0).integers(0, 12, (2, 30)))
    expected = model(tokens)
    assert gu.allclose(found(tokens), expected, atol=1e-4)
    if name != "none":
        plain = write(tmp_path / "plain.gguf", None, [], None)
        assert not gu.allclose(plain(tokens), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("entries", "divisors", "message"),
    [
        ([kind("longrope")], None, "rotary scaling 'longrope'; supported are 'none', 'linear'"),
        ([kind("linear"), number("rope.scaling.factor", 0.0)], None, "factor is 0.0"),
        ([kind("linear")], DIVISORS, "rope_freqs.weight and rotary scaling 'linear'"),
        ([], DIVISORS[:3], r"has shape \(3,\), expected \(8,\)"),
        ([], np.zeros(8, np.float32), "0.0 is not positive"),
    ],
)
def test_a_scaling_that_makes_no_sense_is_refused(
    entries: list[bytes], divisors: np.ndarray | None, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "m.gguf", None, entries, divisors)
    with pytest.raises(CheckpointError, match=message):
        read_file(tmp_path / "m.gguf")
