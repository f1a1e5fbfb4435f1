"""What goes wrong in compilers that trace: threads, processes, Ctrl-C, exit, memory (R1.4)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn, optim
from groundup.engine.base import mode


def make_step() -> tuple[Any, Any]:
    """A whole training step, and its parameters."""
    gu.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 2))
    rule = optim.Adam(model.parameters(), lr=0.01)

    @gu.compile
    def step(x: gu.Tensor) -> gu.Tensor:
        rule.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()
        return loss.detach()

    return step, list(model.parameters())


def test_two_threads_call_the_same_function() -> None:
    offset = gu.ones(3)
    f = gu.compile(lambda x: (x * 2 + offset).exp().sum())
    wrong: list[Any] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for i in range(200):
            x = gu.full((1 + (i + number) % 3, 3), number / 10)
            if not gu.allclose(f(x), (x * 2 + 1).exp().sum()):
                wrong.append((number, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(f.traces) == 3


class Doubled(nn.Module):
    """A class of this module, so that its objects are listened to in a trace."""

    def __init__(self, size: int) -> None:
        self.layer = nn.Linear(size, 1)
        self.times = 2

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        """Twice what the layer gives."""
        return self.layer(x) * self.times


def test_threads_trace_steps_of_the_same_classes_at_the_same_time() -> None:
    before = vars(Doubled).copy(), vars(optim.AdamW).copy()
    failed: list[threading.ExceptHookArgs] = []
    losses: dict[int, list[float]] = {}
    start = threading.Barrier(4)

    def work(number: int) -> None:
        gu.manual_seed(0)
        net = Doubled(3)
        rule = optim.AdamW(net.parameters(), lr=0.01)

        @gu.compile
        def step(x: gu.Tensor) -> gu.Tensor:
            rule.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            rule.step()
            return loss.detach()

        start.wait()
        for rows in range(1, 6):
            rule.param_groups[0]["lr"] = 0.01 * rows
            losses.setdefault(number, []).append(step(gu.ones(rows, 3)).item())

    interval, hook = sys.getswitchinterval(), threading.excepthook
    sys.setswitchinterval(1e-5)
    threading.excepthook = failed.append
    try:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        threading.excepthook = hook
    assert not failed, failed[0].exc_value
    assert [len(found) for found in losses.values()] == [5] * 4
    assert (vars(Doubled), vars(optim.AdamW)) == before


def test_a_thread_computes_while_another_one_traces() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(x: gu.Tensor) -> gu.Tensor:
        inside.set()
        assert go_on.wait(20)
        return x * 2

    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(gu.compile(slow)(gu.ones(2))))
    thread.start()
    assert inside.wait(20)
    assert (gu.ones(2) + 1).tolist() == [2, 2]
    assert gu.compile(lambda x: x + 1)(gu.ones(2)).tolist() == [2, 2]
    go_on.set()
    thread.join()
    assert found[0].tolist() == [2, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_fork_after_compilation() -> None:
    step, params = make_step()
    step(gu.ones(4, 8))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover (in another process)
        try:
            step(gu.ones(4, 8))
            fresh = gu.compile(lambda x: (x * 3).sum())(gu.ones(50_000)).item()
            os.write(write, b"well" if fresh == 150_000 else b"wrong")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"well"
    assert os.waitpid(child, 0)[1] == 0
    before = params[0].tolist()
    step(gu.ones(4, 8))
    assert params[0].tolist() != before


def test_ctrl_c_in_the_middle_of_many_steps() -> None:
    """Whenever it comes, every tensor is finite, nothing is traced, and training can go on."""
    step, params = make_step()
    step(gu.ones(4, 8))
    step(gu.ones(4, 8))

    def until_interrupted(delay: float) -> None:
        threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        for _ in range(10**6):
            step(gu.ones(4, 8))

    for delay in (0.0, 0.001, 0.004, 0.01):
        with pytest.raises(KeyboardInterrupt):
            until_interrupted(delay)
        assert mode.tracer is None
        assert all(np.isfinite(p.detach().numpy()).all() for p in params)
    assert np.isfinite(step(gu.ones(4, 8)).item())


def test_ctrl_c_while_tracing() -> None:
    layer = nn.Linear(2, 2)
    rule = optim.SGD(layer.parameters(), lr=0.5)
    interrupt = True

    def f(x: gu.Tensor) -> gu.Tensor:
        layer(x).sum().backward()
        rule.step()
        if interrupt:
            raise KeyboardInterrupt
        return x * 2

    call = gu.compile(f)
    with pytest.raises(KeyboardInterrupt):
        call(gu.ones(1, 2))
    assert rule.param_groups[0]["lr"] == 0.5
    assert layer.weight.grad is None
    assert mode.tracer is None
    interrupt = False
    assert call(gu.ones(1, 2)).tolist() == [[2, 2]]


PROGRAM = """
import groundup as gu
f = gu.compile(lambda x: (x @ x).exp().sum())
x = gu.zeros(200, 200)
f(x)
{}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("print(f(x).item())", 0),
        ("raise SystemExit(3)", 3),
        ("import threading; threading.Thread(target=lambda: [f(x) for _ in range(50)]).start()", 0),
        (
            "import threading; threading.Thread(target=lambda: [f(x) for _ in range(10**9)], "
            "daemon=True).start()",
            0,
        ),
        ("global g; g = f; import atexit; atexit.register(lambda: f(x))", 0),
    ],
)
def test_interpreter_exit(end: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("calls", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_calls_without_growth_of_memory(calls: int) -> None:
    step, _ = make_step()
    forward = gu.compile(lambda x, w: (x * w).sum())
    w = gu.ones(8, requires_grad=True)
    x = gu.ones(4, 8)

    def some(count: int) -> int:
        for _ in range(count):
            step(x)
            w.grad = None
            forward(x, w).backward()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    some(5)
    tracemalloc.start()
    try:
        some(200)
        before = some(500)
        after = some(calls)
    finally:
        tracemalloc.stop()
    assert after - before < 20_000


def test_results_and_functions_are_freed() -> None:
    class Large(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(gu.ones(1000, 1000))

        def forward(self, x: gu.Tensor) -> gu.Tensor:
            return (self.weight * x).sum()

    def once() -> None:
        model = Large()
        call = gu.compile(model)
        call(gu.ones(1000)).backward()

    once()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(3):
            once()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
