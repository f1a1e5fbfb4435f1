r"""Translation: is it the grammar that an encoder-decoder learns, or the sentences it was shown?

An encoder reads English, a decoder writes German, and what connects them is attention: for each
token that it writes, the decoder weighs all tokens that the encoder has read (Bahdanau, Cho and
Bengio, 2015; without recurrence: Vaswani et al., 2017). With the decoder's state as query $q$ and
the encoder's as keys $k_j$ and values $v_j$,

$$c = \sum_j p_j v_j, \qquad
p_j = \frac{e^{q \cdot k_j / \sqrt d}}{\sum_i e^{q \cdot k_i / \sqrt d}}$$

**The text.** A small grammar writes pairs (`german.py`), so that it is known which rules there are:
gender and case (`the red apple` is `der rote Apfel` as a subject and `den roten Apfel` as an
object), the verb in the second place of a main clause and in the last of a subordinate one, one
word that becomes two at different places (`bought`: `hat ... gekauft`), and clauses with `that` in
clauses with `that`; their number is the **depth**. A tokenizer of byte-level BPE (Sennrich, Haddow
and Birch, 2016) is learned from the training pairs, both languages together. 4,800 pairs have the
depths 0, 1 and 2. Three tests have 201 pairs each that are in no training data:

- **same**: as the training pairs.
- **roles**: the object is a bird, a queen or a sheep. Of these nouns the networks know hundreds of
  sentences, but in none of them is one an object.
- **deeper**: depth 3.

Kim and Linzen ("COGS", 2020) asked networks such things, to parse and not to translate: 96 to 99 %
of the sentences were right where they were as in training, and 16 to 35 % where roles or depths
were new; of those with a new depth next to none. Those are the figures to compare with.

**Right** means that every token is, up to the end, as a decoder writes that takes the likeliest
token each time (**greedy**). A **beam** keeps the best four unfinished texts instead (Wu et al.,
2016, equation 14, for their score).

**The networks**, about 210,000 weights each: a **Transformer** (two layers of 64 features on each
side, four heads), a **GRU** that reads both ways with a GRU that writes and attends, and the same
without **attention**, which gets the encoder's last states at each step, a bottleneck. All have the
same batches of 50 pairs, five times through, and what Vaswani et al. did: Adam, a learning rate
that warms up (a tenth of the steps; then a cosine) and targets smoothed by 0.1. Each has its
learning rate of the same three values, by the loss on validation pairs like those of training, on a
seed that is not reported.

Beside them what learns no weights: the translation of the **nearest** training sentence by edit
distance in words, and a **dictionary** of the likeliest German word for each English one, learned
from the pairs by expectation-maximisation (IBM model 1; Brown et al., 1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.sequences.german import (
    BEGIN,
    DEEPER,
    DEPTHS,
    END,
    EXAMPLE,
    Array,
    Batch,
    Pair,
    Split,
    batches,
    dictionary,
    material,
    nearest,
    numbers,
    together,
)
from groundup.models import Transformer, TransformerConfig
from groundup.models.decoding import TranslationDecoder, beam_search, generate
from groundup.optim.lr_scheduler import WarmupCosineLR
from groundup.text import Tokenizer
from groundup.training import ClipGradients, Schedule

SEEDS = range(5)  # R4.1, R4.2, R4.3
TUNING_SEEDS = (100,)
LOOK = 1
NETWORKS = ("Transformer", "GRU-attention", "GRU")
TABLES = ("nearest", "dictionary")
LABELS = {
    "GRU-attention": "GRU with attention",
    "GRU": "GRU without attention",
    "nearest": "Nearest sentence",
    "dictionary": "Word by word",
    "greedy": "Transformer, greedy",
    "beam": "Transformer, beam of 4",
    "same_test": "same (%)",
    "roles_test": "roles (%)",
    "deeper_test": "deeper (%)",
    "new_test": "roles and deeper (%)",
    "validation_loss": "validation loss (nats, smoothed)",
} | {f"depth_{n}_test": f"same, depth {n} (%)" for n in DEPTHS}
TESTS = ("same", "roles", "deeper")
MEASURES = (*TESTS, "new", *(f"depth_{n}" for n in DEPTHS))
RANGES = {f"{name}_test": (0, 100) for name in MEASURES}
OBJECTIVE = "Transformer/validation_loss"
GOAL = "minimize"
RATES = (0.003, 0.01, 0.03)

CONTEXT, HELD_OUT, BEAMS = 64, 201, 4
SEARCHED = 45
"""Sentences with new roles that beams are tried on; each takes a quarter of a second."""


# The networks


class Recurrent(nn.Module):
    """A GRU that reads both ways and a GRU that writes.

    Args:
        symbols: tokens that there are.
        attention: show the decoder what its state asks for; otherwise what the encoder has at both
            ends of the source.

    Shape:
        source (N, S), before (N, T), mask (N, S), true where a source token is real ->
        logits (N, T, symbols).
    """

    def __init__(self, symbols: int, attention: bool) -> None:
        width = 54 if attention else 68
        both = 2 * width
        self.token = nn.Embedding(symbols, 64)
        self.ahead = nn.GRU(64, width, batch_first=True)
        self.back = nn.GRU(64, width, batch_first=True)
        self.start = nn.Linear(both, both)
        self.writer = nn.GRU(64, both, batch_first=True)
        self.attention = nn.MultiheadAttention(both, 1, batch_first=True) if attention else None
        self.mix = nn.Linear(2 * both, 64)

    def encode(self, source: gu.Tensor, mask: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        """What is known at each token, (N, S, 2 width), and at both ends, (N, 2 width)."""
        rows, places = gu.arange(len(source)).unsqueeze(1), gu.arange(source.shape[1])
        last = mask.sum(dim=1, keepdim=True) - 1
        mirror = gu.where(mask, last - places, places)  # from the end, padding where it was
        x = self.token(source)
        ahead = self.ahead(x)[0]
        back = self.back(x[rows, mirror])[0][rows, mirror]
        ends = gu.cat([ahead[rows, last].squeeze(1), back[:, 0]], dim=1)
        return gu.cat([ahead, back], dim=2), ends

    def forward(self, source: gu.Tensor, before: gu.Tensor, mask: gu.Tensor) -> gu.Tensor:
        """Logits of the token after each of those that were written before."""
        memory, ends = self.encode(source, mask)
        states, _ = self.writer(self.token(before), gu.tanh(self.start(ends)).unsqueeze(0))
        if self.attention is None:
            shown = ends.unsqueeze(1).expand(states.shape)
        else:
            shown, _ = self.attention(states, memory, memory, ~mask, need_weights=False)
        return gu.tanh(self.mix(gu.cat([states, shown], dim=2))) @ self.token.weight.T


def network(name: str, symbols: int) -> Transformer | Recurrent:
    """A network by its name."""
    if name == "Transformer":
        return Transformer(TransformerConfig(symbols, CONTEXT, 64, 2, 4, 128, dropout=0.0))
    return Recurrent(symbols, attention=name == "GRU-attention")


def cross_weights(model: Transformer, source: gu.Tensor, before: gu.Tensor) -> list[gu.Tensor]:
    """What each block of the decoder looks at, (N, heads, T, S) for each, without padding."""
    memory, found = model.encode(source), []
    x = model.position(model.token(before) * math.sqrt(model.config.d_model))
    for block, (keys, values) in zip(model.decoder, memory, strict=True):
        x = block.attention(x, None, causal=True)
        cross = block.cross.attention
        queries = cross.split(cross.query(block.cross.before(x)))
        found.append(F.softmax(queries @ keys.transpose(2, 3) / math.sqrt(keys.shape[3]), dim=-1))
        x = block.mlp(block.cross(x, (keys, values), None))
    return found


# What is measured


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        pairs: to learn from.
        epochs: passes over them.
        held_out: pairs of each test, and of the validation.
        networks: which are trained.
        tables: which of those that learn no weights are tried.
        searched: sentences with new roles that beams are tried on; 0: none.
        lr: the highest learning rate of each network.
    """

    pairs: int = 4800
    epochs: int = 5
    held_out: int = HELD_OUT
    networks: tuple[str, ...] = NETWORKS
    tables: tuple[str, ...] = TABLES
    searched: int = SEARCHED
    lr: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NETWORKS, 0.01))

    def __post_init__(self) -> None:
        least = {"pairs": len(DEPTHS), "epochs": 1, "held_out": len(DEPTHS), "searched": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} {getattr(self, name)}: expected at least {value}")
        for given, known in ((self.networks, NETWORKS), (self.tables, TABLES)):
            if unknown := set(given) - set(known):
                raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(known)}")


