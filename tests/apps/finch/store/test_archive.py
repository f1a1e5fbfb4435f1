"""Export and import: everything arrives, nothing hostile does. R14.5."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.apps.finch.store.sample import KEY, TASKS, bytes_of, learn, note, scope_of

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.store import (
    Home,
    Selection,
    Store,
    export,
    find,
    import_,
    page,
    purge,
    status,
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of a home with two scopes."""
    with Store(tmp_path / "a") as store:
        for number in range(30):
            note(store, number, said="\udc80 said", decision=("audit", "local")[number % 2])
            note(store, 50 + number, task=TASKS[1], key="other")
        for key, task in ((KEY, TASKS[0]), ("other", TASKS[1])):
            learn(store, key=key, task=task, said="first")
            learn(store, key=key, task=task, said="second")
        store.log.flush()
        words = str(export(store.home, tmp_path / "a.zip"))
        assert words == "2 scopes, 2 minds, 60 requests, 45 texts"
    return tmp_path / "a.zip"


def everything(home: Home) -> Any:
    found = status(home)
    rows = page(home)["requests"]
    for row in rows:
        del row["number"]
    for task in found["tasks"]:
        del task["mind"]
    return found["totals"], found["tasks"], found["scopes"], found["texts"], rows


def test_another_home_has_all_of_it(tmp_path: Path, archive: Path) -> None:
    with Store(tmp_path / "b") as store:
        note(store, 999, key="my own")  # the home is not new
        mine = scope_of(store, "my own")
        learn(store, key="my own")
        assert str(import_(store, archive)) == "2 scopes, 2 minds, 60 requests, 45 texts"
        assert len(list(store.minds)) == 3
    original = Home(tmp_path / "a")
    with Store(tmp_path / "b") as store:
        scope = scope_of(store, KEY)
        state = store.minds.load(scope, TASKS[0])
        assert state is not None
        assert state.content["replay"] == ["second"]
        assert find(store.home, "req_2") == find(original, "req_2")
        assert find(store.home, "req_2").query == "\udc80 said query 2"  # type: ignore[union-attr]
        assert scope_of(store, "my own") == mine
        # A key of the archive is found under its own scope again.
        with Store(tmp_path / "a") as first:
            assert scope_of(first, KEY) == scope
    with Store(tmp_path / "c") as store:
        import_(store, archive)
        assert everything(store.home) == everything(original)
        import_(store, archive, replace=True)  # and again, which changes nothing
        assert everything(store.home)[0] == everything(original)[0]
        purge(store, Selection(before=9e9))
        assert b"said query" not in bytes_of(store.home.path)


def test_a_new_home_takes_the_salt_over_as_its_own(tmp_path: Path, archive: Path) -> None:
    with Store(tmp_path / "b") as store:
        own = store.home.salts
        import_(store, archive)
        assert store.home.salts == Home(tmp_path / "a").salts + own
    with Store(tmp_path / "c") as store:
        note(store, 1)
        learn(store)
        store.log.flush()
        own = store.home.salts
        import_(store, archive)
        assert store.home.salts == own + Home(tmp_path / "a").salts


def test_equal_homes_give_equal_archives(tmp_path: Path, archive: Path) -> None:
    export(Home(tmp_path / "a"), tmp_path / "again.zip")
    assert archive.read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_one_scope_alone(tmp_path: Path, archive: Path) -> None:
    with Store(tmp_path / "a") as store:
        scope = scope_of(store, "other")
        made = export(store.home, tmp_path / "one.zip", scope)
    assert str(made) == "1 scope, 1 mind, 30 requests, 30 texts"
    assert b"udc80" not in (tmp_path / "one.zip").read_bytes()
    with Store(tmp_path / "b") as store:
        import_(store, tmp_path / "one.zip")
        assert {saved.scope for saved in store.minds} == {scope}


def test_what_was_learned_here_is_not_replaced_unasked(tmp_path: Path, archive: Path) -> None:
    with Store(tmp_path / "a") as store:
        scope = learn(store, said="third")
        with pytest.raises(FinchError, match="have been learned here too"):
            import_(store, archive)
        assert store.minds.load(scope, TASKS[0]).content["replay"] == ["third"]  # type: ignore[union-attr]
        import_(store, archive, replace=True)
        assert store.minds.load(scope, TASKS[0]).content["replay"] == ["second"]  # type: ignore[union-attr]


def test_an_existing_file_is_not_written_over(tmp_path: Path, archive: Path) -> None:
    raw = archive.read_bytes()
    with pytest.raises(FinchError, match="exists; give another name"):
        export(Home(tmp_path / "a"), archive)
    assert archive.read_bytes() == raw
    with pytest.raises(FinchError, match=r"there is no folder .+; make it first"):
        export(Home(tmp_path / "a"), tmp_path / "no folder" / "a.zip")


