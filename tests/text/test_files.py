"""Tokenizers in files come back as they were, and damaged files are refused: R4.1."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from groundup.text import (
    ALPHABET,
    PATTERNS,
    AddedToken,
    BertNormalizer,
    BertWords,
    Lowercase,
    NormalizerSequence,
    Padding,
    StripAccents,
    Template,
    Tokenizer,
    Truncation,
    UnicodeForm,
    WordPiece,
    load_tokenizer,
    read_gpt2,
    read_vocab_txt,
    save_tokenizer,
    train_bpe,
    write_gpt2,
)
from groundup.text.files import as_json, from_json

TEXT = "to be or not to be, that is the question: 123 é中 " * 3
SPECIAL = ["<s>", "</s>", AddedToken("word", special=False, rstrip=True)]
WORDPIECE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "to", "be", "##e", "a", ",", "##to"]


def bert(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "vocab.txt"
    path.write_text("\n".join(WORDPIECE) + "\n")
    return path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_is_saved_comes_back(tmp_path: Path, pattern: str) -> None:
    tokenizer = train_bpe(
        TEXT,
        290,
        pattern=pattern,
        special_tokens=SPECIAL,
        normalizer=NormalizerSequence([UnicodeForm("NFC"), Lowercase(), StripAccents()]),
        prefix_space=pattern == "gpt2",
        template=Template("<s> $A </s>"),
    )
    tokenizer.truncation = Truncation(40, 3, "left", "only_first")
    tokenizer.padding = Padding("</s>", 50, 8, "left", 1)
    path = tmp_path / "new" / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    again = load_tokenizer(path)
    assert as_json(again) == as_json(tokenizer) == json.loads(path.read_text("utf-8"))
    for text in (TEXT, "", "x<s> word  É\n\n12345", "🙂"):
        before, after = tokenizer.encode(text), again.encode(text)
        assert (after.ids, after.offsets) == (before.ids, before.offsets)
    assert (again.truncation, again.padding) == (tokenizer.truncation, tokenizer.padding)


def test_the_two_files_of_gpt2(tmp_path: Path) -> None:
    tokenizer = train_bpe(TEXT, 290, special_tokens=["<|endoftext|>"])
    write_gpt2(tokenizer, tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.tokens == tokenizer.tokens
    assert again.encode(TEXT).ids == tokenizer.encode(TEXT).ids
    assert again.decode([tokenizer.tokens.index("<|endoftext|>")]) == ""
    with pytest.raises(ValueError, match="no merges; use save_tokenizer"):
        write_gpt2(read_vocab_txt(bert(tmp_path / "bert")), tmp_path)


def test_bert(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(bert(tmp_path / "bert").parent)
    encoding = tokenizer.encode("To bé, xyz", "a")
    assert encoding.tokens == ["[CLS]", "to", "be", ",", "[UNK]", "[SEP]", "a", "[SEP]"]
    assert encoding.offsets[1:5] == [(0, 2), (3, 5), (5, 6), (7, 10)]
    assert encoding.type_ids == [0, 0, 0, 0, 0, 0, 1, 1]
    assert tokenizer.decode(encoding.ids) == "to be, [UNK] a".replace(" [UNK]", "")
    path = tmp_path / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    assert load_tokenizer(tmp_path).encode("To bé, xyz", "a").ids == encoding.ids


def test_merges_may_be_strings_and_kinds_may_be_missing() -> None:
    spec = as_json(train_bpe(TEXT, 270))
    again = copy.deepcopy(spec)
    again["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    del again["model"]["type"], again["version"], again["truncation"]
    assert from_json(again).encode(TEXT).ids == from_json(spec).encode(TEXT).ids


# WordPiece


@given(st.text(st.sampled_from("tobea, É中\n"), max_size=20))
def test_pieces_of_words(text: str) -> None:
    tokenizer = Tokenizer(
        WordPiece(WORDPIECE), splitter=BertWords(), normalizer=BertNormalizer(), added=["[CLS]"]
    )
    encoding = tokenizer.encode(text)
    for token, (a, b) in zip(encoding.tokens, encoding.offsets, strict=True):
        if token != "[UNK]":
            assert BertNormalizer()(text[a:b]).strip() == token.removeprefix("##")
        assert a < b
    stream = tokenizer.decode_stream()
    assert "".join(map(stream.push, encoding.ids)) == tokenizer.decode(encoding.ids)


def test_the_longest_piece_first_and_unknown_words_whole() -> None:
    model = WordPiece(["[UNK]", "a", "ab", "abc", "##c", "##cd", "##d"])
    assert [[model.tokens[i] for i in word] for word in model.encode_words(["abcd", "abd"])] == [
        ["abc", "##d"],
        ["ab", "##d"],
    ]
    assert model.encode_words(["ba", "a" * 101]) == [(0,), (0,)]
    assert model.spans(["abcd", "zz"], [3, 9]) == [(3, 6), (6, 7), (9, 11)]


def test_special_tokens_are_no_pieces() -> None:
    tokenizer = Tokenizer(WordPiece(["[UNK]", "[CLS]"]), added=["[CLS]"])
    assert tokenizer.encode("[CLS]").tokens == ["[UNK]"]
    assert tokenizer.encode("[CLS]", allow_special=True).tokens == ["[CLS]"]


# Bad input

BASE = as_json(
    train_bpe(TEXT, 262, special_tokens=["<s>"], template=Template("<s> $A"), pattern="qwen2")
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "model 'Unigram' is not supported"),
        ({"model": {**BASE["model"], "byte_fallback": True}}, "byte_fallback"),
        ({"model": {**BASE["model"], "dropout": 0.1}}, "dropout 0.1"),
        ({"model": {**BASE["model"], "merges": [["a"]]}}, "not a pair of tokens"),
        ({"model": {**BASE["model"], "merges": [["▁", "a"]]}}, "stand for no byte"),
        ({"pre_tokenizer": None}, "without a ByteLevel pre_tokenizer"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "pre_tokenizer 'Metaspace'"),
        ({"normalizer": {"type": "Precompiled"}}, "normalizer 'Precompiled'"),
        ({"post_processor": {"type": "Other"}}, "post_processor 'Other'"),
        ({"decoder": {"type": "Metaspace"}}, "decoder 'Metaspace' with a BPE"),
        (
            {"post_processor": {"type": "BertProcessing", "cls": ["<c>", 1], "sep": ["<s>", 0]}},
            "the template needs the token '<c>'",
        ),
        ({"added_tokens": [{"id": 5}]}, "not a tokenizer.json as it should be .KeyError"),
        ({"padding": {"pad_token": "<p>"}}, "padding needs the token '<p>'"),
    ],
)
def test_what_is_not_supported_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**BASE, **change}))
    with pytest.raises(ValueError, match=message) as caught:
        load_tokenizer(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff", "not UTF-8"), (b"", "not JSON"), (b"[1]", "a list"), (b"[" * 10**5, "not JSON")],
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_tokenizer(path)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "vocab.txt").write_text("[UNK]\n")
    with pytest.raises(ValueError, match=r"has no token '\[PAD\]'"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({c: i for i, c in enumerate(ALPHABET)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b c\n")
    with pytest.raises(ValueError, match="line 2 is 'a b c', expected two tokens"):
        load_tokenizer(tmp_path)
    (tmp_path / "merges.txt").write_text("a b\r\n")
    with pytest.raises(ValueError, match=r"merges.txt: BPE: merge 0, 'a' with 'b', needs 'ab'"):
        read_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt")
    with pytest.raises(ValueError, match=r"no '\[UNK\]'"):
        WordPiece(["a"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data(), value=JSON)
def test_a_damaged_description_is_an_error_and_nothing_else(
    data: st.DataObject, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any part of a good file may be anything."""
    spec = copy.deepcopy(BASE)
    spec["padding"] = {"pad_token": "<s>", "strategy": {"Fixed": 3}}
    spec["truncation"] = {"max_length": 3}
    place: Any = spec
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    path = tmp_path_factory.mktemp("damaged") / "tokenizer.json"
    path.write_text(json.dumps(spec))
    try:
        load_tokenizer(path).encode("to be")
    except ValueError:
        return
