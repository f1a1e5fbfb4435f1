r"""Attention: is looking back better than remembering, when the variables of a formula are renamed?

An encoder reads `x = y + z`, a decoder writes `a = b + c`. Without attention all that the decoder
learns of the source is the encoder's last state, one vector however long the formula is (Cho et
al., 2014; Sutskever, Vinyals and Le, 2014). With attention it looks, for each token that it writes,
at all states of the encoder and decides which of them it needs (Bahdanau, Cho and Bengio, 2015).
With a query $q$ from the decoder's state, and keys $k_j$ and values $v_j$ from the encoder's,

$$s_j = \frac{q \cdot k_j}{\sqrt d}, \qquad p_j = \frac{e^{s_j}}{\sum_i e^{s_i}}, \qquad
c = \sum_j p_j v_j$$

(Vaswani et al., 2017, equation 1). The weights $p_j$ can be drawn: that is the alignment.

**The gradient.** From $\partial p_j / \partial s_i = p_j (\delta_{ij} - p_i)$ and $g = \partial L /
\partial c$ follow

$$\frac{\partial L}{\partial v_j} = p_j\, g, \qquad
\frac{\partial L}{\partial s_j} = p_j\, (g \cdot v_j - g \cdot c), \qquad
\frac{\partial L}{\partial q} = \sum_j \frac{\partial L}{\partial s_j} \frac{k_j}{\sqrt d}, \qquad
\frac{\partial L}{\partial k_j} = \frac{\partial L}{\partial s_j} \frac{q}{\sqrt d} .$$

A score rises where its value is better than the mean of what was seen, and no further where
$p_j$ is 0, or 1 (then $c = v_j$). `by_hand` writes this in NumPy and is compared with the engine.

**The scale.** If the entries of $q$ and $k$ are independent with mean 0 and variance 1, so are
the $d$ products in $q \cdot k$, and their sum has variance $d$. Such scores leave a softmax with
one weight near 1 and the slopes $\sum_j \partial p_j / \partial s_j = 1 - \sum_j p_j^2$ near 0:
nothing is learned from them. Divided by $\sqrt d$ they have variance 1 at any width.

**The tasks.** Formulas have 5 to 13 tokens: a variable, `=`, and 2 to 6 variables with operators
between them, all drawn at random from 5 variables and 4 operators. No formula of the test is in the
training data. The document that this project started from has one example, which can be read in two
ways, so there are two tasks:

- **map**: x, y, z, v, w become a, b, c, d, e, whatever stands around them. A table of five lines
  does that without error, so this task cannot show understanding; it shows memory.
- **order**: the first variable of the formula becomes a, the next one that is new becomes b, and so
  on: `w = z + w` is `a = b + a`. One has to know which variables are the same.

Both give as many tokens as they get, so nobody has to decide when to end. A copy of the input is
never right, since sources and targets share no letter. The networks: a GRU that reads and a GRU
that writes, with the last state only (**bottleneck**, made wider so that it has the most
parameters) or with **attention**; and an encoder without recurrence, two layers of
**self-attention** with four heads over tokens and sinusoidal positions, where each token looks at
all tokens of its own sequence. All have the same examples and steps, and each its learning rate of
the same grid, by validation loss on seeds that are not reported.

**Is the weight an alignment?** The document says that attention puts 0.95 on x when a is predicted.
Nothing in the loss asks for that. A GRU's state at `=` has read x too, so a decoder that looks
there can be as right as one that looks at x (compare Jain and Wallace, 2019). So can one over an
encoder of self-attention, but that encoder has to be taught to carry x elsewhere. The figures below
show where each network looks; the formulas that it gets right say how well it translates. Those are
two questions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import DataLoader, TensorDataset
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations.renaming import (
    BLANK,
    EXAMPLE,
    LENGTHS,
    LONGER,
    NAMES,
    VARIABLES,
    Split,
    baselines,
    batch,
    first_places,
    spell,
    split,
    together,
)
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import ClipGradients, Schedule

LESSON = 9  # R3.9
SEEDS = range(6)
TUNING_SEEDS = (100, 101, 102)
LOOK = 1
LABELS = {
    "map-commonest": "Commonest token, map",
    "order-commonest": "Commonest token, order",
    "map-table": "Table, map",
    "order-table": "Table, order",
    "map-bottleneck": "Bottleneck, map",
    "map-attention": "Attention, map",
    "map-self-attention": "Self-attention, map",
    "order-bottleneck": "Bottleneck, order",
    "order-attention": "Attention, order",
    "order-self-attention": "Self-attention, order",
    "test_exact": "formulas right (%)",
    "test_13": "right, 13 tokens (%)",
    "test_17": "right, 17 tokens (%)",
    "test_aligned": "weight on the aligned token (%)",
    "example_weight": "weight on x for a (%)",
    "example_right": "x = y + z right",
    "validation_loss": "validation loss (nats)",
    "repeats": "weight of repeats on the first (%)",
    "hand": "Gradients by hand against the engine's",
    "difference": "largest difference",
    "variance": "variance of scores",
    "scaled_variance": "divided by √d",
    "slopes": "slopes of the softmax",
    "scaled_slopes": "slopes, divided by √d",
}
RANGES = dict.fromkeys(
    ("test_exact", "test_13", "test_17", "test_aligned", "example_weight", "repeats"), (0, 100)
)
GOAL = "minimize"
OBJECTIVE = "map-attention/validation_loss"

RATES = (0.003, 0.01, 0.03, 0.1)

Array = np.ndarray


# The networks


class Reader(nn.Module):
    """An encoder that reads one token after the other."""

    def __init__(self, width: int) -> None:
        self.embedding = nn.Embedding(BLANK + 1, 16)
        self.gru = nn.GRU(16, width, batch_first=True)

    def forward(self, source: gu.Tensor) -> gu.Tensor:
        """The states, (N, S) -> (N, S, width)."""
        return self.gru(self.embedding(source))[0]


class Block(nn.Module):
    """Each token looks at all, then thinks for itself; both add to what was there."""

    def __init__(self, width: int) -> None:
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.thought = nn.Residual(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, 2 * width),
                nn.ReLU(),
                nn.Linear(2 * width, width),
            )
        )

    def forward(self, x: gu.Tensor, blank: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor]:
        """The new states (N, S, width), and the weights (N, heads, S, S)."""
        y = self.norm(x)
        seen, weights = self.attention(y, y, y, blank, average_attn_weights=False)
        return self.thought(x + seen), weights


class Onlooker(nn.Module):
    """An encoder of self-attention."""

    def __init__(self, width: int) -> None:
        self.embedding = nn.Embedding(BLANK + 1, width)
        self.positions = nn.SinusoidalPositions(width, max(LONGER))
        self.blocks = nn.ModuleList([Block(width), Block(width)])

    def look(self, source: gu.Tensor) -> tuple[gu.Tensor, list[gu.Tensor]]:
        """The states, and the weights of each layer, (N, heads, S, S)."""
        x, maps = self.positions(self.embedding(source)), []
        for block in self.blocks:
            x, weights = block(x, source == BLANK)
            maps.append(weights)
        return x, maps

    def forward(self, source: gu.Tensor) -> gu.Tensor:
        """The states, (N, S) -> (N, S, width)."""
        return self.look(source)[0]


class Translator(nn.Module):
    """An encoder, and a decoder that writes from its own state and from what it is shown.

    Args:
        encoder: (N, S) -> (N, S, width).
        width: of the states.
        attention: show it the mean that attention makes; otherwise the encoder's last state.
    """

    def __init__(self, encoder: nn.Module, width: int, attention: bool) -> None:
        self.encoder = encoder
        self.embedding = nn.Embedding(BLANK + 1, 16)
        self.gru = nn.GRU(16, width, batch_first=True)
        self.attention = nn.MultiheadAttention(width, 1, batch_first=True) if attention else None
        self.mix = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, BLANK)

    def write(self, source: gu.Tensor, before: gu.Tensor) -> tuple[gu.Tensor, gu.Tensor | None]:
        """Logits (N, T, tokens), and the weights (N, T, S) if there is attention."""
        memory, blank = self.encoder(source), source == BLANK
        last = memory[gu.arange(len(source)), (~blank).sum(dim=1) - 1]
        state, _ = self.gru(self.embedding(before), last.unsqueeze(0))
        if self.attention is None:
            shown, weights = last.unsqueeze(1).expand(state.shape), None
        else:
            shown, weights = self.attention(state, memory, memory, blank)
        return self.out(gu.tanh(self.mix(gu.cat([state, shown], dim=-1)))), weights

    def forward(self, source: gu.Tensor, before: gu.Tensor) -> gu.Tensor:
        """Logits (N, T, tokens) for (N, S) and (N, T)."""
        return self.write(source, before)[0]


def network(name: str) -> Translator:
    """A network by the second half of its name."""
    if name == "bottleneck":
        return Translator(Reader(60), 60, attention=False)
    if name == "attention":
        return Translator(Reader(48), 48, attention=True)
    return Translator(Onlooker(32), 32, attention=True)


RACES = (
    "map-bottleneck", "map-attention", "map-self-attention",
    "order-bottleneck", "order-attention", "order-self-attention",
)  # fmt: skip


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        epochs: passes over the training data.
        examples: formulas to learn from.
        batch_size: formulas for one step.
        races: which networks to train on which task.
        lr: the learning rate of each at the beginning; it falls to zero along a cosine.
    """

    epochs: int = 4
    examples: int = 12_800
    batch_size: int = 64
    races: tuple[str, ...] = RACES
    lr: dict[str, float] = field(
        default_factory=lambda: {
            "map-bottleneck": 0.03, "map-attention": 0.01, "map-self-attention": 0.01,
            "order-bottleneck": 0.03, "order-attention": 0.01, "order-self-attention": 0.01,
        }
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.examples < len(LENGTHS):
            raise ValueError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, examples {self.examples}: "
                f"expected at least 1, 1 and {len(LENGTHS)}"
            )
        if unknown := set(self.races) - set(RACES):
            raise ValueError(f"no race {', '.join(unknown)}: expected some of {', '.join(RACES)}")


