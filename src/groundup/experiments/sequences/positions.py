r"""Positions: which let a GPT read on when a text is longer than any in its training?

Attention by itself sees a set. What stands where it has to be told, and there are several ways:

- **learned**: a vector for each position is learned and added to the token (Gehring et al., 2017).
- **sinusoidal**: fixed sines and cosines of the position are added (Vaswani et al., 2017):
  $\sin(t / 10000^{2i/E})$ and $\cos(t / 10000^{2i/E})$.
- **rotary**: queries and keys are turned by angles that grow with the position, so that a score
  depends on the distance alone (Su et al., 2021): $q_m \cdot k_n = q^\top R_{n-m}\, k$.
- **ALiBi**: nothing is added; a score falls with the distance (Press, Smith and Lewis, 2022), in
  each of four heads with another slope: 1/4, 1/16, 1/64 and 1/256.

$$p_{mn} \propto \exp\Big( \frac{q_m \cdot k_n}{\sqrt d} - s_h\, (m - n) \Big), \qquad n \le m$$

- **none**: under a causal mask the first token sees one token and the second two, so a network can
  find out where it is (Haviv et al., 2022).

Press, Smith and Lewis "train short, test long": they say that a model with ALiBi reads texts longer
than those in training without getting worse, and that one with sinusoidal positions, or rotary ones
a little later, does not. Here five GPTs, alike in all but this, learn from windows of 32 characters
and then read 256 at once. A character costs $-\log_2 P$ **bits**; the mean is taken over the places
1 to 32, 33 to 64, 65 to 128 and 129 to 256 of windows of the test text, the same for all.

**What a table lacks.** A table of learned positions ends at the training length. To read on at all
it has 256 rows here, of which those after the 32nd are as they were drawn before training: no
gradient ever reached them. Sines of the positions after the 32nd are known, but the network has
never seen them either.

**Reading less.** Whoever wants characters far into a text predicted need not extrapolate: the
**sliding** window gives the same model only the last 32 characters each time, at the cost of a
reading for each character. It is the baseline: longer reading is worth something only if it needs
fewer bits than that. Press, Smith and Lewis find (their appendix B) that it does not for ALiBi:
what it gains over short windows is that fewer characters stand at a beginning, with little before
them.

The text is Python's own reference (`recurrent_text` has more about it). Each model, two layers of
64 features with four heads, takes 600 steps on 32 windows, with its learning rate of the same three
values by the bits of the places 1 to 32 of validation text: nothing is chosen by how it reads on.
Vectors of tokens begin as in GPT-2, with a standard deviation of 0.02, and so do learned positions.
Sines have their amplitude times 0.02, so that they are to the tokens as in Vaswani et al., who have
tokens of standard deviation 1. Added with amplitude 1 to tokens so small, they drown them: that GPT
needed 4.1 bits at places 1 to 32 where it needs 3.2 now (validation text, seed 100).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.data import TextDataset
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.experiments.foundations.recurrent_text import python_reference
from groundup.models import GPT, GPTConfig
from groundup.optim.lr_scheduler import WarmupCosineLR
from groundup.training import ClipGradients, Schedule, predict

SEEDS = range(1, 6)  # R2.7, R4.2
TUNING_SEEDS = (100,)
LOOK = 1
CONTEXT, LONGEST = 32, 256
PARTS = {32: (0, 32), 64: (32, 64), 128: (64, 128), 256: (128, 256)}
"""Places in a window by the last of them."""
WAYS = ("learned", "sinusoidal", "rotary", "alibi", "none")
LABELS = {
    "learned": "Learned",
    "sinusoidal": "Sinusoidal",
    "rotary": "Rotary",
    "alibi": "ALiBi",
    "none": "None",
    "bits_validation": "places 1 to 32, validation (bits)",
    "all_test": "places 1 to 256, read at once (bits)",
    "sliding_test": "places 129 to 256, sliding window (bits)",
} | {f"to_{n}_test": f"places {a + 1} to {b} (bits)" for n, (a, b) in PARTS.items()}
RANGES = dict.fromkeys(
    ("all_test", "sliding_test", *(f"to_{n}_test" for n in PARTS)), (0.0, math.inf)
)
OBJECTIVE = "rotary/bits_validation"
GOAL = "minimize"
RATES = (0.003, 0.01, 0.03)
BATCH, STRIDE, EVERY = 32, 64, 4

Array = np.ndarray


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of training, each on 32 windows of 32 characters.
        ways: kinds of positions.
        windows: of the test text at most.
        lr: the highest learning rate of each.
    """

    steps: int = 600
    ways: tuple[str, ...] = WAYS
    windows: int = 1000
    lr: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WAYS, 0.01))

    def __post_init__(self) -> None:
        if self.steps < 10 or self.windows < 1:
            raise ValueError(
                f"steps {self.steps}, windows {self.windows}: expected at least 10 and 1"
            )
        if unknown := set(self.ways) - set(WAYS):
            raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(WAYS)}")


