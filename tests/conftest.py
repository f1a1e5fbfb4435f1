"""What all tests share: how hard Hypothesis looks, a seed, and the mark of the comparisons.

Profiles, chosen with ``HYPOTHESIS_PROFILE``: ``quick`` (the default) tries few examples, the same
in every run; ``thorough`` tries many new ones.
"""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

PEERS = Path(__file__).parent / "peers"

# Examples build graphs and NumPy arrays, so time and size say nothing about their worth.
_common = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("quick", max_examples=25, derandomize=True, **_common)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **_common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if PEERS in item.path.parents:
            item.add_marker(pytest.mark.peers)


@pytest.fixture(scope="session", autouse=True)
def _noted() -> None:
    """Let Hypothesis take note of its generator.

    It asks the garbage collector who holds it, which in the midst of a test with a server does not
    know of what that has put aside.
    """

    @given(st.none())
    def begin(nothing: None) -> None:
        pass

    begin()


@pytest.fixture
def seed() -> int:
    """Seed every generator that a test may draw from, and return the seed."""
    import groundup as gu

    value = 20240229
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 - some peers draw from it
    gu.manual_seed(value)
    return value
