"""Byte-level BPE: the same merges, ids and offsets as the tokenizers package, ids as tiktoken."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from groundup.data import standard_library
from groundup.text import (
    PATTERNS,
    AddedToken,
    Padding,
    Template,
    Tokenizer,
    Truncation,
    UnicodeForm,
    load_tokenizer,
    save_tokenizer,
    train_bpe,
)
from groundup.text.byte_level import ALPHABET, as_bytes
from groundup.text.files import as_json, from_json

tokenizers = pytest.importorskip("tokenizers")
tiktoken = pytest.importorskip("tiktoken")

SOURCE = "".join(path.read_text("utf-8", "replace") for path in standard_library()[:6])
TEXT = (
    SOURCE[:120_000] + " naïve café 中文字 🙂🙂 don't we'LL 1234567 x²\u00a0\u2028\r\n\r\n\tend" * 5
)
# Unicode grows; what both know is what Unicode 14 assigns.
CHARACTERS = st.sampled_from("to be.,'sSlL12²٣ é中🙂𝒜\n\r\t/_-\u00a0\x1c\u0301ſ") | st.characters(
    max_codepoint=0x2FFF, exclude_categories=("Cs", "Cn")
)
TEXTS = st.text(CHARACTERS, max_size=40)


def pre_tokenizer(name: str) -> Any:
    """What public tokenizer.json files have for the pattern of this name."""
    kinds = tokenizers.pre_tokenizers
    if name == "gpt2":
        return kinds.ByteLevel(add_prefix_space=False)
    if name == "smollm":
        digits = kinds.Digits(individual_digits=True)
        return kinds.Sequence([digits, kinds.ByteLevel(add_prefix_space=False)])
    split = kinds.Split(tokenizers.Regex(PATTERNS[name]), "isolated")
    return kinds.Sequence([split, kinds.ByteLevel(add_prefix_space=False, use_regex=False)])


def trained_by_peer(texts: list[str], size: int, name: str = "gpt2", **options: Any) -> Any:
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = pre_tokenizer(name)
    peer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=list(ALPHABET), show_progress=False, **options
    )
    peer.train_from_iterator(texts, trainer)
    return peer


def content(peer: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """Its tokens in the order of their ids, and its merges."""
    ids = peer.get_vocab()
    merges = json.loads(peer.to_str())["model"]["merges"]
    return sorted(ids, key=ids.__getitem__), [(left, right) for left, right in merges]


# R4.1: the same merges on the same text and settings
@pytest.mark.parametrize("name", PATTERNS)
def test_training_gives_the_same_merges(name: str) -> None:
    special = ["<s>", "</s>"]
    peer = trained_by_peer([TEXT], 1500, name, special_tokens=special)
    ours = train_bpe(TEXT, 1500, pattern=name, special_tokens=special)
    assert (ours.tokens, ours.model.merges) == content(peer)  # type: ignore[attr-defined]
    ids = ours.encode(TEXT).ids
    assert ids == peer.encode(TEXT).ids
    ranks = {as_bytes(token): i for i, token in enumerate(ours.tokens) if token not in special}
    if name != "smollm":
        rust = tiktoken.Encoding(
            "ours",
            pat_str=PATTERNS[name],
            mergeable_ranks=ranks,
            special_tokens={"<s>": 0, "</s>": 1},
        )
        assert rust.encode_ordinary(TEXT) == ids


@given(st.lists(st.text("ab", max_size=24), max_size=6), st.integers(0, 3), st.integers(256, 300))
def test_few_letters_and_many_ties(texts: list[str], frequency: int, size: int) -> None:
    """Where different merges make the same token."""
    peer = trained_by_peer(texts, size, min_frequency=frequency)
    ours = train_bpe(texts, size, min_frequency=frequency)
    assert (ours.tokens, ours.model.merges) == content(peer)  # type: ignore[attr-defined]


PAIRS = {
    name: (train_bpe(TEXT, 700, pattern=name), trained_by_peer([TEXT], 700, name))
    for name in ("gpt2", "cl100k", "o200k", "smollm")
}


@pytest.mark.parametrize("name", PAIRS)
@given(text=TEXTS)
def test_encoding_and_offsets_are_the_same(name: str, text: str) -> None:
    ours, peer = PAIRS[name]
    found, expected = ours.encode(text), peer.encode(text)
    assert found.ids == expected.ids
    assert found.tokens == expected.tokens
    assert found.offsets == expected.offsets
    assert ours.decode(found.ids) == peer.decode(expected.ids) == text


@given(st.lists(st.integers(0, 699), max_size=30))
def test_decoding_of_any_ids_is_the_same(ids: list[int]) -> None:
    ours, peer = PAIRS["gpt2"]
    assert ours.decode(ids) == peer.decode(ids)


@given(st.text("abcd", max_size=30), st.randoms(use_true_random=False))
def test_merges_in_any_order_give_the_same_tokens(word: str, order: Any) -> None:
    """Orders that no training gives."""
    parts = ["ab", "bc", "cd", "abc", "bcd", "abcd", "aa", "aaa", "ca", "abab"]
    merges = [(part[:i], part[i:]) for part in parts for i in range(1, len(part))]
    merges = [pair for pair in merges if all(len(p) == 1 or p in parts for p in pair)]
    order.shuffle(merges)
    tokens = [*ALPHABET, *parts]
    ours = Tokenizer.from_bpe(tokens, merges)
    peer = tokenizers.Tokenizer(
        tokenizers.models.BPE({token: i for i, token in enumerate(tokens)}, merges)
    )
    assert ours.encode(word).tokens == peer.encode(word).tokens


# Files


def llama3_like() -> Any:
    peer = trained_by_peer([TEXT], 600, "llama3")
    spec = json.loads(peer.to_str())
    spec["model"]["ignore_merges"] = True
    peer = tokenizers.Tokenizer.from_str(json.dumps(spec))
    peer.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>"])
    template = tokenizers.processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", 600)],
    )
    level = tokenizers.processors.ByteLevel(trim_offsets=True)
    peer.post_processor = tokenizers.processors.Sequence([level, template])
    return peer


def qwen_like() -> Any:
    peer = trained_by_peer([TEXT], 600, "qwen2")
    peer.normalizer = tokenizers.normalizers.NFC()
    peer.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    peer.add_tokens([tokenizers.AddedToken("<tool_call>", normalized=False)])
    peer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    return peer


def smollm_like() -> Any:
    peer = trained_by_peer([TEXT], 600, "smollm", special_tokens=["<|endoftext|>", "<|im_start|>"])
    peer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    return peer


def roberta_like() -> Any:
    peer = trained_by_peer([TEXT], 600, special_tokens=["<s>", "</s>"])
    peer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    peer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    peer.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True)])
    return peer


MAKERS = [llama3_like, qwen_like, smollm_like, roberta_like]
LIKE = {maker.__name__: maker for maker in MAKERS}
PARTS = st.sampled_from(
    ["<|im_start|>", "<|eot_id|>", "<tool_call>", "<mask>", "<s>", " ", "the", "import", "é", "7"]
)


@pytest.mark.parametrize("name", LIKE)
def test_files_of_public_kinds_are_read_and_written(name: str, tmp_path: Path) -> None:
    peer = LIKE[name]()
    path = tmp_path / "tokenizer.json"
    peer.save(str(path))
    ours = load_tokenizer(path)
    save_tokenizer(ours, path)
    again = tokenizers.Tokenizer.from_file(str(path))

    @given(st.lists(PARTS | TEXTS, max_size=6).map("".join), TEXTS | st.none())
    def check(text: str, pair: str | None) -> None:
        found = ours.encode(text, pair, allow_special=True)
        for one in (peer, again):
            expected = one.encode(text, pair)
            assert found.ids == expected.ids
            assert found.type_ids == expected.type_ids
            assert found.special_tokens_mask == expected.special_tokens_mask
            # Where spaces are left out, the peer takes one at the beginning of the text for one
            # that was put there, and behind added tokens one that was put there for the text's.
            lone = text.startswith(" ") or (
                name == "roberta_like" and ("Ġ" in found.tokens or "<" in text)
            )
            if ours.trim_offsets and lone:
                continue
            if ours.normalizer is None or ours.normalizer(text) == text:
                whole = len(found) if pair is None else len(ours.encode(text, allow_special=True))
                assert found.offsets[:whole] == expected.offsets[:whole]
        for skip in (True, False):
            assert ours.decode(found.ids, skip_special_tokens=skip) == peer.decode(
                found.ids, skip_special_tokens=skip
            )
        peer.encode_special_tokens = True
        assert ours.encode(text).ids == peer.encode(text).ids
        peer.encode_special_tokens = False

    check()


@given(
    st.lists(TEXTS, min_size=1, max_size=3),
    st.integers(3, 12),
    st.integers(0, 2),
    st.sampled_from(["left", "right"]),
    st.sampled_from([None, 8]),
)
def test_truncation_and_padding_are_the_same(
    texts: list[str], length: int, stride: int, side: Any, multiple: int | None
) -> None:
    ours = Tokenizer(
        PAIRS["gpt2"][0].model,
        splitter=PAIRS["gpt2"][0].splitter,
        added=["<s>", "<pad>"],
        template=Template("<s> $A"),
        truncation=Truncation(length + 1, stride, side),
        padding=Padding("<pad>", None, multiple, side),
    )
    peer = tokenizers.Tokenizer.from_str(json.dumps(as_json(ours)))
    for row, expected in zip(ours.encode_batch(texts), peer.encode_batch(texts), strict=True):
        assert row.ids == expected.ids
        assert row.attention_mask == expected.attention_mask
        assert row.offsets == expected.offsets
        assert [rest.ids for rest in row.overflowing] == [e.ids for e in expected.overflowing]


@given(TEXTS, TEXTS, st.integers(1, 20))
def test_pairs_are_cut_the_same(first: str, second: str, length: int) -> None:
    ours = Tokenizer(PAIRS["gpt2"][0].model, splitter=PAIRS["gpt2"][0].splitter)
    ours.truncation = Truncation(length)
    peer = tokenizers.Tokenizer.from_str(json.dumps(as_json(ours)))
    assert ours.encode(first, second).ids == peer.encode(first, second).ids


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=TEXTS)
def test_normal_forms_are_the_same(form: Any, text: str) -> None:
    peer = getattr(tokenizers.normalizers, form)()
    assert UnicodeForm(form)(text) == peer.normalize_str(text)


@pytest.mark.parametrize("behavior", ["removed", "isolated", "merged_with_previous"])
@pytest.mark.parametrize("invert", [True, False])
@given(text=st.text("ab- ", max_size=12))
def test_splits_are_the_same(behavior: str, invert: bool, text: str) -> None:
    peer = tokenizers.pre_tokenizers.Split("-", behavior, invert)
    spec = {**json.loads(peer.__getstate__()), "type": "Split"}
    ours = from_json({**_LETTERS, "pre_tokenizer": _sequence(spec)})
    assert ours.splitter is not None
    assert [(text[a:b], (a, b)) for a, b in ours.splitter.spans(text)] == (
        peer.pre_tokenize_str(text)
    )


_LETTERS = as_json(Tokenizer.from_bpe(ALPHABET, []))


def _sequence(spec: dict[str, Any]) -> dict[str, Any]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [spec, level]}


@given(st.lists(st.sampled_from(["ab", "abc", " ", "x", "_", "é", "<m>"]), max_size=8).map("".join))
def test_added_tokens_are_found_the_same(text: str) -> None:
    ours = Tokenizer.from_bpe(
        ALPHABET,
        [],
        special_tokens=[
            AddedToken("ab", special=False, single_word=True),
            AddedToken("abc", special=False),
            AddedToken("<m>", lstrip=True, rstrip=True),
        ],
    )
    peer = tokenizers.Tokenizer.from_str(json.dumps(as_json(ours)))
    found, expected = ours.encode(text, allow_special=True), peer.encode(text)
    assert found.ids == expected.ids
    assert found.offsets == expected.offsets
