r"""Induction heads: what do two layers of attention learn that one cannot?

A token that stood before comes again: what followed it then will follow it now. A network that
learned this rule continues sequences that it never saw, from what it has read alone (**in-context
learning**). Elhage et al. (2021) and Olsson et al. (2022) found how attention does it, with two
heads one after the other:

- a **previous-token head** in the first layer writes into each place which token stands before it;
- an **induction head** in the second layer asks at a token $A$ for the place that has $A$ before
  it. There stands $B$, which followed $A$ the last time, and the head raises the logit of $B$.

One layer has keys that know their own token only, so no score can say "what stands before you is
what I am". The networks here have attention and nothing else: no hidden layers, norms or biases.
With the embedding $x_t$ of a token and a vector $p_t$ of its position, which only queries and keys
get, each layer adds to the stream of residuals, for its heads $h$,

$$x_t \leftarrow x_t + \sum_h W_O^h \sum_{s \le t} a^h_{ts} W_V^h x_s, \qquad
a^h_t = \mathrm{softmax}_s\, \frac{(W_Q^h (x_t + p_t)) \cdot (W_K^h (x_s + p_s))}{\sqrt D},$$

and a linear layer $W_U$ gives the logits of the next token. Since all is linear but the softmax, a
head can be read off its weights: $W_U W_O^h W_V^h W_E$ says what seeing a token does to the logits
of all tokens. A head **copies** if its eigenvalues $\lambda$ are positive: $\sum \lambda / \sum
|\lambda|$ is 1 (Elhage et al.). How much a head $h$ of the first layer serves the keys of a head
$g$ of the second is the **composition** $\lVert W_Q^{g\top} W_K^g W_O^h W_V^h \rVert / (\lVert
W_Q^{g\top} W_K^g \rVert \lVert W_O^h W_V^h \rVert)$ with Frobenius norms.

**The task.** A block of 8 to 16 random tokens out of 64, again and again, 49 tokens in all. In the
first block nothing can be known; from the second token of its repetition on everything can. As the
length of the block is drawn anew each time, no fixed distance helps. Blocks of 20 tokens, which
training never showed, test whether a rule was learned. Every network sees the same sequences and
has its own learning rate of the same four, by validation on seeds that are not reported.

**What is measured.** The loss on tokens that can be known. Of each head, the **prefix matching**:
which share of its attention lies on places that come just after the token that it looks from; and
the attention to the previous token. Both are watched during training, because the papers say that
the heads form **abruptly**. Heads with a score of at least 30 % (or else the best one) count as
found. Then the found heads are removed (their output set to zero), and for comparison the others of
the first layer; in the second there are seldom others, so many heads learn the same. Removed can
also be what heads write for the queries, the keys or the values of the second layer alone, which
tells what passes on their work. Last, the counter-proof of Olsson et al.:
if what one layer lacks is the token before, then keys that are a learned mixture of each key and
the one before it (**smeared keys**) should let one layer do it.

**Beside it** stand: chance; counts of pairs in the training sequences (nothing to learn there);
tokens counted in the sequence so far, which is much of what one layer can do; and a copier
written by hand, which finds the longest run of tokens that stood before and repeats what followed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import optim, viz
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.sequences.attention_only import HEADS, ROLES, Head, Network, circuits
from groundup.experiments.sequences.repetition import (
    LENGTH,
    SHORTEST,
    TOKENS,
    Sequences,
    baselines,
    draw,
    said,
)
from groundup.training import Callback, ClipGradients
from groundup.training.run import Run

SEEDS = range(1, 9)  # R2.6, R2.7, R4.2
TUNING_SEEDS = (100, 101, 102)
LOOK = 2
UNSEEN = 20
"""Tokens of blocks that training never shows."""
FOUND = 0.3
NETWORKS = {
    "one-layer": (1, False),
    "two-layers": (2, False),
    "one-smeared": (1, True),
    "two-smeared": (2, True),
}
"""Layers, and whether keys are smeared."""
LABELS = {
    "one-layer": "One layer",
    "two-layers": "Two layers",
    "one-smeared": "One layer, smeared keys",
    "two-smeared": "Two layers, smeared keys",
    "chance": "Chance",
    "pairs": "Pairs counted in training",
    "seen": "Tokens counted in the sequence",
    "copier": "Copier by hand",
    "no-induction": "Two layers without induction heads",
    "no-previous": "Two layers without previous-token heads",
    "no-others": "Two layers without the others of layer 1",
    "no-previous-query": "Without previous-token heads for queries",
    "no-previous-key": "Without previous-token heads for keys",
    "no-previous-value": "Without previous-token heads for values",
    "heads": "Heads of two layers",
    "repeated_test": "loss, repeated (nats)",
    "right_test": "repeated right (%)",
    "right_unseen_test": "right, blocks of 20 (%)",
    "repeated_validation": "loss, repeated, validation (nats)",
    "prefix": "prefix matching, best head (%)",
    "fallen": "step, loss under 1 nat",
    "formed": "step, prefix matching over 50 %",
    "abrupt": "steepest tenth / tenth before",
    "induction": "induction heads",
    "previous": "previous-token heads",
    "looked_back": "attention to the previous token (%)",
    "composition": "composition, found / other heads",
    "apart": "steps between loss and head",
}
RANGES = dict.fromkeys(("right_test", "right_unseen_test", "prefix", "looked_back"), (0, 100))
OBJECTIVE = "two-layers/repeated_validation"
GOAL = "minimize"

Array = np.ndarray


def network(name: str) -> Network:
    """One of NETWORKS."""
    return Network(TOKENS, LENGTH, *NETWORKS[name])


def per_token(scores: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy over all places."""
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


