"""Packed models give what transformers gives with the weights that gguf unpacks. R1.6."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.models.public_files import small_gguf

import groundup as gu
from groundup.models import load_pretrained
from groundup.models.pretrained.names import GGUF_LLAMA, LLAMA, public_name

gguf = pytest.importorskip("gguf")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("tied", [False, True])
def test_logits_of_a_packed_model(tied: bool, tmp_path: Path) -> None:
    """Off by 1 % of the logits' spread on average, from 8-bit activations; unpacked by 1e-5."""
    ours, content = small_gguf({"blk": 3, "token_embd": 8, "output.": 8}, tied=tied)
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    c = ours.config
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.d_model,
            num_hidden_layers=c.num_layers,
            num_attention_heads=c.num_heads,
            num_key_value_heads=c.num_kv_heads,
            intermediate_size=c.dim_feedforward,
            rms_norm_eps=c.norm_eps,
            tie_word_embeddings=tied,
        )
    ).eval()
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    state = {}
    for name, _ in ours.named_parameters():
        own = tensors[public_name(name, GGUF_LLAMA)[0]]
        array = gguf.dequantize(own.data, own.tensor_type).reshape(tuple(own.shape)[::-1])
        if "query" in name or "key" in name:  # rotary pairs: neighbours there, halves here
            array = array.reshape(-1, c.features // 2, 2, c.d_model).swapaxes(1, 2)
            array = array.reshape(-1, c.d_model)
        state[public_name(name, LLAMA)[0]] = torch.from_numpy(np.array(array))
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"] if tied else [], [])
    tokens = [[0, 20, 40, 60, 80, 100, 120, 7]]
    with torch.no_grad():
        expected = theirs(torch.tensor(tokens)).logits.numpy()
    for dtype, average, most in ((None, 0.01, 0.05), (gu.float32, 1e-5, 1e-4)):
        model, _ = load_pretrained(path, dtype=dtype)
        off = np.abs(model(gu.tensor(tokens)).detach().numpy() - expected) / expected.std()
        assert off.mean() < average
        assert off.max() < most
