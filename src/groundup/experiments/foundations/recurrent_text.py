r"""Characters: how well does a recurrent network predict text, and when may it read both ways?

A language model gives each next character a probability, given those before. How good it is says
the mean of $-\log_2 P(x_{t+1} \mid x_1, \ldots, x_t)$ over a text that it was not trained on, in
**bits per character**: what a perfect compressor would need with it (Shannon, 1951). Guessing
evenly among 95 characters takes 6.6 bits.

The classical model counts. An **n-gram** looks at the last $n - 1$ characters and falls back on
fewer where it has seen too little ($w$ chosen on validation text; MacKay and Peto, 1995):

$$P_n(x \mid c) = \frac{N(c x) + w\, P_{n-1}(x \mid c')}{N(c) + w} .$$

It has a table entry for whatever it has seen. A **recurrent network** squeezes all that it has read
into a state of some dozens of numbers, and predicts from that (Mikolov et al., 2010; characters:
Sutskever, Martens and Hinton, 2011). The document that this project started from asks for a "simple
character-level language model" and claims nothing about it. Here a vanilla RNN, a GRU and an LSTM,
each with about 19,000 weights around an embedding of 24 numbers, take 500 steps on 32 windows of 50
characters: less than four times through the text. Learning rates are chosen from the same four
values by validation text on seeds that are not reported.

The text is Python's own reference, which ships with it (`pydoc_data`; the text differs a little
between versions of Python): each paragraph once, every tenth held out for validation, every tenth
for the test. Many paragraphs are alike, grammar rules above all, which helps whoever counts.

**Both ways.** A second network that reads from the end gives each place what follows it as well
(Schuster and Paliwal, 1997). To **restore** characters that were blanked, a tenth of them, that
helps: one way, the network has to guess the blank from what came before. But a language model it
cannot be: the state at $t$ has read $x_{t+1}$, which is the answer. Trained to predict, it learns
to copy, and its bits per character are next to nothing. Where the next character is really not
there, at the end of a window, it has learned nothing that would help. Both are measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import TextDataset, Vocabulary
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import ClipGradients, Schedule, predict

LESSON = 7  # R3.7, R2.4
SEEDS = range(1, 9)
TUNING_SEEDS = (100, 101, 102)
LOOK = 1
LABELS = {
    "bits_test": "bits per character",
    "ahead_test": "bits for the character after a window of 50",
    "restored_test": "blanked characters restored (%)",
    "loss": "cross-entropy (nats)",
}
RANGES = {"bits_test": (0, math.inf), "ahead_test": (0, math.inf), "restored_test": (0, 100)}
OBJECTIVE = "GRU/bits_validation"
GOAL = "minimize"

USUAL = ("RNN", "GRU", "LSTM")
BOTH = "GRU-both-ways"
LAYERS: dict[str, Callable[..., Any]] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
HIDDEN = {"RNN": 88, "GRU": 56, "LSTM": 48, BOTH: 32}
"""Units that make about 19,000 weights around the embedding; fewer for the one both ways."""
NGRAMS = ("unigram", "bigram", "trigram", "4-gram", "5-gram")
WEIGHTS = (1.0, 2.0, 3.0, 5.0, 10.0)
BATCH, CONTEXT, BLANKS = 32, 50, 0.1

Array = np.ndarray
Pair = tuple[gu.Tensor, gu.Tensor]


# Text


@dataclass(frozen=True)
class Book:
    """A text in parts, as numbers of characters; the number after the last stands for a blank."""

    vocabulary: Vocabulary
    train: gu.Tensor
    validation: gu.Tensor
    test: gu.Tensor

    @property
    def symbols(self) -> int:
        """How many characters there are, the blank included."""
        return len(self.vocabulary) + 1


@cache
def python_reference() -> Book:
    """The paragraphs of Python's reference, each once; every tenth is for validation or test."""
    from pydoc_data.topics import topics

    found = [p.strip("\n") for topic in sorted(topics) for p in topics[topic].split("\n\n")]
    paragraphs = [p for p in dict.fromkeys(found) if p and p.isascii()]
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for i, paragraph in enumerate(paragraphs):
        parts[{0: "validation", 5: "test"}.get(i % 10, "train")].append(paragraph)
    texts = {name: "\n\n".join(part) for name, part in parts.items()}
    vocabulary = Vocabulary.of("".join(texts.values()))
    return Book(vocabulary, **{name: vocabulary.encode(text) for name, text in texts.items()})


