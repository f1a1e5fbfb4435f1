r"""Embeddings: do words that are used alike get vectors that are alike?

A network computes with numbers, a text consists of words. The plain way is **one-hot**: word $i$ of
$V$ is the vector $e_i$ with a 1 at place $i$. Any two different words are then equally unlike, at a
right angle. An **embedding** is a table $E$ of $V$ rows with far fewer numbers each; looking a word
up is a product, $e_i E = E_i$, so the table is a layer like any other and can be learned. "You
shall know a word by the company it keeps" (Firth, 1957): the **skip-gram** model with negative
sampling (Mikolov et al., 2013) learns to tell a word $o$ that stood near the word $w$ from $k$
words $n$ that were drawn at random, in proportion to their counts to the power of 3/4:

$$L = -\log \sigma(v_w \cdot u_o) - \sum_{n} \log \sigma(-v_w \cdot u_n) .$$

With $t = 1$ for the true neighbour, $t = 0$ for those drawn, and $s$ for the product of the two
vectors, the derivative of each term is the same difference between answer and truth as in every
classifier:

$$\frac{\partial L}{\partial s} = \sigma(s) - t, \qquad
\frac{\partial L}{\partial u} = (\sigma(s) - t)\, v_w, \qquad
\frac{\partial L}{\partial v_w} = \sum_{u} (\sigma(s) - t)\, u .$$

So a word is pulled to its company and pushed from the others, and words with the same company are
pulled to the same place. The pulls cancel (Levy and Goldberg, 2014) where

$$v_w \cdot u_o = \log \frac{P(w, o)}{P(w)\, P_{3/4}(o)} - \log k .$$

The first part is the pointwise mutual information (PMI): how much more often than by chance the two
stand together. So the model squeezes a table of **counts** into a few numbers a word, and that
table, shifted and cut below 0 (PPMI), is the baseline; its rows have one number for each word of
the vocabulary. Both get the same pairs of words.

**The text** is the standard library of the Python that runs this: its names and keywords, without
comments, strings and signs, so it differs a little from version to version. A seed decides which
four fifths of the modules are read, which of the frequent words are skipped, and the rest.

**What is claimed.** The document prints three cosines: function and def 0.89, class and struct
0.92, int and str 0.71. `function` and `struct` are no keywords of Python; in its library they are
an argument's name and the module that packs bytes. We take the words as they stand, and put beside
them what Python has: lambda and def, class and namedtuple. A cosine by itself says little (in a
small model all words may be alike), so we also tell how many of all pairs of words are less alike.

**What separates the methods**: for groups of words (types, exceptions, ...) the share of the
nearest that are of the same group; and about 1,500 questions, such as "min is to max as lower is to
what?", answered by the word nearest to $v_b - v_a + v_c$ that is not $a$, $b$ or $c$. Often a
neighbour of $c$ alone is right, whatever $a$ and $b$ are (Linzen, 2016), so that is measured beside
it. All of these words, in `word_questions.py`, were written down before a vector was trained; those
not among the 2,000 most frequent are left out, and so is a group that keeps less than four. The
learning rate and the shift were chosen by other groups, on seeds that are not reported. Published
figures come from texts several thousand times as long.

**Positions** are embedded too: by sines (Vaswani et al., 2017), or by turning the vector (rotary;
Su et al., 2021). In both, the product of two positions depends on their distance alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader, TensorDataset, code_words, pca, standard_library, tsne
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations import word_questions as ask

LESSON = 10  # R3.10, R2.7
SEEDS = range(10, 20)
LOOK = 3
TUNING_SEEDS = (100, 101, 102)
LABELS = {
    "same_group": "nearest of the same group (%)",
    "validation_same_group": "the same, groups for choosing (%)",
    "first": "analogies right (%)",
    "five": "right among the first five (%)",
    "neighbour": "right by c alone (%)",
    "cosine": "cosine",
    "closer": "pairs that are less alike (%)",
    "text": "the text that was read",
    "python": "minor version of Python 3",
    "correlation": "correlation with PMI",
    "counts": "counts (PPMI)",
    "loss": "loss (nats for one answer)",
}
PERCENTAGES = ("same_group", "validation_same_group", "first", "five", "neighbour", "closer")
RANGES = {**dict.fromkeys(PERCENTAGES, (0, 100)), "cosine": (-1, 1), "correlation": (-1, 1)}

Array = np.ndarray

DRAWN = ("types", "exceptions", "keywords", "str methods", "math functions")
SHOWN = "int str def class function struct ValueError for startswith append min Lock read True"
OFTEN = 10
"""Times that a pair must occur for its mutual information to say something."""
WINDOW = 5
"""Words on either side that are company at most; how many is drawn for each word."""
FREQUENT = 1e-3
"""A word with a larger share of the text is kept with probability sqrt(FREQUENT / share)."""
NEGATIVES = 5
BATCH = 4096


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        conditions: counts, skip-gram, or both.
        words: size of the vocabulary, the most frequent ones.
        dim: numbers in a learned vector.
        epochs: how often all pairs are gone through.
        lr: the learning rate of Adam.
        shift: log of it is taken from the counts' table before it is cut.
        modules: how many are read, in the order of their names; 0 for all.
    """

    conditions: tuple[str, ...] = ("counts", "skip-gram")
    words: int = 2000
    dim: int = 48
    epochs: int = 5
    lr: float = 0.003
    shift: float = 1.0
    modules: int = 0

    def __post_init__(self) -> None:
        if unknown := set(self.conditions) - {"counts", "skip-gram"}:
            raise ValueError(f"no condition {', '.join(unknown)}: expected counts or skip-gram")
        if min(self.words, self.dim, self.epochs) < 1 or self.shift <= 0 or self.modules < 0:
            raise ValueError(
                f"words {self.words}, dim {self.dim}, epochs {self.epochs}, shift {self.shift}, "
                f"modules {self.modules}: expected at least 1, a positive shift, 0 or more modules"
            )


