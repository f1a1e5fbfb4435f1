"""Regulation, replicated: does what was tuned on one bacterium hold for another?

The experiment `held_out` once more, on *B. subtilis*: 265 samples of arrays rather than sequencing
(Nicolas et al., 2012), and the network of SubtiWiki, in which nearly half of the edges are those of
sigma factors. Not one setting was changed, and none was chosen here.

    groundup grn data get bsubtilis
    groundup run replication --set data=data/bsubtilis
"""

from __future__ import annotations

from dataclasses import dataclass

from groundup.experiments import Trial
from groundup.experiments.regulation import held_out

SEEDS = held_out.SEEDS  # R13.4
LOOK = held_out.LOOK
LABELS, RANGES = held_out.LABELS, held_out.RANGES


@dataclass
class Config(held_out.Config):
    """What the experiment can be run with.

    Attributes:
        data: the folder that `groundup grn data get` made.
        methods: which.
        splits: what is held out: genes, operons, tfs.
        controls: whether the null controls are run.
    """

    data: str = "data/bsubtilis"


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """As `held_out`."""
    return held_out.run(config, seed, run)


CLAIMS = held_out.CLAIMS
