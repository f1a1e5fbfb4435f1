r"""Text classification: does a small BERT beat counting words, and what does guessing words help?

Of a short text it is to be told where it comes from. Three that count words, and one that reads:

- **Naive Bayes** (multinomial; Maron, 1961; McCallum and Nigam, 1998) takes words for independent
  once the class is known. With the counts $n_{cw}$ of words in the training texts of a class and
  $V$ words, $$\log P(c \mid \text{text}) = \log P(c) + \sum_{w \in \text{text}} \log \frac{n_{cw} +
  \alpha}{\sum_v n_{cv} + \alpha V} + \text{const.}$$
- **Logistic regression** on TF-IDF (Spärck Jones, 1972): a text is the vector of $(1 + \ln
  n_w)(1 + \ln \frac{1 + N}{1 + N_w})$, divided by its length, for the words with which $N_w$ of
  the $N$ texts have something to do; a linear layer and the softmax, squared weights penalised.
- **Majority**: always the commonest class.
- A **transformer encoder** like BERT (Devlin et al., 2019), far smaller: 2 layers of 64 features,
  4 heads, 67,000 weights beside the embeddings. It cuts words into pieces (byte-level BPE, learned
  here), puts `[CLS]` in front, and classifies by what its last layer holds there.

**Pre-training.** The same encoder first guesses pieces that were hidden from it. Of those that are
to be guessed 8 tenths become `[MASK]`, one tenth a random piece, and one tenth stays (Devlin et
al., section 3.1). They hide 15 %; here it is 30 %, which teaches faster (Wettig et al., 2023). That
takes no labels: it reads the training texts and those of modules that are not asked for. Then it is
trained for the classes like the other one, from the same start of the last layers, on the same
batches. With a tenth and three tenths of the labels too: there the papers promise most.

**The texts** are docstrings of Python's standard library (PSF licence), labelled with the module or
package that they come from: the 16 with the most, 5 to 20 words each (longer ones are cut). Of
texts that share 60 % of their different words only the first is kept, and all docstrings of one
class, or of one function with what is inside it, are in the same part; so nothing is tested that
was seen in almost the same words. A quarter of the definitions is the test, the same for all seeds
and used for nothing else. Of the rest, each seed trains on four fifths and validates on one; so
the intervals tell what other training texts and other first weights do, not other test texts.
`--set file=FILE` takes other texts: lines of `{"label": ..., "text": ...}`, or of a label, a tab
and a text.

**How it is fair.** Everybody reads the same 20 words; the encoder reads at most 40 pieces, which is
less than that in a fifth of the texts. The smoothing of naive Bayes, the penalty of the logistic
regression and the learning rate of the encoder are each chosen from four values by validation
accuracy with all labels, on a seed that is not reported. The pre-trained encoder takes the rate of
the other one; that of its guessing is the best of four, too (a rate that is too high spoils it).
The papers say that transformers win; they had 3.3 billion words to guess from, and here it is sixty
thousand, read in less than a minute.

**What does it look at?** A picture shows where `[CLS]` looks. It is tempting to read it as the
reason of an answer (Jain and Wallace, 2019, say that it is not). Two measurements beside it: how
often the answer changes when the three pieces that are looked at most are hidden, and when three
random ones are; and what is left of the accuracy when the pieces of each text are shuffled. If much
is left, then this encoder counts words as well (compare Sinha et al., 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import split
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.sequences.docstrings import Labelled, docstrings, labelled_file, words
from groundup.experiments.sequences.word_counts import counted, naive_bayes, tf_idf
from groundup.models import BertConfig, MaskedLanguageModel, TextClassifier
from groundup.optim.lr_scheduler import WarmupCosineLR
from groundup.text import Lowercase, Padding, Template, Tokenizer, Truncation, train_bpe
from groundup.training import ClipGradients, Schedule, predict

SEEDS = range(1, 6)  # R4.1, R4.2
TUNING_SEEDS = (100,)
LOOK = 1
METHODS = ("bayes", "logistic", "bert", "pretrained")
SHARES = (10, 30, 100)
"""Percent of the labels."""
NAMES = {
    "bayes": "Naive Bayes",
    "logistic": "Logistic regression on TF-IDF",
    "bert": "BERT-like encoder",
    "pretrained": "The same, pre-trained",
}
LABELS = {
    "majority": "Majority",
    **{f"{m}-{s}": f"{name}, {s} % of labels" for m, name in NAMES.items() for s in SHARES},
    "accuracy_test": "accuracy (%)",
    "accuracy_validation": "accuracy, validation (%)",
    "gained_test": "gained by pre-training (points)",
    "shuffled_test": "accuracy, pieces shuffled (%)",
    "looked_at_test": "answers changed, three most looked at hidden (%)",
    "random_test": "answers changed, three random ones hidden (%)",
}
RANGES = dict.fromkeys(
    ("accuracy_test", "accuracy_validation", "shuffled_test", "looked_at_test", "random_test"),
    (0, 100),
)
OBJECTIVE = "pretrained-100/accuracy_validation"

CONTEXT, WINDOW, PIECES, BATCH = 40, 32, 1200, 32
HIDDEN = 3
PAD, CLS, MASK = 0, 1, 2
SPECIAL = ("[PAD]", "[CLS]", "[MASK]")

Array = np.ndarray


# Texts


def texts_of(file: str) -> Labelled:
    """The file's texts, or docstrings if there is none."""
    return labelled_file(file) if file else docstrings()


