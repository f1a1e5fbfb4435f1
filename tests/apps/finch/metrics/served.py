"""The page with made-up numbers, as a server of its own.

    python -m tests.apps.finch.metrics.served FOLDER KIND

FOLDER is a home that is made; KIND is one of `KINDS`. The address is printed. Each line on the
standard input is a request more, or "trouble", or "fail".
"""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.metrics import Metrics, Price, Prices, TaskFigures, routes
from groundup.apps.finch.store import Record, Store, page

KINDS = ("empty", "cold", "serving", "over")
SCOPE = "5f" * 16


def bound_of(audits: int, wrong: int) -> float | None:
    """Something that shrinks; the real one is the guard's."""
    return None if audits < 20 else (wrong + 1.6 + 1.9 * (wrong + 0.8) ** 0.5) / audits


def told(
    state: str, requests: int, local: int, audits: int, wrong: int, bound: float | None
) -> TaskFigures:
    """What is so of the busier task."""
    return TaskFigures(
        SCOPE, "9d1f03a27c55e0b1", "remote-large-2027", state, requests, local, audits, wrong,
        bound, None if bound is None else wrong / audits,
    )  # fmt: skip


def made_up(metrics: Metrics, store: Store, kind: str) -> None:
    """Some thousand requests that went as one hopes, or not."""
    draw = random.Random(3)
    many = {"empty": 0, "cold": 37, "serving": 6000, "over": 2500}[kind]
    wrong_rate = 0.11 if kind == "over" else 0.012
    audits = wrong = 0
    bound: float | None = None
    now = time.time()
    for number in range(many):
        ability = 0.75 * (1 - 2.7 ** (-max(0, number - 700) / 1300))
        rate = max(0.05, 0.5 - number / 4000)
        fit = draw.random() < ability
        score = draw.uniform(0.82, 0.99) if fit else draw.uniform(0.1, 0.8)
        decision, reason = "forward", f"score {score:.2f} under 0.81"
        if number < 50:
            reason = "cold start"
        if number % 9 == 4:
            decision, reason = "pass", "it has tools"
        elif fit:
            decision = "audit" if draw.random() < rate else "local"
            reason = "audit" if decision == "audit" else f"score {score:.2f} over 0.81"
        latencies = {"consider": draw.lognormvariate(-6.2, 0.4)}
        if decision == "local":
            latencies["local answer"] = draw.lognormvariate(-7.1, 0.5)
        else:
            latencies["upstream, first byte"] = draw.lognormvariate(-0.6, 0.4)
            latencies["upstream, whole"] = draw.lognormvariate(0.6, 0.5)
        agreed = None
        if decision == "audit":
            agreed = draw.random() > wrong_rate
            audits, wrong = audits + 1, wrong + (not agreed)
            metrics.audited(agreed, rate)
            bound = bound_of(audits, wrong)
            metrics.task(told("serving", number + 1, 0, audits, wrong, bound))
        metrics.state(learning=True, waiting=3, most=256)
        metrics.request(
            decision,
            model="remote-large-2027",
            input_tokens=180,
            output_tokens=4,
            latencies=latencies,
        )
        if number > many - 40:
            store.log.append(
                Record(
                    f"req_{number:06x}", now - (many - number) * 1.7, decision, reason, SCOPE,
                    task="9d1f03a27c55e0b1", model="remote-large-2027",
                    score=None if decision == "pass" else score, agreed=agreed,
                )
            )  # fmt: skip
    for stage in ("learning, a step", "checkpoint"):
        for _ in range(many // 10):
            metrics.took(stage, draw.lognormvariate(-3 if stage == "checkpoint" else -4.4, 0.5))
    if many:
        state = "serving" if kind == "serving" else "cold start" if kind == "cold" else "forwarding"
        local = int(many * 0.48) if kind != "cold" else 0
        metrics.task(told(state, many, local, audits, wrong, bound))
        metrics.task(
            TaskFigures(SCOPE, "02bb6e91c4d7a310", "remote-small", "cold start", 31, 0, 0, 0, None)
        )
    store.log.flush()


def main(folder: str, kind: str) -> None:
    """Serve until the standard input ends."""
    prices = Prices({"remote-large": Price(3.0, 15.0)}) if kind != "cold" else Prices()
    metrics = Metrics(prices, limit=0.05, version="0.1.0")
    failing = threading.Event()

    def snapshot() -> dict[str, object]:
        if failing.is_set():
            raise FinchError("the learner has ended")
        return metrics.snapshot()

    with Store(Path(folder), interval=0.05) as store:
        made_up(metrics, store, kind)
        app = Starlette(routes=routes(snapshot, log=lambda wanted: page(store.home, wanted)))
        config = uvicorn.Config(app, port=0, log_level="warning", ws="none")
        server = uvicorn.Server(config)
        listener = config.bind_socket()
        listener.listen()  # whoever connects before the server runs waits
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)

        def hear() -> None:
            for number, line in enumerate(sys.stdin):
                if line == "trouble\n":
                    words = ("the disk is full",)
                    metrics.state(learning=False, waiting=9, most=9, troubles=words)
                elif line == "fail\n":
                    failing.set()
                else:
                    ident = f"<b>{number}</b>"
                    store.log.append(Record(ident, time.time(), "local", "sure", score=0.9))
                    store.log.flush()
                    metrics.request("local", model="remote-large")
            server.should_exit = True

        threading.Thread(target=hear, daemon=True).start()
        server.run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
