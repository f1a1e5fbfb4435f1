"""Merges of words: what they keep, and that the fast ways agree with the definition."""

import importlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from groundup.text import ALPHABET, BPE, PATTERNS, Tokenizer, train_bpe
from groundup.text.byte_level import BYTE_OF, as_bytes, as_characters
from groundup.text.train import learn_merges

train = importlib.import_module("groundup.text.train")

LETTERS = st.text("abc", max_size=40)
TEXTS = st.text(st.sampled_from("ab cd.,1'\n\té中🙂\u0301 "), max_size=60)
TOKENIZERS = {
    name: train_bpe("a bab abba cd dcd 11 12 é中 🙂 a\n\n b'd" * 3, 290, pattern=name)
    for name in PATTERNS
}


def by_definition(numbers: Sequence[str], merges: Sequence[tuple[str, str]]) -> list[str]:
    """Sennrich et al. 2016: join the neighbours with the earliest merge, leftmost first."""
    tokens = list(numbers)
    while True:
        ranked = [
            (merges.index(pair), i) for i, pair in enumerate(pairwise(tokens)) if pair in merges
        ]
        if not ranked:
            return tokens
        _, i = min(ranked)
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


def recounted(words: dict[str, int], steps: int) -> list[tuple[str, str]]:
    """Algorithm 1 of Sennrich et al. 2016 by counting everything anew for each merge."""
    ids = {c: i for i, c in enumerate(ALPHABET)}
    split = {tuple(as_characters(word.encode())): n for word, n in words.items()}
    merges: list[tuple[str, str]] = []
    while len(merges) < steps:
        counts: dict[tuple[str, str], int] = {}
        for word, n in split.items():
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        left, right = min(counts, key=lambda pair: (-counts[pair], ids[pair[0]], ids[pair[1]]))
        merges.append((left, right))
        ids.setdefault(left + right, len(ids))
        joined: dict[tuple[str, ...], int] = {}
        for word, n in split.items():
            out: list[str] = []
            i = 0
            while i < len(word):
                both = word[i : i + 2] == (left, right)
                out.append(left + right if both else word[i])
                i += 1 + both
            joined[tuple(out)] = joined.get(tuple(out), 0) + n
        split = joined
    return merges


# R4.1: byte level
@given(st.binary())
def test_bytes_have_characters_and_back(content: bytes) -> None:
    written = as_characters(content)
    assert as_bytes(written) == content
    assert set(written) <= set(ALPHABET)
    assert written.isprintable()
    assert not any(c.isspace() for c in written)


def test_the_alphabet_is_every_byte_once() -> None:
    assert sorted(BYTE_OF.values()) == list(range(256))
    assert len(set(ALPHABET)) == 256


@pytest.mark.parametrize("name", PATTERNS)
@given(text=st.text() | TEXTS)
def test_any_text_comes_back(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    encoding = tokenizer.encode(text)
    assert tokenizer.decode(encoding.ids) == text
    assert max(encoding.ids, default=0) < len(tokenizer)


@given(content=st.binary())
def test_any_bytes_come_back(content: bytes) -> None:
    tokenizer = TOKENIZERS["gpt2"]
    assert isinstance(tokenizer.model, BPE)
    ids = tokenizer.model.encode_bytes(content)
    assert tokenizer.decode_bytes(ids) == content


@given(text=st.text() | TEXTS, data=st.data())
def test_a_stream_gives_what_decoding_at_once_gives(text: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS["gpt2"]
    ids = tokenizer.encode(text).ids
    if data.draw(st.booleans()):  # any order: mostly no UTF-8
        ids = data.draw(st.permutations(ids))
    stream = tokenizer.decode_stream()
    parts = [stream.push(i) for i in ids]
    assert "".join(parts) + stream.finish() == tokenizer.decode(ids)


@given(
    word=LETTERS,
    pairs=st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=4), st.integers(1, 3)), max_size=9
    ),
    order=st.randoms(use_true_random=False),
)
def test_both_ways_to_merge_are_the_definition(
    word: str, pairs: list[tuple[str, int]], order: object
) -> None:
    """Merges in any order, also one that no training gives."""
    merges = list(dict.fromkeys((text[:cut], text[cut:]) for text, cut in pairs if text[cut:]))
    order.shuffle(merges)  # type: ignore[attr-defined]
    parts = {part for pair in merges for part in pair} | {a + b for a, b in merges}
    model = BPE([*ALPHABET, *sorted(parts - set(ALPHABET))], merges)
    expected = by_definition(word, merges)
    numbers = [model.ids[c] for c in word]
    assert [model.tokens[i] for i in model._join(list(numbers))] == expected
    assert [model.tokens[i] for i in model._merge(list(numbers))] == expected


