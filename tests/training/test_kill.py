"""R1.3, R1.5: a run that is killed at any moment and resumed ends like one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import groundup as gu

SCRIPT = Path(__file__).with_name("killable.py")
OFTEN = pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
STEPS = 18 * 23

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


def start(checkpoint: Path, result: Path, every: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(checkpoint), str(result), str(every)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> int:
    """Let it run to its end; the step that it started from."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == f"step {STEPS}"
    return int(out.split()[1])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run that nothing happened to leaves: all weights, the history, the next numbers."""
    folder = tmp_path_factory.mktemp("whole")
    # Few checkpoints, so that writing them is shown to change nothing.
    assert finish(start(folder / "run.safetensors", folder / "result.safetensors", 100)) == 0
    return (folder / "result.safetensors").read_bytes()


@OFTEN
def test_killed_again_and_again(kills: int, tmp_path: Path, uninterrupted: bytes) -> None:
    chance = random.Random(0)
    checkpoint, result = tmp_path / "run.safetensors", tmp_path / "result.safetensors"
    reached = []
    for kill in range(kills):
        process = start(checkpoint, result)
        assert process.stdout is not None
        # One in five dies while it starts or loads, the others after a few steps: in a step, or
        # while the next checkpoint is being written.
        if kill % 5 == 4:
            time.sleep(chance.uniform(0, 1))
        else:
            for _ in range(chance.randint(1, 10)):
                process.stdout.readline()
            time.sleep(chance.uniform(0, 0.01))
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL, "it was over before it could be killed"
        process.communicate()
        if checkpoint.exists():
            reached.append(gu.load(checkpoint)[1]["parts"]["run"]["state"]["step"])
    assert reached == sorted(reached)
    assert reached[-1] > 0
    assert finish(start(checkpoint, result)) == reached[-1]
    assert result.read_bytes() == uninterrupted


def test_interrupted_with_control_c(tmp_path: Path, uninterrupted: bytes) -> None:
    """The only checkpoint is the one that the interrupt itself causes."""
    checkpoint, result = tmp_path / "run.safetensors", tmp_path / "result.safetensors"
    process = start(checkpoint, result, every=10**9)
    assert process.stdout is not None
    for _ in range(100):
        line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith("KeyboardInterrupt")
    step = gu.load(checkpoint)[1]["parts"]["run"]["state"]["step"]
    assert int(line.split()[1]) <= step < STEPS
    assert finish(start(checkpoint, result, every=10**9)) == step
    assert result.read_bytes() == uninterrupted
