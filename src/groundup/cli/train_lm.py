"""`groundup train-lm` and `groundup sample`: a language model of one's own text."""

from __future__ import annotations

import math
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .app import Greedy, Json, Temperature, TopP, app, examples, whole_number
from .messages import Stopped, fail, grid, output, plain, print_json, shown, status, usage

if TYPE_CHECKING:
    from ..apps.language_model import Outcome
    from ..training.run import Run


def option(words: str, least: int = 1) -> Any:
    """An option that is a whole number; without it the preset decides."""
    return typer.Option(parser=whole_number(least), metavar="N", help=words, show_default=False)


@app.command(
    "train-lm",
    epilog=examples(
        "groundup train-lm book.txt",
        "groundup train-lm book.txt --tokenizer bpe --vocab-size 2000 --preset medium",
        "groundup train-lm book.txt --model lstm --steps 5000 --output book-lstm",
        "groundup sample book-lm --prompt 'It was'",
    ),
)
@plain
def train_lm(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text in UTF-8, of any size.")],
    output_: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FOLDER",
            help="By default the file's name with -lm, here.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(metavar="NAME", help="Sizes: tiny (half a minute), small, medium (hours)."),
    ] = "small",
    tokenizer: Annotated[
        str, typer.Option(metavar="KIND", help="chars, or bpe, which is trained on the text.")
    ] = "chars",
    vocab_size: Annotated[
        int, typer.Option(parser=whole_number(256), metavar="N", help="Tokens of the BPE.")
    ] = 1024,
    model: Annotated[str, typer.Option(metavar="KIND", help="gpt or lstm.")] = "gpt",
    positions: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="Of the GPT: learned, sinusoidal, rotary, alibi or none."
        ),
    ] = "rotary",
    layers: Annotated[int | None, option("Blocks of the GPT, layers of the LSTM.")] = None,
    width: Annotated[int | None, option("Features; an LSTM has twice as many units.")] = None,
    heads: Annotated[int | None, option("Of the GPT's attention.")] = None,
    context: Annotated[int | None, option("Tokens in a window.", 2)] = None,
    batch: Annotated[int | None, option("Windows for one step.")] = None,
    steps: Annotated[int | None, option("Of training.")] = None,
    learning_rate: Annotated[
        float, typer.Option("--lr", metavar="RATE", help="The highest learning rate.")
    ] = 0.003,
    dropout: Annotated[float, typer.Option(metavar="P", help="While training.")] = 0.0,
    validation: Annotated[
        float,
        typer.Option(metavar="PART", help="Of the file, at its end; a million bytes at most."),
    ] = 0.1,
    seed: Annotated[
        int, typer.Option(parser=whole_number(0), metavar="N", help="The same seed, same model.")
    ] = 0,
    samples: Annotated[
        int, typer.Option(parser=whole_number(0), metavar="N", help="Texts to show at the end.")
    ] = 2,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew, whatever the folder has.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a language model on a text file; show how good it is and what it writes.

    The end of the file is not trained on: there the model is compared, in bits per character, with
    n-grams, gzip and xz. Ctrl-C loses nothing: the same command goes on where it was. The last line
    is the folder, for `groundup sample`.
    """
    from ..apps.language_model import PRESETS, Recipe, TextError, train_language_model

    if preset not in PRESETS:
        raise usage(f"--preset {preset!r}: expected one of {', '.join(PRESETS)}")
    given = {
        "layers": layers, "width": width, "heads": heads, "context": context, "batch": batch,
        "steps": steps,
    }  # fmt: skip
    sizes = {**PRESETS[preset], **{k: v for k, v in given.items() if v is not None}}
    try:
        recipe = Recipe(
            tokenizer=tokenizer, vocab_size=vocab_size, model=model, positions=positions,
            dropout=dropout, learning_rate=learning_rate, validation=validation, seed=seed, **sizes,
        )  # fmt: skip
    except ValueError as error:
        raise usage(str(error)) from error
    folder = output_ or Path(f"{file.stem}-lm")
    display = Display(recipe.steps)
    try:
        with display.bar:
            outcome = train_language_model(
                file,
                folder,
                recipe,
                samples=samples,
                restart=restart,
                progress=display.prepared,
                tell=display.trained,
            )
    except KeyboardInterrupt as error:
        words = f"{display.done} in {folder}. Go on with the same command"
        raise Stopped(f"{words}: groundup train-lm {shlex.quote(str(file))} ...") from error
    except TextError as error:
        raise fail(str(error)) from error
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise usage(str(error).replace("with restart", "with --restart")) from error
    if json:
        print_json({"folder": str(folder), "recipe": asdict(recipe), **asdict(outcome)})
        return
    _show(outcome, recipe.model)
    print(shown(folder))


class Display:
    """A bar in a terminal; elsewhere a line for each look at the validation text."""

    def __init__(self, steps: int) -> None:
        self.console, self.steps = status(), steps
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.done = "nothing had begun; what is prepared is"
        self._tasks: dict[str, TaskID] = {}
        self._looks = 0

    def _task(self, what: str, done: int, total: int, numbers: str = "") -> None:
        if what not in self._tasks:
            for before in self._tasks.values():
                self.bar.update(before, visible=False)
            self._tasks[what] = self.bar.add_task(what, total=total, numbers="")
        self.bar.update(self._tasks[what], completed=done, total=total, numbers=numbers)

    def prepared(self, what: str, done: int, total: int) -> None:
        """What is done before and after training."""
        self._task(what, done, total)

    def trained(self, run: Run, speed: float, bits: float) -> None:
        """Where training is."""
        self.done = f"step {run.step:,} of {self.steps:,} is kept"
        loss = run.history.steps["loss"][-1]
        numbers = f"step {run.step:,}  {speed:,.0f} tokens/s  loss {loss:.3f}"
        if not math.isnan(bits):
            nats = run.history.epochs["validation_loss"][-1]
            numbers += f"  validation {nats:.3f}, {bits:.3f} bits/character"
        self._task("training", run.step, self.steps, numbers)
        looks = len(run.history.epochs["loss"]) if run.history.epochs else 0
        if looks > self._looks and not self.console.is_terminal:
            print(numbers, file=sys.stderr, flush=True)
        self._looks = looks


def _show(outcome: Outcome, kind: str) -> None:
    table = grid("", "bits per character", title="Validation text")
    mine = {f"this {kind.upper()}": outcome.bits_per_character}
    rows = sorted({**outcome.baselines, **mine}.items(), key=lambda row: row[1])
    for name, bits in rows:
        table.add_row(name, f"{bits:.3f}", style="bold" if name in mine else None)
    console = output()
    console.print(
        f"{outcome.parameters:,} parameters, {outcome.vocabulary:,} tokens in the vocabulary, "
        f"{outcome.train_tokens:,} to train on; loss {outcome.loss:.3f} nats on "
        f"{outcome.validation_tokens:,} others, with the weights of step {outcome.best_step:,}, "
        "the best at a look at a part of them."
    )
    console.print(table)
    for number, sample in enumerate(outcome.samples, 1):
        print(f"\nSample {number}:\n{sample.strip()}")
    print()


@app.command(
    epilog=examples(
        "groundup sample book-lm --prompt 'It was' --max-new-tokens 500",
        "groundup sample book-lm --greedy",
    )
)
@plain
def sample(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A folder of train-lm, or any model that writes."),
    ],
    prompt: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What to go on from.", show_default="a new line"),
    ] = "\n",
    max_new_tokens: Annotated[
        int, typer.Option(parser=whole_number(1), metavar="N", help="How far.")
    ] = 400,
    temperature: Temperature = 0.8,
    top_k: Annotated[int | None, option("Only the most probable tokens.")] = None,
    top_p: TopP = 0.95,
    greedy: Greedy = False,
    seed: Annotated[int | None, option("The same seed and prompt give the same text.", 0)] = None,
) -> None:
    """Let a language model continue a text; it streams. Ctrl-C ends it."""
    from ..apps.language_model import load_language_model, write_on
    from ..engine.random import Generator
    from ..models.decoding import GREEDY, Sampling

    try:
        sampling = GREEDY if greedy else Sampling(temperature, top_k, top_p)
    except ValueError as error:
        raise usage(str(error)) from error
    with status().status(f"Loading {model.name}"):
        found, tokenizer = load_language_model(model)
    generator = None if seed is None else Generator(seed)
    print(prompt, end="", flush=True)
    try:
        for piece in write_on(found, tokenizer, prompt, max_new_tokens, sampling, generator):
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        print(" [cut short]", end="")
    except ValueError as error:
        raise fail(str(error)) from error
    print()
