"""What students read of a text: n-grams, hashed (R14.2)."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from groundup.apps.finch.students import Bayes
from groundup.apps.finch.students.grams import MOST, clear, grams, normalised

ANY = st.text(max_size=200)


@given(ANY, st.integers(8, 20))
def test_grams_are_a_set_of_buckets(text: str, bits: int) -> None:
    found = grams(text, bits)
    assert (np.diff(found) > 0).all(), "each once, in rising order"
    assert len(found) <= MOST
    assert len(found) == 0 or (found[0] >= 0 and found[-1] < 1 << bits)


@given(ANY)
def test_case_and_white_space_do_not_matter(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    spaced = "  ".join(text.split())
    assert np.array_equal(grams(spaced), grams(f" {spaced}\n"))


def test_grams_are_the_same_on_every_machine_and_in_every_process() -> None:
    # Minds are saved and read elsewhere: these numbers may never change without a new version.
    assert grams("my card", 16)[:4].tolist() == FIRST
    before = grams("my card", 16).tolist()
    clear()
    assert grams("my card", 16).tolist() == before


def test_order_of_words_is_seen() -> None:
    assert not np.array_equal(grams("pay rent not tax"), grams("pay tax not rent"))


def test_a_long_text_is_read_up_to_a_limit() -> None:
    text = " ".join(str(n) for n in range(3_000))
    assert len(grams(text, 20)) == MOST
    student = Bayes(longest=12)
    for query in ("tell me more now", "tell me more later"):
        student.learn(query, "yes")
    assert student.suggest("tell me more or less") == student.suggest("tell me more")


def test_what_is_remembered_cannot_be_changed() -> None:
    assert not grams("my card").flags.writeable


FIRST = [12, 772, 2834, 5300]
