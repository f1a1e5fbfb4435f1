"""`groundup bench`: its table, its JSON, and what it says when it is asked for wrongly (R1.4)."""

import importlib.util
import json
import re
import signal

import pytest

from groundup.bench.race import processors
from groundup.cli.messages import INTERRUPTED

QUICK = ("--small", "--seconds", 0, "--threads", 1, "--peer", "eager", "--peer", "compiled")


def test_a_table_with_the_mean_of_its_rows(groundup):
    found = groundup("bench", "xor", "mlp", *QUICK)
    assert found.exit_code == 0, found.stderr
    assert re.search(r"one thread; groundup, eager's time over each one's", found.stdout)
    ratio = r"\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\)"
    assert re.search(rf"xor, as in the tests .* {ratio}", found.stdout)
    assert re.search(r"geometric mean .* \d+\.\d\d", found.stdout)
    assert re.search(
        r"mlp, as in the tests, one thread: groundup, eager .* ms, groundup .* ms", found.stderr
    )


def test_forward_passes_as_json(groundup):
    found = groundup("bench", "xor", "--inference", *QUICK, "--json")
    content = json.loads(found.stdout)
    assert content["inference"] is True
    (row,) = content["rows"]
    assert row["name"] == "xor"
    assert row["reference"] == "eager"
    ratio = row["timings"]["compiled"]["ratio"]
    assert content["geometric_means"]["1"]["compiled"] == pytest.approx(ratio)
    assert row["timings"]["compiled"]["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gtp"], ["no step 'gtp'", "did you mean 'gpt'?"]),
        (["xor", "--peer", "jax"], ["no peer 'jax'", "torch-compile"]),
        (["xor", "--peer", "eager"], ["needs two"]),
        (["xor", "--threads", processors() + 1], [f"there are {processors()} processors"]),
        (["xor", "--threads", "0"], ["'0'", "at least 1"]),
        (["xor", "--seconds", "-1"], ["--seconds -1", "at least 0"]),
    ],
)
def test_what_was_asked_for_wrongly_is_said(groundup, words, expected):
    found = groundup("bench", *words)
    assert found.exit_code == 2
    for part in expected:
        assert part in re.sub(r"[\s│╭╮╰╯─]+", " ", found.stderr)


def test_a_peer_that_is_not_installed_is_left_out_or_refused(groundup, monkeypatch):
    real = importlib.util.find_spec

    def find_spec(name, *rest):
        return None if name == "torch" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    found = groundup("bench", "xor", "--small", "--seconds", 0, "--threads", 1)
    assert found.exit_code == 0, found.stderr
    assert "torch is left out: torch is not installed" in found.stderr
    assert "groundup, eager's time over" in found.stdout
    found = groundup("bench", "xor", "--peer", "torch", "--peer", "compiled")
    assert found.exit_code == 2
    assert "torch is not installed" in found.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_control_c_shows_what_was_timed(process):
    begun = process("bench", "xor", "mlp", *QUICK)
    assert begun.stderr.readline().startswith("xor, as in the tests")
    begun.send_signal(signal.SIGINT)
    output, errors = begun.communicate(timeout=60)
    assert begun.returncode == INTERRUPTED, errors
    assert "xor, as in the tests" in output
    assert "mlp" not in output
    assert "Traceback" not in errors
