"""Names that every docstring example may use."""

import pytest


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, object]) -> None:
    import groundup as gu
    import groundup.nn.functional as F
    from groundup import nn, optim

    doctest_namespace.update(gu=gu, nn=nn, optim=optim, F=F)
