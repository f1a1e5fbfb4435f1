"""Added tokens, offsets, templates, truncation, padding: R4.1."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.text import (
    ALPHABET,
    AddedToken,
    Encoding,
    Lowercase,
    Padding,
    Template,
    Tokenizer,
    Truncation,
    UnicodeForm,
    train_bpe,
)
from groundup.text.byte_level import as_bytes
from groundup.text.encoding import shared_lengths, windows

TEXT = "to be or not to be, that is the question: é中🙂 "
TOKENIZER = train_bpe(TEXT * 3, 300, special_tokens=["<eos>", "<pad>"])


def of_length(n: int) -> Encoding:
    return Encoding(list(range(n)), [], lambda: [(i, i + 1) for i in range(n)])


# Offsets


@given(st.text() | st.text(st.sampled_from("to be é中🙂\n"), max_size=40))
def test_offsets_cover_the_text_in_order(text: str) -> None:
    encoding = TOKENIZER.encode(text)
    content = [as_bytes(token) for token in encoding.tokens]
    end = 0
    for (a, b), token in zip(encoding.offsets, content, strict=True):
        assert a < b
        assert end - 1 <= a <= end  # a character may be in two tokens
        assert token in text[a:b].encode()
        end = b
    assert end == len(text)


@given(st.text(st.sampled_from("aé\u0301e\u0300ﬁ 1中가\u1100\u1161"), max_size=20))
def test_offsets_mean_the_original_text(text: str) -> None:
    model = TOKENIZER.model
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        tokenizer = Tokenizer(model, normalizer=UnicodeForm(form))  # type: ignore[arg-type]
        spans = tokenizer.encode(text).offsets
        assert not text or (spans[0][0], spans[-1][1]) == (0, len(text))
        assert all(0 <= a < b <= len(text) for a, b in spans)
        assert sorted(spans) == spans


def test_offsets_of_added_tokens_spaces_and_trimming() -> None:
    tokenizer = Tokenizer.from_bpe(
        ALPHABET, [], special_tokens=[AddedToken("<m>", lstrip=True)], prefix_space=True
    )
    encoding = tokenizer.encode("a <m>b", allow_special=True)
    assert encoding.tokens == ["Ġ", "a", "<m>", "Ġ", "b"]
    assert encoding.offsets == [(0, 1), (0, 1), (1, 5), (5, 6), (5, 6)]
    tokenizer = Tokenizer(train_bpe("a b a b", 258).model, trim_offsets=True)
    assert tokenizer.encode("a b").offsets == [(0, 1), (2, 3)]


# Special and other added tokens


@given(st.lists(st.sampled_from(["<eos>", "<", "eos", ">", "to", " "]), max_size=10))
def test_special_tokens_come_from_text_only_where_allowed(parts: list[str]) -> None:
    text = "".join(parts)
    eos = TOKENIZER.token_to_id("<eos>")
    assert eos not in TOKENIZER.encode(text).ids
    assert eos not in TOKENIZER.encode(text, allow_special=["<pad>"]).ids
    for allowed in (True, ["<eos>"]):
        assert TOKENIZER.encode(text, allow_special=allowed).ids.count(eos) == text.count("<eos>")
    ids = TOKENIZER.encode(text, allow_special=True).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text
    assert TOKENIZER.decode(ids) == text.replace("<eos>", "")


def test_a_word_that_is_a_special_token_is_still_not_it() -> None:
    tokenizer = Tokenizer.from_bpe(
        [*ALPHABET, "eos", "word"], [], special_tokens=["eos"], ignore_merges=True
    )
    assert tokenizer.encode("eos").tokens == ["e", "o", "s"]
    assert tokenizer.encode("word").tokens == ["word"]


def test_the_longest_added_token_is_found() -> None:
    tokenizer = Tokenizer.from_bpe(ALPHABET, [], special_tokens=["<a>", "<a><b>"])
    assert tokenizer.encode("<a><b><a>", allow_special=True).ids == [257, 256]


def test_added_tokens_that_are_text_are_always_found() -> None:
    tokenizer = Tokenizer.from_bpe(
        ALPHABET, [], special_tokens=[AddedToken("né", special=False, single_word=True)]
    )
    assert tokenizer.encode("né nén").tokens == ["né", "Ġ", "n", "Ã", "©", "n"]
    assert tokenizer.decode(tokenizer.encode("né nén").ids) == "né nén"


def test_normalized_added_tokens_are_found_in_the_normalised_text() -> None:
    added = [AddedToken("ab", special=False, normalized=True), AddedToken("CD", special=False)]
    tokenizer = Tokenizer(TOKENIZER.model, normalizer=Lowercase(), added=added)
    assert [token for token in tokenizer.encode("AB cd CD").tokens if token in ("ab", "CD")] == [
        "ab",
        "CD",
    ]


# Templates


def test_a_template_stands_around() -> None:
    tokenizer = Tokenizer.from_bpe(
        ALPHABET,
        [],
        special_tokens=["<s>", "</s>"],
        template=Template("<s> $A </s>", "<s> $A </s> $B:1 </s>:1"),
    )
    one, two = tokenizer.encode("ab"), tokenizer.encode("ab", "c")
    assert one.tokens == ["<s>", "a", "b", "</s>"]
    assert one.offsets == [(0, 0), (0, 1), (1, 2), (0, 0)]
    assert one.special_tokens_mask == [1, 0, 0, 1]
    assert two.tokens == ["<s>", "a", "b", "</s>", "c", "</s>"]
    assert two.type_ids == [0, 0, 0, 0, 1, 1]
    assert tokenizer.encode("ab", add_special_tokens=False).tokens == ["a", "b"]
    assert tokenizer.decode(two.ids) == "abc"
    short = tokenizer.encode("abcdef", truncation=Truncation(4, stride=1))
    assert [e.tokens[1:-1] for e in (short, *short.overflowing)] == [
        ["a", "b"],
        ["b", "c"],
        ["c", "d"],
        ["d", "e"],
        ["e", "f"],
    ]


# Truncation and padding


@given(st.integers(0, 30), st.integers(1, 12), st.data())
def test_windows_hold_every_token(total: int, length: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(0, length - 1))
    for side in ("left", "right"):
        found = windows(of_length(total), length, stride, side)  # type: ignore[arg-type]
        assert all(len(window) <= length for window in found)
        assert {i for window in found for i in window.ids} == set(range(total))
        kept = list(range(total))[-length:] if side == "left" else list(range(total))[:length]
        assert found[0].ids == kept
        for before, after in pairwise(found):
            assert len(set(before.ids) & set(after.ids)) == stride


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40))
def test_the_longer_text_loses_first(first: int, second: int, room: int) -> None:
    a, b = shared_lengths(first, second, room)
    if first + second <= room:
        assert (a, b) == (first, second)
        return
    assert a + b == room
    assert a <= first
    assert b <= second
    if a < first and b < second:
        assert abs(a - b) <= 1


@given(st.lists(st.sampled_from(["", "to", "to be or", TEXT]), min_size=1, max_size=4), st.data())
def test_padding_fills_up_and_masks(texts: list[str], data: st.DataObject) -> None:
    padding = Padding(
        "<pad>",
        multiple_of=data.draw(st.sampled_from([None, 1, 4])),
        side=data.draw(st.sampled_from(["left", "right"])),
    )
    batch = TOKENIZER.encode_batch(texts, padding=padding)
    longest = max(len(TOKENIZER.encode(text)) for text in texts)
    length = -(-longest // (padding.multiple_of or 1)) * (padding.multiple_of or 1)
    assert batch.input_ids.shape == batch.attention_mask.shape == (len(texts), length)
    assert batch.input_ids.dtype == gu.int64
    for text, row in zip(texts, batch, strict=True):
        n = len(TOKENIZER.encode(text))
        mask = [1] * n + [0] * (length - n)
        assert row.attention_mask == (mask if padding.side == "right" else mask[::-1])
        kept = [i for i, m in zip(row.ids, row.attention_mask, strict=True) if m]
        assert kept == TOKENIZER.encode(text).ids
        assert len(row.offsets) == length
    assert TOKENIZER.decode_batch(batch.input_ids) == texts


def test_padding_to_a_length_cuts_nothing() -> None:
    batch = TOKENIZER.encode_batch(["to", TEXT], padding=Padding("<pad>", length=3))
    assert [len(row) for row in batch] == [3, len(TOKENIZER.encode(TEXT))]
    with pytest.raises(ValueError, match=r"sequences of 3 to .* do not make a tensor"):
        _ = batch.input_ids
    assert len(batch[:1]) == 1


def test_settings_of_the_tokenizer_hold_where_the_call_says_nothing() -> None:
    tokenizer = Tokenizer(
        TOKENIZER.model, added=["<pad>"], truncation=Truncation(2), padding=Padding("<pad>")
    )
    assert tokenizer.encode_batch(["a b c d", ""]).input_ids.shape == (2, 2)
    assert tokenizer.encode_batch([], truncation=Truncation(1)).input_ids.shape == (0, 0)


# Bad input


@pytest.mark.parametrize("ids", [[-1], [10**6], [0, 300]])
def test_ids_out_of_range_are_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="is not the id of one of the 290 tokens"):
        TOKENIZER.decode(ids)
    with pytest.raises(ValueError, match="is not the id of one of the 290 tokens"):
        TOKENIZER.decode_stream().push(ids[-1])


def test_a_batch_is_not_one_sequence() -> None:
    with pytest.raises(ValueError, match="decode_batch takes several"):
        TOKENIZER.decode(gu.tensor([[1, 2]]))


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (["<a>", "<a>"], "'<a>' is given twice"),
        ([AddedToken("<a>", id=64)], "cannot have the id 64: it is that of 'a'"),
        ([AddedToken("a", id=3)], "has the id 3, but the vocabulary has 64"),
        ([AddedToken("<a>", id=300), AddedToken("<b>", id=300)], "it is that of '<a>'"),
        ([AddedToken("<a>", id=10**7)], "out of range"),
    ],
)
def test_wrong_added_tokens_are_refused(added: list[AddedToken | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tokenizer.from_bpe(ALPHABET, [], special_tokens=added)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="content is empty"):
        AddedToken("")
    with pytest.raises(ValueError, match="expected 'left' or 'right'"):
        Padding("<pad>", side="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="multiple_of 0"):
        Padding("<pad>", multiple_of=0)
    with pytest.raises(ValueError, match="max_length 0"):
        Truncation(0)
    with pytest.raises(ValueError, match="strategy 'all'"):
        Truncation(1, strategy="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"holds \['\$A', '\$A'\]"):
        Template("$A $A")
    with pytest.raises(ValueError, match="padding needs the token '<none>'"):
        TOKENIZER.encode_batch(["a"], padding=Padding("<none>"))
    with pytest.raises(ValueError, match="the template needs the token '<s>'"):
        Tokenizer(TOKENIZER.model, template=Template("<s> $A"))
    with pytest.raises(ValueError, match="does not move on"):
        TOKENIZER.encode(TEXT, truncation=Truncation(4, stride=4))
    around = Tokenizer(TOKENIZER.model, added=["<s>", "</s>"], template=Template("<s> $A </s>"))
    assert around.encode("a", truncation=Truncation(2)).tokens == ["<s>", "</s>"]
    with pytest.raises(ValueError, match="no room for the 2 special"):
        around.encode("a", truncation=Truncation(1))
    with pytest.raises(ValueError, match="use 'longest_first'"):
        TOKENIZER.encode(TEXT, "a", truncation=Truncation(2, strategy="only_second"))
