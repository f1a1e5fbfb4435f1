"""Folders as Hugging Face's transformers writes them: ``config.json`` and safetensors files.

Supported are models of the types gpt2, llama, mistral, qwen2 and bert. A config that asks for
something that these models here do not do is refused, by name, rather than read half.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - tells NumPy what bfloat16 is
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ... import nn
from ...engine.autograd import no_grad
from ...engine.base import as_array, wrap
from ...engine.files import CheckpointError, write_atomically
from ...engine.tensor import Tensor
from ...nn import PackedEmbedding, PackedLinear, init
from ..bert import Bert, BertConfig
from ..gpt import GPT, GPTConfig
from ..llama import Llama, LlamaConfig
from .names import BERT, GPT2, LLAMA, Table, public_name

Model = GPT | Llama | Bert
TABLES: dict[type, Table] = {GPT: GPT2, Llama: LLAMA, Bert: BERT}
PREFIXES = ("", "transformer.", "bert.")
"""What may stand before the public names, by the kind of head that the file was written with."""


def read_folder(folder: Path) -> Model:
    """The model in a folder, in evaluation mode.

    Args:
        folder: with ``config.json`` and ``model.safetensors``, or several files with an index.

    Raises:
        CheckpointError: something is missing, damaged, or asks for what is not supported.

    Example:
        >>> read_folder(Path("no such folder"))
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such folder/config.json: there is no such file
    """
    config = read_json(folder / "config.json")
    with init.skip():
        model = build(config, str(folder / "config.json"))
    with ExitStack() as stack:
        fill(model, _Files(folder, stack), str(folder))
    model.eval()
    return model


def build(config: Mapping[str, Any], where: str) -> Model:
    """The model that a config describes, with random weights.

    Args:
        config: what ``config.json`` holds.
        where: what the error calls it.

    Raises:
        CheckpointError: a type or a setting that is not supported, or a size that is missing.

    Example:
        >>> sizes = dict(vocab_size=10, n_positions=8, n_embd=16, n_layer=1, n_head=2)
        >>> build({"model_type": "gpt2", **sizes}, "config.json").config.d_model
        16
    """
    kind = config.get("model_type")
    readers: dict[str, Callable[[Mapping[str, Any], str], Model]] = {
        "gpt2": _gpt2,
        "llama": _llama,
        "mistral": _llama,
        "qwen2": _llama,
        "bert": _bert,
    }
    if not isinstance(kind, str) or kind not in readers:
        raise CheckpointError(
            f"{where}: model_type is {kind!r}; supported are {', '.join(readers)}"
        )
    try:
        return readers[kind](config, where)
    except CheckpointError:
        raise
    except KeyError as error:
        raise CheckpointError(f"{where}: {error} is missing") from None
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: {error}") from error


def _need(config: Mapping[str, Any], where: str, **expected: tuple[Any, ...]) -> None:
    for name, values in expected.items():
        if name in config and config[name] not in values:
            raise CheckpointError(
                f"{where}: {name} is {config[name]!r}; supported "
                f"{'is' if len(values) == 1 else 'are'} {', '.join(map(repr, values))}"
            )


def _gpt2(config: Mapping[str, Any], where: str) -> GPT:
    _need(
        config,
        where,
        activation_function=("gelu_new", "gelu_pytorch_tanh"),
        layer_norm_epsilon=(1e-5,),
        scale_attn_weights=(True,),
        scale_attn_by_inverse_layer_idx=(False,),
        tie_word_embeddings=(True,),
        add_cross_attention=(False,),
    )
    return GPT(
        GPTConfig(
            vocab_size=config["vocab_size"],
            context=config["n_positions"],
            d_model=config["n_embd"],
            num_layers=config["n_layer"],
            num_heads=config["n_head"],
            dim_feedforward=config.get("n_inner"),
            dropout=config.get("resid_pdrop", 0.0),
        )
    )


def _llama(config: Mapping[str, Any], where: str) -> Llama:
    _need(config, where, hidden_act=("silu",), mlp_bias=(False,))
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    qwen = config["model_type"] == "qwen2"
    window = config.get("sliding_window")
    return Llama(
        LlamaConfig(
            vocab_size=config["vocab_size"],
            context=config["max_position_embeddings"],
            d_model=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            num_kv_heads=config.get("num_key_value_heads") or config["num_attention_heads"],
            head_dim=config.get("head_dim"),
            dim_feedforward=config["intermediate_size"],
            norm_eps=config["rms_norm_eps"],
            rope_base=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
            rope_scaling=_scaling(rope, config, where),
            window=window if config.get("use_sliding_window", True) else None,
            tied=config.get("tie_word_embeddings", False),
            attention_bias=qwen or config.get("attention_bias", False),
        )
    )


def _scaling(
    rope: Mapping[str, Any], config: Mapping[str, Any], where: str
) -> nn.RotaryScaling | None:
    """What a config says of the rotary frequencies."""
    _need(rope, where, partial_rotary_factor=(1.0, None))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return nn.PositionInterpolation(rope["factor"])
    longest = config["max_position_embeddings"]
    context = rope.get("original_max_position_embeddings") or longest
    if kind == "llama3":
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        return nn.Llama3Scaling(rope["factor"], context, low, high)
    if kind != "yarn":
        raise CheckpointError(
            f"{where}: rotary positions of type {kind!r}; supported are 'default', 'linear', "
            "'yarn', 'llama3'"
        )
    factor, attention = rope.get("factor") or longest / context, rope.get("attention_factor")
    if attention is None and rope.get("mscale") and rope.get("mscale_all_dim"):
        one, other = (0.1 * rope[k] * math.log(factor) + 1 for k in ("mscale", "mscale_all_dim"))
        attention = one / other
    fast, slow = rope.get("beta_fast") or 32.0, rope.get("beta_slow") or 1.0
    return nn.YaRN(factor, context, fast, slow, attention, rope.get("truncate", True))


def _public_scaling(scaling: nn.RotaryScaling | None) -> dict[str, Any]:
    """The same as a config says it."""
    if scaling is None:
        return {}
    if isinstance(scaling, nn.PositionInterpolation):
        return {"rope_scaling": {"rope_type": "linear", "factor": scaling.factor}}
    if isinstance(scaling, nn.Llama3Scaling | nn.YaRN):
        found = {"factor": scaling.factor, "original_max_position_embeddings": scaling.context}
        if isinstance(scaling, nn.Llama3Scaling):
            found |= {"low_freq_factor": scaling.low, "high_freq_factor": scaling.high}
            return {"rope_scaling": {"rope_type": "llama3", **found}}
        found |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
        found |= {"attention_factor": scaling.attention, "truncate": scaling.truncate}
        return {"rope_scaling": {"rope_type": "yarn", **found}}
    raise ValueError(f"{scaling}: the public Llama format has no such rotary scaling")


def _bert(config: Mapping[str, Any], where: str) -> Bert:
    _need(config, where, hidden_act=("gelu",), position_embedding_type=("absolute", None))
    return Bert(
        BertConfig(
            vocab_size=config["vocab_size"],
            context=config["max_position_embeddings"],
            d_model=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            dim_feedforward=config["intermediate_size"],
            token_types=config["type_vocab_size"],
            dropout=config.get("hidden_dropout_prob", 0.1),
            norm_eps=config["layer_norm_eps"],
        )
    )


class _Files(Mapping[str, np.ndarray]):
    """The tensors of one or several safetensors files by name; each is read when asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
        if single.exists() or not index.exists():
            names = [single.name]
        else:
            found = read_json(index).get("weight_map")
            if not isinstance(found, dict):
                raise CheckpointError(f"{index}: it has no weight_map")
            names = sorted({str(name) for name in found.values()})
        self._where: dict[str, Any] = {}
        for name in names:
            if Path(name).name != name:
                raise CheckpointError(f"{index}: {name!r} is no name of a file in this folder")
            try:
                file = stack.enter_context(safe_open(folder / name, "np"))
            except FileNotFoundError:
                raise CheckpointError(f"{folder / name}: there is no such file") from None
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{folder / name}: {error}") from error
            self._where |= dict.fromkeys(file.keys(), file)

    def __getitem__(self, name: str) -> np.ndarray:
        found: np.ndarray = self._where[name].get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def fill(model: Model, weights: Mapping[str, np.ndarray], where: str) -> None:
    """Put public weights into a model.

    Args:
        model: a model of the right sizes.
        weights: by public name.
        where: what the error calls them.

    Raises:
        CheckpointError: one is missing or has another shape.

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, num_heads=2)
        >>> one, other = GPT(GPTConfig(**sizes)), GPT(GPTConfig(**sizes))
        >>> fill(other, {name: p.numpy() for name, p in public_weights(one).items()}, "one")
        >>> bool((one.token.weight == other.token.weight).all())
        True
    """
    table = TABLES[type(model)]
    prefix = _prefix(weights, table)
    with no_grad():
        for name, parameter in model.named_parameters():
            public, transposed = public_name(name, table)
            key = prefix + public
            if key not in weights:
                raise CheckpointError(f"{where}: there is no {key!r}, which {name} needs")
            array = weights[key]
            array = array.T if transposed else array
            if array.shape != parameter.shape:
                raise CheckpointError(
                    f"{where}: {key!r} has shape {array.shape}, expected {parameter.shape}"
                )
            parameter.assign(wrap(np.ascontiguousarray(array, dtype=np.float32)))


