"""The small laboratory on the path, and a folder for its runs."""

import sys

import pytest
from tests.experiments.laboratory import install

from groundup.experiments.experiment import load
from groundup.runs import Store


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    """The folder of a package with experiments."""
    return install(tmp_path_factory.mktemp("laboratory"))


@pytest.fixture(autouse=True)
def _laboratory_on_the_path(laboratory, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(laboratory), *sys.path])


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def line(_laboratory_on_the_path):
    return load("line")
