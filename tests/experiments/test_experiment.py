"""Experiments are found without being imported, and a module that is none is refused by name."""

import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from groundup.experiments import experiment
from groundup.experiments.claims import Claim
from groundup.experiments.experiment import (
    ExperimentError,
    code_version,
    entries,
    find,
    from_module,
    load,
)


def test_own_and_foreign_experiments_are_listed_in_the_order_of_the_course():
    found = {entry.name: entry for entry in entries()}
    names = list(found)
    assert names.index("line") < names.index("digits") < names.index("broken")
    assert found["line"].title == "Lines: is a slope learned?"
    assert found["line"].lesson == 3
    assert "not there" in found["gone"].title


def test_listing_imports_no_experiment(laboratory):
    code = (
        "import sys; from groundup.experiments.experiment import entries; entries(); "
        "print([m for m in ('groundup.experiments.foundations.digits', 'tinylab.line', "
        "'matplotlib', 'scipy.stats', 'sklearn', 'optuna') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=laboratory, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_listed_experiment_of_this_package_loads():
    for entry in entries():
        if entry.module.startswith("groundup."):
            loaded = load(entry.name)
            assert loaded.config() is not None
            assert not set(loaded.seeds) & set(loaded.tuning_seeds)
            assert all(claim.text and claim.source for claim in loaded.claims)


@pytest.mark.parametrize(("wrong", "right"), [("digts", "digits"), ("lines", "line")])
def test_the_nearest_right_name_is_told(wrong, right):
    with pytest.raises(ExperimentError, match=f"did you mean '{right}'"):
        find(wrong)


def test_two_of_one_name_are_refused(laboratory, monkeypatch):
    twice = [*experiment._own(), *experiment._own()]
    monkeypatch.setattr(experiment, "_own", lambda: twice)
    with pytest.raises(ExperimentError, match=r"two experiments are called '\w+'"):
        entries()


def test_a_module_that_lacks_something_is_refused():
    with pytest.raises(ExperimentError, match="lacks Config, SEEDS, a docstring"):
        load("wordless")


def module(**changes):
    @dataclass
    class Config:
        pass

    made = types.ModuleType("made", "Title")
    parts = {
        "Config": Config,
        "run": lambda config, seed, run: {},
        "CLAIMS": [],
        "SEEDS": (0, 1),
        "TUNING_SEEDS": (5,),
    }
    vars(made).update(parts | changes)
    return made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TUNING_SEEDS": (1, 2)}, "none in both"),
        ({"SEEDS": ()}, "at least one"),
        ({"SEEDS": (1, 1)}, "different seeds"),
        ({"Config": int}, "dataclass"),
        ({"run": lambda config: {}}, "config, seed, run"),
        ({"CLAIMS": [Claim("a", "", "", 1, "m"), Claim("a", "", "", 1, "m")]}, "called a"),
        ({"LOOK": 3}, "LOOK is 3; expected 1 to 2"),
        ({"LOOK": 0}, "LOOK is 0; expected 1 to 2"),
        ({"OBJECTIVE": "CNN/test_accuracy"}, "test data"),
    ],
)
def test_a_module_that_would_not_be_sound_is_refused(changes, words):
    assert from_module(module()).name == "made"
    with pytest.raises(ExperimentError, match=words):
        from_module(module(**changes))


def test_the_version_of_the_code_follows_what_is_imported(tmp_path, monkeypatch):
    package = tmp_path / "lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("from . import b\nimport groundup.nn\n")
    (package / "b.py").write_text("x = 1\n")
    (package / "c.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def version():
        experiment._read.cache_clear()
        return code_version.__wrapped__("lab.a")

    first = version()
    (package / "c.py").write_text("y = 2\n")
    assert version() == first
    (package / "b.py").write_text("x = 2\n")
    assert version() != first
    read = experiment._read
    read.cache_clear()
    code_version.__wrapped__("lab.a")
    assert read.cache_info().misses > 50, "the layers and the engine are part of it"


def version_in_another_process(folder, module, before=""):
    code = (
        "from groundup.experiments.experiment import code_version\n"
        f"{before}\nprint(code_version({module!r}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_two_programs_agree_unless_a_file_was_written_while_one_was_running(tmp_path):
    """What runs is what was imported; the file may say something else by then."""
    package = tmp_path / "lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("x = 1\n")
    first = version_in_another_process(tmp_path, "lab.a")
    touched = f"open({str(package / 'a.py')!r}, 'w').write('x = 1\\n')"
    assert version_in_another_process(tmp_path, "lab.a", touched) != first
    assert version_in_another_process(tmp_path, "lab.a") == first


def test_training_is_part_of_the_version_and_what_experiments_share_as_well():
    experiment._read.cache_clear()
    seen = []
    real = experiment._read

    def read(name):
        seen.append(name)
        return real(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_read", read)
        code_version.__wrapped__("groundup.experiments.foundations.digits")
        assert {"groundup.training.fit", "groundup.experiments.trial"} <= set(seen)
        assert not {n for n in seen if n.startswith(("groundup.viz", "groundup.runs"))}
        assert "groundup.experiments.report" not in seen
        seen.clear()
        # A helper in the folder of a chapter, or another experiment, is no infrastructure.
        patch.setattr(
            experiment,
            "_read",
            lambda name: (
                (seen.append(name) or "", ["groundup.experiments.foundations.digits"])
                if name == "groundup.experiments.other"
                else read(name)
            ),
        )
        code_version.__wrapped__("groundup.experiments.other")
        assert "groundup.experiments.foundations.digits" in seen


def test_every_module_beside_the_experiments_is_known_to_be_one_or_not():
    """A new part of the package has to say whether results depend on it."""
    names = {entry.module for entry in entries()}
    folder = Path(experiment.__file__).parent
    beside = {f"groundup.experiments.{path.stem}" for path in folder.glob("[!_]*.py")}
    assert beside - names - experiment._AROUND == {"groundup.experiments.trial"}
