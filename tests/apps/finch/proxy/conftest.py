"""A proxy in front of the stand-in, for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.apps.finch.upstream import Stage, Upstream, Watching, stage


@pytest.fixture(scope="module")
def _running() -> Iterator[Stage]:
    with stage() as running:
        yield running


@pytest.fixture
def play(_running: Stage) -> Stage:
    """A stage as new: the servers are those of the test before."""
    fresh, brain = Upstream(), Watching()
    _running.upstream.script, _running.upstream.seen = fresh.script, []
    _running.upstream.keep = True
    vars(_running.brain).clear()
    vars(_running.brain).update(vars(brain))
    return _running
