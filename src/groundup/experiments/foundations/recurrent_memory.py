r"""Memory: what lets a network recall what it read two hundred steps ago?

The first three bits of a sequence are marked, coin flips follow to the full length of 10, 50 or
200, and then the network has to name the three (Hochreiter and Schmidhuber, 1997, and Bengio,
Simard and Frasconi, 1994, have tasks of this kind). That is the pattern memory of the document that
this project started from, "[1,0,1,?]", with a delay; it says nothing of how well that goes. Here no
half of the work can be learned from the last steps: as long as the gradient does not reach back to
the marks, all that can be learned is that each of the 8 answers is right one time in 8.

By the derivation in `recurrence`, over 50 steps hardly any gradient arrives, with gates or without:
the gate of a GRU or of an LSTM begins near 1/2. What gates offer is a way to begin otherwise. Each
network is started in two ways, as usual, and **started to remember**:

- RNN: an orthogonal $W$, which keeps the length of every vector (Saxe, McClelland and Ganguli,
  2014; Arjovsky, Shah and Bengio, 2016). The derivative of tanh still takes its share.
- GRU and LSTM: the gates' biases $\log u$, with $u$ uniform between 1 and $T - 1$. Then a gate is
  $\sigma(\log u) = u / (1 + u)$, and what is held decays like $(1 - 1/(1 + u))^k$: for about $u$
  steps (Tallec and Ollivier, 2018). The input gate of the LSTM is closed by as much.

How much is recalled is measured in two ways: the share of right answers (chance is 12.5 %), and
**bits of the three**, $3 - H$ with $H$ the cross-entropy in bits, which is 0 for a network that
knows that it does not know, and negative for one that is sure of what is wrong.

Networks, steps, batches, clipping and schedule are those of `recurrence`: 2,700 parameters within
4 % for each. Learning rates are chosen from the same values for each network and start, by
validation loss on seeds that are not reported: at length 50, used for 10 too, and again at length
200, where only the networks that were started to remember are run. (The LSTM that is started as
usual learned nothing at any of six rates, so its own says little.) Adam divides each gradient by
its recent size, so a gradient that is small is not yet useless: what cannot be mended is that it is
drowned by what comes from the later steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, viz
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations.recurrence import (
    BATCH,
    Pair,
    Reader,
    decades,
    gradient_by_step,
    gradient_figure,
    states_figure,
    train,
)
from groundup.training import accuracy, predict

LESSON = 7  # R3.7, R2.4, R2.10
SEEDS = range(8)
TUNING_SEEDS = (100, 101, 102)
LOOK = 1
LABELS = {
    **{f"recall_{n}_test": f"right at length {n} (%)" for n in (10, 50, 200)},
    **{f"bits_{n}_test": f"bits of three at length {n}" for n in (10, 50, 200)},
    "decades_before": "powers of ten lost over 50 steps, before training",
    "decades_after": "powers of ten lost over 50 steps, after training",
    "loss": "cross-entropy (nats)",
}
RANGES = {f"recall_{n}_test": (0, 100) for n in (10, 50, 200)} | {
    f"bits_{n}_test": (-math.inf, 3) for n in (10, 50, 200)
}
GOAL = "minimize"

USUAL = ("RNN", "GRU", "LSTM")
REMEMBERING = ("RNN-orthogonal", "GRU-open", "LSTM-open")
LENGTHS = {10: USUAL + REMEMBERING, 50: USUAL + REMEMBERING, 200: REMEMBERING}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FAR_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


def recalling(random: np.random.Generator, n: int, length: int) -> Pair:
    """Coin flips and a mark on the first three (n, length, 2), and which of 8 those are (n,)."""
    bits = random.integers(0, 2, (n, length))
    mark = np.broadcast_to(np.arange(length) < 3, bits.shape)
    x = np.stack([bits, mark], axis=2).astype(np.float32)
    return gu.tensor(x), gu.tensor(bits[:, :3] @ np.array([4, 2, 1]))


def network(name: str, length: int) -> Reader:
    """A network, started as usual, or to remember for a length."""
    kind, _, start = name.partition("-")
    model = Reader(kind, inputs=2, outputs=8)
    if start == "orthogonal":
        nn.init.orthogonal_(model.rnn.weight_hh_l0)
    elif start == "open":
        open_gates(model.rnn, length)
    return model


def open_gates(rnn: Any, length: int) -> None:
    """Give the gates biases that hold values for up to the length of the sequence."""
    hold = (1 + (length - 2) * gu.rand(rnn.hidden_size)).log()
    with gu.no_grad():
        parts = list(rnn.bias_ih_l0.chunk(rnn.gates))
        if isinstance(rnn, nn.LSTM):
            parts[:2] = -hold, hold  # i, f
        else:
            parts[1] = hold  # z
        rnn.bias_ih_l0.assign(gu.cat(parts))


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of training, each on 32 sequences.
        lengths: of the sequences, of 10, 50 and 200.
        networks: which to train.
        near: the learning rate of each network up to length 50.
        far: at length 200.
    """

    steps: int = 800
    lengths: tuple[int, ...] = tuple(LENGTHS)
    networks: tuple[str, ...] = USUAL + REMEMBERING
    near: dict[str, float] = field(
        default_factory=lambda: {
            "RNN": 0.01, "GRU": 0.1, "LSTM": 0.003,
            "RNN-orthogonal": 0.003, "GRU-open": 0.03, "LSTM-open": 0.01,
        }
    )  # fmt: skip
    far: dict[str, float] = field(
        default_factory=lambda: {"RNN-orthogonal": 0.003, "GRU-open": 0.03, "LSTM-open": 0.01}
    )

    def __post_init__(self) -> None:
        if self.steps < 1 or set(self.lengths) - set(LENGTHS):
            raise ValueError(
                f"steps {self.steps}, lengths {self.lengths}: expected at least 1 step, and "
                f"lengths of {tuple(LENGTHS)}"
            )
        if unknown := set(self.networks) - set(USUAL + REMEMBERING):
            raise ValueError(
                f"no {', '.join(unknown)}; expected some of {', '.join(USUAL + REMEMBERING)}"
            )