# The text

words_of = cache(code_words)  # the same for all seeds


def company(texts: list[Array], random: np.random.Generator) -> tuple[Array, Array]:
    """Pairs of words that stood near each other.

    Args:
        texts: the numbers of the words of each module.
        random: decides which words are skipped and how far each word looks.

    Returns:
        Words and one of their company each, (N,) and (N,).
    """
    counts = np.bincount(np.concatenate(texts))
    share = np.maximum(counts, 1) / counts.sum()
    kept = np.sqrt(FREQUENT / share)
    gap = np.full(WINDOW, -1)  # so that no window reaches from one module into the next
    text = np.concatenate(
        [part for t in texts for part in (t[random.random(len(t)) < kept[t]], gap)]
    )
    reach = random.integers(1, WINDOW + 1, len(text))
    words, near = [], []
    for d in range(1, WINDOW + 1):
        both = (text[:-d] >= 0) & (text[d:] >= 0)
        after, before = both & (reach[:-d] >= d), both & (reach[d:] >= d)
        words += [text[:-d][after], text[d:][before]]
        near += [text[d:][after], text[:-d][before]]
    return np.concatenate(words), np.concatenate(near)


# Two ways from pairs to vectors


def information(words: Array, near: Array, size: int) -> Array:
    """Pointwise mutual information: log of how much more often than by chance a pair occurs.

    The company's frequencies are smoothed by the power 3/4, as the drawn words of skip-gram are.

    Returns:
        (size, size), -inf where a pair never occurs.
    """
    table = np.bincount(words * size + near, minlength=size * size).reshape(size, size)
    of_word, of_near = table.sum(axis=1, keepdims=True), table.sum(axis=0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(table / of_word) - np.log(of_near / of_near.sum())
    return np.where(table > 0, found, -np.inf)


class SkipGram(nn.Module):
    """Two tables: of words, and of words as company."""

    def __init__(self, words: int, dim: int) -> None:
        self.word = nn.Embedding(words, dim)
        self.near = nn.Embedding(words, dim)
        nn.init.uniform_(self.word.weight, -0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.near.weight)

    def forward(self, word: gu.Tensor, near: gu.Tensor) -> gu.Tensor:
        """Words (B,) and what may be their company (B, 1 + k) give logits (B, 1 + k)."""
        return (self.near(near) @ self.word(word).unsqueeze(2)).squeeze(2)


def train(words: Array, near: Array, size: int, config: Config, seed: int, run: Trial) -> SkipGram:
    """Tell the company of words from words that were drawn."""
    gu.manual_seed(seed)
    model = SkipGram(size, config.dim)
    frequency = np.bincount(near, minlength=size) ** 0.75
    slots = np.round(1_000_000 * frequency / frequency.sum()).astype(int)
    urn = gu.tensor(np.repeat(np.arange(size), slots))
    truth = gu.tensor([1.0] + [0.0] * NEGATIVES)

    def with_drawn(word: gu.Tensor, near: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor, gu.Tensor]:
        drawn = urn[gu.randint(0, len(urn), (len(word), NEGATIVES))]
        return word, gu.cat([near.unsqueeze(1), drawn], dim=1), truth.expand(len(word), -1)

    pairs = TensorDataset(gu.tensor(words), gu.tensor(near))
    loader = DataLoader(pairs, BATCH, shuffle=True, drop_last=True, transform=with_drawn)
    adam = optim.Adam(model.parameters(), lr=config.lr)
    loss = F.binary_cross_entropy_with_logits
    run.fit("skip-gram", model, loss, adam, loader, epochs=config.epochs, animate=False)
    return model


# The experiment


def positions(dim: int = 64, length: int = 64) -> dict[str, Array]:
    """Products of the vectors of any two positions, (length, length), in units of their squares.

    Three ways: one-hot; sines; and one vector, drawn at random, turned by each position.
    """
    where = gu.arange(length)
    vector = gu.randn(dim, generator=gu.Generator(0))
    ways = {
        "one-hot": F.one_hot(where, length),
        "sines": F.sinusoidal(where, dim),
        "rotary": F.rotary(vector.expand(length, dim), where),
    }
    return {name: (x @ x.T / (x[0] @ x[0])).numpy() for name, x in ways.items()}


def spread(products: Array) -> float:
    """How far products of positions at the same distance differ at most."""
    diagonals = [np.diagonal(products, k) for k in range(len(products))]
    return max(float(diagonal.max() - diagonal.min()) for diagonal in diagonals)


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Read four fifths of the modules; make vectors in both ways; measure them."""
    files = standard_library()[: config.modules or None]
    texts = [words_of(path) for path in run.track(files, "reading the standard library")]
    counts = Counter(word for text in texts for word in text)
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))[: config.words]
    number = {word: i for i, word in enumerate(vocabulary)}
    if len(ask.members(ask.GROUPS, number)) < 2:
        raise ValueError(f"modules {config.modules}, words {config.words}: expected more, these "
                         "have the words of less than two groups")  # fmt: skip
    (run.folder / "words.txt").write_text("\n".join(vocabulary), encoding="utf-8")

    random = np.random.default_rng(seed)
    read = random.permutation(len(texts))[: max(1, len(texts) * 4 // 5)]
    known = [np.array([number[w] for w in texts[i] if w in number], dtype=int) for i in read]
    words, near = company(known, random)
    metrics = {
        "chance/same_group": ask.by_chance(ask.GROUPS, number),
        "chance/validation_same_group": ask.by_chance(ask.CHOOSING, number),
        "chance/first": 100 / (len(vocabulary) - 3),
        "chance/five": 500 / (len(vocabulary) - 3),
    }

    tables = {"random": random.standard_normal((len(vocabulary), config.dim))}
    pmi = information(words, near, len(vocabulary))
    if "counts" in config.conditions:
        tables["counts"] = np.maximum(pmi - np.log(config.shift), 0)
    if "skip-gram" in config.conditions:
        model = train(words, near, len(vocabulary), config, seed, run)
        tables["skip-gram"] = model.word.weight.detach().numpy()
        often = np.bincount(words * len(vocabulary) + near, minlength=pmi.size) >= OFTEN
        products = (model.word.weight @ model.near.weight.T).detach().numpy().ravel()
        metrics["skip-gram/correlation"] = np.corrcoef(products[often], pmi.ravel()[often])[0, 1]
    for name, vectors in tables.items():
        metrics |= {f"{name}/{measure}": x for measure, x in ask.quality(vectors, number).items()}
    if "skip-gram" in tables:
        metrics |= ask.likeness(tables["skip-gram"], number)
    metrics["text/words"] = sum(len(texts[i]) for i in read)
    return metrics | {"text/python": sys.version_info.minor}


TUNED = [
    Tuned(setting, values, f"{name}/validation_same_group", given={"conditions": (name,)})
    for setting, name, values in (
        ("lr", "skip-gram", (0.001, 0.003, 0.01, 0.03, 0.1)),
        ("shift", "counts", (0.3, 1.0, 3.0, 10.0, 30.0)),
    )
]


SOURCE = "Layer 1 completion roadmap, example 10, expected output"
DOCUMENTED = {("function", "def"): 0.89, ("class", "struct"): 0.92, ("int", "str"): 0.71}
CLAIMS = [
    *(
        Claim(
            f"{one}-{other}", f"the cosine of {one} and {other} is {cosine} or more", SOURCE,
            cosine, f"{one} and {other}/cosine", digits=2,
        )
        for (one, other), cosine in DOCUMENTED.items()
    ),
    *(
        Claim(
            f"{one}-{other}-close", f"{one} and {other} are more alike than 95 % of all pairs of "
            "words", f"{SOURCE} (the figure is ours)", 95, f"{one} and {other}/closer", unit=" %",
            digits=1, neutral=50,
        )
        for one, other in DOCUMENTED
    ),
    Claim(
        "groups", "the nearest words of skip-gram are of the same group 3 times as often as by "
        "chance", "Firth (1957); the figure is ours", 3, "skip-gram/same_group",
        over="chance/same_group", digits=1,
    ),
    Claim(
        "predict", "skip-gram finds words of the same group more often than counts do",
        "Baroni, Dinu and Kruszewski (2014), \"Don't count, predict!\"", 0, "skip-gram/same_group",
        minus="counts/same_group", unit=" points", digits=1,
    ),
    Claim(
        "analogies", "skip-gram answers 59 % of the analogies", "Mikolov et al. (2013), table 1",
        59, "skip-gram/first", unit=" %", digits=1,
    ),
    Claim(
        "arithmetic", "b - a + c finds the answer more often than c alone", "Mikolov et al. (2013)",
        0, "skip-gram/first", minus="skip-gram/neighbour", unit=" points", digits=1,
    ),
    Claim(
        "information", "products of skip-gram's vectors follow the mutual information: correlation "
        "of 0.8 or more", "Levy and Goldberg (2014); the figure is ours", 0.8,
        "skip-gram/correlation", digits=2,
    ),
]  # fmt: skip


# What the report shows


def nearest(vectors: Array, number: dict[str, int], many: int = 6) -> list[list[str]]:
    """A row for each word that is shown: the word, and the nearest ones with their cosines."""
    vocabulary, table = list(number), ask.unit(vectors)
    rows = []
    for word in (word for word in SHOWN.split() if word in number):
        cosine = table @ table[number[word]]
        order = [i for i in np.argsort(-cosine, kind="stable") if i != number[word]][:many]
        rows.append([word, ", ".join(f"{vocabulary[i]} {cosine[i]:.2f}" for i in order)])
    return rows


def analogies(results: Results, number: dict[str, int]) -> viz.Block:
    """What share of each relation is answered, all seeds together."""
    vocabulary = list(number)
    rows: list[list[object]] = []
    found = [outcome.weights("skip-gram") for outcome in results.outcomes.values()]
    tables = [weights["word.weight"].numpy() for weights in found]
    for relation in ask.RELATIONS:
        if len(asked := ask.questions(relation, number)):
            place = np.array([ask.ranks(vectors, asked) for vectors in tables])
            alone = np.array([ask.ranks(vectors, asked, arithmetic=False) for vectors in tables])
            a, b, c, d = (vocabulary[i] for i in asked[0])
            shares = [place == 1, place <= 5, alone == 1]
            percent = [f"{100 * share.mean():.0f}" for share in shares]
            rows.append([relation, f"{a} : {b} = {c} : {d}", len(asked), *percent])
    head = ["relation", "such as", "questions", "right (%)", "among five (%)", "by c alone (%)"]
    if not rows:
        return "The vocabulary has too few of the words."
    return viz.Table(head, rows, "All seeds together.", align="llrrrr")


def drawn(vectors: Array, number: dict[str, int]) -> list[viz.Block]:
    """The words of some groups by principal components and by t-SNE."""
    found = ask.members({name: ask.GROUPS[name] for name in DRAWN}, number)
    words = [word for group in found.values() for word in group]
    groups = [name for name, group in found.items() for _ in group]
    points = ask.unit(vectors)[[number[word] for word in words]]
    scores, _, explained = pca(points)
    first, second = (f"component ({100 * share:.0f} % of the variance)" for share in explained)
    picture, divergence = tsne(points, perplexity=min(12.0, len(points) / 4))
    by_pca = viz.scatter(scores, words, groups, x_label=f"1st {first}", y_label=f"2nd {second}")
    by_tsne = viz.scatter(picture, words, groups, x_label="t-SNE 1", y_label="t-SNE 2")
    return [
        viz.Plot(by_pca, "Principal components: what is far apart here is far apart, but only a "
                 "part of the distances is shown."),
        viz.Plot(by_tsne, f"t-SNE (KL divergence {divergence:.2f} nats): neighbours stay "
                 "neighbours; axes, sizes and far distances mean nothing."),
    ]  # fmt: skip


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Nearest words, analogies by relation, the words drawn, and positions."""
    seed, outcome = next(iter(results.outcomes.items()))
    vocabulary = (outcome.info.folder / "words.txt").read_text(encoding="utf-8").split("\n")
    number = {word: i for i, word in enumerate(vocabulary)}
    products = positions()
    figure = viz.curves(
        {name: table[0] for name, table in products.items()}, "Distance (positions)",
        "Product (1 at distance 0)", x=np.arange(len(products["one-hot"])),
    )  # fmt: skip
    most = max(map(spread, products.values()))
    caption = (
        f"Products of the vectors of two positions, {len(products['sines'])} numbers each. Pairs "
        f"at the same distance differ by at most {most:.0e}, wherever they are."
    )
    found: list[tuple[str, list[viz.Block]]] = []
    if "skip-gram" in results.config.conditions:
        vectors = outcome.weights("skip-gram")["word.weight"].numpy()
        head = ["word", "nearest by skip-gram, with cosine"]
        found = [
            ("Nearest words", [viz.Table(head, nearest(vectors, number), f"Seed {seed}.")]),
            ("Analogies", [analogies(results, number)]),
            ("Words in two dimensions", drawn(vectors, number)),
        ]
    return [*found, ("Positions", [viz.Plot(figure, caption)])]
