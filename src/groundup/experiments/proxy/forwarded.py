"""A proxy that learns: how many requests still have to be forwarded, and how often is it wrong?

The documents that this project started from describe Finch, which stands before a paid language
model, learns from every answer that it forwards, and answers by itself what it has learned. On the
first day all requests are forwarded, they hope, after a month 60 %, after half a year 5 %.

Here the requests are the 23,700 of CLINC150 (Larson et al., 2019), which ask for one of 150 things,
and the remote answer is the name of that thing. They come in an order that is drawn for each seed:
**once** each, so that no answer can be stored and found again, or **again and again** by Zipf's
law, as queries do; or once each, and in the middle 30 % of the names are **exchanged**, as after a
new release of the remote model. An answer counts as wrong if it is not the remote one, and 5 % of
the local answers may be.

- **Semantic cache**: the answer of the nearest earlier request, if it is near; no bound.
- **Linear model**: over hashed n-grams, guarded by audits.
- **Students**: nearest neighbours, naive Bayes, the linear model and an exact cache, together.
- **Cascade**: the students, and where they are in doubt three transformers that began with random
  weights: router, generator and validator.

The orders are others than those that the stages were chosen on.

    groundup run forwarded
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.rehearsal.clinc150 import load_clinc150
from groundup.apps.finch.rehearsal.evaluate import evaluate
from groundup.apps.finch.rehearsal.replay import PART, Tally
from groundup.apps.finch.rehearsal.streams import Log, changed, repeated, shuffled
from groundup.apps.finch.service.keeper import as_good
from groundup.experiments import Claim, Trial

SEEDS = range(20, 25)  # R14.3
LOOK = 1
LABELS = {
    "once": "Each request once",
    "again": "Again and again",
    "exchanged": "Exchanged midway",
    "local": "answered here (%)",
    "wrong": "of these wrong (%)",
    "first": "forwarded at first (%)",
    "least": "forwarded at the least (%)",
    "audits": "audits then (%)",
}
METHODS: Mapping[str, tuple[str, ...]] = {
    "once": ("semantic cache", "linear", "students", "cascade"),
    "again": ("exact cache", "cascade"),
    "exchanged": ("cascade",),
}
"""Who answers which traffic."""


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        requests: of each kind of traffic.
        transformers: whether the cascade has them; without, it is the students alone.
        delta: largest share of wrong answers wanted among the local ones.
    """

    requests: int = 23_700
    transformers: bool = True
    delta: float = 0.05

    def __post_init__(self) -> None:
        if not PART <= self.requests <= 23_700:
            raise ValueError(f"requests {self.requests}: expected {PART} to 23700")


def traffic(requests: int) -> dict[str, Callable[[int], Log]]:
    """The three kinds, by a seed each."""
    pairs = load_clinc150()
    return {
        "once": lambda seed: shuffled(pairs, seed)[:requests],
        "again": lambda seed: repeated(pairs, requests, seed),
        "exchanged": lambda seed: changed(shuffled(pairs, seed)[:requests], seed)[0],
    }


def told(tally: Tally) -> dict[str, float]:
    """Shares in percent; those of a thousand are of thousands that are whole."""
    whole = [part for part in tally.parts if part.requests == PART]
    least = min(whole, key=lambda part: part.forwarded)
    return {
        "local": 100 * tally.all.local_share,
        "wrong": 100 * tally.all.error,
        "first": 100 * whole[0].forwarded / PART,
        "least": 100 * least.forwarded / PART,
        "audits": 100 * least.audits / PART,
    }


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """All methods on the same requests."""
    found: dict[str, float] = {}
    settings = MindSettings(delta=config.delta)
    logs = traffic(config.requests)
    pairs = [(kind, method) for kind in METHODS for method in METHODS[kind]]
    for kind, method in run.track(pairs, "traffic and methods"):
        name = "students" if method == "cascade" and not config.transformers else method
        (one,) = evaluate(logs[kind], [name], [seed], settings, as_good).runs
        for what, value in told(one.tally).items():
            found[f"{kind}-{method.replace(' ', '-')}/{what}"] = value
        so_far = np.array([100 * part.forwarded / part.requests for part in one.tally.parts])
        for thousand, forwarded in enumerate(so_far.tolist(), 1):
            run.log(thousand, **{f"{kind}-{method.replace(' ', '-')}/forwarded": forwarded})
        if kind == "exchanged":
            found[f"{kind}-{method}/alarms"] = float(one.alarms)
    return found


DOCUMENT = "finch-phase-2-online-learning.md, Expected Outcome"
OURS = "the experiment (the figure is ours)"
AIM = "the aims of the project"
CLAIMS = [
    Claim(
        "day-1", "at first everything is forwarded", DOCUMENT, 100,
        "once-cascade/first", unit=" %",
    ),
    Claim(
        "day-30", "then 60 %, with requests that come once each", DOCUMENT, 60,
        "once-cascade/least", "at most", neutral=100, unit=" %",
    ),
    Claim(
        "day-180", "and in the end 5 %, with requests that come once each", DOCUMENT, 5,
        "once-cascade/least", "at most", neutral=100, unit=" %",
    ),
    Claim(
        "day-180-again", "or 5 %, with requests that come again and again", DOCUMENT, 5,
        "again-cascade/least", "at most", neutral=100, unit=" %",
    ),
    Claim(
        "local", "over all 60 % are answered locally, each request coming once", AIM, 60,
        "once-cascade/local", neutral=0, unit=" %",
    ),
    Claim(
        "wrong", "of the local answers no more than 5 % are wrong", AIM, 5,
        "once-cascade/wrong", "at most", unit=" %",
    ),
    Claim(
        "wrong-again", "nor with requests that come again and again", AIM, 5,
        "again-cascade/wrong", "at most", unit=" %",
    ),
    Claim(
        "wrong-exchanged", "nor with 30 % of the answers exchanged midway", AIM, 5,
        "exchanged-cascade/wrong", "at most", unit=" %",
    ),
    Claim(
        "alarm", "of the exchange an alarm is given", AIM, 1, "exchanged-cascade/alarms",
    ),
    Claim(
        "transformers", "transformers answer a point more than the students alone", AIM, 1,
        "once-cascade/local", minus="once-students/local", unit=" points",
    ),
    Claim(
        "linear", "and than the linear model alone", AIM, 1,
        "once-cascade/local", minus="once-linear/local", unit=" points",
    ),
    Claim(
        "cache", "learning answers 40 points more than a semantic cache", OURS, 40,
        "once-cascade/local", minus="once-semantic-cache/local", unit=" points",
    ),
    Claim(
        "exact", "where requests repeat, 10 points more than an exact cache", OURS, 10,
        "again-cascade/local", minus="again-exact-cache/local", unit=" points",
    ),
]  # fmt: skip
