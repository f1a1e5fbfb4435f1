"""`groundup onnx`: public models as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..engine.ops.creation import ones, zeros
from .app import app, examples
from .messages import fail, plain, shown, status, usage
from .public import Model


@app.command(
    epilog=examples(
        "groundup onnx SmolLM2-135M-Instruct.Q4_1.gguf model.onnx",
        "groundup onnx all-MiniLM-L6-v2 encoder.onnx",
    )
)
@plain
def onnx(
    model: Model,
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx", help="The file to write.")],
) -> None:
    """Write a model for other programs, such as ONNX Runtime. Weights become float32.

    Inputs: `tokens` (batch, length), int64, and `mask`, bool, true where a token is real.
    Output: `logits` of the next token after each, or of an encoder `vectors` of the tokens.
    There is no cache of keys and values: each call reads all tokens.
    """
    from ..io import ExportError, export_onnx
    from ..models import Bert, load_pretrained

    if output.suffix != ".onnx":
        raise usage(f"{output}: expected a name that ends in .onnx")
    with status().status(f"Loading {model.name}") as shower:
        network, _ = load_pretrained(model, dtype="float32")
        shower.update(f"Writing {output.name}")
        context, window = network.config.context, getattr(network.config, "window", None)
        # A window is part of the program only where a text is longer than it.
        length = window + 1 if window is not None and window < context - 2 else min(8, context - 2)
        axes = {0: "batch", 1: "length"}
        try:
            export_onnx(
                network,
                (zeros(2, length, dtype="int64"), ones(2, length, dtype="bool")),
                output,
                output_names=["vectors" if isinstance(network, Bert) else "logits"],
                dynamic={"tokens": axes, "mask": axes},
            )
        except (ExportError, ModuleNotFoundError) as error:
            raise fail(str(error)) from error
    print(shown(output))
