"""Where texts are cut, and what normalisers do."""

import re
import unicodedata

import pytest
from hypothesis import given, strategies as st

from groundup.text import (
    CL100K,
    GPT2,
    O200K,
    PATTERNS,
    BertNormalizer,
    BertWords,
    ByteLevel,
    Digits,
    Lowercase,
    NormalizerSequence,
    Split,
    SplitSequence,
    StripAccents,
    UnicodeForm,
    compile_pattern,
)

TEXTS = st.text() | st.text(
    st.sampled_from("aZ é1²٣中🙂𝒜'sS.,_/\n\r\t \u00a0\x1c\u0301"), max_size=30
)


@pytest.mark.parametrize("name", PATTERNS)
@given(text=TEXTS)
def test_the_public_patterns_leave_nothing_out(name: str, text: str) -> None:
    pattern = compile_pattern(PATTERNS[name])
    assert "".join(pattern.words(text)) == text
    assert [text[a:b] for a, b in pattern.spans(text)] == pattern.words(text)


def test_what_the_patterns_are_for() -> None:
    text = "HelloWorld, it'S 12345  ok!\n\n x"
    assert compile_pattern(GPT2).words(text) == [
        *("HelloWorld", ",", " it", "'", "S", " 12345", " ", " ok", "!", "\n\n", " x")
    ]
    assert compile_pattern(CL100K).words(text) == [
        *("HelloWorld", ",", " it", "'S", " ", "123", "45", " ", " ok", "!\n\n", " x")
    ]
    assert compile_pattern(O200K).words(text)[:4] == ["Hello", "World", ",", " it'S"]


@given(TEXTS)
def test_digits_and_then_gpt2_is_one_pass(text: str) -> None:
    sequence = SplitSequence([Digits(), ByteLevel()])
    assert sequence.words(text) == [text[a:b] for a, b in sequence.spans(text)]


@given(TEXTS)
def test_classes_of_characters_are_unicodes(text: str) -> None:
    def all_of(*names: str) -> list[str]:
        return [c for c in text if unicodedata.category(c).startswith(names)]

    for category in ("L", "Lu", "N", "P", "Zs", "M"):
        assert compile_pattern(rf"\p{{{category}}}").words(text) == all_of(category)
    assert compile_pattern(r"\P{L}").words(text) == [c for c in text if c not in all_of("L")]
    assert compile_pattern(r"[\P{L}a]").words(text) == [
        c for c in text if c == "a" or c not in all_of("L")
    ]
    assert compile_pattern(r"[^\p{^L}]").words(text) == all_of("L")
    assert compile_pattern(r"\S").words(text) == re.findall(r"[\S\x1c-\x1f]", text)


@pytest.mark.parametrize("pattern", [r"\p{Han}", "(", "[a[b]]", "[a&&b]", r"[\S]", "a{2,1}"])
def test_patterns_that_cannot_be_used_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        compile_pattern(pattern)


@given(TEXTS, st.sampled_from(["Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]))
def test_splits_keep_the_text(text: str, behavior: str) -> None:
    for invert in (False, True):
        splitter = Split(r"\s", behavior, invert=invert)  # type: ignore[arg-type]
        assert "".join(splitter.words(text)) == text


def test_behaviors() -> None:
    def cut(behavior: str, invert: bool = False) -> list[str]:
        return Split("-", behavior, invert=invert, literal=True).words("a--b-")  # type: ignore[arg-type]

    assert cut("Removed") == ["a", "b"]
    assert cut("Removed", invert=True) == ["-", "-", "-"]
    assert cut("Isolated") == ["a", "-", "-", "b", "-"]
    assert cut("MergedWithPrevious") == ["a-", "-", "b-"]
    assert cut("MergedWithNext") == ["a", "-", "-b", "-"]
    assert cut("Contiguous") == ["a", "--", "b", "-"]
    with pytest.raises(ValueError, match="behavior 'Kept'"):
        cut("Kept")


def test_a_space_in_front_of_every_word_is_refused() -> None:
    with pytest.raises(ValueError, match="put it first"):
        SplitSequence([Digits(), ByteLevel(add_prefix_space=True)])


# Normalisers

NORMALIZERS = [
    *(UnicodeForm(form) for form in ("NFC", "NFD", "NFKC", "NFKD")),  # type: ignore[arg-type]
    Lowercase(),
    StripAccents(),
    BertNormalizer(),
    BertNormalizer(lowercase=False),
    NormalizerSequence([UnicodeForm("NFD"), StripAccents(), Lowercase()]),
]


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=lambda one: str(one.as_json()))
@given(
    text=TEXTS | st.text(st.sampled_from("Éé\u0301\u0327가\u1100\u1161\u11a8ﬁİΣ中\0 "), max_size=12)
)
def test_alignment_gives_the_same_text_and_its_places(normalizer: object, text: str) -> None:
    changed, spans = normalizer.aligned(text)  # type: ignore[attr-defined]
    assert changed == normalizer(text)  # type: ignore[operator]
    assert len(spans) == len(changed)
    assert spans == sorted(spans)
    assert all(0 <= a < b <= len(text) for a, b in spans)


@given(st.text(st.sampled_from("Éé\u0301e가\u1100\u1161ﬁ"), max_size=12))
def test_each_stretch_normalises_to_what_comes_from_it(text: str) -> None:
    form = UnicodeForm("NFC")
    changed, spans = form.aligned(text)
    for span in set(spans):
        own = "".join(c for c, place in zip(changed, spans, strict=True) if place == span)
        assert own == form(text[span[0] : span[1]])


def test_bert_normalises_as_published() -> None:
    assert BertNormalizer()(" \tHäLLo!how  \n Are yoU?\0\ufffd ") == "  hallo!how    are you? "
    assert BertNormalizer(lowercase=False)("HäLLo中") == "HäLLo 中 "
    assert BertWords().words("a-b  c\u3002d") == ["a", "-", "b", "c", "\u3002", "d"]
