"""The log: what is noted is found again, in bounded space. R14.5, R14.6."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from tests.apps.finch.store.sample import KEY, NOW, TASKS, bytes_of, note, scope_of

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.opinion import Opinion
from groundup.apps.finch.store import Filter, Record, Store, find, log as log_, page, status
from groundup.apps.finch.store.database import Database, reading

TEXT = st.text(st.characters(), max_size=40)  # with NUL and lone surrogates


def test_what_is_noted_is_found(store: Store) -> None:
    now = time.time()
    record = note(store, 1, said="balance?", decision="audit", time=now, agreed=None)
    store.log.flush()
    assert find(store.home, "req_1") == record
    assert find(store.home, "up_1") == record
    assert find(store.home, "last") == record
    assert find(store.home, "req_2") is None
    assert find(store.home, "") is None


def test_the_beginning_of_a_name_is_enough_if_no_other_has_it(store: Store) -> None:
    for ident in ("0123456789", "0123456abc", "0123456", "fedcba98", "fed%ba"):
        store.log.append(Record(ident, 0.0, "local", "sure"))
    store.log.flush()

    def found(name: str) -> str | None:
        record = find(store.home, name)
        return None if record is None else record.ident

    assert found("fedcba") == "fedcba98"
    assert found("01234567") == "0123456789"
    assert found("0123456") == "0123456"  # a whole name
    assert found("012345") is None  # three begin so
    assert found("fedcb") is None  # too short
    assert found("fed%ba9") is None
    assert found("______") is None


@given(query=TEXT, answer=TEXT, stage=TEXT, ident=st.text(min_size=1, max_size=30))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, query: str, answer: str, stage: str, ident: str
) -> None:
    with Store(tmp_path_factory.mktemp("any") / "finch") as store:
        record = Record(
            ident, time.time(), "audit", "audit", "0a" * 4, "ns", TASKS[0],
            opinions=(Opinion(stage, answer, 0.5),), query=query, answer=answer,
        )  # fmt: skip
        store.log.append(record)
        store.log.flush()
        if ident.isprintable() and ident != "last":
            found = find(store.home, ident)
            assert found is not None
            assert found.opinions[0].answer == answer
            assert (found.query, found.answer) == (query, answer)
        assert len(page(store.home)["requests"]) == 1
        json.dumps(page(store.home)).encode()


def test_names_are_bounded_and_what_is_sent_twice_counts_once(store: Store) -> None:
    record = note(store, 1)
    store.log.append(replace(record, decision="local"))
    store.log.append(replace(record, ident="x" * 10_000, model="m" * 10_000, reason="r" * 10_000))
    store.log.flush()
    newest, first = page(store.home)["requests"]
    assert first["decision"] == "forward"
    assert len(newest["ident"]) == len(newest["model"]) == len(newest["reason"]) == log_.LONGEST
    assert status(store.home)["totals"]["forward"]["requests"] == 2
    assert status(store.home)["totals"]["local"]["requests"] == 0


def test_totals_are_the_sums_of_the_rows(store: Store) -> None:
    decisions = ["pass", "forward", "audit", "local", "local", "audit"] * 5
    for number, decision in enumerate(decisions):
        agreed = number % 4 > 1 if decision == "audit" else None
        task = TASKS[number % 2]
        note(store, number, decision=decision, task=task, time=number * 40_000.0, agreed=agreed)
        if number % 7 == 0:
            store.log.flush()
    store.log.flush()
    found = status(store.home)
    rows = page(store.home, Filter(limit=999))["requests"]
    for decision in ("pass", "forward", "audit", "local"):
        of = [row for row in rows if row["decision"] == decision]
        totals = found["totals"][decision]
        assert totals["requests"] == len(of) == decisions.count(decision)
        assert totals["input_tokens"] == sum(row["input_tokens"] for row in of)
        assert totals["agreed"] == sum(row["agreed"] is True for row in of)
        assert totals["disagreed"] == sum(row["agreed"] is False for row in of)
    assert found["totals"]["audit"]["disagreed"] > 0 < found["totals"]["audit"]["agreed"]
    by_task = [task["totals"]["local"]["requests"] for task in found["tasks"]]
    assert sum(by_task) == found["totals"]["local"]["requests"]
    assert found["models"]["remote-large"] == found["totals"]


def test_many_at_once_and_a_name_twice_in_them(store: Store) -> None:
    for number in range(1301):
        note(store, number, said="first")
        note(store, number, said="second", decision="audit")
    store.log.flush()
    totals = status(store.home)["totals"]
    assert (totals["forward"]["requests"], totals["audit"]["requests"]) == (1301, 0)
    assert status(store.home)["texts"]["count"] == 1301
    for number in (0, 499, 500, 1300):
        found = find(store.home, f"req_{number}")
        assert found is not None
        assert found.query == f"first query {number}"


def test_pages_and_filters_cover_everything_once(store: Store) -> None:
    for number in range(53):
        note(store, number, task=TASKS[number % 2], agreed=[None, True, False][number % 3])
    store.log.flush()
    seen: list[str] = []
    before = None
    while True:
        found = page(store.home, Filter(before=before, limit=10))
        seen += [row["ident"] for row in found["requests"]]
        if (before := found["before"]) is None:
            break
    assert seen == [f"req_{n}" for n in reversed(range(53))]

    def idents(**wanted: Any) -> set[int]:
        rows = page(store.home, Filter(**wanted))["requests"]
        return {int(row["ident"].split("_")[1]) for row in rows}

    assert idents(task=TASKS[1]) == set(range(1, 53, 2))
    assert idents(agreed=False) == set(range(2, 53, 3))
    assert idents(since=NOW + 10, until=NOW + 13) == {10, 11, 12}
    assert idents(decision="local") == set()
    assert idents(task="x' OR '1' = '1") == set()
    assert idents(task=TASKS[0], agreed=True, limit=3) == {52, 46, 40}
    assert "query" not in str(page(store.home))  # what was said is not in the pages


def test_it_is_committed_within_a_second_without_being_asked(tmp_path: Path) -> None:
    with Store(tmp_path / "finch", interval=0.05) as store:
        note(store, 1)
        end = time.monotonic() + 5
        while find(store.home, "req_1") is None and time.monotonic() < end:
            time.sleep(0.02)
        assert find(store.home, "req_1") is not None
        assert store.log.waiting == 0
    assert log_.INTERVAL <= 1.0


def test_texts_are_kept_for_their_days_and_not_at_all_if_so_set(tmp_path: Path) -> None:
    now = time.time()
    with Store(tmp_path / "a", keep_texts=2) as store:
        note(store, 1, said="older", time=now - 3 * 86_400)
        note(store, 2, said="newer", time=now - 86_400)
        store.log.flush()
    with Store(tmp_path / "a", keep_texts=2) as store:
        store.log.flush()
        old, new = find(store.home, "req_1"), find(store.home, "req_2")
        assert old is not None
        assert new is not None
        assert old.query is None
        assert old.opinions[1] == Opinion("linear", None, 0.25)
        assert new.query == "newer query 2"
    with Store(tmp_path / "b", keep_texts=0) as store:
        note(store, 1, said="unspeakable", time=now)
        store.log.flush()
        assert b"unspeakable" not in bytes_of(store.home.path)
        assert status(store.home)["tasks"][0]["since"] == now + 1  # it was learned from


def test_rows_are_bounded_and_totals_are_not(tmp_path: Path) -> None:
    with Store(tmp_path / "finch", keep_requests=50) as store:
        for number in range(180):
            note(store, number, time=time.time())
        store.log.flush()
        store.log._trimmed = -1e9
        store.log.flush()
        found = page(store.home, Filter(limit=999))["requests"]
        assert [row["ident"] for row in found] == [f"req_{n}" for n in range(179, 129, -1)]
        assert status(store.home)["texts"]["count"] == 50
        assert status(store.home)["totals"]["forward"]["requests"] == 180


def test_a_task_for_every_request_does_not_fill_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_, "MOST_TASKS", 10)
    monkeypatch.setattr(log_, "MOST_DAYS", 10)
    for number in range(100):
        note(store, number, task=f"{number:016x}", time=number * 20_000.0)
        store.log._trimmed = -1e9
        store.log.flush()
    with reading(store.home.database) as db:
        (tasks,) = db.execute("SELECT count(*) FROM tasks").fetchone()
        (days,) = db.execute("SELECT count(*) FROM days").fetchone()
    assert tasks == 10
    assert days <= 25  # one for each day that there was
    assert status(store.home)["totals"]["forward"]["requests"] == 100


def test_a_disk_that_refuses_costs_entries_but_no_request(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_, "MOST_WAITING", 30)
    works = store.database.write

    def refuse(operation: Any) -> Any:
        raise FinchError("finch.sqlite: database or disk is full")

    monkeypatch.setattr(store.database, "write", refuse)
    for number in range(50):
        note(store, number)
    with pytest.raises(FinchError):
        store.log.flush()
    assert "full" in store.log.trouble
    assert (store.log.waiting, store.log.dropped) == (30, 20)
    monkeypatch.setattr(store.database, "write", works)
    store.log.flush()
    assert not store.log.trouble
    assert [row["ident"] for row in page(store.home)["requests"]][-1] == "req_20"


def test_a_wrong_decision_is_refused() -> None:
    with pytest.raises(ValueError, match="decision 'remote', expected one of pass, forward"):
        Record("x", 0.0, "remote", "")


def test_figures_that_cannot_be_are_bounded_and_lose_nothing_else(store: Store) -> None:
    odd = Record(
        "odd", float("inf"), "forward", "why", score=float("nan"), propensity=float("-inf"),
        opinions=(Opinion("linear", None, float("nan")),), latencies={"total": float("inf")},
        input_tokens=10**30, output_tokens=-5, status=10**30, query="q",
    )  # fmt: skip
    store.log.append(odd)
    note(store, 1)
    store.log.flush()
    assert len(page(store.home)["requests"]) == 2
    json.dumps(page(store.home), allow_nan=False)
    found = find(store.home, "odd")
    assert found is not None
    assert found.input_tokens == log_.MOST
    assert (found.output_tokens, found.time, found.opinions[0].score) == (0, 0.0, 0.0)


def test_what_cannot_be_noted_at_all_does_not_stop_the_log(store: Store) -> None:
    store.log.append(replace(note(store, 1), ident=7))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.log.flush()
    assert (store.log.dropped, store.log.waiting) == (2, 0)
    note(store, 2)
    store.log.flush()
    assert find(store.home, "req_2") is not None


def test_readers_neither_wait_nor_hinder(store: Store) -> None:
    note(store, 1)
    store.log.flush()
    with reading(store.home.database) as db:
        note(store, 2)
        store.log.flush()
        assert db.execute("SELECT count(*) FROM requests").fetchone() == (1,)  # of one moment
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM requests")
    assert len(page(store.home)["requests"]) == 2


def test_a_damaged_log_is_set_aside_and_minds_stay(tmp_path: Path) -> None:
    with Store(tmp_path / "finch") as store:
        for number in range(200):
            note(store, number)
        scope = scope_of(store, KEY)
        store.minds.save(scope, TASKS[0], {}, "kept")
    path = store.home.database
    raw = bytearray(path.read_bytes())
    raw[4096:12288] = b"\xa5" * 8192
    path.write_bytes(raw)
    with pytest.warns(UserWarning, match="is damaged.*set aside.*not lost"):
        again = Store(tmp_path / "finch")
    with again as store:
        state = store.minds.load(scope, TASKS[0])
        assert state is not None
        assert state.content == "kept"
        note(store, 1)
        store.log.flush()
        assert find(store.home, "req_1") is not None


def test_a_foreign_or_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "finch.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(FinchError, match="of another program"):
        Database(path)
    path.unlink()
    Database(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    newer = "has version 99, this Finch reads up to"
    with pytest.raises(FinchError, match=newer):
        Database(path)
    with pytest.raises(FinchError, match=newer), reading(path):
        pass
