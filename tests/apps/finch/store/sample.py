"""What tests put into a home."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from groundup.apps.finch.opinion import Opinion
from groundup.apps.finch.proxy.scope import key_scope
from groundup.apps.finch.store import Record, Scopes, Store

NOW = float(round(time.time()) - 10_000)
KEY = "sk-planted-7f3a9c-secret-key"
TASKS = ("00000000000000aa", "00000000000000bb")


def scope_of(store: Store, key: str = KEY) -> str:
    """As the proxy has it."""
    return Scopes(store.home).of(lambda salt: key_scope({"x-api-key": key}, salt, "support"))


def note(
    store: Store,
    number: int,
    *,
    task: str = TASKS[0],
    key: str = KEY,
    time: float = NOW,
    decision: str = "forward",
    said: str = "",
    agreed: bool | None = None,
) -> Record:
    """Note a request that is learned from, unless it was answered locally."""
    learned = decision in ("forward", "audit")
    record = Record(
        ident=f"req_{number}",
        time=time + number,
        decision=decision,
        reason="cold start",
        scope=scope_of(store, key),
        namespace="support",
        task=task,
        model="remote-large",
        upstream=f"up_{number}",
        score=0.25,
        propensity=1.0 if decision == "forward" else 0.5,
        opinions=(Opinion("cache", None, 0.0), Opinion("linear", f"{said} maybe", 0.25)),
        latencies={"consider": 0.0012},
        input_tokens=100,
        output_tokens=7,
        agreed=agreed,
        query=f"{said} query {number}" if learned else None,
        answer=f"{said} answer {number}" if learned else None,
    )
    store.log.append(record)
    return record


def learn(store: Store, *, task: str = TASKS[0], key: str = KEY, said: str = "") -> str:
    """Keep a mind whose replay buffer has a text; the scope."""
    scope = scope_of(store, key)
    arrays = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
    store.minds.save(scope, task, arrays, {"replay": [said], "step": 3})
    return scope


def bytes_of(folder: Path) -> bytes:
    """All bytes of all files."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