def recall(length: int, config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train each network to recall the first three bits of sequences of a length."""
    random = np.random.default_rng([seed, 0])
    batches = [recalling(random, BATCH, length) for _ in range(config.steps)]
    validation, test, probe = (
        recalling(np.random.default_rng([seed, i]), n, length)
        for i, n in ((1, 500), (2, 400), (3, 20))
    )
    metrics: dict[str, float] = {}
    for name in (name for name in LENGTHS[length] if name in config.networks):
        gu.manual_seed(seed)
        model = network(name, length)
        if length == 50:
            before = gradient_by_step(model, F.cross_entropy, probe)
        rate = (config.far if length == 200 else config.near)[name]
        train(run, f"{name}-recall_{length}", model, F.cross_entropy, batches, rate)
        scores, labels = predict(model, [test])
        metrics |= {
            f"{name}/recall_{length}_validation": F.cross_entropy(
                *predict(model, [validation])
            ).item(),
            f"{name}/recall_{length}_test": 100 * float(accuracy(scores, labels)),
            f"{name}/bits_{length}_test": 3 - F.cross_entropy(scores, labels).item() / math.log(2),
        }
        if length == 50:
            after = gradient_by_step(model, F.cross_entropy, probe)
            metrics[f"{name}/decades_before"] = decades(before)
            metrics[f"{name}/decades_after"] = decades(after)
            run.save(f"gradients-{name}", before=before, after=after)
    return metrics


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train all networks at all lengths."""
    metrics: dict[str, float] = {}
    for length in config.lengths:
        metrics |= recall(length, config, seed, run)
    return metrics


TUNED = [
    Tuned(
        f"{rates}.{name}", tried, f"{name}/recall_{length}_validation", "minimize",
        given={"lengths": (length,), "networks": (name,)},
    )
    for rates, length, tried in (("near", 50, RATES), ("far", 200, FAR_RATES))
    for name in LENGTHS[length]
]  # fmt: skip


OURS = "the lesson (the figure is ours)"
TALLEC = "Tallec and Ollivier (2018); the figure is ours"
CLAIMS = [
    *(
        Claim(
            f"vanishes-{name}", f"before training, the gradient of the {name} shrinks by at least "
            "6 powers of ten over 50 steps", OURS, 6, f"{name}/decades_before", unit=" decades",
            digits=1,
        )
        for name in USUAL
    ),
    *(
        Claim(
            f"stays-{name}", f"before training, the {name} loses at most 3 powers of ten", source,
            3, f"{name}/decades_before", "at most", unit=" decades", digits=1,
        )
        for name, source in (("GRU-open", TALLEC), ("LSTM-open", TALLEC))
    ),
    *(
        Claim(
            f"{name}-{length}", f"the {name} recalls at least 2.5 of three bits at length {length}",
            source, 2.5, f"{name}/bits_{length}_test", unit=" bits", digits=2,
        )
        for name, length, source in (
            ("RNN", 10, OURS),
            ("GRU-open", 50, TALLEC),
            ("LSTM-open", 50, TALLEC),
            ("RNN-orthogonal", 50, OURS),
            ("GRU-open", 200, TALLEC),
        )
    ),
    *(
        Claim(
            f"{name}-{length}", f"the {name} recalls at most 0.5 of three bits at length {length}",
            OURS, 0.5, f"{name}/bits_{length}_test", "at most", unit=" bits", digits=2,
        )
        for name, length in (("LSTM", 50), ("RNN-orthogonal", 200))
    ),
    Claim(
        "gates", "at length 200 the GRU-open recalls at least 1 bit more than the RNN-orthogonal",
        OURS, 1, "GRU-open/bits_200_test", minus="RNN-orthogonal/bits_200_test", unit=" bits",
        digits=2,
    ),
]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The gradient along time, states along time, and the rates that were chosen."""
    config = results.config
    seed, first = next(iter(results.outcomes.items()))
    found: list[tuple[str, list[viz.Block]]] = []
    if 50 in config.lengths:
        plots: list[viz.Block] = []
        for group in (USUAL, REMEMBERING):
            names = [name for name in group if name in config.networks]
            for when in ("before", "after") if names else ():
                start = "as usual" if group == USUAL else "to remember"
                caption = f"Recall at length 50, started {start}, {when} training."
                plots.append(viz.Plot(gradient_figure(results, names, when), caption))
        models = {}
        for name in (n for n in ("RNN", *REMEMBERING) if n in config.networks):
            models[name] = network(name, 50)
            models[name].load_state_dict(first.weights(f"{name}-recall_50"))
        x, _ = recalling(np.random.default_rng(seed), 1, 50)
        bits = "".join(str(int(bit)) for bit in x[0, :3, 0].tolist())
        caption = (
            f"Reading a sequence that begins with {bits}, seed {seed}. A unit that remembers keeps "
            "its shade from the third step to the last; units are sorted by their last state."
        )
        found = [("The gradient along time", plots)]
        if models:
            found.append(("States while recalling", [viz.Plot(states_figure(models, x), caption)]))
    lines = [f"{'':16}{'10, 50':>8}{'200':>8}"]
    for name in config.networks:
        rates = [kind.get(name) for kind in (config.near, config.far)]
        lines.append(f"{name:16}" + "".join(f"{'' if r is None else r:>8}" for r in rates))
    words = "The learning rates by length: the best on seeds 100 to 102."
    return [*found, ("Learning rates", [viz.Code("\n".join(lines), words)])]
