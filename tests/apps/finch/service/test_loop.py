"""The event loop of finch's processes, with uvloop and without."""

from __future__ import annotations

import asyncio
import importlib.util
from importlib.machinery import ModuleSpec

import pytest

from groundup.apps.finch.service.loop import run


def kind() -> str:
    found: list[str] = []

    async def look() -> None:
        found.append(type(asyncio.get_running_loop()).__module__)

    run(look())
    return found[0]


def test_uvloop_is_taken_where_it_is() -> None:
    pytest.importorskip("uvloop")
    assert kind().startswith("uvloop")


def test_without_it_python_s_own_does(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = importlib.util.find_spec

    def find(name: str) -> ModuleSpec | None:
        return None if name == "uvloop" else usual(name)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert kind().startswith("asyncio")
