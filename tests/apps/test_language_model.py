"""Training a language model on a file (R4.2): streamed, stopped, resumed, kept, sampled."""

import json
import math
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import groundup as gu
from groundup.apps.language_model import (
    Recipe,
    TextError,
    corpus as corpora,
    load_language_model,
    prepare,
    train_language_model,
    write_on,
)
from groundup.apps.language_model.trainer import judged
from groundup.engine.files import CheckpointError
from groundup.models import GPT, Llama, load_pretrained
from groundup.nn import functional as F
from groundup.text import train_bpe

SMALL = {"layers": 1, "width": 16, "heads": 2, "context": 16, "batch": 4, "steps": 30}


def story(lines=200, seed=0):
    """Text with some order: n-grams and networks can learn it."""
    choose = random.Random(seed).choice
    return "".join(
        f"{choose(['Ann', 'Bob', 'Zoë'])} {choose(['sees', 'likes'])} "
        f"{choose(['the sea', 'a tree', 'Bob'])}.\n"
        for _ in range(lines)
    )


@pytest.fixture
def text(tmp_path):
    file = tmp_path / "story.txt"
    file.write_text(story(), encoding="utf-8")
    return file


def weights(folder):
    tensors, _ = gu.load(folder / "model.safetensors")
    return {name: tensor.numpy() for name, tensor in tensors.items()}


# From a file to tokens


@pytest.mark.parametrize("tokenizer", ["chars", "bpe"])
def test_tokens_are_the_text(text, tmp_path, tokenizer):
    found = prepare(text, tmp_path / "run", Recipe(tokenizer=tokenizer, vocab_size=300))
    ids = found.tokens.ids
    whole = story()
    assert found.tokenizer.decode(ids) == whole
    assert found.tokenizer.decode(ids[: found.split]) + found.held == whole
    assert found.before + found.held == whole
    assert found.characters == len(whole) - len(found.held)
    assert len(found.held.encode()) == pytest.approx(len(whole.encode()) / 10, abs=3)


def test_blocks_change_no_token(text, tmp_path, monkeypatch):
    """Pieces of a few bytes, which cut characters and words, give the tokens of the whole."""
    whole = [
        prepare(text, tmp_path / kind, Recipe(tokenizer=kind, vocab_size=300)).tokens.ids.tolist()
        for kind in ("chars", "bpe")
    ]
    monkeypatch.setattr(corpora, "BLOCK", 7)
    again = [
        prepare(text, tmp_path / f"{kind}-2", Recipe(tokenizer=kind, vocab_size=300)).tokens
        for kind in ("chars", "bpe")
    ]
    assert again[0].ids.tolist() == whole[0]
    tokenizer = train_bpe(story()[: -len(prepare(text, tmp_path / "bpe", Recipe()).held)], 300)
    assert tokenizer.decode(again[1].ids) == story()


def test_what_is_prepared_is_used_again_unless_the_file_changed(text, tmp_path, monkeypatch):
    recipe = Recipe(context=8)
    prepare(text, tmp_path / "run", recipe)
    with monkeypatch.context() as patch:
        patch.setattr(corpora, "_make", None)
        prepare(text, tmp_path / "run", recipe)
    text.write_text(story(300), encoding="utf-8")
    assert prepare(text, tmp_path / "run", recipe).tokenizer.decode([0]) == "\n"
    assert len(prepare(text, tmp_path / "run", recipe).tokens) == len(story(300))


@pytest.mark.parametrize("block", [4, 2**20])
@pytest.mark.parametrize(
    ("content", "place"),
    [(b"caf\xe9 au lait, twice", 3), (b"abc\xc3", 3), (b"\xef\xbb\xbfabc\xff", 6)],
)
def test_what_is_not_utf_8_is_named_by_its_byte(tmp_path, monkeypatch, content, place, block):
    monkeypatch.setattr(corpora, "BLOCK", block)
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(TextError, match=rf"byte {place} \(0x{content[place]:02x}\) is not UTF-8"):
        prepare(tmp_path / "file", tmp_path / "run", Recipe())


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_empty_files_are_refused(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(TextError, match="empty"):
        prepare(tmp_path / "file", tmp_path / "run", Recipe())


def test_short_and_missing_files_are_refused(tmp_path):
    (tmp_path / "file").write_text("to be or not to be")
    with pytest.raises(TextError, match=r"17 tokens .* too few for a context of 64"):
        prepare(tmp_path / "file", tmp_path / "run", Recipe())
    with pytest.raises(TextError, match="there is no such file"):
        prepare(tmp_path / "nothing", tmp_path / "run", Recipe())
    with pytest.raises(TextError, match="a folder"):
        prepare(tmp_path, tmp_path / "run", Recipe())


def test_a_byte_order_mark_is_no_character(tmp_path):
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + story().encode())
    found = prepare(tmp_path / "file", tmp_path / "run", Recipe())
    assert found.tokenizer.decode(found.tokens.ids) == story()


# Training


def test_a_run_that_was_stopped_ends_like_one_that_was_not(text, tmp_path):
    recipe = Recipe(**SMALL)
    whole = train_language_model(text, tmp_path / "whole", recipe, samples=1)

    def stop(run, speed, bits):
        if run.step == 17:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_language_model(text, tmp_path / "parts", recipe, samples=1, tell=stop)
    steps = []
    parts = train_language_model(
        text,
        tmp_path / "parts",
        recipe,
        samples=1,
        tell=lambda run, speed, bits: steps.append(run.step),
    )
    assert min(steps) >= 17  # 17 itself: the look at the validation text that was put off
    assert (parts.loss, parts.best_step, parts.samples) == (
        whole.loss, whole.best_step, whole.samples,
    )  # fmt: skip
    first, second = (weights(tmp_path / name) for name in ("whole", "parts"))
    assert all((first[name] == second[name]).all() for name in first)
    assert whole.bits_per_character < whole.baselines["1-gram"] < 6


