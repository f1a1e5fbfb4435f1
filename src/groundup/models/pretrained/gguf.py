"""Models of GGUF files, of the architecture llama.

Their files have the rotary pairs as neighbours, so the model is built `interleaved`. Weights that
are packed in the file stay so, in layers that compute with them as they are; others become float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import nn
from ...engine.autograd import no_grad
from ...engine.base import wrap
from ...engine.files import CheckpointError
from ...engine.panels import PACKINGS
from ...io.gguf import GGUF, PackedTensor, read_gguf
from ...nn import Embedding, Linear, PackedEmbedding, PackedLinear, init
from ..llama import Llama, LlamaConfig
from .names import GGUF_LLAMA, public_name


def read_file(path: Path, packed: bool = True) -> tuple[Llama, GGUF]:
    """The model of a file, in evaluation mode, and the file.

    Args:
        path: of the file.
        packed: keep packed weights packed; false unpacks them to float32.

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
    model = _empty(file)
    if packed:
        _keep_packed(model, file)
    with no_grad():
        for name, parameter in model.named_parameters():
            parameter.assign(wrap(_tensor(file, name, parameter.shape).unpacked()))
            file.release()
    return model.eval(), file


def _empty(file: GGUF) -> Llama:
    """The model that a file describes, its weights not set."""
    config = config_of(file)
    if config.num_layers > len(file.tensors):
        raise CheckpointError(
            f"{file.path}: {config.num_layers:,} blocks, but only {len(file.tensors)} tensors"
        )
    try:
        with init.skip():
            return Llama(config)
    except (MemoryError, OverflowError, ValueError) as error:
        raise CheckpointError(f"{file.path}: sizes that cannot be: {error}") from error


def _tensor(file: GGUF, name: str, shape: tuple[int, ...]) -> PackedTensor:
    """The tensor that a weight is read from."""
    public, _ = public_name(name, GGUF_LLAMA)
    found = file.tensors.get(public)
    if found is None:
        raise CheckpointError(f"{file.path}: there is no {public!r}, which {name} needs")
    if found.shape != shape:
        raise CheckpointError(f"{file.path}: {public!r} has shape {found.shape}, expected {shape}")
    return found


def _keep_packed(model: Llama, file: GGUF) -> None:
    """Put layers with packed weights in the places of those whose weights are packed."""
    for place, module in list(model.named_modules()):
        for attribute, child in list(vars(module).items()):
            if not isinstance(child, Linear | Embedding):
                continue
            name = ".".join(filter(None, (place, attribute, "weight")))
            tensor = _tensor(file, name, child.weight.shape)
            kind = tensor.packing.name
            if kind not in PACKINGS:
                continue
            blocks = wrap(tensor.data.reshape(tensor.shape[0], -1))
            made = (
                PackedEmbedding.from_blocks(blocks, kind)
                if isinstance(child, Embedding)
                else PackedLinear.from_blocks(blocks, kind, child.bias)
            )
            setattr(module, attribute, made)
            file.release()
    if model.head is None and isinstance(model.token, PackedEmbedding):
        model.head = PackedLinear.sharing(model.token)


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
            rope_scaling=_scaling(file, get, heads),
            interleaved=True,
            tied="output.weight" not in file.tensors,
        )
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"{file.path}: {error}") from error


def _scaling(file: GGUF, get: Callable[..., Any], heads: int) -> nn.RotaryScaling | None:
    """What a file says of the rotary frequencies, in a tensor of divisors or in its metadata."""
    kind, divisors = get("rope.scaling.type", "none"), file.tensors.get("rope_freqs.weight")
    if divisors is not None:
        if kind != "none":
            raise CheckpointError(
                f"{file.path}: rope_freqs.weight and rotary scaling {kind!r}; supported is one"
            )
        pairs = get("attention.key_length", get("embedding_length") // heads) // 2
        if divisors.shape != (pairs,):
            raise CheckpointError(
                f"{file.path}: 'rope_freqs.weight' has shape {divisors.shape}, expected {(pairs,)}"
            )
        return nn.FrequencyFactors(tuple(divisors.unpacked().tolist()))
    if kind == "none":
        return None
    factor = get("rope.scaling.factor", 1.0)
    if kind == "linear":
        return nn.PositionInterpolation(factor)
    if kind != "yarn" or get("rope.scaling.yarn_ext_factor", 1.0) not in (1.0, -1.0):
        raise CheckpointError(
            f"{file.path}: rotary scaling {kind!r}; supported are 'none', 'linear', and 'yarn' "
            "with yarn_ext_factor 1"
        )
    scaling = nn.YaRN(
        factor,
        get("rope.scaling.original_context_length", get("context_length")),
        get("rope.scaling.yarn_beta_fast", 32.0),
        get("rope.scaling.yarn_beta_slow", 1.0),
    )
    given = get("rope.scaling.yarn_attn_factor", get("rope.scaling.attn_factor", 1.0))
    return replace(scaling, attention_factor=given * scaling.attention)
