"""The whole server over HTTP: it forwards, learns, serves, dies and goes on (R14.1, 14.3, 14.5)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.rehearsal.demo import send, upstream
from groundup.apps.finch.service import serve
from groundup.apps.finch.service.loop import run
from groundup.apps.finch.service.serve import Service, worker_options
from groundup.apps.finch.settings import read_settings
from groundup.apps.finch.store import Home, page, status

KEY = "sk-planted-secret-0123456789"
WORDS = ["alpha", "bravo", "charlie", "delta", "echo"]
TRAFFIC = [(f"{WORDS[n % 5]} number {n}", WORDS[n % 5].upper()) for n in range(600)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def options(settings: Any) -> dict[str, Any]:
        made = worker_options(settings)
        made["mind"] |= {
            "models": False, "cold_start": 5, "conservative": 10, "bits": 10,
            "audit_half": 10,
        }  # fmt: skip
        made["keeper"] |= {"worth": 2, "every": 0.5}
        return made

    monkeypatch.setattr(serve, "worker_options", options)


@contextmanager
def running(home: Path, remote: str) -> Iterator[Service]:
    settings = read_settings({"upstream": remote, "home": home, "port": 0, "patience": 100}, {})
    with Service(settings) as service:
        ready, failed = threading.Event(), []

        def serve_here() -> None:
            try:
                run(service.run(ready.set))
            except FinchError as error:
                failed.append(error)
                ready.set()

        thread = threading.Thread(target=serve_here)
        thread.start()
        assert ready.wait(60)
        if failed:
            thread.join()
            raise failed[0]
        try:
            yield service
        finally:
            service.stop()
            thread.join(60)
            assert not thread.is_alive()


def asked(address: str, text: str) -> httpx2.Response:
    body = {
        "model": "large", "max_tokens": 16, "messages": [{"role": "user", "content": text}],
    }  # fmt: skip
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    return httpx2.post(f"{address}/v1/messages", json=body, headers=headers, timeout=30)


def test_it_learns_to_serve_and_goes_on_after_a_new_start(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with upstream(dict(TRAFFIC)) as remote:
        with running(home, remote) as service:
            [*_, seen] = send(service.address, TRAFFIC)
            assert seen.local > 150
            assert seen.wrong == 0
            found: dict[str, Any] = {}
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not found.get("tasks"):
                time.sleep(0.1)
                found = httpx2.get(f"{service.address}/finch/snapshot.json").json()
            assert found["requests"]["local"] == seen.local
            assert found["tasks"][0]["state"] == "serving"
            assert found["saved"]["input_tokens"] > 0
            told = httpx2.get(f"{service.address}/finch/metrics").text
            assert f"{seen.local}" in told
        with running(home, remote) as service:
            [first] = [next(send(service.address, TRAFFIC[7:8])).local for _ in range(1)]
            rest = sum(next(send(service.address, [one])).local for one in TRAFFIC[:40])
            assert first + rest > 20, "what was learned is there at once"
    totals = status(Home(home, make=False))
    assert totals["totals"]["local"]["requests"] == seen.local + first + rest
    rows = page(Home(home, make=False))["requests"]
    assert {row["decision"] for row in rows} <= {"local", "forward", "audit"}


def test_a_process_that_learns_may_die_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundup.apps.finch.service.brain.AGAIN", 0.1)
    with upstream(dict(TRAFFIC)) as remote, running(tmp_path / "home", remote) as service:
        for _ in range(3):
            [*_] = send(service.address, TRAFFIC[:30])
            worker = service.brain._process.pid
            assert worker is not None
            os.kill(worker, signal.SIGKILL)
            [*_, seen] = send(service.address, TRAFFIC[30:60])
            assert seen.requests == 30
            deadline = time.monotonic() + 30
            while not service.brain.alive and time.monotonic() < deadline:
                time.sleep(0.05)
            assert service.brain.alive
        assert service.brain.restarts == 3


def test_no_key_is_in_any_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with upstream({"alpha": "ALPHA"}) as remote, running(home, remote) as service:
        for _ in range(8):
            reply = asked(service.address, "alpha")
            assert reply.json()["content"][0]["text"] == "ALPHA"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [home, *home.rglob("*")])


def test_a_home_in_use_is_refused_in_words(tmp_path: Path) -> None:
    with (
        upstream({}) as remote,
        running(tmp_path / "home", remote),
        pytest.raises(FinchError, match="in use by"),
        running(tmp_path / "home", remote),
    ):
        pass
