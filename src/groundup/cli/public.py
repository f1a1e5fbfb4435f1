"""`groundup chat` and `groundup embed`: public models in a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..engine.autograd import no_grad
from ..engine.files import write_atomically
from ..engine.random import Generator
from .app import Greedy, Temperature, TopP, app, examples, whole_number
from .messages import Stopped, fail, plain, print_json, shown, status, usage

Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="A GGUF file, or a folder with config.json and weights."),
]
BATCH = 32
"""Texts that are embedded at a time."""


@app.command(
    epilog=examples(
        "groundup chat SmolLM2-135M-Instruct.Q4_1.gguf",
        "echo 'What is the capital of France?' | groundup chat MODEL --greedy",
    )
)
@plain
def chat(
    model: Model,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the model is told first.")
    ] = None,
    temperature: Temperature = 0.7,
    top_p: TopP = 0.9,
    greedy: Greedy = False,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1), metavar="N", help="Of each answer.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(0),
            metavar="N",
            help="The same seed and words give the same answers.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Talk with a model; its answers stream. An empty line or Ctrl-D ends it.

    Ctrl-C cuts an answer short.
    """
    from ..models.decoding import GREEDY, Sampling
    from ..models.pretrained import load_chat

    try:
        sampling = GREEDY if greedy else Sampling(temperature=temperature, top_p=top_p)
    except ValueError as error:
        raise usage(str(error)) from error
    generator = None if seed is None else Generator(seed)
    with status().status(f"Loading {model.name}"):
        conversation = load_chat(model, system)
    terminal = sys.stdin.isatty()
    while True:
        try:
            text = input("> " if terminal else "").strip()
        except EOFError:
            break
        except KeyboardInterrupt as error:
            raise Stopped("nothing of a conversation is kept") from error
        if not text:
            break
        try:
            for piece in conversation.say(text, sampling, max_new_tokens, generator):
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            print(" [cut short]", end="")
        except ValueError as error:
            raise fail(str(error)) from error
        print()


@app.command(
    epilog=examples("groundup embed sentences.txt --model all-MiniLM-L6-v2 --output vectors.npy")
)
@plain
def embed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Texts, one in each line; UTF-8.")],
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="A BERT with its tokenizer.")],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A .npy file of the vectors; without it they are printed as JSON."
        ),
    ] = None,
) -> None:
    """Turn each line of a file into a vector of length 1; lines that are alike come out close.

    A text's vector is the mean of its tokens' vectors; longer texts are cut as the tokenizer says.
    """
    from ..engine.ops.creation import tensor
    from ..models import Bert, load_pretrained, mean_pool

    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise fail(
            f"{file}: byte {error.start:,} is not UTF-8; convert it, for example with iconv"
        ) from error
    if not lines:
        raise fail(f"{file}: empty, expected a text in each line")
    if output is not None and output.suffix != ".npy":
        raise usage(f"--output {output}: expected a name that ends in .npy")
    encoder, tokenizer = load_pretrained(model)
    if not isinstance(encoder, Bert):
        raise fail(f"{model}: a {type(encoder).__name__}; expected an encoder, BERT")
    tokenizer.padding = None
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))  # little padding in a batch
    vectors = np.zeros((len(lines), encoder.config.d_model), np.float32)
    with no_grad(), status().status(f"Embedding {len(lines):,} lines") as shower:
        for begin in range(0, len(lines), BATCH):
            rows = order[begin : begin + BATCH]
            ids = [tokenizer.encode(lines[i]).ids for i in rows]
            longest = max(map(len, ids))
            if longest > encoder.config.context:
                line = 1 + next(i for i, row in zip(rows, ids, strict=True) if len(row) == longest)
                raise fail(
                    f"{file}: line {line} has {longest:,} tokens, more than the model's "
                    f"context of {encoder.config.context:,}; split it"
                )
            tokens = tensor([[*row, *[0] * (longest - len(row))] for row in ids])
            mask = tensor([[i < len(row) for i in range(longest)] for row in ids])
            found = mean_pool(encoder(tokens, mask), mask)
            found = found / found.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            vectors[rows] = found.numpy()
            shower.update(f"Embedding: {begin + len(rows):,} of {len(lines):,} lines")
    if output is None:
        print_json([{"text": t, "vector": v.tolist()} for t, v in zip(lines, vectors, strict=True)])
        return
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    write_atomically(output, buffer.getvalue())
    print(shown(output))
