"""Names that every docstring example may use, and a Ctrl-C that works."""

import signal

import pytest

# A shell that starts a command in the background makes it deaf to Ctrl-C; the tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, object]) -> None:
    import groundup as gu
    import groundup.nn.functional as F
    from groundup import nn, optim

    doctest_namespace.update(gu=gu, nn=nn, optim=optim, F=F)