@dataclass(frozen=True)
class Parts:
    """Numbers of the texts to train on, to choose by, and to test."""

    train: Array
    validation: Array
    test: Array

    def few(self, share: int, seed: int) -> Array:
        """So many percent of the training texts, at random; smaller shares are parts of larger."""
        order = np.random.default_rng([seed, 0]).permutation(self.train)
        return order[: max(1, round(len(order) * share / 100))]


def parts_of(data: Labelled, seed: int) -> Parts:
    """The test is the same for every seed; groups are never torn apart."""
    rest, test = split(len(data.texts), (0.75, 0.25), groups=data.groups, generator=gu.Generator(0))
    a, b = split(len(rest), (0.8, 0.2), groups=data.groups[rest], generator=gu.Generator(seed))
    return Parts(rest[a], rest[b], test)


# The encoder


@cache
def tokenizer_of(file: str, seed: int) -> Tokenizer:
    """Byte-level BPE learned from the training texts and those without labels."""
    data = texts_of(file)
    return train_bpe(
        [*(data.texts[i] for i in parts_of(data, seed).train), *data.others],
        PIECES,
        normalizer=Lowercase(),
        special_tokens=SPECIAL,
        prefix_space=True,
        template=Template("[CLS] $A"),
    )


def encoded(tokenizer: Tokenizer, texts: list[str]) -> Array:
    """The pieces of texts as numbers, (N, CONTEXT)."""
    batch = tokenizer.encode_batch(
        texts, truncation=Truncation(CONTEXT), padding=Padding("[PAD]", length=CONTEXT)
    )
    return batch.input_ids.numpy()


def sizes(pieces: int) -> BertConfig:
    """Of the encoder."""
    return BertConfig(
        pieces, CONTEXT, d_model=64, num_layers=2, num_heads=4, dim_feedforward=128, token_types=1
    )


def spread(model: nn.Module) -> None:
    """Linear layers begin with 1 / sqrt(64): BERT's 0.02 is meant for 768 features."""
    for part in model.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.125)


def with_mask(ids: Array, *target: Array) -> tuple[gu.Tensor, ...]:
    """Pieces, which of them are real, and what else there is."""
    return gu.tensor(ids), gu.tensor(ids != PAD), *map(gu.tensor, target)


