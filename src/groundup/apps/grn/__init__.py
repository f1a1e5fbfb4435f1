r"""Gene-regulatory networks: which transcription factor (TF) regulates which gene.

From expression and edges that are known, or from expression alone; and an evaluation that tells
what a score is worth beside counting edges. A function here is called as its command is, and gives
the same bits for the same seed. The whole walk, on files that are made up:

    >>> import tempfile
    >>> from groundup.apps import grn
    >>> folder = tempfile.TemporaryDirectory()
    >>> place = grn.write_example(folder.name)
    >>> prior = grn.read_prior(place / "prior.tsv")
    >>> expression = grn.read_expression(place / "expression.tsv")
    >>> print(grn.check(expression, prior))  # do the names agree?
    Expression: 80 genes x 30 samples; values from -12.15 to 9.072, 0.0% are 0
    ...
    Usable: 174 edges (100%), 12 TFs (100%), 72 targets (100%)
    ...
    >>> problem = grn.pose(expression, prior)

What is a model worth on genes of which nothing is known?

    >>> found = grn.evaluate(problem, ["degree", "neighbours"], "gene", "matched", seeds=3)
    >>> degree, neighbours = (found.values(name, "auroc").mean() for name in found.methods)
    >>> bool(neighbours > 0.6 > degree)
    True
    >>> page = grn.report(found, resamples=50).write(place / "report.html")

A model for use, trained, kept, read again; and its network, as other programs read it:

    >>> grn.save(grn.train(problem, "embedding", seed=1), place / "model")
    >>> model = grn.load(place / "model", expression)
    >>> network = grn.predict(model)
    >>> network
    Network(12 TFs, 80 genes)
    >>> grn.export(network, place / "edges.tsv", "arboreto", 100)

Without learning from a known edge; the prior names the TFs, and marks what is known:

    >>> candidates = grn.infer(expression, method="clr", prior=prior)
    >>> grn.export(candidates, place / "rankedEdges.csv", "beeline", 100)
    >>> folder.cleanup()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.datasets import get as get, load_dataset as load_dataset
    from .data.prior import read_prior as read_prior
    from .data.quality import quality as check
    from .data.read import read_expression as read_expression
    from .errors import GRNError as GRNError
    from .evaluation.compare import compare as compare
    from .evaluation.evaluate import evaluate as evaluate
    from .evaluation.report import report as report
    from .networks.export import export as export
    from .task.examples import write_example as write_example
    from .task.problem import pose as pose
    from .use.final import train_for_use as train
    from .use.inferred import infer as infer
    from .use.predict import predict as predict
    from .use.saved import load_trained as load, save_trained as save

_PLACES = {
    "get": "data.datasets.get",
    "load_dataset": "data.datasets.load_dataset",
    "read_expression": "data.read.read_expression",
    "read_prior": "data.prior.read_prior",
    "check": "data.quality.quality",
    "pose": "task.problem.pose",
    "evaluate": "evaluation.evaluate.evaluate",
    "compare": "evaluation.compare.compare",
    "report": "evaluation.report.report",
    "train": "use.final.train_for_use",
    "save": "use.saved.save_trained",
    "load": "use.saved.load_trained",
    "predict": "use.predict.predict",
    "infer": "use.inferred.infer",
    "export": "networks.export.export",
    "write_example": "task.examples.write_example",
    "GRNError": "errors.GRNError",
}
"""What is imported when it is first asked for: a name costs only what it needs."""

__all__ = [
    "GRNError",
    "check",
    "compare",
    "evaluate",
    "export",
    "get",
    "infer",
    "load",
    "load_dataset",
    "pose",
    "predict",
    "read_expression",
    "read_prior",
    "report",
    "save",
    "train",
    "write_example",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].rpartition(".")
    globals()[name] = found = getattr(importlib.import_module(f".{module}", __name__), attribute)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