# What is measured


def scores(maps: list[gu.Tensor], data: Sequences) -> tuple[Array, Array]:
    """Prefix matching and attention to the previous token (%), each (layers, HEADS)."""
    after, known = data.matches(), data.known
    prefix, previous = [], []
    for weights in (m.numpy() for m in maps):
        matched = np.einsum("nhts,nts->nht", weights, after.astype(weights.dtype))
        prefix.append([100 * matched[:, h][known].mean() for h in range(HEADS)])
        previous.append(100 * np.diagonal(weights, -1, 2, 3).mean(axis=(0, 2)))
    return np.array(prefix), np.array(previous)


def tell(
    model: Network, data: Sequences, removed: Collection[Head] = (), roles: Collection[str] = ROLES
) -> dict[str, float]:
    """What is said of a network, perhaps without some heads."""
    with gu.no_grad():
        logits, _ = model.look(data.pair[0], removed, roles)
        return said(F.softmax(logits.double(), dim=2).numpy(), data)


def found_heads(score: Array, layer: int) -> tuple[list[Head], list[Head]]:
    """The heads of a layer with a score of at least FOUND, or the best one; and the others."""
    least = min(100 * FOUND, score[layer].max())
    chosen = [(layer, h) for h in range(HEADS) if score[layer, h] >= least]
    return chosen, [(layer, h) for h in range(HEADS) if (layer, h) not in chosen]


class Watch(Callback):
    """Measures a network while it is trained.

    Args:
        data: sequences to measure on.
        every: steps between two looks.
    """

    def __init__(self, data: Sequences, every: int) -> None:
        self.data, self.every = data, every
        self.rows: list[list[float]] = []

    def on_step_end(self, run: Run) -> None:
        """Look, if it is time."""
        if run.step % self.every:
            return
        with gu.no_grad():
            logits, maps = cast(Network, run.model).look(self.data.pair[0])
        loss = said(F.softmax(logits.double(), dim=2).numpy(), self.data)["repeated"]
        both = np.ravel(scores(maps, self.data))
        self.rows.append([float(run.step), loss, *both.tolist()])

    def state_dict(self) -> dict[str, Any]:
        """The rows: step, loss, prefix matching of each head, attention of each to the previous."""
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with those rows."""
        self.rows = [list(map(float, row)) for row in state["rows"]]


def formation(rows: Array) -> dict[str, float]:
    """When the loss falls and heads form, in steps; infinite where they do not.

    Args:
        rows: of a `Watch`.
    """
    step = np.append(0, rows[:, 0])
    loss = np.append(math.log(TOKENS), rows[:, 1])
    prefix = np.append(0, rows[:, 2 : (rows.shape[1] + 2) // 2].max(axis=1))
    tenth = -(-len(rows) // 10)
    steepest = int((loss[tenth:-tenth] - loss[2 * tenth :]).argmax()) + tenth
    before = loss[steepest - tenth] - loss[steepest]
    return {
        "fallen": next((float(s) for s, v in zip(step, loss, strict=True) if v < 1), math.inf),
        "formed": next((float(s) for s, v in zip(step, prefix, strict=True) if v > 50), math.inf),
        "abrupt": (loss[steepest] - loss[steepest + tenth]) / max(before, 1e-3),
    }


# The experiment


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of training, each on 32 sequences.
        networks: which are trained.
        lr: the learning rate of each.
    """

    steps: int = 800
    networks: tuple[str, ...] = tuple(NETWORKS)
    lr: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NETWORKS, 0.01))

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps {self.steps}: expected at least 2")
        if unknown := set(self.networks) - set(NETWORKS):
            raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(NETWORKS)}")


