"""The folder of a language model: ``config.json``, ``model.safetensors``, ``tokenizer.json``.

A GPT with learned positions is written as GPT-2, so that `load_pretrained` and public programs read
it. For other positions and for LSTMs there is no public format; they have the weights under their
own names and a ``model_type`` of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ...engine.files import CheckpointError, load, save, write_atomically
from ...models import GPT, GPTConfig, Llama, LSTMConfig, LSTMLanguageModel, load_pretrained
from ...models.pretrained import write_folder
from ...models.pretrained.huggingface import read_json
from ...text import Tokenizer, load_tokenizer, save_tokenizer

Writer = GPT | Llama | LSTMLanguageModel
KINDS: Mapping[str, tuple[type, type]] = {
    "groundup-gpt": (GPTConfig, GPT),
    "groundup-lstm": (LSTMConfig, LSTMLanguageModel),
}


def save_language_model(
    model: GPT | LSTMLanguageModel, tokenizer: Tokenizer, folder: str | os.PathLike[str]
) -> None:
    """Write a model and its tokenizer.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        folder: is made if missing.

    Raises:
        OSError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from groundup.text import character_tokenizer
        >>> tokenizer = character_tokenizer("to be or not to be")
        >>> model = LSTMLanguageModel(LSTMConfig(len(tokenizer), 4, 8))
        >>> with tempfile.TemporaryDirectory() as name:
        ...     save_language_model(model, tokenizer, name)
        ...     again, _ = load_language_model(name)
        >>> bool((again.head.weight == model.head.weight).all())
        True
    """
    place, config = Path(folder), model.config
    save_tokenizer(tokenizer, place / "tokenizer.json")
    if isinstance(config, GPTConfig) and config.positions == "learned" and config.bias:
        assert isinstance(model, GPT)
        write_folder(model, place)
        content = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.context,
        }
        _write_json(place / "tokenizer_config.json", content)
        return
    kind = next(name for name, (of, _) in KINDS.items() if isinstance(config, of))
    save(model.state_dict(), place / "model.safetensors")
    _write_json(place / "config.json", {"model_type": kind, **asdict(config)})


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def load_language_model(path: str | os.PathLike[str]) -> tuple[Writer, Tokenizer]:
    """A model that continues texts, and its tokenizer.

    Args:
        path: a folder that `save_language_model` wrote, or what `load_pretrained` reads.

    Returns:
        The model, in evaluation mode, and the tokenizer.

    Raises:
        CheckpointError: nothing is there, it is damaged, or it is no model that writes.

    Example:
        >>> load_language_model("no such folder")
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such folder: there is no such file or folder
    """
    place = Path(path)
    config = read_json(place / "config.json") if place.is_dir() else {}
    kind = config.pop("model_type", None)
    if kind not in KINDS:
        found, tokenizer = load_pretrained(place)
        if not isinstance(found, GPT | Llama):
            raise CheckpointError(f"{place}: a {type(found).__name__} reads, but does not write")
        return found, tokenizer
    of, make = KINDS[kind]
    try:
        tokenizer = load_tokenizer(place)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{place}: its tokenizer cannot be read: {error}") from error
    known = {item.name for item in fields(of)}
    tensors, _ = load(place / "model.safetensors")
    try:
        sizes = of(**{name: value for name, value in config.items() if name in known})
        if sum(tensor.numel() for tensor in tensors.values()) < sizes.vocab_size * sizes.d_model:
            raise ValueError("the weights are fewer than config.json says")
        model: GPT | LSTMLanguageModel = make(sizes)
        model.load_state_dict(tensors)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{place}: {error}") from error
    if len(tokenizer) > sizes.vocab_size:
        raise CheckpointError(
            f"{place}: {len(tokenizer):,} tokens, but the model knows {sizes.vocab_size:,}"
        )
    model.eval()
    return model, tokenizer