def _prefix(weights: Mapping[str, np.ndarray], table: Table) -> str:
    first = table["token.weight"]
    return next((prefix for prefix in PREFIXES if prefix + first in weights), "")


def public_weights(model: Model) -> dict[str, Tensor]:
    """The weights of a model under their public names, as transformers expects them.

    Example:
        >>> from groundup.models import BertConfig
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, dim_feedforward=32)
        >>> list(public_weights(Bert(BertConfig(num_heads=2, **sizes))))[0]
        'embeddings.word_embeddings.weight'
    """
    table = TABLES[type(model)]
    prefix = "transformer." if isinstance(model, GPT) else ""
    found = {}
    for name, parameter in model.named_parameters():
        public, transposed = public_name(name, table)
        array = as_array(parameter)
        found[prefix + public] = wrap(np.ascontiguousarray(array.T if transposed else array))
    return found


def public_config(model: Model) -> dict[str, Any]:
    """What ``config.json`` says of a model.

    Raises:
        ValueError: the public format cannot say what the model does.

    Example:
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, num_heads=2)
        >>> public_config(GPT(GPTConfig(**sizes)))["n_embd"]
        16
    """
    if any(isinstance(module, PackedLinear | PackedEmbedding) for module in model.modules()):
        raise ValueError("packed weights; the public format has none: load them as dtype float32")
    c = model.config
    shared = {"vocab_size": c.vocab_size}
    if isinstance(c, GPTConfig):
        if c.positions != "learned" or not c.bias:
            raise ValueError(
                f"positions {c.positions!r}, bias {c.bias}: GPT-2's format has learned positions "
                "and biases only"
            )
        return shared | {
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "n_positions": c.context,
            "n_embd": c.d_model,
            "n_layer": c.num_layers,
            "n_head": c.num_heads,
            "n_inner": c.dim_feedforward,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": 1e-5,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), c.dropout),
        }
    sizes = shared | {
        "max_position_embeddings": c.context,
        "hidden_size": c.d_model,
        "num_hidden_layers": c.num_layers,
        "num_attention_heads": c.num_heads,
        "intermediate_size": c.dim_feedforward,
    }
    if isinstance(c, BertConfig):
        return sizes | {
            "model_type": "bert",
            "architectures": ["BertModel"],
            "hidden_act": "gelu",
            "type_vocab_size": c.token_types,
            "layer_norm_eps": c.norm_eps,
            "hidden_dropout_prob": c.dropout,
            "attention_probs_dropout_prob": c.dropout,
        }
    if c.interleaved:
        raise ValueError("interleaved rotary pairs: the public Llama format has halves only")
    kind = "qwen2" if c.attention_bias else "llama" if c.window is None else "mistral"
    if c.attention_bias and c.window is not None:
        raise ValueError("a window and attention_bias together have no public format here")
    names = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
    return sizes | {
        "model_type": kind,
        "architectures": [f"{names[kind]}ForCausalLM"],
        "hidden_act": "silu",
        "num_key_value_heads": c.num_kv_heads,
        "head_dim": c.features,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rope_base,
        "tie_word_embeddings": c.tied,
        **_public_scaling(c.rope_scaling),
        **({"sliding_window": c.window} if kind == "mistral" else {}),
    }


def write_folder(model: Model, folder: Path) -> None:
    """Write a model as transformers reads it: ``config.json`` and ``model.safetensors``.

    Args:
        model: the model.
        folder: is made if missing.

    Raises:
        ValueError: the public format cannot say what the model does.
        OSError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> sizes = dict(vocab_size=10, context=8, d_model=16, num_layers=1, num_heads=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_folder(GPT(GPTConfig(**sizes)), Path(folder) / "gpt")
        ...     read_folder(Path(folder) / "gpt").config.d_model
        16
    """
    config = public_config(model)
    arrays = {name: as_array(tensor) for name, tensor in public_weights(model).items()}
    write_atomically(folder / "model.safetensors", save(arrays, {"format": "pt"}))
    write_atomically(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: no such file, or no JSON object in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(found).__name__}")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number that a config may have")
