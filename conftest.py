"""Names that every docstring example may use."""

import pytest


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, object]) -> None:
    import groundup as gu

    doctest_namespace["gu"] = gu
