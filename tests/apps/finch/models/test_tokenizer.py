"""The tokenizer that grows with the traffic."""  # R14.2

import pytest
from hypothesis import given, settings, strategies as st

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models.tokenizer import BOUNDARY, END, LEAST, PAD, TrafficTokenizer

TRAFFIC = ["how much money is left", "how much is the fee", "move money to my savings"] * 4
ANY = st.text(alphabet=st.characters(), max_size=40)


def grown() -> TrafficTokenizer:
    tokenizer = TrafficTokenizer(400)
    tokenizer.extend(TRAFFIC)
    tokenizer.add_answers(["balance", "transfer", "fee ␀end", "Grüße \U0001f600"])
    return tokenizer


GROWN = grown()


@given(ANY)
def test_every_text_is_read_back(text: str) -> None:
    for tokenizer in (TrafficTokenizer(LEAST), GROWN):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert tokenizer.decode(tokenizer.encode_answer(text)) == text


@given(ANY)
def test_no_text_writes_a_mark(text: str) -> None:
    for odd in (text, f"{text}␀end", "␀pad␀boundary", "<pad>"):
        assert min([*GROWN.encode(odd), *GROWN.encode_answer(odd), LEAST]) > max(PAD, BOUNDARY, END)


@settings(max_examples=25)
@given(st.lists(st.lists(ANY, max_size=4), max_size=4), ANY)
def test_ids_keep_their_meaning(batches: list[list[str]], text: str) -> None:
    tokenizer = TrafficTokenizer(330)
    tokenizer.extend(TRAFFIC, size=290)
    written = tokenizer.encode(text)
    known = list(tokenizer.tokens)
    for texts in batches:
        before = len(tokenizer)
        made = tokenizer.extend(texts) | tokenizer.add_answers(texts)
        assert tokenizer.tokens[: len(known)] == known
        assert tokenizer.decode(written) == text
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert sorted(made) == list(range(before, len(tokenizer)))
        for new, pieces in made.items():
            assert b"".join(map(tokenizer._model.token_bytes, pieces)) == (
                tokenizer._model.token_bytes(new)
            )
        assert len(tokenizer) <= tokenizer.capacity


def test_growing_makes_texts_shorter_and_answers_one_token() -> None:
    bare = TrafficTokenizer(LEAST)
    assert len(GROWN.encode(TRAFFIC[0])) < len(bare.encode(TRAFFIC[0])) / 2
    assert [len(GROWN.encode_answer(a)) for a in ("balance", "transfer", "other")] == [1, 1, 4]


def test_growing_in_steps_goes_on_from_the_merges_that_there_are() -> None:
    steps, once = TrafficTokenizer(400), TrafficTokenizer(400)
    for size in (270, 290, 330):
        steps.extend(TRAFFIC, size=size)
    once.extend(TRAFFIC, size=330)
    assert steps.merges == once.merges
    assert steps.grown == 3


def test_there_is_always_room_for_answers() -> None:
    tokenizer = TrafficTokenizer(LEAST + 40)
    tokenizer.extend(TRAFFIC)
    assert len(tokenizer) == LEAST + 30
    tokenizer.add_answers(f"answer {i}" for i in range(50))
    assert len(tokenizer) == tokenizer.capacity
    assert len(tokenizer.answers) == tokenizer.most_answers == 10
    assert tokenizer.extend(["zz zz zz"]) == {}


def test_an_answer_that_is_long_or_empty_is_no_token() -> None:
    tokenizer = TrafficTokenizer(400, longest=5)
    tokenizer.add_answers(["", "123456", "12345"])
    assert list(tokenizer.answers) == ["12345"]


def test_saved_and_read_it_is_the_same() -> None:
    again = TrafficTokenizer.from_json(GROWN.as_json())
    for text in (*TRAFFIC, "balance", "Grüße \U0001f600", "\ud800"):
        assert again.encode_answer(text) == GROWN.encode_answer(text)
    again.extend(["quite new words"] * 3)
    assert again.grown == GROWN.grown + 1


@pytest.mark.parametrize("change", [{"tokens": 3}, {"merges": [["a"]]}, {"answers": [9999]}])
def test_a_damaged_state_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FinchError, match="damaged"):
        TrafficTokenizer.from_json(GROWN.as_json() | change)


def test_too_small_a_capacity_is_refused() -> None:
    with pytest.raises(FinchError, match="at least"):
        TrafficTokenizer(LEAST - 1)
