"""A home in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.apps.finch.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new home in use."""
    with Store(tmp_path / "finch") as found:
        yield found
