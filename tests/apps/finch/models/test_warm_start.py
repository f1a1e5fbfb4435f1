"""A warm start from public model folders."""  # R14.2

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models import Ensemble, Example, Sizes
from groundup.apps.finch.models.warm_start import sizes_for, warm_start
from groundup.models import GPT, Bert, BertConfig, GPTConfig, Llama, LlamaConfig
from groundup.models.pretrained.huggingface import write_folder
from groundup.text import save_tokenizer, train_bpe

TEXT = "where is my card where is my rent tell me about the card and the rent"
LIKE = Sizes(400, 64, 8, 32, layers=1, heads=2, feedforward=64, query=32, answer=8)


def folder(path: Path, kind: str) -> tuple[Path, GPT | Bert | Llama]:
    gu.manual_seed(1)
    tokenizer = train_bpe(TEXT, 290, special_tokens=["<|endoftext|>"])
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "context": 64,
        "d_model": 24,
        "num_layers": 2,
    }
    model: GPT | Bert | Llama
    if kind == "gpt":
        model = GPT(GPTConfig(num_heads=3, **sizes))
    elif kind == "bert":
        model = Bert(BertConfig(num_heads=3, dim_feedforward=48, **sizes))
    else:
        model = Llama(LlamaConfig(num_heads=3, num_kv_heads=3, dim_feedforward=48, **sizes))
    path.mkdir()
    write_folder(model, path)
    save_tokenizer(tokenizer, path / "tokenizer.json")
    (path / "tokenizer_config.json").write_text("{}")
    return path, model


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_blocks_are_copied_and_vectors_are_means_of_pieces(tmp_path: Path, kind: str) -> None:
    where, model = folder(tmp_path / kind, kind)
    sizes = sizes_for(where, LIKE)
    assert (sizes.d_model, sizes.layers, sizes.heads) == (24, 2, 3)
    ensemble = Ensemble(sizes, sizes, sizes)
    changed = warm_start(ensemble, where)
    assert changed == (["generator"] if kind == "gpt" else ["router", "validator"])
    part = ensemble.generator if kind == "gpt" else ensemble.router
    for net in (part.online.net, part.online.average):
        ours = net.state_dict()
        for name, value in model.blocks.state_dict().items():
            assert gu.equal(ours[f"blocks.{name}"], value.detach())
        table = ours["embedding.token.weight"].detach().numpy()
        public = train_bpe(TEXT, 290, special_tokens=["<|endoftext|>"])
        (place,) = ensemble.tokenizer.encode("w")
        (theirs,) = public.encode("w").ids
        np.testing.assert_allclose(
            table[place], model.token.weight.detach().numpy()[theirs], atol=1e-6
        )
    part.update([Example("where is my card", "x"), Example("where is my rent", "y")])
    assert part.online.steps == 1
    ensemble.learn("where is my card", "x")
    with pytest.raises(FinchError, match="before anything is learned"):
        warm_start(ensemble, where)


def test_what_does_not_fit_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    where, _ = folder(tmp_path / "bert", "bert")
    right = sizes_for(where, LIKE)
    ensemble = Ensemble(right, right, replace(right, feedforward=32))
    before = ensemble.router.online.net.state_dict()["blocks.0.query.weight"].numpy().copy()
    with pytest.raises(FinchError, match="for the validator it does not fit: feedforward 48"):
        warm_start(ensemble, where)
    after = ensemble.router.online.net.state_dict()["blocks.0.query.weight"].numpy()
    np.testing.assert_array_equal(before, after)
    wide = replace(right, query=64)
    with pytest.raises(FinchError, match="context 64"):
        warm_start(Ensemble(wide, wide, wide), where)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    where, _ = folder(tmp_path / "llama", "llama")
    with pytest.raises(FinchError, match="a Llama, whose blocks"):
        sizes_for(where, LIKE)