def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy against targets of which a tenth is spread over all tokens, in nats."""
    return F.cross_entropy(output.flatten(0, 1), target.flatten(), label_smoothing=0.1)


def right(model: nn.Module, batch: Batch) -> Array:
    """Which sentences are right, (N,).

    Where each token is right after right ones, a decoder that reads its own tokens writes them too.
    """
    *given, target = batch
    with gu.no_grad():
        written = model(*given).argmax(dim=-1)
    return ((written == target) | (target < 0)).all(dim=1).numpy()


def scores(found: dict[str, Array], pairs: dict[str, list[Pair]]) -> dict[str, float]:
    """Right sentences in percent: of each test, of those with what is new, by depth."""
    percent = {name: 100 * float(rights.mean()) for name, rights in found.items()}
    percent["new"] = (percent["roles"] + percent["deeper"]) / 2
    depths = np.array([pair.depth for pair in pairs["same"]])
    percent |= {f"depth_{n}": 100 * float(found["same"][depths == n].mean()) for n in DEPTHS}
    return {f"{name}_test": value for name, value in percent.items()}


def greedy(model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[str]:
    """What the decoder writes if it takes the likeliest token each time."""
    sources = [numbers(tokenizer, pair.english) for pair in pairs]
    found = generate(TranslationDecoder(model, BEGIN), sources, CONTEXT, stop=[[END]])
    return [tokenizer.decode(tokens).strip() for tokens in found]


def searched(model: Transformer, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[str]:
    """What a beam finds."""
    decoder = TranslationDecoder(model, BEGIN, copies=BEAMS)
    sources = [numbers(tokenizer, pair.english) for pair in pairs]
    found = [beam_search(decoder, source, END, CONTEXT, BEAMS)[0] for source in sources]
    return [tokenizer.decode(best.tokens).strip() for best in found]


def tables(config: Config, parts: Split) -> dict[str, float]:
    """What the nearest sentence and the dictionary get right of the first test."""
    pairs, metrics = parts.test["same"], {}
    if "nearest" in config.tables:
        found = nearest(parts.train, [pair.english for pair in pairs])
        metrics["nearest"] = [a == pair.german for a, pair in zip(found, pairs, strict=True)]
    if "dictionary" in config.tables:
        words = dictionary(parts.train)
        metrics["dictionary"] = [
            [words.get(word, word) for word in pair.english.split()] == pair.german.split()
            for pair in pairs
        ]
    return {f"{name}/same_test": 100 * float(np.mean(right)) for name, right in metrics.items()}


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train each network on the same batches, then test it."""
    parts, tokenizer = material(seed, config.pairs, config.held_out)
    data = batches(tokenizer, parts.train, config.epochs, np.random.default_rng([seed, 1]))
    validation = batches(tokenizer, parts.validation, 1, np.random.default_rng([seed, 2]))
    tests = {name: together(tokenizer, pairs) for name, pairs in parts.test.items()}
    metrics = tables(config, parts)
    for name in config.networks:
        gu.manual_seed(seed)
        model = network(name, len(tokenizer))
        optimizer = optim.Adam(model.parameters(), lr=config.lr[name])
        schedule = WarmupCosineLR(optimizer, len(data) // 10, len(data))
        history = run.fit(
            name,
            model,
            loss,
            optimizer,
            data,
            epochs=1,
            validation=validation,
            callbacks=[ClipGradients(max_norm=1.0), Schedule(schedule, per="step")],
            animate=False,
        )
        model.eval()
        found = scores({test: right(model, batch) for test, batch in tests.items()}, parts.test)
        found["validation_loss"] = history.epochs["validation_loss"][-1]
        found["parameters"] = sum(p.numel() for p in model.parameters())
        metrics |= {f"{name}/{measure}": value for measure, value in found.items()}
        if isinstance(model, Transformer) and config.searched:
            few = parts.test["roles"][: config.searched]
            for how, write in (("greedy", greedy), ("beam", searched)):
                texts = write(model, tokenizer, few)
                hits = [text == pair.german for text, pair in zip(texts, few, strict=True)]
                metrics[f"{how}/roles_test"] = 100 * float(np.mean(hits))
    return metrics


TUNED = [
    Tuned(
        f"lr.{name}",
        RATES,
        f"{name}/validation_loss",
        "minimize",
        given={"networks": (name,), "tables": (), "searched": 0},
    )
    for name in NETWORKS
]
COGS = "Kim and Linzen (2020), of parsing"
OURS = "the experiment (the figure is ours)"
CLAIMS = [
    Claim(
        "learned", "the Transformer gets 96 % of sentences like those in training right",
        f"{COGS}, abstract", 96, "Transformer/same_test", unit=" %", digits=1,
    ),
    Claim(
        "new", "of sentences with new roles or depths it gets at most 35 % right",
        f"{COGS}, abstract", 35, "Transformer/new_test", "at most", unit=" %", digits=1,
    ),
    Claim(
        "deeper", "of sentences deeper than in training it gets next to none right, at most 5 %",
        f"{COGS}, right by case (the figure is ours)", 5, "Transformer/deeper_test", "at most",
        unit=" %", digits=1,
    ),
    Claim(
        "roles", "of nouns that were never objects it gets 10 points fewer right as objects",
        f"{COGS}, right by case (the figure is ours)", 10, "Transformer/same_test",
        minus="Transformer/roles_test", unit=" points", digits=1,
    ),
    Claim(
        "roles-recurrent", "there the GRU with attention gets 10 points more right than the "
        "Transformer", OURS, 10, "GRU-attention/roles_test", minus="Transformer/roles_test",
        unit=" points", digits=1,
    ),
    Claim(
        "bottleneck", "attention is worth 10 points to the GRU", "Bahdanau, Cho and Bengio (2015), "
        "table 1 (the figure is ours)", 10, "GRU-attention/same_test", minus="GRU/same_test",
        unit=" points", digits=1,
    ),
    Claim(
        "no-recurrence", "without recurrence, one point more is right than by the GRU with "
        "attention", "Vaswani et al. (2017), table 2 (the figure is ours)", 1,
        "Transformer/same_test", minus="GRU-attention/same_test", unit=" points", digits=1,
    ),
    Claim(
        "beam", "a beam of four gets one point more right than greedy writing, new roles",
        "Sutskever, Vinyals and Le (2014), table 1 (the figure is ours)", 1, "beam/roles_test",
        minus="greedy/roles_test", unit=" points", digits=1,
    ),
    *(
        Claim(
            name, f"{words} is right in at most 5 %", OURS, 5, f"{name}/same_test", "at most",
            unit=" %", digits=1,
        )
        for name, words in (
            ("nearest", "the nearest sentence's translation"),
            ("dictionary", "a translation word by word"),
        )
    ),
]  # fmt: skip


# The report


def by_depth(results: Results) -> viz.Block:
    """Right sentences by depth."""
    names = [*(f"depth_{n}_test" for n in DEPTHS), "deeper_test"]
    series = {
        LABELS.get(name, name): [
            [m[f"{name}/{measure}"] for measure in names] for m in results.metrics.values()
        ]
        for name in results.config.networks
    }
    figure = viz.curves(
        series, 'Clauses with "that"', "Sentences right (%)", x=(*DEPTHS, DEEPER), possible=(0, 100)
    )
    figure.axes[0].axvline(max(DEPTHS) + 0.5, linestyle=":", color="0.4")
    return viz.Plot(figure, f"Training had {DEPTHS[0]} to {max(DEPTHS)} (left of the dotted line).")


def attention(model: Transformer, tokenizer: Tokenizer, seed: int) -> viz.Block:
    """Where each head of the decoder looks in one sentence."""
    source, target = (numbers(tokenizer, text) for text in (EXAMPLE.english, EXAMPLE.german))
    with gu.no_grad():
        given = gu.tensor([source]), gu.tensor([[BEGIN, *target[:-1]]])
        maps = {
            f"layer {layer}, head {head}": field
            for layer, weights in enumerate(cross_weights(model, *given), 1)
            for head, field in enumerate(weights[0].numpy(), 1)
        }
    words = [[tokenizer.decode([i]).strip() or "(end)" for i in row] for row in (source, target)]
    figure = viz.heatmaps(
        maps, "Token read", "Token to write", "Weight", x=words[0], y=words[1], limits=(0, 1),
        columns=4, size=(2.6, 2.1),
    )  # fmt: skip
    for axes in figure.axes[:-1]:
        axes.set_xticks(range(len(source)), words[0], rotation=90)
    caption = f"The decoder's attention to the source (seed {seed}). Each row adds up to 1."
    return viz.Plot(figure, caption)


def mistakes(model: Transformer, tokenizer: Tokenizer, parts: Split) -> viz.Block:
    """Some sentences that the Transformer gets wrong."""
    rows: list[list[object]] = []
    for test, pairs in parts.test.items():
        texts = greedy(model, tokenizer, pairs)
        wrong = [(p, t) for p, t in zip(pairs, texts, strict=True) if t != p.german]
        rows += [[test, pair.english, pair.german, text] for pair, text in wrong[:3]]
    if not rows:
        return "Nothing of the tests is wrong."
    return viz.Table(["Test", "English", "German", "The Transformer's"], rows)


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Right sentences by depth, what the attention looks at, and what is wrong."""
    config = results.config
    found: list[tuple[str, list[viz.Block]]] = []
    if config.networks:
        found.append(("Right by depth", [by_depth(results)]))
    if "Transformer" in config.networks:
        seed, outcome = next(iter(results.outcomes.items()))
        parts, tokenizer = material(seed, config.pairs, config.held_out)
        model = network("Transformer", len(tokenizer)).eval()
        model.load_state_dict(outcome.weights("Transformer"))
        assert isinstance(model, Transformer)
        found.append(("Attention", [attention(model, tokenizer, seed)]))
        found.append(("Mistakes", [mistakes(model, tokenizer, parts)]))
    rates = "\n".join(f"{LABELS.get(n, n):24}{config.lr[n]:>8g}" for n in config.networks)
    words = "The highest learning rate of each network: the best of three on seed 100."
    return [*found, ("Learning rates", [viz.Code(rates, words)])]
