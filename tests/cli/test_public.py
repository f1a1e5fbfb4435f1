"""`groundup chat` and `groundup embed`, with small models made here. R1.6, R4.4."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.models.public_files import small_gguf
from typer.testing import CliRunner

import groundup as gu
from groundup.cli import app
from groundup.models import Bert, BertConfig, load_pretrained
from groundup.models.pretrained import load_chat, write_folder
from groundup.text import save_tokenizer, train_bpe

SENTENCES = "the cat sat on the mat\nthe cat sat on a mat\nof neural networks\n"


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    path = tmp_path_factory.mktemp("talker") / "m.gguf"
    path.write_bytes(small_gguf()[1])
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    gu.manual_seed(0)
    tokenizer = train_bpe(SENTENCES * 10, 280)
    sizes = {"d_model": 16, "num_layers": 1, "num_heads": 2, "dim_feedforward": 32}
    write_folder(Bert(BertConfig(len(tokenizer), context=12, dropout=0.0, **sizes)), folder)
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    return folder


def said(talker, words, *options):
    return CliRunner().invoke(app, ["chat", str(talker), *options], input=words)


def test_chat_answers_each_line_as_the_model_does(talker):
    found = said(talker, "ab\nb\n", "--greedy", "--max-new-tokens", "5", "--system", "a")
    assert found.exit_code == 0, found.stderr
    conversation = load_chat(talker, "a")
    expected = ["".join(conversation.say(text, max_new_tokens=5)) for text in ("ab", "b")]
    assert found.stdout == "".join(f"{answer}\n" for answer in expected)


def test_chat_repeats_with_a_seed_and_ends_at_an_empty_line(talker):
    options = ["--seed", "3", "--temperature", "2", "--max-new-tokens", "8"]
    first = said(talker, "ab\n\nb\n", *options)
    assert first.stdout.count("\n") >= 1
    assert first.stdout == said(talker, "ab\n", *options).stdout
    options[1] = "4"
    assert first.stdout != said(talker, "ab\n", *options).stdout


@pytest.mark.parametrize(
    ("words", "options", "code", "message"),
    [
        ("a" * 200, [], 1, "context"),
        ("a", ["--temperature", "-1"], 2, "temperature"),
        ("a", ["--max-new-tokens", "0"], 2, "whole number"),
    ],
)
def test_chat_refuses_what_cannot_be(talker, words, options, code, message):
    found = said(talker, words + "\n", *options)
    assert found.exit_code == code
    assert message in " ".join(found.stderr.split())


def test_chat_says_what_is_missing(groundup, encoder):
    assert "there is no such file" in groundup("chat", "nothing.gguf").stderr
    found = groundup("chat", encoder)
    assert found.exit_code == 1
    assert "an encoder cannot write" in " ".join(found.stderr.split())


def test_embed_gives_vectors_that_are_close_for_lines_that_are_alike(groundup, encoder, place):
    (place / "s.txt").write_text(SENTENCES)
    found = groundup("embed", "s.txt", "--model", encoder)
    assert found.exit_code == 0, found.stderr
    rows = json.loads(found.stdout)
    assert [row["text"] for row in rows] == SENTENCES.splitlines()
    vectors = np.array([row["vector"] for row in rows])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > cosines[0, 2]
    assert groundup("embed", "s.txt", "--model", encoder, "--output", "v.npy").exit_code == 0
    np.testing.assert_allclose(np.load(place / "v.npy"), vectors, atol=1e-6)


def test_embed_does_not_depend_on_what_else_is_in_the_batch(groundup, encoder, place):
    (place / "s.txt").write_text(SENTENCES)
    rows = json.loads(groundup("embed", "s.txt", "--model", encoder).stdout)
    model, tokenizer = load_pretrained(encoder)
    ids = tokenizer.encode("of neural networks").ids
    alone = model(gu.tensor([ids])).mean(1)[0].detach().numpy()
    np.testing.assert_allclose(rows[2]["vector"], alone / np.linalg.norm(alone), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"good\n\xff\xfe", "byte 5 is not UTF-8"),
        (b"the cat\n" + b"the cat sat " * 9, "line 2 has"),
    ],
)
def test_embed_refuses_what_it_cannot_read(groundup, encoder, place, content, message):
    (place / "s.txt").write_bytes(content)
    found = groundup("embed", "s.txt", "--model", encoder, "--output", "v.npy")
    assert found.exit_code == 1
    assert message in " ".join(found.stderr.split())
    assert not (place / "v.npy").exists()


def test_embed_refuses_a_decoder_and_another_suffix(groundup, encoder, talker, place):
    (place / "s.txt").write_text(SENTENCES)
    found = groundup("embed", "s.txt", "--model", talker)
    assert "expected an encoder" in " ".join(found.stderr.split())
    found = groundup("embed", "s.txt", "--model", encoder, "--output", "v.json")
    assert found.exit_code == 2
    assert "ends in .npy" in " ".join(found.stderr.split())