def network(way: str, symbols: int) -> GPT:
    """A GPT that is told positions in this way, with room for the longest windows."""
    model = GPT(
        GPTConfig(symbols, LONGEST, d_model=64, num_layers=2, num_heads=4, positions=way)  # type: ignore[arg-type]
    )
    if isinstance(model.position, nn.SinusoidalPositions):
        model.position.table.assign(0.02 * model.position.table)  # as large as tokens begin
    return model


def loss(scores: gu.Tensor, target: gu.Tensor) -> gu.Tensor:
    """Cross-entropy over all places."""
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def bits(model: GPT, ids: gu.Tensor, length: int, stride: int, most: int) -> Array:
    """The bits of each character of windows that are read at once, (windows, length)."""
    data = TextDataset(ids, length, stride=stride)
    found = []
    for chosen in np.array_split(np.arange(min(len(data), most)), -(-len(data) // 64)):
        if len(chosen):
            inputs, targets = data.batch(chosen)
            scores, _ = predict(model, [(inputs, targets)])
            each = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
            found.append(each.numpy().reshape(inputs.shape) / math.log(2))
    return np.concatenate(found)


def sliding(model: GPT, ids: gu.Tensor, most: int) -> float:
    """The mean bits of every fourth character after the 128th, each after the last 32 alone."""
    rest = ids[PARTS[LONGEST][0] + 1 - CONTEXT :]
    most = min(most * STRIDE // EVERY, len(rest))
    return float(bits(model, rest, CONTEXT, EVERY, most)[:, -1].mean())


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train a GPT with each kind of positions, then let it read on."""
    book = python_reference()
    metrics: dict[str, float] = {}
    data = TextDataset(book.train, CONTEXT, stride=1)
    random = np.random.default_rng(seed)
    batches = [data.batch(random.integers(0, len(data), BATCH)) for _ in range(config.steps)]
    places: dict[str, gu.Tensor] = {}
    for way in config.ways:
        gu.manual_seed(seed)
        model = network(way, book.symbols)
        optimizer = optim.AdamW(model.parameters(), lr=config.lr[way], weight_decay=0.0)
        schedule = WarmupCosineLR(optimizer, config.steps // 10, config.steps)
        callbacks = [ClipGradients(max_norm=1.0), Schedule(schedule, per="step")]
        run.fit(way, model, loss, optimizer, batches, epochs=1, callbacks=callbacks, animate=False)
        model.eval()
        within = bits(model, book.validation, CONTEXT, CONTEXT, config.windows)
        found = {"bits_validation": float(within.mean())}
        each = bits(model, book.test, LONGEST, STRIDE, config.windows).mean(axis=0)
        found |= {f"to_{n}_test": float(each[a:b].mean()) for n, (a, b) in PARTS.items()}
        found["all_test"] = float(each.mean())
        found["sliding_test"] = sliding(model, book.test, config.windows)
        metrics |= {f"{way}/{name}": value for name, value in found.items()}
        places[way] = gu.tensor(each)
    run.save("places", **places)
    return metrics


TUNED = [
    Tuned(f"lr.{way}", RATES, f"{way}/bits_validation", "minimize", given={"ways": (way,)})
    for way in WAYS
]
PRESS = "Press, Smith and Lewis (2022)"
OURS = "the experiment (the figure is ours)"
CLAIMS = [
    Claim(
        "alibi", "ALiBi reads 256 characters at once for no more bits each than 32", f"{PRESS}, "
        "figure 1", 0, "alibi/to_32_test", minus="alibi/all_test", unit=" bits", digits=2,
    ),
    *(
        Claim(
            way, f"{LABELS[way].lower()} positions need at least 0.5 bits more for 256 characters "
            "at once than for 32", source, 0.5, f"{way}/all_test", minus=f"{way}/to_32_test",
            unit=" bits", digits=2,
        )
        for way, source in (
            ("sinusoidal", f"{PRESS}, figure 1 (the figure is ours)"),
            ("rotary", f"{PRESS}, figure 1 (the figure is ours)"),
            ("learned", OURS),
        )
    ),
    *(
        Claim(
            f"alibi-{way}", f"at places 129 to 256 ALiBi needs at least 0.5 bits less than {words}",
            f"{PRESS}, figure 1 (the figure is ours)", 0.5, f"{way}/to_256_test",
            minus="alibi/to_256_test", unit=" bits", digits=2,
        )
        for way, words in (("sinusoidal", "sinusoidal positions"), ("rotary", "rotary ones"))
    ),
    Claim(
        "alibi-sliding", "reading all at once saves ALiBi at most 0.05 bits against its own "
        "sliding window", f"{PRESS}, appendix B (the figure is ours)", 0.05, "alibi/sliding_test",
        "at most", minus="alibi/to_256_test", unit=" bits", digits=2,
    ),
    *(
        Claim(
            f"{way}-sliding", f"the sliding window saves {words} at least 0.5 bits", OURS, 0.5,
            f"{way}/to_256_test", minus=f"{way}/sliding_test", unit=" bits", digits=2,
        )
        for way, words in (("sinusoidal", "sinusoidal positions"), ("rotary", "rotary ones"))
    ),
    Claim(
        "rotary-instead", "at places 129 to 256, rotary positions with a sliding window need at "
        "least 0.2 bits less than ALiBi that reads all at once", OURS, 0.2, "alibi/to_256_test",
        minus="rotary/sliding_test", unit=" bits", digits=2,
    ),
    Claim(
        "none-within", "at places 1 to 32, who is told no positions needs at most 0.1 bits more "
        "than with learned ones", "Haviv et al. (2022), table 1 (the figure is ours)", 0.1,
        "none/to_32_test", "at most", minus="learned/to_32_test", unit=" bits", digits=2,
    ),
    Claim(
        "none-beyond", "at places 129 to 256, no positions need at least 0.1 bits less than rotary "
        "ones", "Kazemnejad et al. (2023), of reasoning (the figure is ours)", 0.1,
        "rotary/to_256_test", minus="none/to_256_test", unit=" bits", digits=2,
    ),
    Claim(
        "rotary-within", "at places 1 to 32, rotary positions need at least 0.05 bits less than "
        "learned ones", "Su et al. (2021) (the figure is ours)", 0.05, "learned/to_32_test",
        minus="rotary/to_32_test", unit=" bits", digits=2,
    ),
]  # fmt: skip


def by_place(results: Results) -> viz.Block:
    """Bits by place, of eight places each."""
    series = {
        LABELS[way]: [
            outcome.tensors("places")[way].numpy().reshape(-1, 8).mean(axis=1)
            for outcome in results.outcomes.values()
        ]
        for way in results.config.ways
    }
    figure = viz.curves(
        series, "Place in the text that is read at once", "Bits per character",
        x=np.arange(4.5, LONGEST, 8), possible=(0, math.inf),
    )  # fmt: skip
    figure.axes[0].axvline(CONTEXT + 0.5, linestyle=":", color="0.4")
    caption = (
        f"Training ended at {CONTEXT} (dotted line); each point is the mean of eight places of "
        "the test's windows."
    )
    return viz.Plot(figure, caption)


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """Bits by place, what a sliding window gets, and the learning rates."""
    config, metrics = results.config, list(results.metrics.values())
    rows: list[list[object]] = []
    for way in config.ways:
        whole, slid, within = (
            float(np.median([m[f"{way}/{name}_test"] for m in metrics]))
            for name in ("to_256", "sliding", "to_32")
        )
        rows.append([LABELS[way], *(f"{value:.2f}" for value in (within, whole, slid))])
    headers = ["Positions", "1 to 32", "129 to 256 at once", "129 to 256 sliding"]
    words = "Bits per character by place, medians over seeds."
    rates = "\n".join(f"{LABELS[way]:12}{config.lr[way]:>8g}" for way in config.ways)
    chosen = "The highest learning rate of each: the best of three on seed 100."
    return [
        ("Reading on", [by_place(results)]),
        ("Or a sliding window", [viz.Table(headers, rows, words, align="lrrr")]),
        ("Learning rates", [viz.Code(rates, chosen)]),
    ]
