"""Models of GGUF files, of the architecture llama.

Their files have the rotary pairs as neighbours, so the model is built `interleaved`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...engine.autograd import no_grad
from ...engine.base import wrap
from ...engine.files import CheckpointError
from ...io.gguf import GGUF, read_gguf
from ..llama import Llama, LlamaConfig
from .names import GGUF_LLAMA, public_name


def read_file(path: Path) -> tuple[Llama, GGUF]:
    """The model of a file, in evaluation mode with float32 weights, and the file.

    Raises:
        CheckpointError: a file that cannot be read, another architecture, or a weight that is
            missing or has another shape.

    Example:
        >>> read_file(Path("no such file"))
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such file: there is no such file
    """
    file = read_gguf(path)
    model = Llama(config_of(file))
    with no_grad():
        for name, parameter in model.named_parameters():
            public, _ = public_name(name, GGUF_LLAMA)
            packed = file.tensors.get(public)
            if packed is None:
                raise CheckpointError(f"{path}: there is no {public!r}, which {name} needs")
            if packed.shape != parameter.shape:
                raise CheckpointError(
                    f"{path}: {public!r} has shape {packed.shape}, expected {parameter.shape}"
                )
            parameter.assign(wrap(packed.unpacked()))
    return model.eval(), file


def config_of(file: GGUF) -> LlamaConfig:
    """The sizes that a file states.

    Raises:
        CheckpointError: another architecture, a size that is missing or makes no sense.
    """
    kind = file.metadata.get("general.architecture")
    if kind != "llama":
        raise CheckpointError(f"{file.path}: architecture {kind!r}; supported is 'llama'")

    def get(name: str, default: Any = None) -> Any:
        found = file.metadata.get(f"llama.{name}", default)
        if found is None:
            raise CheckpointError(f"{file.path}: there is no llama.{name}")
        return found

    if "llama.rope.scaling.type" in file.metadata and get("rope.scaling.type") != "none":
        raise CheckpointError(
            f"{file.path}: rotary scaling {get('rope.scaling.type')!r}; expected none"
        )
    tokens = file.tensors.get("token_embd.weight")
    if tokens is None:
        raise CheckpointError(f"{file.path}: there is no 'token_embd.weight'")
    heads = get("attention.head_count")
    try:
        return LlamaConfig(
            vocab_size=tokens.shape[0],
            context=get("context_length"),
            d_model=get("embedding_length"),
            num_layers=get("block_count"),
            num_heads=heads,
            num_kv_heads=get("attention.head_count_kv", heads),
            head_dim=get("attention.key_length", get("embedding_length") // heads),
            dim_feedforward=get("feed_forward_length"),
            norm_eps=get("attention.layer_norm_rms_epsilon"),
            rope_base=get("rope.freq_base", 10000.0),
            interleaved=True,
            tied="output.weight" not in file.tensors,
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{file.path}: {error}") from error