def rewrite(
    source: Path,
    target: Path,
    change: Callable[[dict[str, bytes], dict[str, Any]], None],
    method: int = zipfile.ZIP_STORED,
) -> None:
    """An archive with something else in it, whose checksums fit."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("finch.json"))
    change(members, manifest)
    manifest["files"] = manifest.get("files") and {
        name: {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        for name, raw in members.items()
    }
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
        archive.writestr("finch.json", json.dumps(manifest))


MIND = "minds/" + "0a" * 16 + "/00000000000000aa.safetensors"


def row(table: str, **changes: Any) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    from groundup.apps.finch.store.archive import TABLES

    def change(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        name = f"tables/{table}.jsonl"
        first, *rest = members[name].splitlines(keepends=True)
        values = dict(zip(TABLES[table].split(), json.loads(first), strict=True))
        raw = json.dumps(list({**values, **changes}.values())).encode() + b"\n"
        members[name] = b"".join([raw, *rest])

    return change


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes], dict[str, Any]], None], str]] = {
    "traversal": (lambda m, _: m.update({"../../evil": b""}), r"it has '\.\./\.\./evil'"),
    "absolute": (lambda m, _: m.update({"/etc/passwd": b""}), "it has '/etc/passwd'"),
    "in minds": (lambda m, _: m.update({"minds/../../x.safetensors": b""}), "it has 'minds"),
    "unknown": (lambda m, _: m.update({"weights.pkl": b""}), "it has 'weights.pkl'"),
    "not a mind": (lambda m, _: m.update({MIND: b"junk"}), "a task is damaged"),
    "missing": (lambda m, _: m.pop("tables/days.jsonl"), "is missing"),
    "newer": (lambda _, d: d.update(format=2), "has format 2, this Finch reads up to 1"),
    "odd format": (lambda _, d: d.update(format="1"), "format '1'"),
    "short salt": (lambda _, d: d.update(salts=["00"]), "a salt of 1 bytes"),
    "no salts": (lambda _, d: d.pop("salts"), "no archive"),
    "no files": (lambda _, d: d.update(files={}), "other files than it says"),
    "scope": (lambda _, d: d.update(scopes=[{"scope": "../x", "namespace": ""}]), "scope {"),
    "list": (lambda m, _: m.update({"tables/days.jsonl": b"[1]\n"}), "a row without"),
    "deep": (lambda m, _: m.update({"tables/days.jsonl": b"[" * 10**5}), "no archive"),
    "no json": (lambda m, _: m.update({"tables/days.jsonl": b"{]\n"}), "no archive"),
    "decision": (row("requests", decision="drop table"), "decision 'drop table'"),
    "scores": (row("requests", scores="[]"), "scores is '\\[\\]'"),
    "score": (row("requests", scores='{"linear": "high"}'), "scores is "),
    "said": (row("texts", said='{"linear": 1}'), "said is "),
    "far away": (row("requests", time=1e15), "time is 1"),
    "text for number": (row("requests", time="soon"), "time is 'soon'"),
    "number for text": (row("tasks", scope=5), "scope is '5'"),
    "nested": (row("days", requests=[1]), "requests is"),
    "text for bytes": (row("texts", query="plain"), "query is 'plain'"),
    "base64": (row("texts", answer={"base64": "!!"}), "no archive"),
    "huge": (row("days", requests=10**30), "requests is 1000"),
    "not a number": (row("requests", score=float("nan")), "score is nan"),
    "half a pair": (row("requests", reason="\ud800"), "no archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_change_nothing(
    tmp_path: Path, archive: Path, kind: str
) -> None:
    change, words = HOSTILE[kind]
    rewrite(archive, tmp_path / "bad.zip", change)
    with Store(tmp_path / "b") as store:
        before = bytes_of(store.home.path)
        with pytest.raises(FinchError, match=words):
            import_(store, tmp_path / "bad.zip")
        assert bytes_of(store.home.path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "a.zip", "bad.zip"}


def test_bombs_and_damage_are_refused(tmp_path: Path, archive: Path) -> None:
    bad = tmp_path / "bad.zip"
    with Store(tmp_path / "b") as store:
        rewrite(archive, bad, lambda m, _: None, zipfile.ZIP_DEFLATED)
        with pytest.raises(FinchError, match="is compressed or encrypted"):
            import_(store, bad)
        raw = bytearray(archive.read_bytes())
        with zipfile.ZipFile(archive) as found:
            member = max(found.infolist(), key=lambda m: m.file_size)
        place = raw.rindex(member.filename.encode())
        raw[place - 46 + 20 : place - 46 + 28] = (2**31).to_bytes(4, "little") * 2
        bad.write_bytes(raw)  # says that it unfolds to 2 GB
        with pytest.raises(FinchError, match="larger than it is"):
            import_(store, bad)
        for size in (0, 1, len(raw) // 2, len(raw) - 1):
            bad.write_bytes(archive.read_bytes()[:size])
            with pytest.raises(FinchError, match="is no archive"):
                import_(store, bad)
        with pytest.raises(FinchError, match="No such file"):
            import_(store, tmp_path / "none.zip")
        assert page(store.home)["requests"] == []


def test_every_flipped_byte_is_refused_or_without_effect(tmp_path: Path, archive: Path) -> None:
    raw = archive.read_bytes()
    bad = tmp_path / "bad.zip"
    with Store(tmp_path / "good") as store:
        import_(store, archive)
        expected = everything(store.home)
    for number, place in enumerate(range(7, len(raw), len(raw) // 25)):
        bad.write_bytes(raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :])
        with Store(tmp_path / f"home{number}") as store:
            try:
                import_(store, bad)
            except FinchError:
                assert page(store.home)["requests"] == []
                assert list(store.minds) == []
            else:
                assert everything(store.home) == expected
