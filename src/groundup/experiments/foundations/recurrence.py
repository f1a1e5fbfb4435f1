r"""Recurrence: why does the gradient vanish, and can a network count in spite of it?

A recurrent network reads a sequence element by element and carries a state along (Elman, 1990):

$$a_t = W h_{t-1} + U x_t + b, \qquad h_t = \tanh(a_t), \qquad \hat y = V h_T + c .$$

**Backpropagation through time** is the chain rule along the sequence (Werbos, 1990). The last state
has $\partial L / \partial h_T = V^\top \partial L / \partial \hat y$. Each state acts on the loss
only through the next, and the same $W$ is used at every step, so its gradients add up:

$$\frac{\partial L}{\partial h_{t-1}} = W^\top D_t \frac{\partial L}{\partial h_t}, \qquad
D_t = \mathrm{diag}(1 - h_t^2), \qquad
\frac{\partial L}{\partial W} = \sum_t D_t \frac{\partial L}{\partial h_t}\, h_{t-1}^\top .$$

`by_hand` below is that in NumPy. Over $k$ steps the gradient meets the product $W^\top D_{T-k+1}
\cdots W^\top D_T$. No $D$ stretches anything, so if the largest singular value of $W$ is $\sigma <
1$, at most $\sigma^k$ is left: it **vanishes**; with a larger $W$ it can **explode** (Bengio,
Simard and Frasconi, 1994; Pascanu, Mikolov and Bengio, 2013).

**Gates** put a sum in the place of the product. The inner state of an LSTM is $c_t = f_t \odot
c_{t-1} + i_t \odot g_t$ (Hochreiter and Schmidhuber, 1997; Gers et al., 2000), so along it the
gradient is multiplied by $f_t$ at each step and by no matrix; a GRU has $h_t = z_t \odot h_{t-1} +
(1 - z_t) \odot n_t$ (Cho et al., 2014). A gate of 1 forgets nothing. But gates begin near
$\sigma(0) = 1/2$, and $2^{-49}$ is as lost as anything.

**Counting** ones is the document's task: all three networks count the 4 ones of 1011010, and of
length 50 it says "Vanilla RNN: Gradient vanishing, fails; LSTM: 47/50 correct; GRU: 48/50 correct",
not what is random, nor what fails. We read: coin flips; one number comes out, trained by the
squared error of the share of ones; an answer is right if it rounds to the count; of 50 new
sequences so many are right, and at most 25 if it fails. Always answering 25 is right for about 6.
Half the sequences have 23 to 27 ones, so each network is also asked about sequences in which any
count from 0 to 50 is equally likely, of which it has seen few.

Every element of a count bears on the answer alike, so a gradient that reaches a few steps back
already says how to add. The next experiment, `recurrent_memory`, asks for something that no
gradient over a few steps can teach.

All networks have 2,700 parameters within 4 %, the same data, steps, clipping and schedule, and each
its learning rate, chosen from the same values by validation loss on seeds that are not reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments import Claim, Results, Trial, Tuned
from groundup.optim.lr_scheduler import CosineAnnealingLR
from groundup.training import ClipGradients, Schedule, predict

LESSON = 7  # R3.7, R2.4, R2.10
SEEDS = range(10)
TUNING_SEEDS = (100, 101, 102)
LOOK = 3
LABELS = {
    "count_7_test": "right at length 7 (of 50)",
    "count_50_test": "right at length 50 (of 50)",
    "any_count_test": "right at length 50, any count (of 50)",
    "example_test": "answer for 1011010",
    "always_25": "Always 25",
    "decades_before": "powers of ten lost over 50 steps, before training",
    "decades_after": "powers of ten lost over 50 steps, after training",
    "hand": "Gradients by hand against the engine's",
    "difference": "largest difference",
    "loss": "squared error",
}
RANGES = {"count_7_test": (0, 50), "count_50_test": (0, 50), "any_count_test": (0, 50)}
GOAL = "minimize"

LAYERS: dict[str, Callable[..., Any]] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
HIDDEN = {"RNN": 50, "GRU": 28, "LSTM": 24}
"""Units, so that all have about 2,700 parameters."""
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
LENGTHS = (7, 50)
GAINS = (0.5, 1.0, 1.5)
EXAMPLE = (1, 0, 1, 1, 0, 1, 0)
"""The document's sequence."""
BATCH = 32

Array = np.ndarray
Pair = tuple[gu.Tensor, gu.Tensor]


