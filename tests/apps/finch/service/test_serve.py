"""Where a server is reached, by which names, and how it ends. R14.1."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.apps.finch.service.quick import COMMAND, ROOT
from tests.apps.finch.upstream import OLD, ask

from groundup.apps.finch.proxy.brain import Verdict, new_ident
from groundup.apps.finch.service import worker
from groundup.apps.finch.service.brain import Brain
from groundup.apps.finch.service.loop import run
from groundup.apps.finch.service.serve import Service
from groundup.apps.finch.settings import read_settings
from groundup.apps.finch.store import Store
from groundup.apps.finch.wire import Call

NOWHERE = "http://127.0.0.1:9"


def service_of(home: Path, **flags: Any) -> Service:
    return Service(read_settings({"upstream": NOWHERE, "home": home, "port": 0, **flags}, {}))


@contextmanager
def running(home: Path, **flags: Any) -> Iterator[str]:
    with service_of(home, **flags) as service:
        ready = threading.Event()
        thread = threading.Thread(target=lambda: run(service.run(ready.set)))
        thread.start()
        try:
            assert ready.wait(60)
            yield service.address
        finally:
            service.stop()
            thread.join(60)


def test_the_port_that_was_taken_is_told(tmp_path: Path) -> None:
    with service_of(tmp_path / "home") as service:
        port = service.listener.getsockname()[1]
        assert service.address == f"http://127.0.0.1:{port}"
        told = service.settings.summary()
    assert f"base URL {service.address};" in told
    assert f"{service.address}/finch/metrics" in told
    assert "port from the flag --port" in told


def test_names_that_are_allowed_are_answered_and_others_are_not(tmp_path: Path) -> None:
    with running(tmp_path / "home", allow_host=["finch.lan"]) as address:
        for path in ("/finch/", "/v1/models"):
            for host, refused in (("Finch.lan:80", False), ("localhost", False), ("a.lan", True)):
                found = httpx2.get(f"{address}{path}", headers={"host": host})
                assert (found.status_code == 421) == refused, (path, host)


def test_a_server_for_others_knows_its_names(tmp_path: Path) -> None:
    with running(tmp_path / "home", host="0.0.0.0", allow_host=["finch.lan"]) as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        for host, status in (("finch.lan", 200), ("10.1.2.3", 200), ("a.lan", 421)):
            assert httpx2.get(f"{local}/finch/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(("patience", "status"), [(1000, 200), (10, 502)])
def test_a_request_waits_as_long_as_the_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int, status: int
) -> None:
    async def slow(brain: Brain, call: Call, scope: str) -> Verdict:
        await asyncio.sleep(0.5)
        return Verdict(new_ident(), True, "balance", "score 0.99", 12, 1)

    monkeypatch.setattr(Brain, "consider", slow)
    with running(tmp_path / "home", patience=patience) as address:
        found = httpx2.post(f"{address}/v1/messages", json=ask(), headers=OLD)
    assert found.status_code == status


# Ctrl-C


@pytest.mark.parametrize("moment", ["begin", "begun", "ready", "startup"])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_it_without_a_word_at_any_moment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    moment: str,
    times: int,
) -> None:
    def interrupt(at: str) -> None:
        if at == moment:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    usual = Brain.start

    async def start(brain: Brain) -> None:
        interrupt("begin")
        await usual(brain)
        interrupt("begun")

    def ready() -> None:
        interrupt("ready")
        asyncio.get_running_loop().call_soon(interrupt, "startup")

    monkeypatch.setattr(Brain, "start", start)
    with service_of(tmp_path / "home") as service, pytest.raises(KeyboardInterrupt):
        run(service.run(ready))
    assert not service.brain._process.is_alive()
    assert capfd.readouterr() == ("", "")
    with Store(tmp_path / "home"):
        pass  # nobody uses it any more


def test_ctrl_c_ends_a_demonstration(tmp_path: Path) -> None:
    begun = subprocess.Popen(
        [*COMMAND, "demo", "--requests", "20000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        assert begun.stderr is not None
        line = begun.stderr.readline()
        assert "the page: http://127.0.0.1:" in line
        begun.send_signal(signal.SIGINT)
        _, said = begun.communicate(timeout=60)
    finally:
        begun.kill()
    assert begun.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


# An orphan


def test_a_worker_whose_proxy_was_killed_saves_and_ends_quietly(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    options = {
        "home": str(tmp_path / "home"), "store": {}, "mind": {"models": False},
        "keeper": {"worth": 0}, "worker": {},
    }  # fmt: skip
    context = multiprocessing.get_context("spawn")
    said = tmp_path / "said.txt"
    with theirs:
        process = context.Process(target=_quietly, args=(said, theirs, options))
        process.start()
    with ours.makefile("rb") as replies:
        assert json.loads(replies.readline()) == {"id": 0}
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        lines = []
        for number in range(1, 101):
            question = {
                "do": "consider", "id": number, "ident": f"{number:032x}", "scope": "00112233",
                "task": "44556677", "query": f"hi {number}", "model": "m",
                "asked": time.monotonic(),
            }  # fmt: skip
            over = {
                "do": "ended", "later": False, "ident": f"{number:032x}", "time": time.time(),
                "decision": "forward", "reason": "", "scope": "00112233", "task": "44556677",
                "path": "/v1/messages", "model": "m", "status": 200, "latencies": {},
                "input_tokens": 1, "output_tokens": 1, "query": f"hi {number}", "answer": "hello",
            }  # fmt: skip
            lines += [json.dumps(question), json.dumps(over)]
        lines.append('{"do": "ended", "id')  # killed in the midst of a message
        ours.sendall("\n".join(lines).encode())
    ours.close()
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode == 0
    assert said.read_text() == ""
    with Store(tmp_path / "home") as store:
        assert [mind.task for mind in store.minds] == ["44556677"]


def _quietly(said: Path, theirs: socket.socket, options: dict[str, Any]) -> None:
    """The worker, with all that it prints in a file."""
    with said.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        worker.main(theirs, options)
