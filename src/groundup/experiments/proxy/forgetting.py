"""A proxy that learns: does it forget old answers while it learns new ones?

What learns from the newest examples alone forgets the old ones (McCloskey and Cohen, 1989). Finch's
models learn from a replay buffer instead, in which every example that ever came is held with the
same probability (Vitter, 1985). Here the generator, a transformer with a million parameters that
begins with random weights, learns the requests of CLINC150 (Larson et al., 2019) for some intents,
then those for as many others, none of which came before. **Forgotten** is how far its accuracy on
the first ones has fallen from its best when the second ones have been learned (Chaudhry et al.,
2018). Next to it is the same generator with as many replays, but all of them of the newest
requests.

    groundup run forgetting
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.apps.finch.models.forgetting import Pairs, measure_forgetting, without_replay
from groundup.apps.finch.models.presets import build
from groundup.apps.finch.rehearsal.clinc150 import load_clinc150
from groundup.experiments import Claim, Trial

SEEDS = range(20, 25)  # R14.3
LOOK = 1
LABELS = {
    "replay": "Replay of all that came",
    "newest": "Replay of the newest",
    "forgotten": "forgotten (points)",
    "old": "right on the first intents, before (%)",
    "new": "right on the second intents (%)",
}
RANGES = {"old": (0, 100), "new": (0, 100)}


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        intents: of each half.
        requests: of each intent.
        preset: size of the models.
    """

    intents: int = 20
    requests: int = 100
    preset: str = "nano"

    def __post_init__(self) -> None:
        if not 2 <= self.intents <= 75:
            raise ValueError(f"intents {self.intents}: expected 2 to 75")
        if not 1 <= self.requests <= 150:
            raise ValueError(f"requests {self.requests}: expected 1 to 150")


def halves(config: Config, seed: int) -> tuple[Pairs, Pairs]:
    """Requests of some intents, and of as many others, in an order drawn by the seed."""
    random = np.random.default_rng(seed)
    pairs = load_clinc150()
    names = random.permutation(sorted({answer for _, answer in pairs})).tolist()
    found = []
    for chosen in (names[: config.intents], names[config.intents : 2 * config.intents]):
        held = [
            one
            for name in chosen
            for one in [pair for pair in pairs if pair[1] == name][: config.requests]
        ]
        found.append([held[place] for place in random.permutation(len(held))])
    return found[0], found[1]


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Both generators learn the same."""
    first, second = halves(config, seed)
    found: dict[str, float] = {}
    for name in run.track(("replay", "newest"), "buffers"):
        models = build(config.preset, seed)
        if name == "newest":
            models.buffer = without_replay(seed=seed)
        forgetting = measure_forgetting(models, first, second, parts=4)
        found[f"{name}/forgotten"] = 100 * forgetting.lost
        found[f"{name}/old"] = 100 * forgetting.old[0]
        found[f"{name}/new"] = 100 * forgetting.new
        for part, accuracy in enumerate(forgetting.old):
            run.log(part, **{f"{name}/right_on_first": 100 * accuracy})
    return found


OURS = "the experiment (the figure is ours)"
CLAIMS = [
    Claim(
        "keeps", "with a replay buffer 5 points at most are forgotten", OURS, 5,
        "replay/forgotten", "at most", unit=" points",
    ),
    Claim(
        "loses", "with the newest requests alone 30 points at least", OURS, 30,
        "newest/forgotten", neutral=0, unit=" points",
    ),
    Claim(
        "learns", "what is new is learned as well, to 5 points", OURS, -5,
        "replay/new", minus="newest/new", unit=" points",
    ),
]  # fmt: skip
