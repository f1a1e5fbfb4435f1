"""A runs folder for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.runs import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "runs") as store:
        yield store