def counting(random: np.random.Generator, n: int, length: int, any_count: bool = False) -> Pair:
    """Coin flips (n, length, 1), or any count equally likely, and the share of ones (n, 1)."""
    share = random.uniform(size=(n, 1)) if any_count else 0.5
    bits = (random.uniform(size=(n, length)) < share).astype(np.float32)
    return gu.tensor(bits[:, :, None]), gu.tensor(bits.mean(axis=1, keepdims=True))


class Reader(nn.Module):
    """Reads sequences (N, T, inputs) and answers (N, outputs) from the last state."""

    def __init__(self, kind: str, inputs: int = 1, outputs: int = 1) -> None:
        self.rnn = LAYERS[kind](inputs, HIDDEN[kind], batch_first=True)
        self.head = nn.Linear(HIDDEN[kind], outputs)

    def forward(self, x: gu.Tensor) -> gu.Tensor:
        """Answers for sequences."""
        output, _ = self.rnn(x)
        return self.head(output[:, -1])


# What becomes of the gradient


def by_hand(
    x: Array, y: float, w: Array, u: Array, b: Array, v: Array, c: Array
) -> tuple[Array, list[Array]]:
    """Backpropagation through time of the squared error of one answer.

    Args:
        x: sequence (T, I).
        y: the right answer.
        w, u, b: of the state (H, H), of the input (H, I), and bias (H,).
        v, c: weights (1, H) and bias (1,) of the output.

    Returns:
        The gradient with respect to w, and to each state h_1 ... h_T.
    """
    h = [np.zeros(len(w))]
    for element in x:
        h.append(np.tanh(w @ h[-1] + u @ element + b))
    delta = v.T @ (2 * (v @ h[-1] + c - y))
    to_w, to_h = np.zeros_like(w), []
    for t in range(len(x), 0, -1):
        to_h.append(delta)
        epsilon = (1 - h[t] ** 2) * delta
        to_w += np.outer(epsilon, h[t - 1])
        delta = w.T @ epsilon
    return to_w, to_h[::-1]


def to_states(
    model: Reader, loss: Callable[..., gu.Tensor], x: gu.Tensor, y: gu.Tensor
) -> list[gu.Tensor]:
    """The gradient of a loss to all that each step hands on to the next (for LSTM h and c)."""
    state: Any = None
    kept: list[gu.Tensor] = []
    for t in range(x.shape[1]):
        _, state = model.rnn(x[:, t : t + 1], state)
        kept += state if isinstance(state, tuple) else [state]
    h = state[0] if isinstance(state, tuple) else state
    found = gu.grad(loss(model.head(h[0]), y), kept, allow_unused=True)
    grads = [gu.zeros_like(k) if g is None else g for g, k in zip(found, kept, strict=True)]
    each = len(kept) // x.shape[1]
    return [gu.cat(grads[i : i + each], dim=2)[0] for i in range(0, len(grads), each)]


def gradient_by_step(model: Reader, loss: Callable[..., gu.Tensor], data: Pair) -> gu.Tensor:
    """The mean norm over sequences of the gradient to the state after each step, (T,)."""
    x, y = data
    model.double()  # float32 ends at 1e-45
    y = y.double() if y.dtype == gu.float32 else y
    norms = [len(x) * g.norm(dim=1).mean() for g in to_states(model, loss, x.double(), y)]
    model.float()
    return gu.stack(norms).detach()


def decades(norms: gu.Tensor) -> float:
    """By how many powers of ten the gradient is smaller at the first step than at the last."""
    return math.log10(norms[-1].item() / max(norms[0].item(), 1e-300))


def difference_by_hand(seed: int) -> float:
    """Largest difference between `by_hand` and the engine, in float64."""
    gu.manual_seed(seed)
    model = Reader("RNN").double()
    x, y = (part.double() for part in counting(np.random.default_rng(seed), 1, 10))
    u, w, b, b2, v, c = [p.detach().numpy() for p in model.parameters()]
    to_w, to_h = by_hand(x[0].numpy(), y.item(), w, u, b + b2, v, c)
    engine = [g[0].numpy() for g in to_states(model, F.mse_loss, x, y)]
    F.mse_loss(model(x), y).backward()
    pairs = [(to_w, model.rnn.weight_hh_l0.grad.numpy()), *zip(to_h, engine, strict=True)]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def gains(seed: int, run: Trial) -> dict[str, float]:
    """The gradient of untrained vanilla networks whose W is orthogonal times a number."""
    metrics = {"hand/difference": difference_by_hand(seed)}
    data = counting(np.random.default_rng([seed, 3]), 20, 50)
    for gain in GAINS:
        gu.manual_seed(seed)
        model = Reader("RNN")
        nn.init.orthogonal_(model.rnn.weight_hh_l0, gain=gain)
        norms = gradient_by_step(model, F.mse_loss, data)
        metrics[f"W-times-{gain:g}/decades_before"] = decades(norms)
        run.save(f"gradients-W-times-{gain:g}", before=norms)
    return metrics


