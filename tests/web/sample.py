"""Runs that look like real ones, written as journals, for tests and for looking at the pages.

python -m tests.web.sample FOLDER     # fills a folder and keeps one run going until Ctrl-C
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from groundup.runs import Store

HOUR = 3600.0
Event = dict[str, Any]


class Journal:
    """A run as it stands on the disk."""

    def __init__(
        self,
        folder: Path,
        experiment: str,
        ago: float,
        config: dict[str, Any],
        seed: int | None = 0,
        tags: Iterable[str] = (),
        note: str = "",
    ) -> None:
        self.start = time.time() - ago
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.start))
        digest = random.Random(f"{experiment}{ago:.0f}{seed}").randbytes(3).hex()
        self.id = f"{experiment}-{stamp}-{digest}"
        self.folder = folder / self.id
        (self.folder / "figures").mkdir(parents=True)
        self._json("config.json", config)
        self._json("labels.json", {"tags": sorted(tags), "note": note})
        self._json(
            "environment.json",
            {
                "command": ["groundup", "run", experiment],
                "versions": {"python": "CPython 3.12.4", "groundup": "0.1.0", "numpy": "2.3.1"},
                "system": "Linux 6.8",
                "cores": 8,
                "threads": 8,
                "commit": digest * 6,
            },
        )
        self.events: list[Event] = [
            {
                "event": "created",
                "format": 1,
                "time": self.start,
                "experiment": experiment,
                "seed": seed,
                "parent": None,
            },
            {"event": "start", "time": self.start + 0.4, "host": "workstation", "pid": 4711},
        ]

    def _json(self, name: str, content: Any) -> None:
        (self.folder / name).write_text(json.dumps(content, indent=2))

    def log(self, step: int, after: float, **values: float) -> None:
        self.events.append({"step": step, "time": self.start + after, "values": values})

    def text(self, after: float, words: str) -> None:
        self.events.append({"event": "text", "time": self.start + after, "text": words})

    def figure(self, name: str, svg: str, after: float, step: int | None = None) -> None:
        file = f"{name}.svg" if step is None else f"{name}-{step:08d}.svg"
        (self.folder / "figures" / file).write_text(svg)
        self.events.append(
            {
                "event": "figure",
                "time": self.start + after,
                "name": name,
                "step": step,
                "file": file,
            }
        )

    def verdict(self, after: float, **fields: Any) -> None:
        self.events.append({"event": "verdict", "time": self.start + after, "verdict": fields})

    def end(self, after: float, status: str = "done", error: str | None = None) -> str:
        self.events.append(
            {"event": "end", "time": self.start + after, "status": status, "error": error}
        )
        return self.write()

    def write(self) -> str:
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        (self.folder / "events.jsonl").write_text(lines)
        return self.id


def noise(seed: Any) -> Iterator[float]:
    """Numbers that wander a little around 0."""
    source, value = random.Random(str(seed)), 0.0
    while True:
        value = 0.7 * value + source.gauss(0, 1)
        yield value


def picture(step: int, seed: int) -> str:
    """Sixteen small images that become clearer with the steps."""
    source = random.Random(seed)
    cells = []
    for i in range(16):
        x, y = 10 + (i % 8) * 44, 10 + (i // 8) * 44
        for j in range(64):
            ring = abs(math.hypot(j % 8 - 3.5, j // 8 - 3.5) - 1.2 - (i % 4) * 0.55) < 0.75
            clear = min(1.0, step / 3000)
            dark = clear * ring + (1 - clear) * source.random()
            grey = int(255 * (1 - dark))
            place = f'x="{x + j % 8 * 5}" y="{y + j // 8 * 5}"'
            fill = f"rgb({grey},{grey},{grey})"
            cells.append(f'<rect {place} width="5" height="5" fill="{fill}"/>')
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 372 108">'
    return f"{head}{''.join(cells)}</svg>"


def digits(folder: Path, network: str, seed: int, ago: float, rate: float) -> str:
    """A short training with epochs and validation."""
    config = {
        "network": network,
        "epochs": 40,
        "batch_size": 64,
        "optimizer": {"name": "AdamW", "lr": rate, "weight_decay": 0.01},
    }
    tags = ["baseline"] if network == "mlp" else ["cnn", "paper"]
    run = Journal(folder, "digits", ago, config, seed, tags)
    wander, floor = noise((network, seed)), {"mlp": 0.045, "cnn": 0.012}[network]
    step, clock, per_epoch = 0, 1.0, 17
    for epoch in range(40):
        for _ in range(per_epoch):
            step += 1
            clock += 0.011 if network == "mlp" else 0.034
            loss = (2.3 * math.exp(-step / 60) + floor) * math.exp(0.22 * next(wander))
            values = {"loss": loss, "lr": rate * 0.5 * (1 + math.cos(math.pi * epoch / 40))}
            if step % 20 == 1:
                for layer, depth in (
                    ("0.weight", 0),
                    ("0.bias", 0),
                    ("3.weight", 1),
                    ("3.bias", 1),
                    ("6.weight", 2),
                    ("6.bias", 2),
                ):
                    scale = 0.5 * math.exp(-step / 300) * (0.6 + 0.4 * depth)
                    values[f"gradient_norm/{layer}"] = scale * math.exp(0.3 * next(wander))
                    values[f"weight_norm/{layer}"] = (3 + depth) * (1 + 0.4 * step / 680)
            run.log(step, clock, **values)
        accuracy = (
            (0.984 if network == "cnn" else 0.958)
            - 0.75 * math.exp(-(epoch + 1) / 3.2)
            + 0.004 * next(wander)
        )
        run.log(
            step,
            clock,
            epoch=epoch + 1.0,
            epoch_loss=2.2 * math.exp(-epoch / 4) + floor,
            validation_loss=2.2 * math.exp(-epoch / 4) + floor * 2.2 + 0.004 * next(wander),
            validation_accuracy=min(0.995, accuracy),
        )
        run.log(
            step,
            clock,
            examples_per_second=24000 + 900 * next(wander),
            **{
                "system/cpu": 1.9 + 0.05 * next(wander),
                "system/load": 2.1,
                "system/peak_memory": 180.0 + epoch,
            },
        )
    run.text(clock, f"test accuracy {accuracy:.3f}")
    gained = 98.1 if network == "cnn" else 95.9
    run.verdict(
        clock,
        claim="accuracy",
        text=f"the {network.upper()} reaches {94 if network == 'cnn' else 87} % test accuracy",
        source="source document, chapter 3",
        claimed=94.0 if network == "cnn" else 87.0,
        comparison="at least",
        unit=" %",
        measured=[[s, gained + 0.4 * math.sin(9 * s)] for s in range(5)],
        low=gained - 0.5,
        high=gained + 0.45,
        verdict="holds",
    )
    if network == "cnn":
        run.verdict(
            clock,
            claim="parameters",
            text="the CNN has 1,234 parameters",
            source="source document, chapter 3",
            claimed=1234.0,
            comparison="equals",
            unit="",
            measured=[[0, 5130.0]],
            low=5130.0,
            high=5130.0,
            verdict="refuted",
        )
        run.verdict(
            clock,
            claim="gain",
            text="the CNN is 2.5 points better than the MLP",
            source="source document, table 2",
            claimed=2.5,
            comparison="at least",
            unit=" points",
            measured=[[s, 2.2 + 0.5 * math.cos(7 * s)] for s in range(5)],
            low=1.7,
            high=2.8,
            verdict="holds in part",
        )
        run.verdict(
            clock,
            claim="speed",
            text="it trains in under a second",
            source="readme",
            claimed=1.0,
            comparison="at most",
            unit=" s",
            measured=[],
            low=None,
            high=None,
            verdict="not measured",
        )
    for at in (100, 1000, 3000):
        run.figure("samples", picture(at, seed), clock, at)
    run.figure("confusion", picture(4000, seed + 7), clock)
    return run.end(clock + 0.5)


PARTS = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
LAYERS = [
    "embedding.weight",
    *(f"blocks.{i}.{part}.weight" for i in range(8) for part in PARTS),
    "head.weight",
]


def transformer_config(rate: float, clip: float | None = 1.0) -> dict[str, Any]:
    return {
        "layers": 8,
        "width": 256,
        "heads": 8,
        "context": 256,
        "optimizer": {"name": "AdamW", "lr": rate, "betas": [0.9, 0.95]},
        "clip": clip,
    }


def transformer_values(step: int, rate: float, wander: Iterator[float]) -> dict[str, float]:
    warm = min(1.0, step / 1000)
    loss = 1.35 + 8.2 * (1 + step) ** -0.42 + 0.055 * next(wander)
    if 9000 < step < 9025:
        loss += 3.0 * math.exp(-abs(step - 9010) / 4)
    values = {
        "loss": loss,
        "lr": rate * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / 20000))),
        "gradient_norm": 1.1 * math.exp(0.25 * next(wander)) * (1 + 2 * math.exp(-step / 500)),
    }
    if step % 100 == 0:
        for depth, layer in enumerate(LAYERS):
            vanish = 10 ** (-2.4 * (1 - depth / len(LAYERS)) * (1 - 0.5 * warm))
            values[f"gradient_norm/{layer}"] = vanish * math.exp(0.35 * next(wander))
            values[f"weight_norm/{layer}"] = 8 + 4 * (depth % 4) + step / 4000
    if step % 500 == 0:
        values |= {
            "validation_loss": 1.47 + 8.2 * (1 + step) ** -0.42 + 0.01 * next(wander),
            "validation_perplexity": math.exp(1.47 + 8.2 * (1 + step) ** -0.42),
        }
    if step % 50 == 0:
        values |= {
            "tokens_per_second": 41000 + 1500 * next(wander),
            "system/cpu": 7.4 + 0.2 * next(wander),
            "system/load": 8.1 + 0.3 * next(wander),
            "system/peak_memory": 2100 + min(step, 4000) / 40,
        }
    return values


def transformer(folder: Path, seed: int, ago: float, rate: float, steps: int, ending: str) -> str:
    """A longer training, with layers; it may end badly."""
    run = Journal(
        folder,
        "text_transformer",
        ago,
        transformer_config(rate, None if ending == "failed" else 1.0),
        seed,
        ["best", "sweep"] if ending == "done" else ["sweep"],
        "Warm-up of 1,000 steps; the spike near 9,000 is one bad shard."
        if ending == "done"
        else "",
    )
    wander = noise(("transformer", seed))
    for step in range(1, steps + 1):
        values = transformer_values(step, rate, wander)
        if ending == "failed" and step > steps - 40:
            values["loss"] = math.nan
        run.log(step, step * 0.09, **values)
        if step % 2000 == 0:
            run.log(step, step * 0.09, epoch=step / 2000)
            run.figure("attention", picture(step // 4, seed), step * 0.09, step)
            run.text(step * 0.09, f"step {step}: loss {values['loss']:.4f}")
    if ending == "lost":
        return run.write()
    error = None
    if ending == "failed":
        error = (
            "Traceback (most recent call last):\nFloatingPointError: loss is NaN since step 2,961"
        )
    return run.end(steps * 0.09, ending, error)


def fill(folder: Path, scale: float = 1.0) -> dict[str, list[str]]:
    """Runs of every kind; `scale` makes the long ones shorter."""
    n = int(16_000 * scale)
    found = {
        "digits": [
            digits(folder, network, seed, (30 + 3 * seed + (network == "cnn")) * HOUR, rate)
            for network, rate in (("mlp", 0.03), ("cnn", 0.01))
            for seed in range(3)
        ],
        "transformer": [
            transformer(folder, 0, 5 * HOUR, 0.003, n, "done"),
            transformer(folder, 1, 4 * HOUR, 0.001, n // 2, "stopped"),
            transformer(folder, 2, 3 * HOUR, 0.02, max(60, n // 5), "failed"),
            transformer(folder, 3, 2 * HOUR, 0.002, n // 3, "lost"),
        ],
    }
    with Store(folder) as store:
        whole = found["transformer"][0]
        store.queue(
            "digits", {"network": "vit", "epochs": 40}, seed=0, tags=["sweep"], parent=whole
        )
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    fill(folder, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    wander = noise("live")
    with (
        Store(folder) as store,
        store.start("text_transformer", transformer_config(0.0025), seed=4, tags=["sweep"]) as run,
    ):
        step = 0
        while True:
            step += 1
            run.log(step, **transformer_values(step, 0.0025, wander))
            if step % 500 == 0:
                run.log(step, epoch=step / 2000)
            time.sleep(0.02)


if __name__ == "__main__":
    main()
