"""Regulation, as claimed: how many edges do networks guess right, and how many does counting?

The documents that this project started from train networks to tell edges of a prior from other
pairs of a TF and a gene. They hold out single edges, draw as many other pairs evenly from all, and
count how many of both are told right. Networks that know a TF and a gene by a learned vector reach
57 %, they say; expression would bring 75 %, four layers with focal loss and momentum 80 to 95 %.

Here all of them answer the same questions, on real data: *E. coli*, 278 samples (Sastry et al.,
2019, from the package pymodulon) and the edges of RegulonDB that come with it. Beside them stands
who sees neither expression nor a network and only **counts**: a TF with many known targets and a
gene with many known regulators are an edge. Under these rules most genes have no edge at all, and
most TFs few; so whoever finds out which genes occur in the prior is right nearly always. What is
left when that way is closed is measured by the experiment `held_out`.

    groundup grn data get ecoli
    groundup run documents --set data=data/ecoli
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from groundup.apps.grn.baselines import degree, majority, neighbours
from groundup.apps.grn.task.problem import Method
from groundup.apps.grn.training.recipes import PLANS, Recipe
from groundup.apps.grn.use.methods import method
from groundup.experiments import Claim, Trial
from groundup.experiments.regulation.asking import asked, problem_of

SEEDS = range(1, 6)  # R13.1, R13.2, R13.4
LOOK = 1
MODELS = ("embedding", "expression", "optimised", "cross-encoder", "two-tower")
LABELS = {
    "majority": "Majority",
    "degree": "Counting edges alone",
    "neighbours": "Nearest neighbours in expression",
    "embedding": "Learned vectors, two layers",
    "expression": "Expression, three layers",
    "optimised": "Learned vectors, four layers, focal loss",
    "three-layers": "The same with three layers",
    "bce": "The same with the cross-entropy",
    "cross-encoder": "Cross-encoder over learned vectors",
    "two-tower": "Two towers over learned vectors, InfoNCE",
    "accuracy_test": "accuracy (%)",
    "f1_test": "F1 (%)",
    "auroc_test": "AUROC",
    "auprc_ratio_test": "AUPRC over prevalence",
}
RANGES = {"accuracy_test": (0, 100), "f1_test": (0, 100), "auroc_test": (0, 1)}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        data: the folder that `groundup grn data get` made.
        models: which of the documents' models.
        epochs: at most, of each model; 0 leaves it to the model's own recipe.
    """

    data: str = "data/ecoli"
    models: tuple[str, ...] = (*MODELS, "three-layers", "bce")
    epochs: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.models) - {*MODELS, "three-layers", "bce"}:
            raise ValueError(f"no model {', '.join(sorted(unknown))}")
        if self.epochs < 0:
            raise ValueError(f"epochs {self.epochs}: expected 0 or more")


def recipe(name: str, epochs: int) -> tuple[str, Recipe]:
    """A model and its recipe under the documents' rules: other pairs are drawn evenly."""
    plan = "optimised" if name in ("three-layers", "bce") else name
    own = replace(PLANS[plan].recipe, negatives="uniform")
    if name == "bce":
        own = replace(own, loss="bce")
    if name == "three-layers":
        own = replace(own, options={"sizes": (512, 128, 64)})
    if epochs:
        own = replace(own, epochs=epochs, warm_up=min(own.warm_up, epochs // 5))
    return plan, own


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Everybody answers the same questions."""
    methods: dict[str, Method] = {"majority": majority, "degree": degree, "neighbours": neighbours}
    methods |= {name: method(*recipe(name, config.epochs)) for name in config.models}
    return asked(run, problem_of(config.data), methods, "edge", "uniform", seed)


STATUS = "grn-final-status.md"
OURS = "the experiment (the figure is ours)"
CLAIMS = [
    Claim(
        "vectors", "learned vectors come to 57 % right", f"{STATUS}, Performance Trajectory", 57,
        "embedding/accuracy_test", "equals", unit=" %",
    ),
    Claim(
        "expression", "expression comes to 75 % right", f"{STATUS}, Phase 1", 75,
        "expression/accuracy_test", unit=" %", neutral=50,
    ),
    Claim(
        "optimised-80", "four layers, focal loss and momentum come to 80 % at least",
        f"{STATUS}, Conservative Guarantee", 80, "optimised/accuracy_test", unit=" %", neutral=50,
    ),
    Claim(
        "optimised-95", "and to 95 % at best", f"{STATUS}, Optimistic Estimates", 95,
        "optimised/accuracy_test", unit=" %", neutral=50,
    ),
    Claim(
        "focal", "focal loss is better than cross-entropy by a point", f"{STATUS}, Research", 1,
        "optimised/accuracy_test", minus="bce/accuracy_test", unit=" points", digits=0,
    ),
    Claim(
        "deeper", "four layers are better than three by a point", f"{STATUS}, Research", 1,
        "optimised/accuracy_test", minus="three-layers/accuracy_test", unit=" points", digits=0,
    ),
    Claim(
        "towers", "two towers are better than a cross-encoder by a point",
        "grn-phase-2-neural-architecture.md, as its design", 1, "two-tower/accuracy_test",
        minus="cross-encoder/accuracy_test", unit=" points", digits=0,
    ),
    *(
        Claim(
            f"counting-{name}", f"{words} is better than counting edges alone by a point", OURS, 1,
            f"{name}/accuracy_test", minus="degree/accuracy_test", unit=" points", digits=0,
        )
        for name, words in (
            ("embedding", "a network over learned vectors"),
            ("expression", "a network over expression"),
            ("optimised", "the network with all techniques"),
        )
    ),
    Claim(
        "chance", "counting edges alone has an AUROC of 0.87", OURS, 0.87, "degree/auroc_test",
        neutral=0.5, digits=2,
    ),
]  # fmt: skip