# The experiment


@dataclass
class Config:
    """What the experiment can be run with.

    Attributes:
        steps: of training, each on 32 sequences.
        lengths: of the sequences, of 7 and 50.
        networks: which are to count, of RNN, GRU and LSTM.
        gradient: compare gradients by hand, and look at those of untrained networks.
        lr: the learning rate of each network.
    """

    steps: int = 800
    lengths: tuple[int, ...] = LENGTHS
    networks: tuple[str, ...] = tuple(LAYERS)
    gradient: bool = True
    lr: dict[str, float] = field(default_factory=lambda: {"RNN": 0.001, "GRU": 0.1, "LSTM": 0.03})

    def __post_init__(self) -> None:
        if self.steps < 1 or set(self.lengths) - set(LENGTHS):
            raise ValueError(
                f"steps {self.steps}, lengths {self.lengths}: expected at least 1 step, and "
                f"lengths of {LENGTHS}"
            )
        if unknown := set(self.networks) - set(LAYERS):
            raise ValueError(f"no {', '.join(unknown)}; expected some of {', '.join(LAYERS)}")


def train(
    run: Trial,
    name: str,
    model: nn.Module,
    loss: Callable[..., gu.Tensor],
    batches: list[Pair],
    rate: float,
) -> None:
    """Adam with a cosine schedule, gradients clipped at norm 1, one step a batch."""
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = CosineAnnealingLR(optimizer, T_max=len(batches))
    callbacks = [ClipGradients(max_norm=1.0), Schedule(schedule, per="step")]
    run.fit(name, model, loss, optimizer, batches, epochs=1, callbacks=callbacks, animate=False)


def right(answers: gu.Tensor, share: gu.Tensor, length: int) -> int:
    """How many answers round to the count."""
    return int(((length * answers).round() == (length * share).round()).sum().item())