@given(st.text("ab", min_size=301, max_size=400))
def test_long_words_are_like_short_ones(word: str) -> None:
    model = train_bpe(["abababbbaab", word], 280).model
    assert isinstance(model, BPE)
    numbers = [model.ids[c] for c in word]
    assert list(model.encode_bytes(word.encode())) == model._join(numbers)


def test_a_very_long_word_takes_no_time() -> None:
    """n² steps would take minutes."""
    tokenizer = TOKENIZERS["gpt2"]
    text = "ab" * 50_000
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


# R4.1: trained from text
@given(st.dictionaries(st.text("abcé", max_size=8), st.integers(1, 5), max_size=8))
def test_training_is_counting_anew(words: dict[str, int]) -> None:
    tokens = list(ALPHABET)
    merges = learn_merges(words, tokens, 256 + 12)
    assert merges == recounted(words, len(merges))
    assert len(tokens) == min(268, 256 + len({a + b for a, b in merges}))


def test_equally_frequent_pairs_come_in_the_order_of_ids() -> None:
    merges = learn_merges({"xy": 2, "ab": 2, "ac": 2, "zz": 3}, list(ALPHABET), 260)
    assert merges == [("z", "z"), ("a", "b"), ("a", "c"), ("x", "y")]


def test_a_word_of_the_training_text_is_what_training_made_of_it() -> None:
    text = "low lower lowest new newer newest " * 9
    tokenizer = train_bpe(text, 256 + 40)
    assert tokenizer.encode(" newest low").tokens == ["Ġnewest", "Ġlow"]


def test_special_tokens_come_first_then_bytes_then_merges() -> None:
    tokenizer = train_bpe("aaaa", 260, special_tokens=["<s>", "</s>"])
    assert tokenizer.tokens == ["<s>", "</s>", *ALPHABET, "aa", "aaaa"]


def test_min_frequency_ends_training() -> None:
    assert train_bpe("ab ab cd", 300, min_frequency=3).tokens == list(ALPHABET)


def test_texts_are_cut_where_one_ends() -> None:
    assert train_bpe(["ab", "cd"], 300).model.merges == [("a", "b"), ("c", "d")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_file_is_the_text_in_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "BLOCK", 50)
    text = "".join(f"Word{i % 97}, isn't  it\r\n\r\n{i}é\n\n" for i in range(200))
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    from_file = train_bpe(path, 300, pattern=name)
    assert from_file.tokens == train_bpe(text, 300, pattern=name).tokens


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    text = " ".join(f"{i:x}" for i in range(3000))
    train_bpe(text, 256 + 250, progress=lambda done, size: told.append((done, size)))
    assert told == [(356, 506), (456, 506)]


# Bad input


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a\xff")
    with pytest.raises(ValueError, match=r"text: not UTF-8"):
        train_bpe(path, 300)
    with pytest.raises(FileNotFoundError, match="there is no such text file"):
        train_bpe(tmp_path / "other", 300)


def test_an_empty_text_has_no_tokens_and_no_merges() -> None:
    assert train_bpe("", 300).tokens == list(ALPHABET)
    assert TOKENIZERS["gpt2"].encode("").ids == []


@pytest.mark.parametrize("text", ["a\ud800b", "\udfff"])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"U\+D[8F].. at place . of the text is a lone surrogate"):
        TOKENIZERS["gpt2"].encode(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        train_bpe(text, 300)


def test_a_vocabulary_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match=r"vocab_size 256 has no room .* at least 257"):
        train_bpe("a", 256, special_tokens=["<s>"])


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        ([*ALPHABET, "a"], [], "'a' twice"),
        ({"a": 0, "b": 0}, [], "both have the id 0"),
        ({"a": -1}, [], "the id -1 for 'a'"),
        ({"a": 10**9}, [], "the id 1000000000 for 'a'"),
        (ALPHABET, [("a", "bc")], "merge 0, 'a' with 'bc', needs 'bc'"),
        (ALPHABET, [("a", "b")], "merge 0, 'a' with 'b', needs 'ab'"),
    ],
)
def test_a_wrong_vocabulary_is_refused(vocab: object, merges: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BPE(vocab, merges)  # type: ignore[arg-type]


def test_a_byte_without_a_token_is_refused() -> None:
    tokenizer = Tokenizer.from_bpe(["a"], [])
    assert tokenizer.encode("aa").ids == [0, 0]
    with pytest.raises(ValueError, match="no token for the byte 0x62"):
        tokenizer.encode("ab")
