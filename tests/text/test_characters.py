"""Characters as tokens (R4.1)."""

import pytest
from hypothesis import given, strategies as st

from groundup.text import character_tokenizer, load_tokenizer, save_tokenizer

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(ANY)
def test_each_character_is_one_token_in_the_order_of_code_points(text):
    tokenizer = character_tokenizer(text)
    known = sorted(set(text))
    assert tokenizer.encode(text).ids == [known.index(character) for character in text]
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_files_keep_it(tmp_path):
    text = "Hello né 漢字 😀\n\t"
    tokenizer = character_tokenizer(text)
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path)
    assert again.encode(text).ids == tokenizer.encode(text).ids
    assert len(again) == len(tokenizer)


def test_other_characters_are_refused():
    with pytest.raises(ValueError, match="no token for the byte 0xc3"):
        character_tokenizer("abc").encode("abü")
    with pytest.raises(ValueError, match="expected at least one"):
        character_tokenizer("")