# What is measured


def loss(output: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy of the tokens, without the blanks."""
    return F.cross_entropy(output.transpose(1, 2), target, ignore_index=BLANK)


def exact(output: gu.Tensor, target: gu.Tensor) -> float:
    """Formulas of which every token is right, in percent.

    Where each token is right after right ones, a decoder that reads its own tokens writes them too.
    """
    right = (output.argmax(dim=-1) == target) | (target == BLANK)
    return 100 * right.all(dim=1).double().mean().item()


def translate(model: Translator, source: gu.Tensor) -> gu.Tensor:
    """What the decoder writes when it reads what it wrote, (N, S)."""
    written = gu.full((len(source), 1), BLANK)
    with gu.no_grad():
        for _ in range(source.shape[1]):
            written = gu.cat([written, model(source, written)[:, -1:].argmax(dim=-1)], dim=1)
    return written[:, 1:]


def by_hand(q: Array, k: Array, v: Array, g: Array) -> tuple[Array, Array, Array]:
    """The gradients of attention for queries, keys and values, as derived above.

    Args:
        q, k, v: (L, D), (S, D) and (S, V).
        g: gradient of the loss for what attention gives, (L, V).
    """
    scale = 1 / math.sqrt(q.shape[1])
    e = np.exp(q @ k.T * scale)
    p = e / e.sum(axis=1, keepdims=True)
    ds = p * (g @ v.T - (g * (p @ v)).sum(axis=1, keepdims=True))
    return scale * ds @ k, scale * ds.T @ q, p.T @ g


def hand_difference(seed: int) -> float:
    """The largest between the gradients by hand and the engine's, in float64."""
    random = np.random.default_rng(seed)
    q, k, v, g = (random.standard_normal(s) for s in ((3, 8), (5, 8), (5, 4), (3, 4)))
    query, key, value = tensors = [gu.tensor(a, requires_grad=True) for a in (q, k, v)]
    (F.scaled_dot_product_attention(query, key, value) * gu.tensor(g)).sum().backward()
    pairs = zip(by_hand(q, k, v, g), tensors, strict=True)
    return max(np.abs(a - t.grad.numpy()).max() for a, t in pairs if t.grad is not None)


def scale_of_scores(width: int, random: np.random.Generator) -> dict[str, float]:
    """Variance of scores, and slopes of the softmax over ten, without and with the scale."""
    q, k = (random.standard_normal((5_000, n, width), dtype=np.float32) for n in (1, 10))
    scores = (q * k).sum(axis=2)
    found = {}
    for name, s in (("", scores), ("scaled_", scores / math.sqrt(width))):
        p = F.softmax(gu.tensor(s), dim=1).numpy()
        found[f"{name}variance"] = s.var()
        found[f"{name}slopes"] = (1 - (p**2).sum(axis=1)).mean()
    return {f"d={width}/{name}": float(value) for name, value in found.items()}


def repeats(encoder: Onlooker, source: Array) -> Array:
    """By layer and head, how much (%) a variable that stood before looks at where it stood first.

    Args:
        source: formulas of one length.

    Returns:
        (layers, heads).
    """
    with gu.no_grad():
        maps = np.stack([m.numpy() for m in encoder.look(gu.tensor(source))[1]])
    first = first_places(source[:, 0::2])
    n, i = np.nonzero(first != np.arange(first.shape[1]))
    return 100 * maps[:, n, :, 2 * i, 2 * first[n, i]].mean(axis=0)


def measure(model: Translator, task: str, parts: Split) -> dict[str, float]:
    """What the test says of a network."""
    right, aligned = {}, []
    for length, source in parts.test.items():
        x, before, target = batch(source, task)
        with gu.no_grad():
            output, weights = model.write(x, before)
        right[length] = exact(output, target)
        if weights is not None and length in LENGTHS:
            aligned.append(np.diagonal(weights.numpy(), axis1=1, axis2=2).ravel())
    found = {f"test_{n}": value for n, value in right.items()}
    found["test_exact"] = float(np.mean([right[n] for n in LENGTHS]))
    written = translate(model, gu.tensor(EXAMPLE)).numpy()
    found["example_right"] = float((written == EXAMPLE).all())
    if aligned:
        found["test_aligned"] = 100 * float(np.concatenate(aligned).mean())
        found["example_weight"] = 100 * float(example_weights(model)[0, 0])
    if isinstance(model.encoder, Onlooker):
        chosen = repeats(model.encoder, parts.validation[-1]).argmax()
        found["repeats"] = repeats(model.encoder, parts.test[max(LENGTHS)]).ravel()[chosen]
    return found


def example_weights(model: Translator) -> Array:
    """The attention of the document's example, (tokens written, tokens read)."""
    source, before, _ = batch(EXAMPLE, "map")
    weights = model.write(source, before)[1]
    assert weights is not None
    return weights[0].detach().numpy()


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train each network on its task, then test it."""
    parts = split(seed, config.examples)
    metrics = {"hand/difference": hand_difference(seed)}
    for width in (4, 64, 256):
        metrics |= scale_of_scores(width, np.random.default_rng(seed))
    for task in dict.fromkeys(race.partition("-")[0] for race in config.races):
        metrics |= baselines(parts, task)
    for race in config.races:
        task, _, name = race.partition("-")
        gu.manual_seed(seed)
        model = network(name)
        train = DataLoader(
            TensorDataset(*together(parts.train, task)), batch_size=config.batch_size, shuffle=True
        )
        optimizer = optim.Adam(model.parameters(), lr=config.lr[race])
        schedule = CosineAnnealingLR(optimizer, T_max=config.epochs * len(train))
        history = run.fit(
            race,
            model,
            loss,
            optimizer,
            train,
            epochs=config.epochs,
            validation=[together(parts.validation, task)],
            callbacks=[ClipGradients(1.0), Schedule(schedule, per="step")],
            animate=False,
        )
        model.eval()
        found = {
            **measure(model, task, parts),
            "validation_loss": history.epochs["validation_loss"][-1],
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        metrics |= {f"{race}/{name}": value for name, value in found.items()}
    return metrics


TUNED = [
    Tuned(f"lr.{race}", RATES, f"{race}/validation_loss", "minimize", given={"races": (race,)})
    for race in RACES
]


SOURCE = "Layer 1 completion roadmap, example 9, expected output"
OURS = f"{SOURCE} (the figure is ours)"
CLAIMS = [
    Claim(
        "weight", "when a is predicted for x = y + z, attention puts 95 % on x (map)", SOURCE, 95,
        "map-attention/example_weight", unit=" %",
    ),
    Claim(
        "weight-self", "when a is predicted for x = y + z, attention puts 95 % on x (map, encoder "
        "of self-attention)", SOURCE, 95, "map-self-attention/example_weight", unit=" %",
    ),
    Claim(
        "weight-order", "when a is predicted for x = y + z, attention puts 95 % on x (order, "
        "encoder of self-attention)", SOURCE, 95, "order-self-attention/example_weight", unit=" %",
    ),
    Claim(
        "translation", "x = y + z becomes a = b + c", SOURCE, 1, "map-attention/example_right",
        estimate="exact",
    ),
    Claim(
        "alignment", "attention learned alignment: over all test formulas 95 % of it is on the "
        "aligned token (map)", OURS, 95, "map-attention/test_aligned", unit=" %",
    ),
    Claim(
        "alignment-self", "attention learned alignment (map, encoder of self-attention)", OURS, 95,
        "map-self-attention/test_aligned", unit=" %",
    ),
    Claim(
        "alignment-order", "attention learned alignment (order, encoder of self-attention)", OURS,
        95, "order-self-attention/test_aligned", unit=" %",
    ),
    Claim(
        "table", "a table of five lines gets every formula right (map)", "the figure is ours", 100,
        "map-table/test_exact", unit=" %", estimate="exact",
    ),
    Claim(
        "memory", "attention gets 10 points more of the formulas of 13 tokens right than the "
        "bottleneck (map)", "Bahdanau, Cho and Bengio (2015), figure 2 (the figure is ours)", 10,
        "map-attention/test_13", minus="map-bottleneck/test_13", unit=" points",
    ),
    Claim(
        "order", "attention gets 10 points more right than the bottleneck (order)",
        "the figure is ours", 10, "order-attention/test_exact", minus="order-bottleneck/test_exact",
        unit=" points",
    ),
    Claim(
        "self-attention", "self-attention in the encoder gets 20 points more right than a GRU "
        "(order)", "Vaswani et al. (2017) (the figure is ours)", 20,
        "order-self-attention/test_exact", minus="order-attention/test_exact", unit=" points",
    ),
    Claim(
        "longer", "attention learned on at most 13 tokens gets 90 % of the formulas of 17 right "
        "(map)", "the figure is ours", 90, "map-attention/test_17", unit=" %",
    ),
    Claim(
        "variance", "scores of 256 features divided by 16 have variance 1",
        "Vaswani et al. (2017), section 3.2.1", 1, "d=256/scaled_variance", "equals", digits=1,
    ),
    Claim(
        "slopes", "the division makes the softmax of scores of 64 features 3 times as steep",
        "Vaswani et al. (2017), section 3.2.1 (the figure is ours)", 3, "d=64/scaled_slopes",
        over="d=64/slopes",
    ),
]  # fmt: skip


def right_by_length(results: Results) -> viz.Block:
    """How many formulas of each length are right."""
    lengths = (*LENGTHS, *LONGER)
    series = {
        LABELS[race]: [[m[f"{race}/test_{n}"] for n in lengths] for m in results.metrics.values()]
        for race in results.config.races
    }
    figure = viz.curves(series, "Tokens", "Formulas right (%)", x=lengths, possible=(0, 100))
    figure.axes[0].axvline(max(LENGTHS), linestyle=":", color="0.4")
    return viz.Plot(figure, f"The networks learned from 5 to {max(LENGTHS)} tokens (dotted line).")


def alignments(models: dict[str, Translator], source: Array, what: str) -> viz.Block:
    """The attention of each network on one formula."""
    maps: dict[str, Array] = {}
    written: dict[str, list[str]] = {}
    for race, model in models.items():
        title, task = LABELS[race], race.partition("-")[0]
        x, before, target = batch(source, task)
        weights = model.write(x, before)[1]
        if weights is not None:
            maps[title] = weights[0].detach().numpy()
            written[title] = spell(target[0].tolist(), NAMES)
    figure = viz.heatmaps(
        maps, "Token read", "Token to write", "Weight", x=spell(source[0], VARIABLES), y=written,
        limits=(0, 1), numbers=source.shape[1] < 6, columns=2, size=(2.6, 2.4),
    )  # fmt: skip
    return viz.Plot(figure, f"{what} Each row adds up to 1; aligned is what lies on the diagonal.")


def own_sequence(encoder: Onlooker, source: Array) -> viz.Block:
    """The self-attention of each layer and head on one formula."""
    names = spell(source[0], VARIABLES)
    maps = {
        f"layer {layer}, head {head}": field
        for layer, heads in enumerate(encoder.look(gu.tensor(source))[1], 1)
        for head, field in enumerate(heads[0].detach().numpy(), 1)
    }
    figure = viz.heatmaps(
        maps, "Token looked at", "Token that looks", "Weight", x=names, y=names, limits=(0, 1),
        columns=4, size=(1.9, 1.9),
    )  # fmt: skip
    return viz.Plot(figure, "Four heads in each of two layers, on a formula of the test.")


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Right answers by length, and what the attention looks at."""
    seed, outcome = next(iter(results.outcomes.items()))
    models = {}
    for race in results.config.races:
        models[race] = network(race.partition("-")[2]).eval()
        models[race].load_state_dict(outcome.weights(race))
    found = [("Right by length", [right_by_length(results)])]
    test = split(seed, results.config.examples).test
    if any(model.attention for model in models.values()):
        pictures = [
            alignments(models, EXAMPLE, f"The document's example (seed {seed})."),
            alignments(models, test[max(LENGTHS)][:1], f"A formula of the test (seed {seed})."),
        ]
        found.append(("Alignment", pictures))
    onlooker = models.get("order-self-attention")
    if onlooker is not None and isinstance(onlooker.encoder, Onlooker):
        found.append(("Self-attention", [own_sequence(onlooker.encoder, test[9][:1])]))
    return found