def test_the_loss_is_that_of_every_token_once(text, tmp_path):
    """Judged token by token, with as much before each as the windows give it."""
    found = prepare(text, tmp_path / "run", Recipe(context=16))
    gu.manual_seed(0)
    model = Recipe(**SMALL).build(len(found.tokenizer))
    ids, nats = found.tokens.ids.astype(int), []
    for i, place in enumerate(range(found.split, len(ids))):
        end = min(place - i % 8 + 8, len(ids))
        window = gu.tensor([ids[end - 17 : end].tolist()])
        with gu.no_grad():
            logits = model(window[:, :-1])[0, place - end]
        nats.append(F.cross_entropy(logits.unsqueeze(0), window[0, place - end :][:1]).item())
    assert judged(model, found.tokens, found.split, 16) == pytest.approx(np.mean(nats), abs=1e-5)


def test_folders_are_public_where_the_format_allows(text, tmp_path):
    recipe = Recipe(**{**SMALL, "steps": 3}, positions="learned", tokenizer="bpe", vocab_size=280)
    outcome = train_language_model(text, tmp_path / "run", recipe, samples=0)
    model, tokenizer = load_pretrained(tmp_path / "run")
    assert isinstance(model, GPT)
    assert not isinstance(model, Llama)
    assert len(tokenizer) == outcome.vocabulary == 280
    assert tokenizer.decode(tokenizer.encode("Zoë sees").ids) == "Zoë sees"
    found = prepare(text, tmp_path / "run", recipe)
    assert judged(model, found.tokens, found.split, 16) == pytest.approx(outcome.loss, abs=1e-9)
    assert outcome.bits_per_character == pytest.approx(
        outcome.loss / math.log(2) * outcome.validation_tokens / len(found.held)
    )


@pytest.mark.slow
def test_an_lstm_learns_and_writes(text, tmp_path):
    recipe = Recipe(**{**SMALL, "steps": 60}, model="lstm", learning_rate=0.01)
    outcome = train_language_model(text, tmp_path / "run", recipe, samples=1)
    assert outcome.bits_per_character < outcome.baselines["1-gram"]
    model, tokenizer = load_language_model(tmp_path / "run")
    texts = ["".join(write_on(model, tokenizer, "Ann ", 50)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 50
    with pytest.raises(ValueError, match="the prompt is empty"):
        next(write_on(model, tokenizer, ""))


@pytest.mark.slow
def test_other_settings_or_another_text_are_not_mixed_in(text, tmp_path):
    recipe = Recipe(**{**SMALL, "steps": 2})
    train_language_model(text, tmp_path / "run", recipe, samples=0)
    with pytest.raises(ValueError, match="steps was 2, now 3"):
        train_language_model(text, tmp_path / "run", Recipe(**{**SMALL, "steps": 3}))
    text.write_text(story(300), encoding="utf-8")
    with pytest.raises(ValueError, match="a run on another text"):
        train_language_model(text, tmp_path / "run", recipe)
    again = train_language_model(text, tmp_path / "run", recipe, samples=0, restart=True)
    assert again.train_tokens > 4_000


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_folders_are_refused(text, tmp_path, name):
    folder = tmp_path / "run"
    tokenizer = prepare(text, folder, Recipe()).tokenizer
    from groundup.apps.language_model import save_language_model

    save_language_model(Recipe(**SMALL).build(len(tokenizer)), tokenizer, folder)
    load_language_model(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError):
        load_language_model(folder)


def test_a_config_that_asks_for_too_much_is_refused(text, tmp_path):
    folder = tmp_path / "run"
    tokenizer = prepare(text, folder, Recipe()).tokenizer
    from groundup.apps.language_model import save_language_model

    save_language_model(Recipe(**SMALL).build(len(tokenizer)), tokenizer, folder)
    config = json.loads((folder / "config.json").read_text())
    for changes in ({"vocab_size": 10**12}, {"d_model": "x"}, {"num_heads": 0}, {"context": -1}):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(CheckpointError):
            load_language_model(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "rnn"}, {"tokenizer": "words"}, {"positions": "none at all"}, {"steps": 0},
        {"context": 1}, {"heads": 3}, {"width": 12, "heads": 4}, {"dropout": 1.0},
        {"learning_rate": 0.0}, {"validation": 0.6}, {"vocab_size": 255}, {"seed": -1},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recipe(**wrong)


LIMITED = """
import resource, sys
from pathlib import Path
import groundup
from groundup.apps.language_model import Recipe, train_language_model
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[3]),) * 2)
recipe = Recipe(layers=1, width=16, heads=2, context=32, batch=4, steps=20)
print(train_language_model(Path(sys.argv[1]), sys.argv[2], recipe, samples=0).train_tokens)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_file_larger_than_memory_is_streamed(tmp_path):
    """560 MB of text and 512 MiB of memory: what is held counts, files that are mapped do not."""
    file = tmp_path / "large.txt"
    part = story(250_000).encode()
    with open(file, "wb") as out:
        for _ in range(130):
            out.write(part)
    assert file.stat().st_size > 2**29
    words = [sys.executable, "-c", LIMITED, file, tmp_path / "run", str(2**29)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0.95 * 130 * len(part.decode())


def test_paths_may_be_strings(text, tmp_path):
    assert prepare(str(text), Path(tmp_path / "run"), Recipe()).split > 0
