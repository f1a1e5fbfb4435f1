"""A small public model, as a GGUF file."""

from __future__ import annotations

import struct

import numpy as np

import groundup as gu
from groundup.models import Llama, LlamaConfig
from groundup.models.pretrained.names import GGUF_LLAMA, public_name
from groundup.text import ALPHABET

SIZES = {"context": 64, "d_model": 32, "num_layers": 1, "num_heads": 2}
TEMPLATE = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}<e>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def strings(values: list[str]) -> bytes:
    return struct.pack("<IQ", 8, len(values)) + b"".join(map(text, values))


def q4_1(array: np.ndarray) -> bytes:
    """Rows in blocks of 32: whole numbers up to 15 times a scale, plus the least."""
    steps = array.reshape(-1, 32)
    least, most = steps.min(axis=1), steps.max(axis=1)
    scale = (most - least) / 15
    q = np.rint((steps - least[:, None]) / np.where(scale, scale, 1)[:, None]).astype(np.uint8)
    halves = np.stack([scale, least], axis=1).astype("<f2").view(np.uint8)
    return np.concatenate([halves, q[:, :16] | q[:, 16:] << 4], axis=1).tobytes()


def q8_0(array: np.ndarray) -> bytes:
    """Rows in blocks of 32: whole numbers up to 127 times a scale."""
    steps = array.reshape(-1, 32)
    scale = np.abs(steps).max(axis=1, keepdims=True) / 127
    q = np.rint(steps / np.where(scale, scale, 1)).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.uint8), q.view(np.uint8)], axis=1).tobytes()


PACKERS = {3: q4_1, 8: q8_0}
"""By GGUF's number of the type."""


def gguf(
    weights: dict[str, np.ndarray], entries: list[bytes], packed: dict[str, int] | None = None
) -> bytes:
    """A GGUF file of float32 tensors, of which some may be packed, by the number of their type."""
    infos, data = b"", b""
    for name, array in weights.items():
        sizes = struct.pack(f"<{array.ndim}Q", *reversed(array.shape))
        infos += text(name) + struct.pack("<I", array.ndim) + sizes
        kind = (packed or {}).get(name, 0)
        own = PACKERS[kind](array) if kind else array.astype("<f4").tobytes()
        infos += struct.pack("<IQ", kind, len(data))
        data += own + bytes(-len(own) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(entries)) + b"".join(entries) + infos
    return head + bytes(-len(head) % 32) + data


def small_gguf(packed: dict[str, int] | None = None, tied: bool = False) -> tuple[Llama, bytes]:
    """A model, and the file that holds it with a tokenizer and a chat template.

    Args:
        packed: numbers of types by the beginnings of public names; the others are float32.
        tied: the head shares the embedding's weights.
    """
    gu.manual_seed(0)
    tokens = ["<s>", "<e>", *ALPHABET, "ab"]
    more = {"num_kv_heads": 1, "dim_feedforward": 64, "interleaved": True, "tied": tied}
    model = Llama(LlamaConfig(len(tokens), **more, **SIZES)).eval()
    weights = {public_name(n, GGUF_LLAMA)[0]: p.numpy() for n, p in model.state_dict().items()}

    def number(key: str, value: int) -> bytes:
        return entry(key, 4, struct.pack("<I", value))

    numbers = {
        "context_length": 64, "embedding_length": 32, "block_count": 1, "attention.head_count": 2,
        "attention.head_count_kv": 1, "feed_forward_length": 64,
    }  # fmt: skip
    kinds = struct.pack("<IQ", 5, len(tokens)) + struct.pack(
        f"<{len(tokens)}i", 3, 3, *[1] * (len(tokens) - 2)
    )
    return model, gguf(
        weights,
        [
            entry("general.architecture", 8, text("llama")),
            *(number(f"llama.{key}", value) for key, value in numbers.items()),
            entry("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
            entry("tokenizer.ggml.model", 8, text("gpt2")),
            entry("tokenizer.ggml.pre", 8, text("smollm")),
            entry("tokenizer.ggml.tokens", 9, strings(tokens)),
            entry("tokenizer.ggml.token_type", 9, kinds),
            entry("tokenizer.ggml.merges", 9, strings(["a b"])),
            number("tokenizer.ggml.bos_token_id", 0),
            number("tokenizer.ggml.eos_token_id", 1),
            entry("tokenizer.chat_template", 8, text(TEMPLATE)),
        ],
        {
            n: k
            for n, a in weights.items()
            for b, k in (packed or {}).items()
            if n.startswith(b) and a.ndim == 2
        },
    )