def count(length: int, config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Train each network to count, and ask it about new sequences."""
    random = np.random.default_rng([seed, 0])
    batches = [counting(random, BATCH, length) for _ in range(config.steps)]
    validation = counting(np.random.default_rng([seed, 1]), 500, length)
    random = np.random.default_rng([seed, 2])
    test, any_count = (counting(random, 50, length, any_count=kind) for kind in (False, True))
    probe = counting(np.random.default_rng([seed, 3]), 20, length)
    name, metrics = f"count_{length}", {}
    if length == 50:
        metrics["always_25/count_50_test"] = float(right(gu.full((50, 1), 0.5), test[1], 50))
    for network in config.networks:
        gu.manual_seed(seed)
        model = Reader(network)
        before = gradient_by_step(model, F.mse_loss, probe)
        train(run, f"{network}-{name}", model, F.mse_loss, batches, config.lr[network])
        metrics[f"{network}/{name}_validation"] = F.mse_loss(*predict(model, [validation])).item()
        metrics[f"{network}/{name}_test"] = right(*predict(model, [test]), length)
        if length == 7:
            answer = model(gu.tensor(EXAMPLE).float().reshape(1, 7, 1)).item()
            metrics[f"{network}/example_test"] = 7 * answer
        else:
            metrics[f"{network}/any_count_test"] = right(*predict(model, [any_count]), length)
            after = gradient_by_step(model, F.mse_loss, probe)
            metrics[f"{network}/decades_before"] = decades(before)
            metrics[f"{network}/decades_after"] = decades(after)
            run.save(f"gradients-{network}", before=before, after=after)
    return metrics


def run(config: Config, seed: int, run: Trial) -> dict[str, float]:
    """Look at gradients, then count."""
    metrics = gains(seed, run) if config.gradient else {}
    for length in config.lengths:
        metrics |= count(length, config, seed, run)
    return metrics


TUNED = [
    Tuned(
        f"lr.{network}",
        RATES,
        f"{network}/count_50_validation",
        "minimize",
        given={"lengths": (50,), "networks": (network,), "gradient": False},
    )
    for network in LAYERS
]


DOCUMENT = "Layer 1 completion roadmap, example 7, expected output"
PASCANU = "Pascanu, Mikolov and Bengio (2013), section 2.1"
CLAIMS = [
    *(
        Claim(
            f"example-{name}", f"the {name} counts 4 ones in 1011010", DOCUMENT, 4,
            f"{name}/example_test", "equals",
        )
        for name in LAYERS
    ),
    Claim(
        "fails", "at length 50 the vanilla RNN fails (read as: counts at most 25 of 50 right)",
        DOCUMENT, 25, "RNN/count_50_test", "at most", digits=1,
    ),
    Claim(
        "LSTM-50", "at length 50 the LSTM counts 47 of 50 right", DOCUMENT, 47,
        "LSTM/count_50_test", digits=1,
    ),
    Claim(
        "GRU-50", "at length 50 the GRU counts 48 of 50 right", DOCUMENT, 48,
        "GRU/count_50_test", digits=1,
    ),
    *(
        Claim(
            f"vanishes-{name}", f"before training, the gradient of the {name} shrinks by at least "
            "6 powers of ten over 50 steps", source, 6, f"{name}/decades_before",
            unit=" decades", digits=1,
        )
        for name, source in (
            ("RNN", f"{DOCUMENT} (the figure is ours)"),
            ("GRU", "the lesson (the figure is ours)"),
            ("LSTM", "the lesson (the figure is ours)"),
        )
    ),
    Claim(
        "bound", "with a W that halves every vector, 49 steps lose at least 14.7 powers of ten",
        PASCANU, 14.7, "W-times-0.5/decades_before", unit=" decades", digits=1,
    ),
    Claim(
        "explodes", "with 1.5 times an orthogonal W the gradient grows on its way back", PASCANU,
        0, "W-times-1.5/decades_before", "at most", unit=" decades", digits=1,
    ),
    Claim(
        "anywhere", "the GRU counts at least 45 of 50 right where any count is equally likely",
        "the lesson (the figure is ours)", 45, "GRU/any_count_test", digits=1,
    ),
]  # fmt: skip


# Figures


def gradient_figure(results: Results, names: list[str], when: str) -> Figure:
    """The gradient at each of 50 steps, for all seeds."""
    series = {}
    for name in names:
        norms = [o.tensors(f"gradients-{name}")[when].numpy() for o in results.outcomes.values()]
        series[name] = np.maximum(norms, 1e-20)
    return viz.curves(series, "Time step", "Norm of the gradient", log_y=True)


def states_figure(models: dict[str, Reader], x: gu.Tensor) -> Figure:
    """The state h of each network after each step of a sequence (1, T, I), sorted by its end."""
    panels = {}
    for name, model in models.items():
        with gu.no_grad():
            states = model.rnn(x)[0][0].numpy().T
        panels[name] = states[np.argsort(-states[:, -1])]
    return viz.heatmaps(panels, "Time step", "Unit", "State", columns=1, size=(4.2, 1.5))


def sections(results: Results) -> list[tuple[str, list[viz.Block]]]:
    """The gradient along time, states along time, and the rates that were chosen."""
    config, names = results.config, list(results.config.networks)
    seed, first = next(iter(results.outcomes.items()))
    gradient: list[viz.Block] = []
    found: list[tuple[str, list[viz.Block]]] = []
    if config.gradient:
        caption = (
            "Vanilla networks before training, W orthogonal times 0.5, 1 and 1.5. Going back from "
            "the last step, the gradient vanishes, nearly stays, grows."
        )
        shown = [f"W-times-{gain:g}" for gain in GAINS]
        gradient.append(viz.Plot(gradient_figure(results, shown, "before"), caption))
    if 50 in config.lengths:
        for when in ("before", "after"):
            caption = f"Counting at length 50, {when} training."
            gradient.append(viz.Plot(gradient_figure(results, names, when), caption))
        models = {name: Reader(name) for name in names}
        for name, model in models.items():
            model.load_state_dict(first.weights(f"{name}-count_50"))
        x, _ = counting(np.random.default_rng(seed), 1, 50)
        caption = (
            f"Reading coin flips, seed {seed}; units are sorted by their last state. A unit that "
            "counts changes its shade slowly, one that knows the last bits flickers."
        )
        found = [("States while counting", [viz.Plot(states_figure(models, x), caption)])]
    if gradient:
        found = [("The gradient along time", gradient), *found]
    rates = "\n".join(f"{name:6}{config.lr[name]:>8g}" for name in names)
    words = "The learning rate of each network: the best of seven on seeds 100 to 102."
    return [*found, ("Learning rates", [viz.Code(rates, words)])]
