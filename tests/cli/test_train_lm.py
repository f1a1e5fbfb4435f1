"""`groundup train-lm` and `groundup sample` (R4.2): what they show, what they refuse, Ctrl-C."""

import json
import os
import random
import signal
import time

import pytest

from groundup.engine.files import load

TINY = (
    "--layers", "1", "--width", "16", "--heads", "2", "--context", "16", "--batch", "4",
    "--steps", "20",
)  # fmt: skip


@pytest.fixture
def story(place):
    choose = random.Random(0).choice
    names, verbs = ["Ann", "Bob", "Zoë"], ["sees", "likes"]
    lines = [
        f"{choose(names)} {choose(verbs)} {choose(['the sea', 'trees'])}.\n" for _ in range(200)
    ]
    (place / "story.txt").write_text("".join(lines), encoding="utf-8")
    return "story.txt"


def test_a_model_is_trained_compared_and_sampled(groundup, story, place):
    done = groundup("train-lm", story, *TINY, "--samples", "1", "--json")
    assert done.exit_code == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["folder"] == "story-lm"
    assert set(content["baselines"]) == {*(f"{n}-gram" for n in range(1, 6)), "gzip", "xz"}
    assert content["bits_per_character"] < 6
    assert content["recipe"]["steps"] == content["steps"] == 20
    assert len(content["samples"]) == 1
    assert "bits/character" in done.stderr

    again = groundup("train-lm", story, *TINY, "--samples", "0")  # nothing is left to do
    assert again.stdout.splitlines()[-1] == "story-lm"
    assert "5-gram" in again.stdout
    assert f"{content['bits_per_character']:.3f}" in again.stdout

    words = ("sample", "story-lm", "--prompt", "Ann", "--max-new-tokens", "20", "--seed")
    texts = [groundup(*words, seed).stdout for seed in ("1", "1", "2")]
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("Ann")
    assert len(texts[0]) == len("Ann") + 20 + 1
    refused = groundup("sample", "story-lm", "--prompt", "ü")
    assert refused.exit_code == 1
    assert "has no token for" in refused.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"na\xefve", "byte 2 (0xef) is not UTF-8; convert the file first"),
        (b"", "empty; expected text"),
        (b"short", "too few for a context of 64"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_a_sentence(groundup, place, content, words):
    (place / "file").write_bytes(content)
    done = groundup("train-lm", "file")
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "rnn"], "model 'rnn': expected one of gpt, lstm"),
        (["--preset", "huge"], "expected one of tiny, small, medium"),
        (["--heads", "3"], "heads 3 does not divide width 128"),
        (["--steps", "0"], "expected a whole number of at least 1"),
        (["--lr", "0"], "learning_rate 0.0"),
    ],
)
def test_what_is_asked_for_wrongly(groundup, story, options, words):
    done = groundup("train-lm", story, *options)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.slow
def test_other_settings_in_the_same_folder_are_refused(groundup, story):
    assert groundup("train-lm", story, *TINY, "--steps", "1", "--samples", "0").exit_code == 0
    done = groundup("train-lm", story, *TINY, "--steps", "2")
    assert done.exit_code == 2
    assert "steps was 1, now 2" in done.stderr
    assert "--restart" in done.stderr
    assert groundup("sample", "no such folder").exit_code == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_or_killed_goes_on(process, story, place, number, code):
    words = [*TINY, "--steps", "400", "--samples", "0", "--json"]
    begun = process("train-lm", story, "--output", "parts", *words)
    deadline = time.monotonic() + 120
    while not os.path.exists(place / "parts" / "checkpoint.safetensors"):
        assert begun.poll() is None, begun.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun.send_signal(number)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == code
    if number == signal.SIGINT:
        assert "is kept in parts. Go on with the same command: groundup train-lm story.txt" in err
    results = {}
    for folder in ("parts", "whole"):
        out, err = process("train-lm", story, "--output", folder, *words).communicate(timeout=120)
        assert out, err
        results[folder] = json.loads(out)
    assert results["parts"]["loss"] == results["whole"]["loss"]
    first, second = (load(place / name / "model.safetensors")[0] for name in ("parts", "whole"))
    assert all((first[name].numpy() == second[name].numpy()).all() for name in first)
