"""`finch serve` killed at any moment, or ended by a signal: what is kept, and that it goes on.

R14.5. All processes are killed at once, as when the machine fails, or the server alone, whose
process that learns must then save and end by itself.
"""

from __future__ import annotations

import itertools
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from tests.apps.finch.service.quick import COMMAND, QUICK, Server
from tests.apps.finch.traffic import some_traffic
from tests.apps.finch.upstream import OLD, ask

from groundup.apps.finch.mind.mind import Mind
from groundup.apps.finch.rehearsal.demo import upstream
from groundup.apps.finch.store import Home, Store

TRAFFIC = some_traffic(4000)
LOST = 5.0
"""Seconds of the log, and of what was learned, that a kill may cost."""
WORTH = 6
"""Requests of a task that may come before it has a mind."""
SETTINGS = {"delta": 0.1}
NAMES = {"lock", "salts.json", "finch.sqlite", "finch.sqlite-wal", "finch.sqlite-shm"}


class Client(threading.Thread):
    """Sends requests one after the other, until it is told to end or nobody answers.

    Args:
        address: of the server.
        first: place in the traffic to begin at.
        pause: seconds after each answer.

    Attributes:
        answered: name and time of each.
        local: how many the server answered itself.
        odd: replies that a client should not get.
    """

    def __init__(self, address: str, first: int = 0, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.answered: list[tuple[str, float]] = []
        self.local = 0
        self.odd: list[str] = []
        self._address, self._first, self._pause = address, first, pause
        self._enough = threading.Event()

    def run(self) -> None:
        with httpx2.Client(base_url=self._address, headers=OLD, timeout=30) as client:
            for query, answer in itertools.islice(itertools.cycle(TRAFFIC), self._first, None):
                if self._enough.wait(self._pause):
                    return
                try:
                    reply = client.post("/v1/messages", json=ask(query, temperature=0))
                    text = reply.json()["content"][0]["text"]
                except httpx2.TransportError:  # killed
                    return
                local = reply.headers["x-finch"] == "local"
                if not local and text != answer:
                    self.odd.append(f"{query}: {text}")
                self.local += local
                self.answered.append((reply.headers["x-finch-request"], time.time()))

    def wait_for(self, count: int) -> None:
        """Until so many were answered."""
        end = time.monotonic() + 60
        while len(self.answered) < count:
            assert time.monotonic() < end, f"only {len(self.answered)} of {count} were answered"
            time.sleep(0.005)

    def stop(self) -> None:
        self._enough.set()
        self.join(60)
        assert not self.is_alive()


@dataclass
class Kept:
    """What must be there from now on."""

    names: set[str] = field(default_factory=set)
    asked: int = 0
    answers: int = 0


def lived(
    remote: str,
    home: Path,
    seconds: float,
    *,
    all_: bool,
    command: Sequence[str] = QUICK,
    pause: float = 0.0,
) -> tuple[Client | None, float]:
    """Run a server with a client for so long and kill it.

    Args:
        remote: the upstream.
        home: of the server.
        seconds: after its first answer; below 0, of a life that may end before the first.
        all_: whether all its processes are killed, or the server alone.
        command: which is run.
        pause: of the client.

    Returns:
        The client, if there was one, and when the server was killed.
    """
    client = None
    with (
        (home.parent / "log").open("a") as log,
        Server(remote, home, log, command, SETTINGS) as server,
    ):
        end = time.monotonic() - seconds
        while seconds >= 0 or time.monotonic() < end:
            if client is None and (address := server.address()) is not None:
                first = random.Random(str(server.pid)).randrange(len(TRAFFIC))
                client = Client(address, first, pause)
                client.start()
                if seconds >= 0:
                    client.wait_for(1)
                    end, seconds = time.monotonic() + seconds, -1.0
            time.sleep(0.005)
        killed = time.time()
        server.send(signal.SIGKILL, all_=all_)
        assert server.gone() == -signal.SIGKILL
        if client is not None:
            client.join(60)
            assert not client.is_alive()
            assert client.odd == []
        assert "Traceback" not in server.said(), server.said()
    return client, killed


def check(
    home: Path,
    kept: Kept,
    client: Client | None,
    killed: float,
    lost: float = LOST,
    unlearned: float = LOST,
) -> None:
    """All that has to hold after a kill; what must be there from now on is added to `kept`.

    Args:
        home: of the server.
        kept: of the lives before.
        client: of this life.
        killed: when.
        lost: seconds of the log that may be lost.
        unlearned: seconds of what was learned.
    """
    if not (home / "finch.sqlite").exists():
        assert client is None
        assert not kept.names
        return
    assert Home(home, make=False).owner() is None
    files = [path.name for path in home.rglob("*") if path.is_file()]
    parts = [name for name in files if name.endswith(".part")]
    assert len(parts) <= 1, "one remainder at most"
    with closing(sqlite3.connect(home / "finch.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Store(home) as store:  # as the next server opens it
        states = {one.task: store.minds.load(one.scope, one.task) for one in store.minds}
        found = store.database.write(lambda db: db.execute("SELECT ident FROM requests").fetchall())
    names = {name for (name,) in found}
    # Damaged states would have been set aside, under names that are not among these.
    allowed = {f"{task}{kind}.safetensors" for task in states for kind in ("", ".previous")}
    assert {path.name for path in home.rglob("*") if path.is_file()} <= NAMES | allowed
    asked = answers = 0
    for state in states.values():
        assert state is not None
        mind = Mind.from_state(dict(state.arrays), state.content["mind"])
        assert mind.consider(TRAFFIC[0][0]).query == TRAFFIC[0][0]
        asked += state.content["counts"]["requests"]
        answers += state.content["counts"]["answers"]
    told = [] if client is None else client.answered
    must = {name for name, moment in told if moment < killed - lost}
    assert must <= names, f"{len(must - names)} of {len(must)} requests are not in the log"
    assert kept.names <= names
    learned = sum(moment < killed - unlearned for _, moment in told)
    assert asked >= kept.asked + max(learned - WORTH, 0), "too much that was learned is lost"
    assert answers >= kept.answers
    kept.names, kept.asked, kept.answers = names, asked, answers


def killed_often(folder: Path, lives: Sequence[tuple[float, bool]]) -> Kept:
    """Lives of one home, one after the other."""
    home, kept = folder / "home", Kept()
    with upstream(dict(TRAFFIC)) as remote:
        for seconds, all_ in lives:
            check(home, kept, *lived(remote, home, seconds, all_=all_))
    return kept


def test_killed_at_random_moments(tmp_path: Path) -> None:
    draw = random.Random(0)
    # A long one first, so that what may be lost is not all that there is.
    lives = [(LOST + 0.5, True), (draw.uniform(0.1, 0.6), False), (draw.uniform(0.1, 0.6), True)]
    kept = killed_often(tmp_path, lives)
    assert kept.asked > WORTH
    assert kept.answers > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(tmp_path: Path) -> None:
    draw = random.Random(1)
    # From the beginning of the process, or from its first answer on; each fourth the server alone.
    lives = [
        (-draw.uniform(0.0, 4.0) if number % 2 else draw.uniform(0.0, 3.0), number % 4 != 2)
        for number in range(100)
    ]
    kept = killed_often(tmp_path, lives)
    assert kept.answers > 300
    with (
        upstream(dict(TRAFFIC)) as remote,
        (tmp_path / "log").open("a") as log,
        Server(remote, tmp_path / "home", log, settings=SETTINGS) as server,
    ):
        client = Client(server.ready())
        client.start()
        client.wait_for(200)
        client.stop()
        assert client.odd == []
        assert client.local > 50, "what was learned in all these lives is used"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("pause", [0.05, 0.0])  # the second is more than models can look at
def test_killed_while_the_models_learn(tmp_path: Path, pause: float) -> None:
    draw, home, kept = random.Random(2), tmp_path / "home", Kept()
    with upstream(dict(TRAFFIC)) as remote:
        for number in range(6):
            all_ = number % 2 == 1
            seconds = draw.uniform(1.0, 15.0)
            client, killed = lived(remote, home, seconds, all_=all_, command=COMMAND, pause=pause)
            # States are written each ten seconds here, and by a server alone that was killed.
            check(home, kept, client, killed, LOST, 20.0 if all_ else LOST)
    assert kept.answers > 100


ENDS = [
    (signal.SIGINT, True, 130),  # Ctrl-C in a terminal
    (signal.SIGTERM, False, 143),
    (signal.SIGTERM, True, 143),  # of a service manager
    pytest.param(signal.SIGINT, False, 130, marks=pytest.mark.slow),
]


def ended(folder: Path, number: int, all_: bool, command: Sequence[str], count: int) -> int:
    """End a server while a client asks; the exit code, after a look at all that must be saved."""
    home = folder / "home"
    with (
        upstream(dict(TRAFFIC)) as remote,
        (folder / "log").open("w") as log,
        Server(remote, home, log, command, SETTINGS) as server,
    ):
        client = Client(server.ready())
        client.start()
        client.wait_for(count)
        client.stop()
        server.send(number, all_=all_)
        code = server.gone()
        assert "Stopped: what was done is kept" in server.said()
        assert "Traceback" not in server.said()
    kept = Kept()
    check(home, kept, client, time.time() + LOST)
    assert kept.names == {name for name, _ in client.answered}
    assert kept.asked == len(client.answered) - (WORTH - 1 if command == COMMAND else 2)
    assert [path.name for path in home.rglob(".*")] == []
    return code


@pytest.mark.parametrize(("number", "all_", "code"), ENDS)
def test_a_signal_ends_it_with_all_saved(
    tmp_path: Path, number: int, all_: bool, code: int
) -> None:
    assert ended(tmp_path, number, all_, QUICK, 60) == code


@pytest.mark.slow
@pytest.mark.parametrize(("number", "all_", "code"), ENDS[:2])
def test_a_signal_ends_it_while_the_models_learn(
    tmp_path: Path, number: int, all_: bool, code: int
) -> None:
    assert ended(tmp_path, number, all_, COMMAND, 150) == code
