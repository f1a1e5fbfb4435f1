"""Small files for the commands of `groundup grn`: a made-up problem, as a user would have it."""

from pathlib import Path

from groundup.apps.grn.data.prior import Prior, write_prior
from groundup.apps.grn.data.read import read_expression, write_expression
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.problem import Problem, pose

SMALL = ("--model", "expression", "--set", "sizes=8,4", "--epochs", "2")
FILES = ("--expression", "x.tsv", "--prior", "net.tsv")


def write_files(place: Path) -> None:
    """``x.tsv``, ``net.tsv``, ``genes.tsv`` and ``tfs.txt``."""
    problem = example_problem()
    names, tfs = list(problem.expression.genes), problem.tf_names
    write_expression(problem.expression, place / "x.tsv")
    edges = [
        (tfs[tf], names[gene], int(problem.signs[tf, gene]))
        for tf, gene in zip(*problem.edges.nonzero(), strict=True)
    ]
    write_prior(Prior.of(edges), place / "net.tsv")
    rows = [f"{name}\t{number}" for name, number in zip(names, problem.groups, strict=True)]
    (place / "genes.tsv").write_text("\n".join(["gene\toperon", *rows]) + "\n")
    (place / "tfs.txt").write_text("\n".join(tfs) + "\n")


def posed(place: Path) -> Problem:
    """The problem that the files hold, by way of Python."""
    from groundup.apps.grn.data.prior import read_prior

    return pose(read_expression(place / "x.tsv"), read_prior(place / "net.tsv"))
