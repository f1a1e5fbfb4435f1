"""The home: private, one server at a time, and no trace of a key. R14.5."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.apps.finch.store.sample import KEY, bytes_of, learn, note, scope_of

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.proxy.scope import key_scope
from groundup.apps.finch.store import (
    Home,
    Scopes,
    Selection,
    Store,
    export,
    home_folder,
    page,
    purge,
    reset,
    status,
)
from groundup.apps.finch.store.home import SALT


def test_it_and_all_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Store(tmp_path / "a" / "finch") as store:
            note(store, 1)
            learn(store)
            learn(store)
            store.log.flush()
            export(store.home, tmp_path / "archive.zip")
            places = [store.home.path, *store.home.path.rglob("*"), tmp_path / "archive.zip"]
            assert len(places) > 8  # the write-ahead log is among them
            for path in places:
                expected = 0o700 if path.is_dir() else 0o600
                assert stat.S_IMODE(path.stat().st_mode) == expected, path
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o707, 0o770])
def test_one_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "finch").mkdir()
    (tmp_path / "finch").chmod(mode)
    with pytest.raises(FinchError, match=f"mode {mode:04o}.*expected 0700.*chmod 700"):
        Store(tmp_path / "finch")


def test_one_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Home(tmp_path / "finch")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(FinchError, match=f"belongs to user {other - 1}, and this is user {other}"):
        Home(tmp_path / "finch")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FinchError, match="is a file, expected a folder"):
        Home(tmp_path / "file")
    with pytest.raises(FinchError, match="there is no such folder"):
        Home(tmp_path / "none", make=False)
    with pytest.raises(FinchError, match="File exists"):
        Home(tmp_path / "file" / "finch")


def test_two_servers_cannot_share_a_home(tmp_path: Path) -> None:
    program = (
        "import sys; from groundup.apps.finch.store import Store\n"
        "store = Store(sys.argv[1])\nprint(flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "finch")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    other.stdout.readline()
    try:
        words = rf"in use by `finch serve` \(process {other.pid}\)"
        with pytest.raises(FinchError, match=words):
            Store(tmp_path / "finch", "purge")
        home = Home(tmp_path / "finch", make=False)
        owner = home.owner()
        assert owner is not None
        assert (owner.pid, owner.purpose) == (other.pid, "serve")
        running = status(home)["running"]
        assert running["pid"] == other.pid
    finally:
        other.kill()
        other.communicate()
    assert home.owner() is None
    Store(tmp_path / "finch").close()


def test_a_helper_process_names_its_server(tmp_path: Path) -> None:
    with Store(tmp_path / "finch", pid=os.getppid()) as store:
        owner = store.home.owner()
        assert owner is not None
        assert owner.pid == os.getppid()


def test_asking_for_the_state_does_not_keep_a_server_out(tmp_path: Path) -> None:
    Store(tmp_path / "finch").close()
    home = Home(tmp_path / "finch")
    for _ in range(20):
        assert home.owner() is None
        with Store(tmp_path / "finch"):
            assert home.owner() is not None


def test_the_default_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/base")
    monkeypatch.setattr(sys, "platform", "linux")
    assert home_folder(None, {}) == Path("/base/.local/share/finch")
    assert home_folder(None, {"XDG_DATA_HOME": "relative"}) == Path("/base/.local/share/finch")
    assert home_folder("~/f", {"FINCH_HOME": "/x"}) == Path("/base/f")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home_folder(None, {}) == Path("/base/Library/Application Support/finch")


def test_scopes_differ_from_home_to_home_and_last(tmp_path: Path) -> None:
    scopes = []
    for name in ("a", "b", "a"):
        with Store(tmp_path / name) as store:
            scopes.append(scope_of(store))
    assert scopes[0] == scopes[2] != scopes[1]


def test_a_damaged_salt_is_told(tmp_path: Path) -> None:
    with Store(tmp_path / "finch") as store:
        home = store.home
    for content in (b"", b"[]", b'["00"]', b"[1]", b'{"a": 1}', b'"zz"'):
        (home.path / "salts.json").write_bytes(content)
        with pytest.raises(FinchError, match=r"salts\.json.*put it back"):
            Store(tmp_path / "finch")


def test_an_imported_salt_is_used_for_its_scopes_only(tmp_path: Path) -> None:
    foreign = b"f" * SALT
    with Store(tmp_path / "finch") as store:
        store.home.add_salts([foreign, foreign])
        assert len(store.home.salts) == 2
        own = scope_of(store)
        theirs = key_scope({"x-api-key": KEY}, foreign, "support")
        row = (theirs, "support", 0.0)
        store.database.write(lambda db: db.execute("INSERT INTO scopes VALUES (?, ?, ?)", row))
        assert scope_of(store) == theirs != own
        other = key_scope({"x-api-key": "another"}, store.home.salts[0], "support")
        assert scope_of(store, "another") == other


# R14.5: no secret appears in any file, output or archive.
def test_a_planted_key_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store(tmp_path / "finch") as store:
        for number in range(20):
            note(store, number, said="harmless", decision=("local", "audit")[number % 2])
        scope = learn(store)
        store.log.flush()
        export(store.home, tmp_path / "archive.zip")
        seen = bytes_of(tmp_path)  # with the write-ahead log
        seen += json.dumps([status(store.home), page(store.home)]).encode()
        seen += repr((store.home, Scopes(store.home), store.log)).encode()
        purge(store, Selection(scope, before=time.time()))
        reset(store)
        seen += bytes_of(tmp_path) + caplog.text.encode()
    assert b"harmless" in seen
    for part in (KEY, KEY[3:12], KEY.encode().hex()):
        assert part.encode() not in seen
