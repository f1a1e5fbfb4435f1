"""Public models with random weights give here what the transformers package gives. R1.6, R4.2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.models.decoding import generate
from groundup.models.pretrained import read_folder, write_folder
from groundup.models.pretrained.huggingface import build, public_config

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 24,
}  # fmt: skip
NO_ENDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
LLAMA = SMALL | NO_ENDS | {"num_key_value_heads": 2}
ROPE = {"rope_theta": 500.0, "rope_type": "default"}


def scaled(**how):
    return transformers.LlamaConfig(**LLAMA, rope_parameters={"rope_theta": 500.0, **how})


CAUSAL = {
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=50, n_positions=24, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0,
        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None,
    ),
    "llama": lambda: transformers.LlamaConfig(**LLAMA, rope_parameters=ROPE),
    "llama-tied": lambda: transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True, head_dim=6),
    "llama-linear": lambda: scaled(rope_type="linear", factor=4.0),
    "llama-yarn": lambda: scaled(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=6, beta_fast=0.6,
        beta_slow=0.1,
    ),
    "llama-yarn-mscale": lambda: scaled(
        rope_type="yarn", factor=3.0, original_max_position_embeddings=8, mscale=0.7,
        mscale_all_dim=0.2, truncate=False, beta_fast=0.9, beta_slow=0.2,
    ),
    "llama-llama3": lambda: scaled(
        rope_type="llama3", factor=4.0, original_max_position_embeddings=6, low_freq_factor=0.2,
        high_freq_factor=0.9,
    ),
    "mistral": lambda: transformers.MistralConfig(**LLAMA, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**LLAMA),
}  # fmt: skip


def peer(config):
    """Their model with random weights, wide enough that the logits differ."""
    torch.manual_seed(0)
    if config.model_type == "bert":
        model = transformers.BertModel(config, add_pooling_layer=False).eval()
    else:
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 2:
                p.mul_(8)
            elif name.endswith("bias"):
                p.normal_(std=0.1)
    return model


def tokens(rows: int = 2, count: int = 9) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 50, (rows, count))


@pytest.mark.parametrize("name", CAUSAL)
def test_logits_and_gradients_of_decoders(name: str, tmp_path: Path) -> None:
    theirs = peer(CAUSAL[name]())
    theirs.save_pretrained(tmp_path)
    ours = read_folder(tmp_path)
    x = tokens()
    expected = theirs(torch.tensor(x)).logits
    found = ours(gu.tensor(x))
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-4)

    labels = tokens(2, 9)[:, ::-1].copy()
    torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), torch.tensor(labels.ravel())
    ).backward()
    gu.nn.functional.cross_entropy(found.flatten(0, 1), gu.tensor(labels.ravel())).backward()
    with gu.no_grad():
        for p in ours.parameters():
            p.assign(p.grad)
    write_folder(ours, tmp_path / "gradients")
    gradients = type(theirs).from_pretrained(tmp_path / "gradients").state_dict()
    for key, p in theirs.named_parameters():
        scale = max(1e-3, float(p.grad.abs().max()))
        np.testing.assert_allclose(gradients[key] / scale, p.grad / scale, atol=1e-4, err_msg=key)


@pytest.mark.parametrize("name", CAUSAL)
def test_padding_and_generation_of_decoders(name: str, tmp_path: Path) -> None:
    theirs = peer(CAUSAL[name]())
    theirs.save_pretrained(tmp_path)
    ours = read_folder(tmp_path)
    prompts = [tokens()[0].tolist(), tokens()[1].tolist()[:4]]
    expected = []
    for prompt in prompts:
        with torch.no_grad():
            out = theirs.generate(
                torch.tensor([prompt]), max_new_tokens=8, do_sample=False, eos_token_id=None,
                pad_token_id=0, attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            )  # fmt: skip
        expected.append(out[0, len(prompt) :].tolist())
    assert generate(ours, prompts, 8) == expected


@pytest.mark.parametrize("kind", ["linear", "yarn", "llama3"])
def test_rotary_frequencies_at_public_sizes(kind: str) -> None:
    public = {
        "linear": {"factor": 4.0},
        "yarn": {"factor": 4.0, "original_max_position_embeddings": 32768},
        "llama3": {
            "factor": 8.0, "original_max_position_embeddings": 8192, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    }  # fmt: skip
    rope = {"rope_theta": 500000.0, "rope_type": kind, **public[kind]}
    config = transformers.LlamaConfig(
        hidden_size=512, num_attention_heads=4, max_position_embeddings=131072, rope_parameters=rope
    )
    expected, attention = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[kind](config)
    sizes = {"vocab_size": 9, "intermediate_size": 8, "num_hidden_layers": 1, "rms_norm_eps": 1e-5}
    mine = build({**config.to_dict(), **sizes, "max_position_embeddings": 16}, "config.json")
    for c in (mine.config, build(public_config(mine), "written again").config):
        assert c.rope_base == 500000.0
        found = c.rope_scaling.frequencies(128, c.rope_base).numpy()
        np.testing.assert_allclose(found, expected.numpy(), 2e-6)
        assert c.rope_scaling.attention == pytest.approx(attention)


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12])
def test_alibi_is_that_of_bloom(heads: int) -> None:
    theirs = transformers.models.bloom.modeling_bloom.build_alibi_tensor(
        torch.ones(1, 7), heads, torch.float32
    )  # what is added to a row may differ by a constant: softmax does not see it
    found = gu.nn.functional.alibi(gu.tensor([6]), gu.arange(7), heads).numpy()
    expected = theirs.numpy().reshape(heads, 1, 7)
    np.testing.assert_allclose(found, expected - expected[..., -1:], 1e-5, 1e-6)


def test_bert_with_padding_and_types(tmp_path: Path) -> None:
    theirs = peer(transformers.BertConfig(**SMALL, attention_probs_dropout_prob=0.0))
    theirs.save_pretrained(tmp_path)
    ours = read_folder(tmp_path)
    x, types = tokens(), np.array([[0] * 5 + [1] * 4] * 2)
    mask = np.arange(9) < np.array([[9], [6]])
    expected = theirs(
        torch.tensor(x), attention_mask=torch.tensor(mask), token_type_ids=torch.tensor(types)
    ).last_hidden_state
    found = ours(gu.tensor(x), gu.tensor(mask), gu.tensor(types))
    real = mask[..., None]
    np.testing.assert_allclose(
        found.detach().numpy() * real, expected.detach().numpy() * real, atol=1e-4
    )


def test_what_is_written_is_read_by_transformers(tmp_path: Path) -> None:
    theirs = peer(transformers.BertConfig(**SMALL))
    theirs.save_pretrained(tmp_path / "a")
    write_folder(read_folder(tmp_path / "a"), tmp_path / "b")
    again = transformers.BertModel.from_pretrained(tmp_path / "b", add_pooling_layer=False)
    for key, p in again.named_parameters():
        assert torch.equal(p, theirs.state_dict()[key]), key
