"""Training a language model on a file, so that it can be stopped at any moment."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ...data import RandomWindows, TokenFile
from ...engine.autograd import no_grad
from ...engine.compiler.run import compile
from ...engine.files import CheckpointError, write_atomically
from ...engine.random import Generator, manual_seed
from ...engine.tensor import Tensor
from ...models import GPT, LSTMLanguageModel
from ...models.decoding import Sampling
from ...nn import functional as F
from ...optim import AdamW
from ...optim.lr_scheduler import WarmupCosineLR
from ...text import Tokenizer, compressed_bits, ngram_bits
from ...training import Callback, Checkpoint, ClipGradients, Schedule, fit
from ...training.evaluate import evaluating
from ...training.run import Run
from .corpus import Corpus, Progress, prepare
from .folder import load_language_model, save_language_model
from .recipe import Recipe
from .sampling import decoder_for, write_on

LOOK = 2**14
"""Tokens of the validation text that are looked at while training; at the end all are."""
BETWEEN_CHECKPOINTS = 50
"""Steps; what a kill costs at most. Ctrl-C costs nothing."""
WRITTEN = 300
"""Tokens of a sample."""
ROWS = 32
"""Windows that are judged at a time."""
WORTH = 30
"""Times that many of them are worth compiling for."""


@dataclass(frozen=True)
class Outcome:
    """What training came to.

    Attributes:
        parameters: of the model.
        vocabulary: tokens that there are.
        train_tokens: tokens to train on.
        validation_tokens: tokens to be judged by.
        steps: taken in all.
        best_step: the step whose weights were kept: the best at a look at the validation text.
        loss: nats for each token of the validation text.
        bits_per_character: the same in bits for each character.
        baselines: bits per character of n-grams, gzip and xz, which were given up to the last two
            million bytes of the training text.
        tokens_per_second: while training, in the last part of the run.
        samples: what the model writes, each behind the words that it was given.

    Example:
        >>> sorted(Outcome.__dataclass_fields__)[0]
        'baselines'
    """

    parameters: int
    vocabulary: int
    train_tokens: int
    validation_tokens: int
    steps: int
    best_step: int
    loss: float
    bits_per_character: float
    baselines: dict[str, float]
    tokens_per_second: float
    samples: tuple[str, ...]


class Watch(Callback):
    """Told of progress: a function gets the run, tokens a second, and bits per character."""

    def __init__(self, tell: Callable[[Run, float, float], None], tokens: int, bits: float) -> None:
        self.tell, self.tokens, self.bits = tell, tokens, bits
        self.speed = 0.0
        self._seconds, self._steps = 0.0, -1
        self._since = perf_counter()

    def on_step_end(self, run: Run) -> None:
        """The speed without the first step, which compiles, and without what is between steps."""
        self._steps += 1
        if self._steps:
            self._seconds += perf_counter() - self._since
            self.speed = self._steps * self.tokens / max(self._seconds, 1e-9)
        self._told(run)

    def on_boundary(self, run: Run) -> None:
        """The next step begins."""
        self._since = perf_counter()

    def on_epoch_end(self, run: Run) -> None:
        """The validation is new."""
        self._told(run)

    def _told(self, run: Run) -> None:
        losses = run.history.epochs["validation_loss"] if run.history.epochs else []
        self.tell(run, self.speed, losses[-1] * self.bits if losses else math.nan)


class KeepBest(Callback):
    """Writes the model to its folder whenever the validation text says that it is better."""

    def __init__(self, save: Callable[[], None]) -> None:
        self.save = save
        self.best, self.step = math.inf, 0

    def on_epoch_end(self, run: Run) -> None:
        """Compare, and write."""
        value = run.latest("validation_loss")
        if value < self.best or not self.step:
            self.best, self.step = value, run.step
            self.save()

    def state_dict(self) -> dict[str, Any]:
        """The best loss, and its step."""
        return {"best": self.best, "step": self.step}

    def load_state_dict(self, state: Any) -> None:
        """Go on from there."""
        self.best, self.step = float(state["best"]), int(state["step"])


def train_language_model(
    file: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    recipe: Recipe | None = None,
    *,
    samples: int = 2,
    restart: bool = False,
    progress: Progress = lambda what, done, total: None,
    tell: Callable[[Run, float, float], None] = lambda run, speed, bits: None,
) -> Outcome:
    r"""Train a language model on a text file, or go on with it.

    Args:
        file: UTF-8, of any size; it is not held in memory.
        folder: gets the tokens, a checkpoint, and the model with its tokenizer. If it has a run of
            the same file with the same recipe, that one is gone on with.
        recipe: the settings; the defaults if None.
        samples: how many texts to write at the end.
        restart: begin anew, whatever the folder has.
        progress: told of the preparation.
        tell: told of each step: the run, tokens a second, bits per character on validation.

    Raises:
        TextError: the file cannot be trained on.
        ValueError: the folder has a run of another file or with other settings.
        CheckpointError: the checkpoint is damaged.
        KeyboardInterrupt: Ctrl-C; a checkpoint is written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     path = Path(name) / "text"
        ...     _ = path.write_text("to be or not to be\n" * 50)
        ...     recipe = Recipe(layers=1, width=16, heads=2, context=16, steps=20)
        ...     outcome = train_language_model(path, f"{name}/model", recipe, samples=1)
        >>> outcome.bits_per_character < outcome.baselines["1-gram"]
        True
    """
    place, recipe = Path(folder), recipe or Recipe()
    checkpoint, settings = place / "checkpoint.safetensors", place / "run.json"
    if restart:
        for path in (checkpoint, settings, place / "tokens.json"):
            path.unlink(missing_ok=True)
    _same_run(settings, recipe)
    corpus = prepare(file, place, recipe, progress)
    _same_text(settings, corpus, place)
    content = {"recipe": asdict(recipe), "sha256": corpus.digest}
    write_atomically(settings, (json.dumps(content, indent=2) + "\n").encode())

    manual_seed(recipe.seed)
    model = recipe.build(len(corpus.tokenizer))
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99))
    schedule = WarmupCosineLR(
        optimizer,
        min(100, recipe.steps // 10),
        recipe.steps,
        min_lr=recipe.learning_rate / 10,
    )
    windows = RandomWindows(
        corpus.tokens, corpus.split, recipe.context, recipe.batch, recipe.steps, recipe.every,
        recipe.seed,
    )  # fmt: skip
    held_tokens = len(corpus.tokens) - corpus.split
    per_character = held_tokens / len(corpus.held) / math.log(2)
    watch = Watch(tell, recipe.batch * recipe.context, per_character)
    best = KeepBest(lambda: save_language_model(model, corpus.tokenizer, place))
    fit(
        model,
        loss,
        optimizer,
        windows,
        epochs=-(-recipe.steps // recipe.every),
        validation=held_windows(corpus, recipe.context),
        callbacks=[
            ClipGradients(max_norm=1.0),
            Schedule(schedule, per="step"),
            watch,
            best,
            Checkpoint(checkpoint, every=BETWEEN_CHECKPOINTS, per="step"),
        ],
        resume=checkpoint if checkpoint.exists() else None,
    )
    kept, tokenizer = load_language_model(place)
    assert isinstance(kept, GPT | LSTMLanguageModel)
    nats = judged(kept, corpus.tokens, corpus.split, recipe.context, progress)
    return Outcome(
        sum(p.numel() for p in model.parameters()),
        len(tokenizer),
        corpus.split,
        held_tokens,
        recipe.steps,
        best.step,
        nats,
        nats * per_character,
        baselines(corpus, progress),
        watch.speed,
        _samples(kept, tokenizer, _starts(corpus.held, samples), recipe.seed),
    )


def _same_run(settings: Path, recipe: Recipe) -> None:
    """Refuse to go on with other settings."""
    before = _before(settings)
    if before and (changed := recipe.differences(before.get("recipe", {}))):
        raise ValueError(
            f"{settings.parent} has a run with other settings ({'; '.join(changed)}); go on with "
            "the same ones, choose another folder, or begin anew with restart"
        )


def _same_text(settings: Path, corpus: Corpus, folder: Path) -> None:
    before = _before(settings)
    if before and before.get("sha256") != corpus.digest:
        raise ValueError(
            f"{folder} has a run on another text than the file has now; choose another folder, or "
            "begin anew with restart"
        )


def _before(settings: Path) -> dict[str, Any]:
    if not settings.exists():
        return {}
    try:
        found = json.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{settings}: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("recipe"), dict):
        raise CheckpointError(f"{settings}: it has no recipe; begin anew with restart")
    return found


def loss(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over all places, in nats.

    Shape:
        scores (N, T, V), target (N, T) -> ().

    Example:
        >>> loss(gu.zeros(1, 2, 4), gu.tensor([[0, 3]])).item() == math.log(4)
        False
        >>> round(loss(gu.zeros(1, 2, 4), gu.tensor([[0, 3]])).item(), 4)
        1.3863
    """
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def held_windows(corpus: Corpus, context: int) -> list[Sequence[Tensor]]:
    """Batches of windows, spread evenly over the validation text, for a look while training."""
    last = len(corpus.tokens) - context - 1
    first = min(corpus.split - 1, last)
    whole = max(1, (last - first) // context)
    count = max(1, min(whole, LOOK // context))
    starts = np.linspace(first, last, count).astype(int)
    return [corpus.tokens.windows(starts[i : i + ROWS], context) for i in range(0, count, ROWS)]


def judged(
    model: GPT | LSTMLanguageModel,
    tokens: TokenFile,
    split: int,
    context: int,
    progress: Progress = lambda what, done, total: None,
) -> float:
    """Nats for each token after a place, each with at least half a context before it.

    Args:
        model: the model.
        tokens: all of them.
        split: the first that counts.
        context: tokens in a window.
        progress: told how far it is.

    Example:
        >>> import tempfile
        >>> from groundup.data import write_tokens
        >>> from groundup.models import LSTMConfig
        >>> model = LSTMLanguageModel(LSTMConfig(10, 4, 8))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     _ = write_tokens(f"{name}/ids", [range(10)] * 3, 10)
        ...     found = judged(model, TokenFile(f"{name}/ids", 10), 20, 6)
        >>> bool(abs(found - math.log(10)) < 0.5)
        True
    """
    new = max(1, context - context // 2)
    total = len(tokens) - split
    # The window that predicts the tokens from s on ends there; the last one is moved to the end.
    firsts = list(range(split, len(tokens), new))
    ends = [min(first + new, len(tokens)) for first in firsts]
    starts = [max(0, end - context - 1) for end in ends]
    counted = [end - first for first, end in zip(firsts, ends, strict=True)]

    def each(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="none")

    often = compile(each) if len(starts) >= WORTH * ROWS else each
    nats = 0.0
    with evaluating(model), no_grad():
        for i in range(0, len(starts), ROWS):
            rows = starts[i : i + ROWS]
            x, y = tokens.windows(rows, context)
            measure = often if len(rows) == ROWS else each
            found = measure(x, y).reshape(y.shape).numpy().astype(float)
            for row, count in zip(found, counted[i : i + ROWS], strict=True):
                nats += float(row[context - count :].sum())
            progress("judging", i + len(rows), len(starts))
    return nats / total


def baselines(
    corpus: Corpus, progress: Progress = lambda what, done, total: None
) -> dict[str, float]:
    """Bits per character of the validation text to those who count or compress."""
    progress("counting and compressing", 0, 1)
    before, held = corpus.before, corpus.held
    found: dict[str, float] = {}
    if len(before) >= 20:
        train, text = (
            np.frombuffer(part.encode("utf-32-le"), np.uint32) for part in (before, held)
        )
        order = min(5, len(before) // 4)
        found = {f"{n}-gram": bits for n, bits in enumerate(ngram_bits(train, text, order), 1)}
    programs = compressed_bits(before.encode(), held.encode())
    return found | {name: bits / len(held) for name, bits in programs.items()}


def _starts(held: str, count: int) -> list[str]:
    """Beginnings for samples: the end of a line, then words of the validation text."""
    lines = [line for line in held.splitlines() if len(line.strip()) > 8]
    first = "\n" if "\n" in held else held[:1]
    words = [" ".join(line.split()[:3]) for line in lines[:: max(1, len(lines) // 8)]]
    return [first, *(word for word in words if word)][:count]


def _samples(
    model: GPT | LSTMLanguageModel, tokenizer: Tokenizer, starts: Sequence[str], seed: int
) -> tuple[str, ...]:
    """What a model writes behind these beginnings."""
    decoder, sampling = decoder_for(model), Sampling(temperature=0.8, top_p=0.95)
    texts = (
        write_on(decoder, tokenizer, start, WRITTEN, sampling, Generator(seed)) for start in starts
    )
    return tuple(start + "".join(text) for start, text in zip(starts, texts, strict=True))