def ngram_bits(train: Array, text: Array, order: int, symbols: int, weight: float) -> float:
    r"""Bits per character of a text under n-grams that fall back on shorter ones.

    $P(x \mid c) = (n(cx) + w P(x \mid c')) / (n(c) + w)$, with $c'$ the context without its first
    character, down to all characters equally likely (MacKay and Peto, 1995).
    """

    def codes(ids: Array, n: int) -> Array:
        """A number for each run of n characters."""
        ends = len(ids) - n + 1
        parts = [ids[i : i + ends] * symbols ** (n - 1 - i) for i in range(n)]
        return np.sum(parts, axis=0)

    def counts(wanted: Array, n: int) -> Array:
        """How often each run of n characters occurs in the training text."""
        runs, times = np.unique(codes(train, n), return_counts=True)
        place = np.searchsorted(runs, wanted).clip(max=len(runs) - 1)
        return np.where(runs[place] == wanted, times[place], 0)

    p = np.full(len(text) - order + 1, 1 / symbols)
    for n in range(1, order + 1):
        runs = codes(text, n)[order - n :]
        context = counts(runs // symbols, n - 1) if n > 1 else len(train)
        p = (counts(runs, n) + weight * p) / (context + weight)
    return float(-np.log2(p).mean())


@cache
def baselines() -> dict[str, float]:
    """The bits per character of n-grams, their weight chosen on the validation text."""
    book, found = python_reference(), {}
    train, validation, test = (p.numpy() for p in (book.train, book.validation, book.test))
    for order, name in enumerate(NGRAMS, 1):
        tried = {w: ngram_bits(train, validation, order, book.symbols, w) for w in WEIGHTS}
        best = min(WEIGHTS, key=lambda w: tried[w])
        found[f"{name}/bits_test"] = ngram_bits(train, test, order, book.symbols, best)
    return found


class Writer(nn.Module):
    """Reads characters' numbers (N, T) and scores all characters at each place (N, T, symbols)."""

    def __init__(self, name: str, symbols: int) -> None:
        ways = 2 if name == BOTH else 1
        self.embedding = nn.Embedding(symbols, 24)
        self.rnn = LAYERS[name.partition("-")[0]](
            24, HIDDEN[name], batch_first=True, bidirectional=ways == 2
        )
        self.head = nn.Linear(ways * HIDDEN[name], symbols)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        """Scores of all characters at each place."""
        output, _ = self.rnn(self.embedding(x))
        return self.head(output)


def per_character(scores: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy over all places whose target is not -100."""
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def bits(model: Writer, ids: gu.Tensor) -> float:
    """Bits per character of a text that is read in 20 rows."""
    length = (len(ids) - 1) // 20
    inputs, targets = TextDataset(ids, length).batch(range(20))
    scores, _ = predict(model, [(inputs, targets)])
    return per_character(scores, targets).item() / math.log(2)


def bits_ahead(model: Writer, ids: gu.Tensor) -> float:
    """Bits for the character after each window, of which the network sees nothing."""
    windows = TextDataset(ids, CONTEXT)
    inputs, targets = windows.batch(range(len(windows)))
    scores, _ = predict(model, [(inputs, targets)])
    return F.cross_entropy(scores[:, -1], targets[:, -1]).item() / math.log(2)


def blanked(batch: Pair, random: np.random.Generator, blank: int) -> Pair:
    """A tenth of the characters replaced by blanks, and what they were; -100 elsewhere."""
    text = batch[0].numpy()
    lost = random.uniform(size=text.shape) < BLANKS
    return gu.tensor(np.where(lost, blank, text)), gu.tensor(np.where(lost, text, -100))


def bits_by_place(model: Writer, ids: gu.Tensor) -> np.ndarray:
    """Mean bits of the character at each place of a window, of which those before were seen."""
    data = TextDataset(ids, CONTEXT, stride=7)
    inputs, targets = data.batch(range(len(data)))
    scores, _ = predict(model, [(inputs, targets)])
    nats = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
    return nats.reshape(-1, CONTEXT).mean(dim=0).numpy() / math.log(2)


def write(model: Writer, book: Book, length: int, seed: int) -> str:
    """Text by a one-way network: each character drawn by its probability and read as the next."""
    random, state, found = np.random.default_rng(seed), None, [book.vocabulary.encode("\n").item()]
    with gu.no_grad():
        for _ in range(length):
            output, state = model.rnn(model.embedding(gu.tensor([[found[-1]]])), state)
            p = F.softmax(model.head(output)[0, 0, :-1].double(), dim=0).numpy()
            found.append(random.choice(len(p), p=p / p.sum()))
    return book.vocabulary.decode(found).strip()


# The experiment


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of training, each on 32 windows of 50 characters.
        tasks: which, of predict and restore.
        networks: which are to predict.
        lr: the learning rate of each network; those that restore have the GRU's.
    """

    steps: int = 500
    tasks: tuple[str, ...] = ("predict", "restore")
    networks: tuple[str, ...] = USUAL
    lr: dict[str, float] = field(default_factory=lambda: {"RNN": 0.03, "GRU": 0.03, "LSTM": 0.03})

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps {self.steps}: expected at least 1")
        for given, known in ((self.tasks, ("predict", "restore")), (self.networks, USUAL)):
            if unknown := set(given) - set(known):
                raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(known)}")


def train(run: Trial, name: str, model: nn.Module, batches: list[Pair], rate: float) -> None:
    """Adam with a cosine schedule, gradients clipped at norm 1, one step a batch."""
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = CosineAnnealingLR(optimizer, T_max=len(batches))
    callbacks = [ClipGradients(max_norm=1.0), Schedule(schedule, per="step")]
    run.fit(
        name, model, per_character, optimizer, batches, epochs=1, callbacks=callbacks, animate=False
    )


def windows(book: Book, seed: int, count: int) -> list[Pair]:
    """Batches of windows that begin anywhere in the training text."""
    data = TextDataset(book.train, CONTEXT, stride=1)
    random = np.random.default_rng([seed, 0])
    return [data.batch(random.integers(0, len(data), BATCH)) for _ in range(count)]


def predict_next(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Predict the next character."""
    book, metrics = python_reference(), dict(baselines())
    batches = windows(book, seed, config.steps)
    for network in (n for n in USUAL if n in config.networks):
        gu.manual_seed(seed)
        model = Writer(network, book.symbols)
        train(run, f"{network}-text", model, batches, config.lr[network])
        metrics[f"{network}/bits_validation"] = bits(model, book.validation)
        metrics[f"{network}/bits_test"] = bits(model, book.test)
        metrics[f"{network}/ahead_test"] = bits_ahead(model, book.test)
    return metrics


def restore(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Restore blanked characters one way and both ways; then predict what is in plain sight."""
    book, metrics = python_reference(), {}
    random, blank = np.random.default_rng([seed, 1]), book.symbols - 1
    batches = windows(book, seed, config.steps)
    lost = [blanked(batch, random, blank) for batch in batches]
    plain = TextDataset(book.test, CONTEXT)
    x, truth = blanked(plain.batch(range(len(plain))), random, blank)
    for network in ("GRU", BOTH):
        gu.manual_seed(seed)
        model = Writer(network, book.symbols)
        train(run, f"{network}-restore", model, lost, config.lr["GRU"])
        answers = predict(model, [(x, truth)])[0].argmax(dim=2)
        share = (answers == truth).sum().item() / (truth >= 0).sum().item()
        metrics[f"{network}/restored_test"] = 100 * share
    gu.manual_seed(seed)
    model = Writer(BOTH, book.symbols)
    train(run, f"{BOTH}-text", model, batches, config.lr["GRU"])
    metrics[f"{BOTH}/bits_test"] = bits(model, book.test)
    metrics[f"{BOTH}/ahead_test"] = bits_ahead(model, book.test)
    return metrics


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Predict the next character, restore characters, both."""
    metrics: dict[str, float] = {}
    if "predict" in config.tasks:
        metrics |= predict_next(config, seed, run)
    if "restore" in config.tasks:
        metrics |= restore(config, seed, run)
    return metrics


TUNED = [
    Tuned(
        f"lr.{network}",
        (0.003, 0.01, 0.03, 0.1),
        f"{network}/bits_validation",
        "minimize",
        given={"tasks": ("predict",), "networks": (network,)},
    )
    for network in USUAL
]
SOURCE = "the lesson (the figure is ours)"
CLAIMS = [
    *(
        Claim(
            f"{name}-{gram}", f"the {name} needs at least {figure:g} bits fewer than {words}",
            SOURCE, figure, f"{gram}/bits_test", minus=f"{name}/bits_test", unit=" bits", digits=2,
        )
        for name, gram, words, figure in (
            ("RNN", "bigram", "a bigram", 0.5),
            ("GRU", "trigram", "a trigram", 0.1),
            ("GRU", "5-gram", "a 5-gram", 0.1),
        )
    ),
    *(
        Claim(
            f"{name}-RNN", f"the {name} needs at least 0.1 bits fewer than the vanilla RNN",
            SOURCE, 0.1, "RNN/bits_test", minus=f"{name}/bits_test", unit=" bits", digits=2,
        )
        for name in ("GRU", "LSTM")
    ),
    Claim(
        "both-ways", "who reads both ways restores at least 10 points more of the blanked "
        "characters", "Schuster and Paliwal (1997); the figure is ours", 10,
        f"{BOTH}/restored_test", minus="GRU/restored_test", unit=" points", digits=1,
    ),
    Claim(
        "copy", "trained to predict both ways, it needs at most 0.1 bits for what it has read",
        SOURCE, 0.1, f"{BOTH}/bits_test", "at most", unit=" bits", digits=2,
    ),
    Claim(
        "no-model", "for what it has not read, it needs at least 0.5 bits more than the GRU one "
        "way", SOURCE, 0.5, f"{BOTH}/ahead_test", minus="GRU/ahead_test", unit=" bits", digits=2,
    ),
]  # fmt: skip


def context_figure(results: Results) -> Figure:
    """Bits per character after 1, 2, ..., 50 characters of a window, and those of the n-grams."""
    book, names = python_reference(), [n for n in USUAL if n in results.config.networks]
    series = {}
    for name in names:
        model, rows = Writer(name, book.symbols), []
        for outcome in results.outcomes.values():
            model.load_state_dict(outcome.weights(f"{name}-text"))
            rows.append(bits_by_place(model, book.test))
        series[name] = rows
    figure = viz.curves(series, "Characters seen", "Bits per character (test text)")
    axes = figure.axes[0]
    for gram in ("bigram", "trigram", "5-gram"):
        level = baselines()[f"{gram}/bits_test"]
        axes.axhline(level, color="black", linewidth=0.6, linestyle=":")
        axes.annotate(gram, (CONTEXT, level), ha="right", va="bottom", fontsize="small")
    return figure


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """How the networks use what they have seen, what they write, and the learning rates."""
    config = results.config
    seed, first = next(iter(results.outcomes.items()))
    book = python_reference()
    found: list[tuple[str, list[viz.Block]]] = []
    if "predict" in config.tasks:
        words = (
            "How many bits the next character takes when only so many before it were seen. The "
            "first few help most; the dotted lines are n-grams, which see at most four."
        )
        found.append(("What the past is good for", [viz.Plot(context_figure(results), words)]))
        written: list[viz.Block] = []
        for name in config.networks:
            model = Writer(name, book.symbols)
            model.load_state_dict(first.weights(f"{name}-text"))
            caption = f"The {name}, seed {seed}, {first.metrics[f'{name}/bits_test']:.2f} bits."
            written.append(viz.Code(write(model, book, 400, seed), caption))
        found.append(("What they write", written))
    rates = "\n".join(f"{name:6}{config.lr[name]:>8g}" for name in config.networks)
    words = "The learning rate of each network: the best of four on seeds 100 to 102."
    return [*found, ("Learning rates", [viz.Code(rates, words)])]
