"""Regulation, held out: who finds regulators of genes that nothing is known of?

Which edges are asked about decides what a score is worth (Park and Marcotte, 2012). Here genes,
whole operons, or TFs are held out with all that is known of them, and beside each edge of a TF
stands a gene that has edges of other TFs, drawn so that counting edges tells next to nothing. What
remains is which gene goes with which TF.

- **Degree**, **correlation** and **CLR** (Faith et al., 2007) learn nothing or next to nothing.
- **Neighbours**: a gene is like the known targets of a TF, in expression.
- **Nearby**: a gene lies beside known targets of a TF, or beside the TF itself, along the genome.
- **Regulon towers**, this project's own: a TF's vector and what its expression tells, against what
  the gene's expression tells (`groundup.apps.grn.models.RegulonTowers`).
- **Combined**: five towers that see the mean expression of an operon, with neighbours, CLR and what
  lies nearby, under weights fitted on validation edges (`groundup.apps.grn.use.combined`).

The last knows which genes form an operon and where they lie. Where single genes are held out, that
is most of the answer: the other genes of the operon were in training. Where operons are held out,
it is not.

Two null controls: the same methods where each gene has the expression of another, and on a prior of
the same degrees whose edges were swapped (Maslov and Sneppen, 2002). Nothing should be left there,
but of the combined model with the expression of other genes: what operons and places tell.

    groundup grn data get ecoli
    groundup run held_out --set data=data/ecoli

Settings were chosen on the validation edges of *E. coli*, on other seeds. The experiment
`replication` asks the same of *B. subtilis* with the same settings.
"""

from __future__ import annotations

from dataclasses import dataclass

from groundup.apps.grn.registry import methods_named
from groundup.apps.grn.task.controls import permuted_genes, rewired
from groundup.apps.grn.task.splits import Kind
from groundup.experiments import Claim, Trial
from groundup.experiments.regulation.asking import asked, problem_of

SEEDS = range(1, 6)  # R13.4
LOOK = 1
METHODS = ("degree", "correlation", "clr", "neighbours", "nearby", "regulon", "combined")
CONTROLLED = ("neighbours", "regulon")
SPLITS: dict[str, Kind] = {"genes": "gene", "operons": "group", "tfs": "tf"}
NAMES = {
    "degree": "Degree",
    "correlation": "Correlation",
    "clr": "CLR",
    "neighbours": "Neighbours",
    "nearby": "Nearby",
    "regulon": "Regulon towers",
    "combined": "Combined",
}
LABELS = {
    **{f"{s}-{m}": f"{NAMES[m]}, {s} held out" for s in SPLITS for m in METHODS},
    **{f"permuted-{m}": f"{NAMES[m]}, expression of other genes" for m in CONTROLLED},
    **{f"rewired-{m}": f"{NAMES[m]}, edges swapped" for m in CONTROLLED},
    "without-combined": "Combined, operons held out, expression of other genes",
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
        methods: which.
        splits: what is held out: genes, operons, tfs.
        controls: whether the null controls are run: on genes, and of the combined model on operons.
    """

    data: str = "data/ecoli"
    methods: tuple[str, ...] = METHODS
    splits: tuple[str, ...] = tuple(SPLITS)
    controls: bool = True

    def __post_init__(self) -> None:
        if unknown := set(self.splits) - set(SPLITS):
            raise ValueError(
                f"no split {', '.join(sorted(unknown))}; expected some of {', '.join(SPLITS)}"
            )
        methods_named(self.methods)


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Everybody answers the same questions, of genes, operons and TFs."""
    problem, methods = problem_of(config.data), methods_named(config.methods)
    found: dict[str, float] = {}
    for name in config.splits:
        found |= asked(run, problem, methods, SPLITS[name], "matched", seed, f"{name}-")
    if config.controls:
        few = {name: methods[name] for name in CONTROLLED if name in methods}
        permuted = permuted_genes(problem, seed)
        nulls = {"permuted-": permuted, "rewired-": rewired(problem, seed)}
        for label, null in nulls.items():
            found |= asked(run, null, few, "gene", "matched", seed, label)
        last = {name: method for name, method in methods.items() if name == "combined"}
        found |= asked(run, permuted, last, "group", "matched", seed, "without-")
    return found


OURS = "the experiment (the figure is ours)"
CLAIMS = [
    Claim(
        "genes", "the combined model has an AUROC of 0.82 on genes held out", OURS, 0.82,
        "genes-combined/auroc_test", neutral=0.5, digits=2,
    ),
    Claim(
        "genes-expression", "regulon towers, which know no operon, have 0.82 there too", OURS, 0.82,
        "genes-regulon/auroc_test", neutral=0.5, digits=2,
    ),
    Claim(
        "operons", "the combined model has an AUROC of 0.74 on operons held out", OURS, 0.74,
        "operons-combined/auroc_test", neutral=0.5, digits=2,
    ),
    Claim(
        "tfs", "on TFs held out it is better than chance, 0.51", OURS, 0.51,
        "tfs-combined/auroc_test", neutral=0.5, digits=2,
    ),
    *(
        Claim(
            f"{split}-{method}", f"on {split} held out, it has 0.02 more than {words}", OURS, 0.02,
            f"{split}-combined/auroc_test", minus=f"{split}-{method}/auroc_test", digits=2,
        )
        for split in SPLITS
        for method, words in (("neighbours", "neighbours"), ("regulon", "regulon towers alone"))
    ),
    Claim(
        "expression", "expression gives it 0.05 on operons held out, beside operons and places "
        "alone", OURS, 0.05, "operons-combined/auroc_test", minus="without-combined/auroc_test",
        digits=2,
    ),
    Claim(
        "next-door", "operons held out cost regulon towers 0.05 beside genes: an answer next door "
        "is worth much", OURS, 0.05, "genes-regulon/auroc_test",
        minus="operons-regulon/auroc_test", digits=2,
    ),
    Claim(
        "counting", "counting edges has at most 0.55 on genes held out: the pairs are matched",
        OURS, 0.55, "genes-degree/auroc_test", "at most", digits=2,
    ),
    *(
        Claim(
            f"{label}-{method}", f"{NAMES[method].lower()} have at most 0.55 {words}", OURS, 0.55,
            f"{label}-{method}/auroc_test", "at most", digits=2,
        )
        for label, words in (
            ("permuted", "with the expression of other genes"),
            ("rewired", "where edges are swapped"),
        )
        for method in CONTROLLED
    ),
]  # fmt: skip
