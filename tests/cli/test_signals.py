"""Ctrl-C and kill: what was done is kept, and what is resumed ends like what was not stopped."""

import json
import os
import select
import signal
import sys
import time

import pytest

from groundup.experiments import try_out
from groundup.runs import Store

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")

SLOW = ("--set", "epochs=40", "--set", "pause=0.01", "--seed", "1", "--seed", "2")


def wait_for_steps(process, steps):
    """Until it has taken so many steps in all; the experiment prints each."""
    seen = 0
    while seen < steps:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        seen += line.startswith("step")


@pytest.fixture(scope="module")
def whole(laboratory):
    """The metrics of the two seeds when nothing happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(laboratory), *sys.path])
        return {str(seed): try_out("line", seed, epochs=40) for seed in (1, 2)}


def resumed(process, group):
    out, err = process("run", "--resume", group, "--json").communicate(timeout=120)
    assert out, err
    return json.loads(out[out.index("{") :])


@pytest.mark.parametrize(
    ("number", "steps", "code"),
    [
        pytest.param(signal.SIGINT, 20, 130, marks=pytest.mark.slow),
        (signal.SIGINT, 100, 130),
        pytest.param(signal.SIGTERM, 100, 143, marks=pytest.mark.slow),
    ],
)
def test_control_c_and_sigterm_say_how_to_go_on(process, place, whole, number, steps, code):
    begun = process("run", "line", *SLOW)
    wait_for_steps(begun, steps)
    begun.send_signal(number)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == code
    assert "Traceback" not in err
    with Store(place / "runs") as store:
        (group,) = [info for info in store.runs() if info.parent is None]
        parts = {info.seed: info for info in store.runs(parent=group.id)}
        assert group.status == "stopped"
        stopped = parts[2 if steps > 80 else 1]
        assert stopped.status == "stopped"
        assert stopped.checkpoints, "Ctrl-C leaves one, however early"
    assert f"groundup run line --resume {group.id}" in err
    content = resumed(process, group.id)
    assert content["metrics"] == whole
    assert content["group"] == group.id


def test_sigterm_ends_what_does_not_hear_control_c(process, place):
    """A shell script's `command &` ignores SIGINT; a scheduler's SIGTERM still works."""

    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    begun = process("run", "line", *SLOW, preexec_fn=ignore)
    wait_for_steps(begun, 20)
    begun.send_signal(signal.SIGTERM)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == 143
    assert "Go on with: groundup run line --resume" in err


def test_kill_loses_no_seed_that_was_done(process, place, whole):
    begun = process("run", "line", *SLOW)
    wait_for_steps(begun, 110)
    begun.kill()
    begun.communicate()
    with Store(place / "runs") as store:
        (group,) = [info for info in store.runs() if info.parent is None]
        parts = {info.seed: info.status for info in store.runs(parent=group.id)}
        assert (group.status, parts) == ("lost", {1: "done", 2: "lost"})
    assert resumed(process, group.id)["metrics"] == whole


@pytest.mark.slow
def test_a_verification_that_was_stopped_goes_on_when_asked_for_again(process, place):
    # The pause is part of the settings, so a slow verification is made by a slow first part.
    begun = process("verify", "line", "--page", "page.md")
    time.sleep(0.1)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(place.glob("runs/line-*/result.json")):
        time.sleep(0.01)
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=60)
    assert begun.returncode in (0, 130)
    again = process("verify", "line", "--page", "page.md", "--json")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    content = json.loads(out)
    with Store(place / "runs") as store:
        runs = [info for info in store.runs() if info.seed is not None]
    assert sorted(info.seed for info in runs) == [1, 2, 3, 4, 5, 6], "none was run twice"
    assert set(content["experiments"][0]["runs"].values()) == {info.id for info in runs}


def test_a_running_run_is_not_resumed_by_another(process, place):
    begun = process("run", "line", *SLOW, "--set", "pause=0.5")
    wait_for_steps(begun, 1)
    with Store(place / "runs") as store:
        (group,) = [info for info in store.runs() if info.parent is None]
    other = process("run", "--resume", group.id)
    _, err = other.communicate(timeout=60)
    assert other.returncode == 1
    assert "is running" in err
    begun.kill()
    begun.communicate()


def test_there_are_bars_on_a_terminal(process):
    import pty

    ours, theirs = pty.openpty()
    begun = process("run", "line", "--set", "epochs=40", "--set", "pause=0.02", stderr=theirs)
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (b"(1 of 6)" in shown and b"plain" in shown):
        if select.select([ours], [], [], 1)[0]:
            shown += os.read(ours, 4096)
    begun.kill()
    os.close(ours)
    assert b"line, seed 1 (1 of 6)" in shown
    assert b"plain" in shown


@pytest.mark.parametrize("words", [["list", "--json"], ["list", "--history", "--json"]])
def test_a_reader_that_has_enough_is_no_trouble(process, words):
    """Whether what is written fills the buffer or not."""
    begun = process(*words)
    begun.stdout.close()
    assert begun.wait(timeout=60) in (0, 1)
    with begun.stderr:
        assert "Traceback" not in begun.stderr.read()
