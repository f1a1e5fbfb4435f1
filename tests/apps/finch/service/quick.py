"""`finch serve` for tests: it learns by its quick stages alone, and what it knows is saved often.

    python -m tests.apps.finch.service.quick serve --upstream URL --home FOLDER --port 0

Everything but a few sizes is as in `finch serve`. `Server` runs it, or the command itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[4]
QUICK = [sys.executable, "-m", "tests.apps.finch.service.quick"]
COMMAND = [sys.executable, "-c", "from groundup.cli.finch import main; main()"]
"""`finch` as it is installed."""
MIND = {
    "models": False, "minimum": 20, "bits": 11, "entries": 1000, "classes": 64, "window": 1000,
}  # fmt: skip
KEEPER = {"worth": 2, "every": 0.3}
PATIENCE = 100
"""Milliseconds that a request waits for a thought, on such a machine."""
START, END = 60.0, 60.0
"""Seconds that a server may take to begin, and to end, on a machine that has other work too."""


class Server:
    """A server in a process of its own, which has a process that learns.

    Args:
        upstream: address of the remote side.
        home: folder.
        log: where everything that it prints goes.
        command: `QUICK` or `COMMAND`.
        settings: flags, such as ``delta=0.1``.
    """

    def __init__(
        self,
        upstream: str,
        home: Path,
        log: IO[str],
        command: Sequence[str] = QUICK,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        flags: dict[str, object] = {"upstream": upstream, "home": home, "port": 0}
        flags |= {"patience": PATIENCE, **(settings or {})}
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        self._log, self._from = Path(log.name), os.path.getsize(log.name)
        self.process = subprocess.Popen(
            [*command, "serve", *words],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def address(self) -> str | None:
        """Where it listens; None if it has not said so yet.

        Raises:
            AssertionError: it ended by itself.
        """
        for line in self.said().splitlines():
            if line.startswith("Ready: "):
                return line.split()[1]
        assert self.process.poll() is None, self.said()
        return None

    def ready(self) -> str:
        """Wait until it listens; its address."""
        end = time.monotonic() + START
        while (found := self.address()) is None:
            assert time.monotonic() < end, f"it does not begin: {self.said()}"
            time.sleep(0.01)
        return found

    def said(self) -> str:
        """What it has printed."""
        with self._log.open(encoding="utf-8") as file:
            file.seek(self._from)
            return file.read()

    def workers(self) -> list[int]:
        """The processes that learn: the children but the one that watches over resources."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in children if "resource_tracker" not in _command(pid)]

    def session(self) -> list[int]:
        """All processes of it that are still there."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                about = (folder / "stat").read_text().rpartition(")")[2].split()
                # Its first thread may be gone while others are still about to end.
                there = about[0] != "Z" or int(about[17]) > 1
                if int(about[3]) == self.pid and there:
                    found.append(int(folder.name))
        return found

    def send(self, number: int, *, all_: bool) -> None:
        """A signal to the server alone, or to all of its processes, as from a terminal."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if all_ else os.kill)(self.pid, number)

    def gone(self) -> int:
        """Wait until no process of it is left; the exit code."""
        code = self.process.wait(END)
        end = time.monotonic() + END
        while self.session():
            assert time.monotonic() < end, f"{self.session()} of {self.pid} are left"
            time.sleep(0.01)
        return code

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.send(signal.SIGKILL, all_=True)
        self.process.wait()


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _command(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return "resource_tracker"


def main() -> None:
    """The command, with other sizes."""
    from groundup.apps.finch.service import serve
    from groundup.cli.finch import main as finch

    usual = serve.worker_options

    def options(settings: Any) -> dict[str, Any]:
        made = usual(settings)
        made["mind"] |= MIND
        made["keeper"] |= KEEPER
        return made

    serve.worker_options = options
    finch()


if __name__ == "__main__":
    main()
