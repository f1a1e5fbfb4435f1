"""One call for public models: a folder of Hugging Face's, or a GGUF file.

model, tokenizer = load_pretrained("SmolLM2-135M-Instruct.Q4_1.gguf")
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...engine.files import CheckpointError
from ...io.gguf import GGUF
from ...text import AddedToken, Template, Tokenizer, load_tokenizer
from .gguf import read_file
from .huggingface import Model, read_folder

CUTS = {
    "gpt-2": "gpt2",
    "gpt2": "gpt2",
    "default": "gpt2",
    "llama-bpe": "llama3",
    "llama3": "llama3",
    "llama-v3": "llama3",
    "qwen2": "qwen2",
    "smollm": "smollm",
    "gpt-4o": "o200k",
}
"""Where words are cut, by the name that GGUF files have for it."""
_CONTROL, _USER_DEFINED = 3, 4
"""Types of tokens in GGUF files."""


def load_pretrained(path: str | os.PathLike[str], dtype: Any = None) -> tuple[Model, Tokenizer]:
    """A public model and its tokenizer.

    Args:
        path: a folder with ``config.json``, ``model.safetensors`` and the tokenizer's files, or a
            GGUF file.
        dtype: of the weights, floating. None: float32, but what is packed in a GGUF file stays so
            (`groundup.nn.PackedLinear`), which takes little more memory than the file.

    Returns:
        The model, in evaluation mode, and the tokenizer.

    Raises:
        CheckpointError: nothing is there, it is damaged, or it asks for what is not supported.
        TypeError: a dtype that is not floating.

    Example:
        >>> load_pretrained("no such model")
        Traceback (most recent call last):
        ...
        groundup.engine.files.CheckpointError: no such model: there is no such file or folder
    """
    path = Path(path)
    if path.is_dir():
        try:
            tokenizer = load_tokenizer(path)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: its tokenizer cannot be read: {error}") from error
        model = read_folder(path)
        return (model if dtype is None else model.to(dtype)), tokenizer
    if not path.exists():
        raise CheckpointError(f"{path}: there is no such file or folder")
    model, file = read_file(path, packed=dtype is None)
    model.to(dtype=dtype)
    tokenizer = tokenizer_of(file)
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{path}: {len(tokenizer):,} tokens, but the model knows {model.config.vocab_size:,}"
        )
    return model, tokenizer


def tokenizer_of(file: GGUF) -> Tokenizer:
    """The tokenizer that a GGUF file holds.

    Raises:
        CheckpointError: one of another kind than byte-level BPE, or a part that is missing.
    """

    def get(name: str, kind: type, default: Any = None) -> Any:
        found = file.metadata.get(f"tokenizer.ggml.{name}", default)
        if not isinstance(found, kind):
            raise CheckpointError(
                f"{file.path}: tokenizer.ggml.{name} is {found!r:.40}, expected a {kind.__name__}"
            )
        return found

    if (model := get("model", str)) != "gpt2":
        raise CheckpointError(
            f"{file.path}: a tokenizer of the kind {model!r}; supported is 'gpt2', byte-level BPE"
        )
    name = get("pre", str, "default")
    if name not in CUTS:
        raise CheckpointError(
            f"{file.path}: words are cut as {name!r} says; supported are {', '.join(CUTS)}"
        )
    tokens, merges = get("tokens", list), get("merges", list)
    kinds = get("token_type", list, [1] * len(tokens))
    pairs = [tuple(str(merge).split(" ")) for merge in merges]
    if wrong := next((pair for pair in pairs if len(pair) != 2), None):
        raise CheckpointError(f"{file.path}: the merge {' '.join(wrong)!r} is no pair of tokens")
    added = [
        AddedToken(token, special=kind == _CONTROL)
        for token, kind in zip(tokens, kinds, strict=False)
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    begin = get("bos_token_id", int, -1)
    template = None
    if get("add_bos_token", bool, False) and 0 <= begin < len(tokens):
        first = (str(tokens[begin]), 0)
        template = Template([first, ("$A", 0)], [first, ("$A", 0), ("$B", 1)])
    try:
        return Tokenizer.from_bpe(
            tokens,
            [(pair[0], pair[1]) for pair in pairs],
            pattern=CUTS[name],
            special_tokens=added,
            template=template,
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file.path}: its tokenizer: {error}") from error
