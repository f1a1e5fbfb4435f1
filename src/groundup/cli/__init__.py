"""The command line: `groundup COMMAND`.

    list | run | verify | sweep | report | compare | export | dashboard | animate | bench
    chat | embed | onnx | train-lm | sample | grn

`groundup COMMAND --help` explains each with examples, `groundup --install-completion` teaches them
to the shell, and `messages` has the exit codes.
"""

# ruff: noqa: I001 - the order of imports is that of the commands in the help
from . import run, verify, sweep, show, animate, bench, public, onnx, train_lm, grn_data
from . import grn_train, grn_networks, grn_evaluate, grn_plot, grn_compare, grn_tune
from .app import app

__all__ = [
    "animate",
    "app",
    "bench",
    "grn_compare",
    "grn_data",
    "grn_evaluate",
    "grn_networks",
    "grn_plot",
    "grn_train",
    "grn_tune",
    "onnx",
    "public",
    "run",
    "show",
    "sweep",
    "train_lm",
    "verify",
]
