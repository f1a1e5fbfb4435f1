"""A folder of runs, the application in this process, and a real server in another one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from groundup.web import create_app

from .browsing import Visit, chromium
from .sample import fill

ROOT = Path(__file__).parents[2]
LOCAL = "http://127.0.0.1:8050"


@dataclass
class Served:
    """A folder of runs and the address of the server that shows it."""

    folder: Path
    address: str
    runs: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Runs of all kinds, which no test changes."""
    folder = tmp_path_factory.mktemp("sample")
    return Served(folder, LOCAL, fill(folder, 0.06))


@pytest.fixture(scope="session")
def client(sample: Served) -> Iterator[TestClient]:
    """Asks the application about the sample."""
    with TestClient(create_app(sample.folder), base_url=LOCAL) as found:
        yield found


def start(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A server as the command line starts it, on a free port; the address that it prints."""
    program = f"from groundup.web import serve; serve({str(folder)!r}, port={port})"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    if found is None:
        process.kill()
        raise AssertionError(f"the server printed {line + process.stdout.read()!r}")
    return process, found[0]


def stop(process: subprocess.Popen[str]) -> str:
    """End a server as Ctrl-C does; what else it printed."""
    process.terminate()
    try:
        output, _ = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return output


@pytest.fixture(scope="session")
def served(sample: Served) -> Iterator[Served]:
    """The sample, served by another process."""
    process, address = start(sample.folder)
    yield Served(sample.folder, address, sample.runs)
    stop(process)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Served]:
    """An empty folder, served by another process."""
    process, address = start(tmp_path)
    yield Served(tmp_path, address)
    stop(process)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; tests that need it are skipped where there is none.

    Not for the whole session: as long as it is open, Playwright keeps an event loop running here.
    """
    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Any, served: Served) -> Iterator[Callable[..., Visit]]:
    """Open pages of the sample; at the end none of them may have had an error."""
    visits: list[Visit] = []

    def begin(address: str = served.address, **options: Any) -> Visit:
        visits.append(Visit(browser, address, **options))
        return visits[-1]

    yield begin
    for one in visits:
        one.close()
