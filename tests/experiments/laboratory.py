"""A small package that offers experiments through entry points, as another project would.

`install` writes it to a folder, to be put on the path. `line` trains twice and is quick; `broken`
raises an error; `wordless` lacks parts; `gone` is announced but not there.
"""

from pathlib import Path

LINE = '''"""Lines: is a slope learned?

Least squares, as a formula and as a list:

    loss = mean over i of (w x[i] + b - y[i])^2

- one fit is `plain`,
- the other one is **steep**.
"""

import time
from dataclasses import dataclass, field

import groundup as gu
import groundup.nn.functional as F
from groundup import nn, optim, viz
from groundup.experiments.claims import Claim
from groundup.experiments.experiment import Tuned
from groundup.training import Callback

LESSON = 3
SEEDS = (1, 2, 3, 4, 5, 6)
TUNING_SEEDS = (100, 101)
LABELS = {"validation_loss": "squared error (validation)"}
OBJECTIVE, GOAL = "plain/validation_loss", "minimize"
SLOPES = {"plain": 2.0, "steep": 5.0}


@dataclass
class Config:
    epochs: int = 12
    lr: dict[str, float] = field(default_factory=lambda: {"plain": 0.1, "steep": 0.1})
    pause: float = 0.0
    fail_at: int = -1

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("expected at least one epoch")


class Pause(Callback):
    def __init__(self, seconds, fail):
        self.seconds, self.fail = seconds, fail

    def on_step_end(self, run):
        print("step", run.step, flush=True) if self.seconds else None
        time.sleep(self.seconds)
        if self.fail:
            raise RuntimeError("the seed that fails")


def run(config, seed, run):
    metrics = {}
    for name, slope in SLOPES.items():
        gu.manual_seed(seed)
        x = gu.rand(24, 1) * 2 - 1
        y = slope * x + 0.1 * gu.randn(24, 1)
        model = nn.Linear(1, 1)
        history = run.fit(
            name,
            model,
            F.mse_loss,
            optim.SGD(model.parameters(), lr=config.lr[name], momentum=0.5),
            [(x[:16], y[:16])],
            epochs=config.epochs,
            validation=[(x[16:], y[16:])],
            callbacks=[Pause(config.pause, seed == config.fail_at)],
        )
        metrics[f"{name}/slope"] = model.weight.item()
        metrics[f"{name}/validation_loss"] = history.epochs["validation_loss"][-1]
        metrics[f"{name}/test_loss"] = F.mse_loss(model(x), y).item()
    for i in run.track(range(3), "thinking"):
        run.log(i, thought=float(i * i))
    run.figure("slope", viz.curves({"slope": [1.0, 2.0]}, "Step", "Slope"), "How it grew.")
    run.save("weights", slope=gu.tensor([metrics["plain/slope"]]))
    return metrics


TUNED = [Tuned("lr.plain", (1e-4, 0.1), "plain/validation_loss", "minimize")]
CLAIMS = [
    Claim("right", "the steeper line is steeper", "a book", 0.5, "steep/slope", minus="plain/slope",
          digits=1),
    Claim("wrong", "the plain slope is at least 30", "a book", 30, "plain/slope", digits=2),
]


def sections(results):
    slopes = [outcome.tensors("weights")["slope"].item() for outcome in results.outcomes.values()]
    shapes = {k: v.shape for k, v in next(iter(results.outcomes.values())).weights("plain").items()}
    return [("Slopes", [f"They are {min(slopes):.2f} at least; {shapes}"])]
'''

BROKEN = '''"""Broken: what happens when an experiment raises?"""

from dataclasses import dataclass

SEEDS = (0,)
CLAIMS = []


@dataclass
class Config:
    numbers: bool = False


def run(config, seed, run):
    if config.numbers:
        return {"a": "no number"}
    return {"a": [1.0][seed + 1]}
'''

WORDLESS = """CLAIMS = []


def run(config, seed, run):
    return {}
"""

ENTRIES = """[groundup.experiments]
line = tinylab.line
broken = tinylab.broken
wordless = tinylab.wordless
gone = tinylab.gone
"""


def install(folder: Path) -> Path:
    """Write the package and what announces it; the folder, for the path."""
    package, announced = folder / "tinylab", folder / "tinylab-1.0.dist-info"
    package.mkdir()
    announced.mkdir()
    (package / "__init__.py").write_text("")
    for name, text in (("line", LINE), ("broken", BROKEN), ("wordless", WORDLESS)):
        (package / f"{name}.py").write_text(text)
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: tinylab\nVersion: 1.0\n")
    (announced / "entry_points.txt").write_text(ENTRIES)
    return folder
