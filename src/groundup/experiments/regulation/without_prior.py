"""Regulation without known edges: what does expression alone tell?

Four methods score every pair of a TF and a gene without having seen an edge, on *E. coli* (Sastry
et al., 2019) and *B. subtilis* (Nicolas et al., 2012), and are asked which pairs are in the prior.
All other pairs count as none, at the prevalence that is found, so that the **AUPRC over the
prevalence** is what to look at: how many times more edges there are near the top than by chance.

- **Correlation**, its absolute value.
- **CLR** (Faith et al., 2007): how a correlation stands out among all of its TF and of its gene.
- **Trees**: gradient boosting with the settings of GRNBoost2 (Moerman et al., 2019).
- **Two towers**, taught by the best pairs of CLR: what the TF's expression tells against what the
  gene's does.

Trees take half a second for a gene, so all are compared on genes that are drawn anew for each seed.
Their speed is measured in `benchmarks/bench_grn.py`.

    groundup grn data get ecoli
    groundup grn data get bsubtilis
    groundup run without_prior
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.apps.grn.task.metrics import auprc, auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.unsupervised import UNSUPERVISED, importances
from groundup.experiments import Claim, Trial
from groundup.experiments.regulation.asking import problem_of

SEEDS = range(1, 6)  # R13.5
LOOK = 1
NAMES = {
    "pearson": "Correlation",
    "clr": "CLR",
    "trees": "Trees, as GRNBoost2",
    "two-tower-self-supervised": "Two towers, taught by CLR",
}
BACTERIA = {"ecoli": "E. coli", "bsubtilis": "B. subtilis"}
LABELS = {
    **{f"{b}-{m}": f"{NAMES[m]}, {BACTERIA[b]}" for b in BACTERIA for m in NAMES},
    "auroc_test": "AUROC",
    "auprc_ratio_test": "AUPRC over prevalence",
}
RANGES = {"auroc_test": (0, 1)}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        folder: in which `groundup grn data get` made the data sets.
        bacteria: which.
        genes: how many are drawn.
    """

    folder: str = "data"
    bacteria: tuple[str, ...] = tuple(BACTERIA)
    genes: int = 300

    def __post_init__(self) -> None:
        if unknown := set(self.bacteria) - set(BACTERIA):
            raise ValueError(f"no data set {', '.join(sorted(unknown))}")
        if self.genes < 10:
            raise ValueError(f"genes {self.genes}: expected at least 10")


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Every method scores the pairs of the same genes."""
    found: dict[str, float] = {}
    for name in config.bacteria:
        problem = problem_of(f"{config.folder}/{name}")
        known = Known.of_all(problem.expression, problem.tfs)
        count = problem.edges.shape[1]
        genes = np.sort(
            np.random.default_rng(seed).choice(count, min(config.genes, count), replace=False)
        )
        labels = problem.edges[:, genes].ravel()
        for method in run.track(list(NAMES), BACTERIA[name]):
            if method == "trees":
                scores = importances(known, seed, genes)
            else:
                scores = UNSUPERVISED[method](known, seed)[:, genes]
            found[f"{name}-{method}/auroc_test"] = auroc(labels, scores.ravel())
            ratio = auprc(labels, scores.ravel()) / labels.mean()
            found[f"{name}-{method}/auprc_ratio_test"] = ratio
    return found


OURS = "the experiment (the figure is ours)"
TOWERS = "two-tower-self-supervised"
CLAIMS = [
    *(
        Claim(
            f"{bacterium}-{other}", f"on {words}, two towers have at least the AUPRC of {than}",
            OURS, 0, f"{bacterium}-{TOWERS}/auprc_ratio_test",
            minus=f"{bacterium}-{other}/auprc_ratio_test", digits=1,
        )
        for bacterium, words in BACTERIA.items()
        for other, than in (("clr", "CLR"), ("trees", "trees"))
    ),
    Claim(
        "auroc-pearson", "on E. coli, correlation has an AUROC of 0.56", OURS, 0.56,
        "ecoli-pearson/auroc_test", "equals", neutral=0.5, digits=2,
    ),
    Claim(
        "auroc-trees", "and trees have 0.58", OURS, 0.58, "ecoli-trees/auroc_test", "equals",
        neutral=0.5, digits=2,
    ),
]  # fmt: skip
