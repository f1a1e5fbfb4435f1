"""A folder of `train-lm` in the hands of the public libraries (R4.2)."""

import numpy as np
import pytest

import groundup as gu
from groundup.apps.language_model import Recipe, save_language_model
from groundup.text import character_tokenizer, train_bpe

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXT = "Zoë sees the sea, 漢字 and a tree.\nBob likes to be or not to be.\n"


@pytest.mark.parametrize("kind", ["chars", "bpe"])
def test_transformers_reads_model_and_tokenizer(tmp_path, kind):
    tokenizer = character_tokenizer(TEXT) if kind == "chars" else train_bpe(TEXT, 270)
    gu.manual_seed(0)
    recipe = Recipe(layers=2, width=32, heads=2, context=80, positions="learned")
    model = recipe.build(len(tokenizer)).eval()
    save_language_model(model, tokenizer, tmp_path)

    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer.encode(TEXT).ids
    assert theirs(TEXT)["input_ids"] == ids
    assert theirs.decode(ids) == TEXT
    peer = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad(), gu.no_grad():
        expected = peer(torch.tensor([ids])).logits.numpy()
        found = model(gu.tensor([ids])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