def without_heads(model: Network, validation: Sequences, test: Sequences) -> dict[str, float]:
    """Find the heads on the validation sequences, and remove them on those of the test."""
    with gu.no_grad():
        prefix, previous = scores(model.look(validation.pair[0])[1], validation)
    induction, _ = found_heads(prefix, 1)
    before, others = found_heads(previous, 0)
    copying, composition = circuits(model)
    served = composition[[h for _, h in before]][:, [h for _, h in induction]].mean()
    rest = composition[[h for _, h in others]] if others else composition
    metrics = {
        "heads/induction": len(induction),
        "heads/previous": len(before),
        "heads/looked_back": previous[0].max(),
        "heads/copying": float(np.mean([copying[head] for head in induction])),
        "heads/composition": served / rest.mean(),
    }
    removals: dict[str, tuple[list[Head], Collection[str]]] = {
        "no-induction": (induction, ROLES),
        "no-previous": (before, ROLES),
        "no-others": (others, ROLES),
        **{f"no-previous-{role}": (before, (role,)) for role in ROLES[:3]},
    }
    for name, (heads, roles) in removals.items():
        found = tell(model, test, heads, roles)
        metrics |= {f"{name}/{what}_test": value for what, value in found.items()}
    return metrics


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train each network on the same sequences, watch it, and take it apart."""
    random = np.random.default_rng([seed, 0])
    drawn = [draw(random, 32) for _ in range(config.steps)]
    validation, test, unseen = (
        draw(np.random.default_rng([seed, part]), 256, block)
        for part, block in ((1, None), (2, None), (3, UNSEEN))
    )
    metrics = baselines(np.concatenate([d.tokens for d in drawn]), validation, test)
    for name in config.networks:
        gu.manual_seed(seed)
        model = network(name)
        optimizer = optim.Adam(model.parameters(), lr=config.lr[name])
        watch = Watch(draw(np.random.default_rng([seed, 4]), 64), max(1, config.steps // 100))
        run.fit(
            name, model, per_token, optimizer, [d.pair for d in drawn], epochs=1,
            callbacks=[ClipGradients(max_norm=1.0), watch], animate=False,
        )  # fmt: skip
        rows = np.array(watch.rows)
        run.save(f"watch-{name}", rows=gu.tensor(rows))
        metrics[f"{name}/repeated_validation"] = tell(model, validation)["repeated"]
        found = {f"{what}_test": value for what, value in tell(model, test).items()}
        found["right_unseen_test"] = tell(model, unseen)["right"]
        with gu.no_grad():
            found["prefix"] = scores(model.look(test.pair[0])[1], test)[0].max()
        times = formation(rows)
        found |= {"fallen": times["fallen"], "formed": times["formed"]}
        metrics |= {f"{name}/{what}": value for what, value in found.items()}
        if name == "two-layers":
            metrics |= without_heads(model, validation, test)
            metrics["heads/apart"] = abs(times["fallen"] - times["formed"])
            metrics["heads/abrupt"] = times["abrupt"]
    return metrics


TUNED = [
    Tuned(
        f"lr.{name}",
        (0.001, 0.003, 0.01, 0.03),
        f"{name}/repeated_validation",
        "minimize",
        given={"networks": (name,)},
    )
    for name in NETWORKS
]


ELHAGE = "Elhage et al. (2021)"
OLSSON = "Olsson et al. (2022)"
OURS = "(the figure is ours)"
CLAIMS = [
    Claim(
        "one-layer", "one layer needs 1.5 nats more than two for tokens that can be known",
        f"{ELHAGE}, one-layer and two-layer models {OURS}", 1.5, "one-layer/repeated_test",
        minus="two-layers/repeated_test", unit=" nats", digits=1,
    ),
    Claim(
        "two-layers", "two layers get 90 % of the tokens right that can be known",
        f"{ELHAGE}, two-layer models {OURS}", 90, "two-layers/right_test", unit=" %",
    ),
    Claim(
        "copier", "two layers need at most 0.1 nats more than a copier written by hand",
        "the experiment (the figure is ours)", 0.1, "two-layers/repeated_test", "at most",
        minus="copier/repeated_test", unit=" nats", digits=1,
    ),
    Claim(
        "unseen", "it is a rule: two layers get 90 % right where blocks have a length that "
        "training never showed", f"{OLSSON}, argument 4 {OURS}", 90,
        "two-layers/right_unseen_test", unit=" %",
    ),
    Claim(
        "matching", "the best head of two layers has 50 points more prefix matching than that of "
        "one layer", f"{OLSSON}, argument 1 {OURS}", 50, "two-layers/prefix",
        minus="one-layer/prefix", unit=" points",
    ),
    Claim(
        "looks-back", "a head of the first layer has half of its attention on the previous token",
        f"{ELHAGE}, how induction heads work {OURS}", 50, "heads/looked_back", unit=" %",
    ),
    Claim(
        "copying", "induction heads copy: their eigenvalues sum up to 0.9 of their magnitudes",
        f"{ELHAGE}, copying {OURS}", 0.9, "heads/copying", digits=1,
    ),
    Claim(
        "abrupt", "they form abruptly: in a tenth of the training the loss falls three times as "
        "much as in the tenth before", f"{OLSSON}, argument 1 {OURS}", 3, "heads/abrupt",
    ),
    Claim(
        "together", "the loss falls under 1 nat within 20 steps of a head's reaching half of the "
        "prefix matching", f"{OLSSON}, argument 1 {OURS}", 20, "heads/apart", "at most",
        unit=" steps",
    ),
    Claim(
        "ablation", "without the induction heads, what can be known costs 2 nats more",
        f"{OLSSON}, argument 3 {OURS}", 2, "no-induction/repeated_test",
        minus="two-layers/repeated_test", unit=" nats", digits=1,
    ),
    Claim(
        "ablation-previous", "without the previous-token heads, it costs 2 nats more",
        f"{ELHAGE}, how induction heads work {OURS}", 2, "no-previous/repeated_test",
        minus="two-layers/repeated_test", unit=" nats", digits=1,
    ),
    Claim(
        "ablation-others", "without the other heads of the first layer, at most 0.5 nats more",
        OURS.strip("()"), 0.5, "no-others/repeated_test", "at most",
        minus="two-layers/repeated_test", unit=" nats", digits=1,
    ),
    Claim(
        "keys", "removed for the keys of the second layer alone, it costs 2 nats more",
        f"{ELHAGE}, K-composition {OURS}", 2, "no-previous-key/repeated_test",
        minus="two-layers/repeated_test", unit=" nats", digits=1,
    ),
    *(
        Claim(
            words, f"removed for the {words} alone, at most 0.2 nats more",
            f"{ELHAGE}, K-composition {OURS}", 0.2, f"no-previous-{role}/repeated_test", "at most",
            minus="two-layers/repeated_test", unit=" nats", digits=1,
        )
        for role, words in (("query", "queries"), ("value", "values"))
    ),
    Claim(
        "composition", "by their weights, previous-token heads serve the keys of induction heads "
        "1.3 times as much as other heads do", f"{ELHAGE}, K-composition {OURS}", 1.3,
        "heads/composition", neutral=1, digits=1,
    ),
    Claim(
        "smeared", "with smeared keys, one layer gets 90 % right", f"{OLSSON}, argument 2 {OURS}",
        90, "one-smeared/right_test", unit=" %",
    ),
    Claim(
        "earlier", "with smeared keys, two layers take at most half of the steps until the loss is "
        "under 1 nat", f"{OLSSON}, argument 2 {OURS}", 0.5, "two-smeared/fallen", "at most",
        over="two-layers/fallen", digits=1,
    ),
]  # fmt: skip

SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
SHOWN = 21


def over_steps(results: Results) -> list[viz.Block]:
    """The loss of each network, and the heads of the first seed."""
    names = {name: LABELS[name] for name in results.config.networks}
    rows = {
        name: [o.tensors(f"watch-{name}")["rows"].numpy() for o in results.outcomes.values()]
        for name in names
    }
    losses = {text: [r[:, 1] for r in rows[name]] for name, text in names.items()}
    steps = rows[next(iter(names))][0][:, 0]
    figure = viz.curves(
        losses, "Step", "Loss, repeated tokens (nats)", x=steps, possible=(0, math.inf)
    )
    figure.axes[0].axhline(math.log(TOKENS), linestyle=":", color="0.4")
    found: list[viz.Block] = [viz.Plot(figure, "The dotted line is chance.")]
    if "two-layers" in rows:
        one = rows["two-layers"][0][:, 2:].reshape(-1, 2, 2, HEADS)  # steps, score, layer, head
        heads = {f"2.{h + 1}, prefix matching": one[:, 0, 1, h] for h in range(HEADS)}
        heads |= {f"1.{h + 1}, previous token": one[:, 1, 0, h] for h in range(HEADS)}
        figure = viz.curves(heads, "Step", "Share of attention (%)", x=steps, possible=(0, 100))
        seed = next(iter(results.outcomes))
        found.append(viz.Plot(figure, f"The heads of two layers, seed {seed}: layer and head."))
    return found


def pictures(model: Network, seed: int) -> list[viz.Block]:
    """Where the best heads look, and how much heads of the first layer serve the second's keys."""
    data = draw(np.random.default_rng([seed, 5]), 64, SHORTEST)
    with gu.no_grad():
        maps = model.look(data.pair[0])[1]
    prefix, previous = scores(maps, data)
    best = {f"1.{previous[0].argmax() + 1}, previous token": maps[0][0, int(previous[0].argmax())]}
    best[f"2.{prefix[1].argmax() + 1}, induction"] = maps[1][0, int(prefix[1].argmax())]
    letters = [SYMBOLS[i] for i in data.tokens[0, :SHOWN]]
    looks = viz.heatmaps(
        {name: m.numpy()[:SHOWN, :SHOWN] for name, m in best.items()},
        "Token looked at", "Token that looks", "Weight", x=letters, y=letters, limits=(0, 1),
        size=(4.2, 3.9),
    )  # fmt: skip
    served = viz.heatmaps(
        {"": circuits(model)[1]}, "Head of layer 2", "Head of layer 1", "Composition",
        x=[f"2.{h + 1} ({prefix[1, h]:.0f} %)" for h in range(HEADS)],
        y=[f"1.{h + 1} ({previous[0, h]:.0f} %)" for h in range(HEADS)],
        numbers=True, size=(4.6, 2.4),
    )  # fmt: skip
    return [
        viz.Plot(looks, f"A block of {SHORTEST} letters and its repetition, seed {seed}."),
        viz.Plot(
            served,
            "How much the heads of layer 1 serve the keys of layer 2; in brackets the attention "
            "to the previous token and the prefix matching.",
        ),
    ]


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """How the heads form, and where they look."""
    config = results.config
    found = [("Formation", over_steps(results))]
    if "two-layers" in config.networks:
        seed, first = next(iter(results.outcomes.items()))
        model = network("two-layers")
        model.load_state_dict(first.weights("two-layers"))
        found.append(("Inside of two layers", pictures(model, seed)))
    rates = "\n".join(f"{LABELS[n]:26}{config.lr[n]:>6g}" for n in config.networks)
    words = "The learning rate of each network: the best of four on seeds 100 to 102."
    return [*found, ("Learning rates", [viz.Code(rates, words)])]