def hide(ids: Array, random: np.random.Generator, pieces: int) -> tuple[Array, Array]:
    """Pieces of which 30 % are to be guessed, and what they were; -100 elsewhere."""
    draw = random.uniform(size=ids.shape)
    chosen = (draw < 0.3) & (ids > MASK)
    shown = np.where(chosen & (draw < 0.24), MASK, ids)
    other = random.integers(len(SPECIAL), pieces, ids.shape)
    shown = np.where(chosen & (draw >= 0.24) & (draw < 0.27), other, shown)
    return shown, np.where(chosen, ids, -100)


def per_piece(scores: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy of the pieces that were hidden."""
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def look(model: TextClassifier, ids: Array) -> Array:
    """Where the first piece looks in each layer, the mean of the heads, (layers, N, CONTEXT)."""
    bert, (tokens, real) = model.bert, with_mask(ids)
    mask, maps = real.unsqueeze(1).unsqueeze(1), []
    with gu.no_grad():
        x = bert.norm(bert.position(bert.token(tokens)) + bert.type(gu.zeros_like(tokens)))
        for block in bert.blocks:
            q, k = (
                part(x).reshape(*tokens.shape, block.heads, -1).transpose(1, 2)
                for part in (block.query, block.key)
            )
            maps.append(F.attention_weights(q, k, mask)[:, :, 0].mean(dim=1).numpy())
            x = block(x, mask)
    return np.stack(maps)


# The experiment


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        file: labelled texts; docstrings if empty.
        methods: which.
        shares: percent of the labels that are used.
        steps: of the encoder for the classes, on 32 texts each.
        guessing: steps of pre-training.
        alpha: counts that naive Bayes adds to each word.
        penalty: of the squared weights of the logistic regression.
        lr: the learning rate of the encoder for the classes, pre-trained or not.
        lr_guessing: that of the pre-training.
    """

    file: str = ""
    methods: tuple[str, ...] = METHODS
    shares: tuple[int, ...] = SHARES
    steps: int = 250
    guessing: int = 800
    alpha: float = 0.03
    penalty: float = 1e-4
    lr: float = 0.003
    lr_guessing: float = 0.0003

    def __post_init__(self) -> None:
        if self.steps < 2 or self.guessing < 2:
            raise ValueError(
                f"steps {self.steps}, guessing {self.guessing}: expected at least 2 of each"
            )
        if unknown := set(self.methods) - set(METHODS):
            raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(METHODS)}")
        if not self.shares or not all(0 < s <= 100 for s in self.shares):
            raise ValueError(f"shares {self.shares}: expected percentages above 0, 100 at most")


