"""Purging: what was said is in no byte afterwards, nor is what learned from it. R14.5."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.apps.finch.store.sample import KEY, NOW, TASKS, bytes_of, learn, note, scope_of

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.store import (
    Selection,
    Store,
    database as database_,
    find,
    page,
    purge,
    reset,
    status,
)
from groundup.apps.finch.store.database import reading
from groundup.apps.finch.students.grams import grams

FIRST, SECOND = TASKS
OTHER_KEY = "another key"


def fill(store: Store) -> None:
    """Three minds in two scopes; what each learned begins with a word of its own."""
    for number in range(40):
        note(store, number, said="PLANTEDA", task=FIRST)
        note(store, 100 + number, said="PLANTEDB" + "x" * 3000, task=SECOND)
        note(store, 200 + number, said="PLANTEDC", task=FIRST, key=OTHER_KEY, decision="audit")
        note(store, 300 + number, decision="local")
        if number % 10 == 9:
            store.log.flush()
    for _ in range(2):
        learn(store, said="PLANTEDA", task=FIRST)
        learn(store, said="PLANTEDB", task=SECOND)
        learn(store, said="PLANTEDC", task=FIRST, key=OTHER_KEY)


def left(store: Store) -> set[str]:
    """The words that are in any byte of any file."""
    raw = bytes_of(store.home.path)
    return {letter for letter in "ABC" if f"PLANTED{letter}".encode() in raw}


@pytest.mark.parametrize("delete", [purge, reset])
def test_no_text_is_left_in_memory(store: Store, delete: Any) -> None:
    grams("PLANTED TEXT")
    assert grams.cache_info().currsize
    delete(store)
    assert grams.cache_info().currsize == 0


def test_all(store: Store) -> None:
    fill(store)
    assert left(store) == {"A", "B", "C"}
    before = status(store.home)["totals"]
    deleted = purge(store)
    assert left(store) == set()
    assert deleted.texts == 120
    assert len(deleted.minds) == 3
    assert deleted.bytes > 0
    assert list(store.minds) == []
    found = status(store.home)
    assert found["totals"] == before  # the figures stay
    assert found["texts"]["count"] == 0
    assert all(task["since"] is None for task in found["tasks"])
    kept = find(store.home, "req_1")
    assert kept is not None
    assert (kept.query, kept.opinions[1].answer, kept.opinions[1].score) == (None, None, 0.25)
    fill(store)  # and it goes on
    assert left(store) == {"A", "B", "C"}


def test_one_task_of_all_scopes_or_one_scope(store: Store) -> None:
    fill(store)
    assert len(purge(store, Selection(task=SECOND)).minds) == 1
    assert left(store) == {"A", "C"}
    assert purge(store, Selection(scope=scope_of(store, OTHER_KEY))).texts == 40
    assert left(store) == {"A"}
    assert [saved.task for saved in store.minds] == [FIRST]
    assert purge(store, Selection(scope="00" * 16)).texts == 0
    assert left(store) == {"A"}


def test_older_than_a_date_takes_every_mind_that_heard_of_it(store: Store) -> None:
    note(store, 1, said="PLANTEDA", task=FIRST, time=NOW - 1000)
    note(store, 2, said="PLANTEDB", task=FIRST, time=NOW)  # the same mind heard both
    note(store, 3, said="PLANTEDC", task=SECOND, time=NOW)
    learn(store, said="PLANTEDA PLANTEDB", task=FIRST)
    learn(store, said="PLANTEDC", task=SECOND)
    learn(store, said="unknown", task=FIRST, key=OTHER_KEY)  # nothing is known of when
    deleted = purge(store, Selection(before=NOW - 500))
    assert deleted.texts == 1
    assert [task for _, task in deleted.minds].count(FIRST) == 2
    assert left(store) == {"B", "C"}
    assert [saved.task for saved in store.minds] == [SECOND]
    # What is learned from now on begins after the date.
    note(store, 4, said="PLANTEDB", task=FIRST, time=NOW)
    learn(store, said="PLANTEDB", task=FIRST)
    assert purge(store, Selection(before=NOW - 500)).minds == []


def test_a_mind_that_learned_from_texts_that_were_not_kept_goes_too(tmp_path: Path) -> None:
    with Store(tmp_path / "finch", keep_texts=0) as store:
        note(store, 1, said="PLANTEDA", time=NOW - 1000)
        learn(store, said="PLANTEDA")
        assert len(purge(store, Selection(before=NOW)).minds) == 1
        assert left(store) == set()


def test_what_was_set_aside_goes_too(store: Store) -> None:
    aside = store.home.path / "finch.sqlite.damaged-20260101-000000"
    aside.write_bytes(b"PLANTEDA")
    scope = learn(store)
    damaged = store.home.minds / scope / f"{FIRST}.damaged.safetensors"
    damaged.write_bytes(b"PLANTEDB")
    purge(store)
    assert left(store) == set()
    assert not aside.exists()
    assert not damaged.exists()


def test_reset_forgets_everything_but_settings(store: Store) -> None:
    fill(store)
    store.home.settings.write_text("delta = 0.02\n")
    salts = store.home.salts
    scope = scope_of(store, OTHER_KEY)
    deleted = reset(store, Selection(scope=scope))
    assert (deleted.requests, len(deleted.minds)) == (40, 1)
    assert left(store) == {"A", "B"}
    assert [s["scope"] for s in status(store.home)["scopes"]] == [scope_of(store, KEY)]
    assert reset(store, Selection(task=FIRST)).requests == 80
    assert left(store) == {"B"}
    reset(store)
    found = status(store.home)
    assert left(store) == set()
    assert page(store.home)["requests"] == found["tasks"] == found["scopes"] == []
    assert found["totals"]["local"]["requests"] == 0
    assert store.home.settings.read_text() == "delta = 0.02\n"
    assert store.home.salts == salts
    assert scope_of(store, OTHER_KEY) == scope


def test_a_reader_who_stays_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    store.log.flush()
    store.database._connection.execute("PRAGMA busy_timeout = 100")
    monkeypatch.setattr(database_, "PATIENCE", 0.1)
    with reading(store.home.database) as db:
        db.execute("SELECT count(*) FROM texts").fetchone()
        with pytest.raises(FinchError, match=r"another program is reading.*purge again"):
            purge(store)
    purge(store)
    assert left(store) == set()
    with closing(sqlite3.connect(store.home.database)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