def train(
    run: Trial,
    name: str,
    model: nn.Module,
    loss: Callable[..., gu.Tensor],
    batches: list[tuple[gu.Tensor, ...]],
    rate: float,
) -> None:
    """AdamW with a warm-up of a tenth and a cosine."""
    optimizer = optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = WarmupCosineLR(optimizer, len(batches) // 10, len(batches))
    callbacks = [ClipGradients(max_norm=1.0), Schedule(schedule, per="step")]
    run.fit(name, model, loss, optimizer, batches, epochs=1, callbacks=callbacks, animate=False)


def count_words(config: Config, data: Labelled, seed: int, run: Trial) -> dict[str, float]:
    """Majority, naive Bayes and logistic regression."""
    parts, y, classes = parts_of(data, seed), data.labels, len(data.names)
    commonest = np.bincount(y[parts.train]).argmax()
    metrics = {"majority/accuracy_test": 100 * float((y[parts.test] == commonest).mean())}
    judged = {"validation": parts.validation, "test": parts.test}
    for share in config.shares:
        seen = parts.few(share, seed)
        known = {
            w: i for i, w in enumerate(sorted({w for i in seen for w in words(data.texts[i])}))
        }
        counts = {
            name: counted([data.texts[i] for i in some], known)
            for name, some in (("seen", seen), *judged.items())
        }
        target = gu.tensor(y[seen])
        if "bayes" in config.methods:
            model = naive_bayes(gu.tensor(counts["seen"]), target, classes, config.alpha)
            for name, some in judged.items():
                right = model(gu.tensor(counts[name])).argmax(dim=1).numpy() == y[some]
                metrics[f"bayes-{share}/accuracy_{name}"] = 100 * float(right.mean())
        if "logistic" in config.methods:
            model = nn.Linear(len(known), classes)
            nn.init.zeros_(model.weight)
            x = gu.tensor(tf_idf(counts["seen"], counts["seen"]))
            # Adam's weight decay is the gradient of penalty / 2 times the sum of squares.
            adam = optim.Adam(model.parameters(), lr=0.1, weight_decay=config.penalty)
            run.fit(
                f"logistic-{share}", model, F.cross_entropy, adam, [(x, target)] * 100, epochs=1,
                animate=False,
            )  # fmt: skip
            for name, some in judged.items():
                x = gu.tensor(tf_idf(counts[name], counts["seen"]))
                right = model(x).argmax(dim=1).numpy() == y[some]
                metrics[f"logistic-{share}/accuracy_{name}"] = 100 * float(right.mean())
    return metrics


def guess_words(config: Config, data: Labelled, seed: int, run: Trial) -> MaskedLanguageModel:
    """The encoder, pre-trained on windows of the training texts and those without labels."""
    tokenizer = tokenizer_of(config.file, seed)
    own = [data.texts[i] for i in parts_of(data, seed).train]
    ids = encoded(tokenizer, [*own, *data.others])
    stream, random = ids[ids != PAD], np.random.default_rng([seed, 1])
    batches = []
    for _ in range(config.guessing):
        start = random.integers(0, len(stream) - WINDOW, BATCH)
        shown, target = hide(stream[start[:, None] + np.arange(WINDOW)], random, len(tokenizer))
        batches.append(with_mask(shown, target))
    gu.manual_seed(seed)
    model = MaskedLanguageModel(sizes(len(tokenizer)))
    spread(model)
    train(run, "guessing", model, per_piece, batches, config.lr_guessing)
    return model


def read(config: Config, data: Labelled, seed: int, run: Trial) -> dict[str, float]:
    """The encoders, with and without pre-training, and what they look at."""
    parts, y, metrics = parts_of(data, seed), data.labels, {}
    tokenizer = tokenizer_of(config.file, seed)
    ids = encoded(tokenizer, data.texts)
    methods = [m for m in ("bert", "pretrained") if m in config.methods]
    guesser = guess_words(config, data, seed, run) if "pretrained" in methods else None
    for share in config.shares:
        random, few = np.random.default_rng([seed, 2]), parts.few(share, seed)
        batches = [
            with_mask(ids[some], y[some])
            for some in (random.choice(few, BATCH) for _ in range(config.steps))
        ]
        for method in methods:
            name = f"{method}-{share}"
            gu.manual_seed(seed)
            model = TextClassifier(sizes(len(tokenizer)), len(data.names))
            spread(model)
            if method == "pretrained" and guesser is not None:
                model.bert.load_state_dict(guesser.bert.state_dict())
            train(run, name, model, F.cross_entropy, batches, config.lr)
            for part, some in (("validation", parts.validation), ("test", parts.test)):
                right = answers(model, ids[some]) == y[some]
                metrics[f"{name}/accuracy_{part}"] = 100 * float(right.mean())
            if share == max(config.shares):
                metrics |= {
                    f"{name}/{what}_test": value
                    for what, value in asked(model, ids[parts.test], y[parts.test], seed).items()
                }
    if len(methods) == 2:
        for share in config.shares:
            both = (metrics[f"{m}-{share}/accuracy_test"] for m in ("pretrained", "bert"))
            metrics[f"pretrained-{share}/gained_test"] = next(both) - next(both)
    return metrics


def answers(model: TextClassifier, ids: Array) -> Array:
    """The class that each text gets."""
    return predict(model, [with_mask(ids, np.zeros(len(ids)))])[0].argmax(dim=1).numpy()


def asked(model: TextClassifier, ids: Array, y: Array, seed: int) -> dict[str, float]:
    """Whether order matters to an encoder, and whether what it looks at does (%)."""
    random, before = np.random.default_rng([seed, 3]), answers(model, ids)
    key = np.where(ids == CLS, -1, np.where(ids == PAD, 2, random.uniform(size=ids.shape)))
    shuffled = np.take_along_axis(ids, key.argsort(axis=1), axis=1)
    model.eval()
    weight = look(model, ids)[-1]
    found = {"shuffled": 100 * float((answers(model, shuffled) == y).mean())}
    for name, score in (("looked_at", weight), ("random", random.uniform(size=ids.shape))):
        places = np.where(ids > MASK, score, -1).argsort(axis=1)[:, -HIDDEN:]
        hidden = ids.copy()
        np.put_along_axis(hidden, places, MASK, axis=1)
        hidden = np.where(ids > MASK, hidden, ids)
        found[name] = 100 * float((answers(model, hidden) != before).mean())
    return found


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Everybody learns from the same texts."""
    data = texts_of(config.file)
    metrics = count_words(config, data, seed, run)
    if {"bert", "pretrained"} & set(config.methods):
        metrics |= read(config, data, seed, run)
    return metrics


TUNED = [
    Tuned(
        setting,
        values,
        f"{method}-100/accuracy_validation",
        given={"methods": (method,), "shares": (100,)},
    )
    for method, setting, values in (
        ("bayes", "alpha", (0.01, 0.03, 0.1, 0.3)),
        ("logistic", "penalty", (1e-5, 3e-5, 1e-4, 3e-4)),
        ("bert", "lr", (0.0003, 0.001, 0.003, 0.01)),
        ("pretrained", "lr_guessing", (0.0001, 0.0003, 0.001, 0.003)),
    )
]
DEVLIN = "Devlin et al. (2019)"
OURS = "(the figure is ours)"
CLAIMS = [
    Claim(
        "wins", "the encoder gets at least 2 points more than logistic regression, all labels",
        f"{DEVLIN}, table 1, of encoders in general {OURS}", 2, "bert-100/accuracy_test",
        minus="logistic-100/accuracy_test", unit=" points", digits=1,
    ),
    Claim(
        "wins-pretrained", "pre-trained, it gets at least 2 points more than logistic regression, "
        "all labels", f"{DEVLIN}, table 1 {OURS}", 2, "pretrained-100/accuracy_test",
        minus="logistic-100/accuracy_test", unit=" points", digits=1,
    ),
    Claim(
        "wins-few", "pre-trained, it gets at least 1 point more than logistic regression with a "
        "tenth of the labels",
        f"{DEVLIN} {OURS}", 1, "pretrained-10/accuracy_test", minus="logistic-10/accuracy_test",
        unit=" points", digits=1,
    ),
    *(
        Claim(
            f"helps-{share}", f"pre-training gains at least 3 points with {share} % of the labels",
            f"{DEVLIN}, table 5 {OURS}", 3, f"pretrained-{share}/accuracy_test",
            minus=f"bert-{share}/accuracy_test", unit=" points", digits=1,
        )
        for share in SHARES
    ),
    Claim(
        "few", "it gains at least 1 point more with a tenth of the labels than with all",
        f"Howard and Ruder (2018), figure 3 {OURS}", 1, "pretrained-10/gained_test",
        minus="pretrained-100/gained_test", unit=" points", digits=1,
    ),
    Claim(
        "majority", "the encoder gets at least 20 points more than the commonest class", OURS[1:-1],
        20, "bert-100/accuracy_test", minus="majority/accuracy_test", unit=" points",
    ),
    Claim(
        "bayes", "with a tenth of the labels, naive Bayes gets at least 1 point more than logistic "
        "regression", f"Ng and Jordan (2001) {OURS}", 1, "bayes-10/accuracy_test",
        minus="logistic-10/accuracy_test", unit=" points", digits=1,
    ),
    Claim(
        "order", "the encoder loses at least 5 points when the pieces of each text are shuffled",
        OURS[1:-1], 5, "bert-100/accuracy_test", minus="bert-100/shuffled_test", unit=" points",
    ),
    Claim(
        "reason", "hiding the three pieces that are looked at most changes twice as many answers "
        "as hiding three random ones", f"against Jain and Wallace (2019) {OURS}", 2,
        "bert-100/looked_at_test", over="bert-100/random_test", digits=1,
    ),
]  # fmt: skip


def by_labels(results: Results) -> viz.Block:
    """Accuracy of everybody by how many labels there are."""
    config = results.config
    shares = sorted(config.shares)
    series = {
        NAMES[m]: [[r[f"{m}-{s}/accuracy_test"] for s in shares] for r in results.metrics.values()]
        for m in config.methods
    }
    figure = viz.curves(
        series, "Labels (%)", "Test texts right (%)", x=shares, log_x=True, possible=(0, 100)
    )
    majority = float(np.mean([r["majority/accuracy_test"] for r in results.metrics.values()]))
    figure.axes[0].axhline(majority, linestyle=":", color="0.4")
    return viz.Plot(figure, "The dotted line is the commonest class.")


def looked_at(results: Results, method: str) -> viz.Block:
    """Where the first piece looks in two texts of the test that were classified rightly."""
    config, (seed, outcome) = results.config, next(iter(results.outcomes.items()))
    data, tokenizer = texts_of(config.file), tokenizer_of(config.file, seed)
    model = TextClassifier(sizes(len(tokenizer)), len(data.names)).eval()
    model.load_state_dict(outcome.weights(f"{method}-{max(config.shares)}"))
    test = parts_of(data, seed).test
    ids = encoded(tokenizer, [data.texts[i] for i in test])
    right = answers(model, ids) == data.labels[test]
    lengths = (ids != PAD).sum(axis=1)
    short = np.flatnonzero(right & (lengths <= 14)).tolist()
    chosen = short or [int(lengths.argmin())]
    panels, names = {}, {}
    for i in chosen[:2]:
        title = data.names[data.labels[test[i]]]
        panels[title] = look(model, ids[i : i + 1])[:, 0, : lengths[i]]
        names[title] = [tokenizer.tokens[t].replace("Ġ", "") for t in ids[i, : lengths[i]]]
    figure = viz.heatmaps(
        panels, "Piece looked at", "Layer", "Weight", x=names, columns=1, size=(8.0, 1.1)
    )
    return viz.Plot(
        figure,
        f"Where [CLS] looks, mean of the heads ({NAMES[method]}, seed {seed}); the titles are the "
        "classes. A weight is no reason: what counts for it is measured above, by hiding.",
    )


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Accuracy by labels, where an encoder looks, and the settings."""
    config = results.config
    found: list[tuple[str, list[viz.Block]]] = [("Few labels", [by_labels(results)])]
    encoders = [m for m in ("bert", "pretrained") if m in config.methods]
    if encoders:
        found.append(("Where it looks", [looked_at(results, m) for m in encoders]))
    chosen = {
        "Smoothing of naive Bayes": config.alpha,
        "Penalty of the logistic regression": config.penalty,
        "Learning rate of the encoder": config.lr,
        "Learning rate of the pre-training": config.lr_guessing,
    }
    text = "\n".join(f"{name:44}{value:>8g}" for name, value in chosen.items())
    return [*found, ("Settings", [viz.Code(text, "The best on seed 100.")])]
