"""Tokenizers in files: those of Hugging Face, of GPT-2 and of BERT.

``tokenizer.json`` describes each stage of `Tokenizer` by its type and settings. What is written
here is read by the `tokenizers` package, and the other way round for byte-level BPE (GPT-2, Llama
3, Qwen, SmolLM2) and WordPiece (BERT). A file with anything else is refused by name: a tokenizer
that is nearly right gives a model nearly right ids. ``vocab.json`` with ``merges.txt`` are GPT-2's
files, ``vocab.txt`` is BERT's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..engine.files import write_atomically
from .added import AddedToken
from .bpe import BPE, bpe_from_json
from .encoding import Padding, Truncation
from .model import Model
from .normalizers import BertNormalizer, normalizer_from_json
from .splitters import BertWords, ByteLevel, Digits, Split, SplitSequence, Splitter
from .template import Template, template_from_json
from .tokenizer import Tokenizer
from .wordpiece import WordPiece, wordpiece_from_json

_SIDES = {"left": "Left", "right": "Right"}
_STRATEGIES = {
    "longest_first": "LongestFirst",
    "only_first": "OnlyFirst",
    "only_second": "OnlySecond",
}


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a file or of a model's folder.

    Args:
        path: a ``tokenizer.json``; a ``vocab.txt``; or a folder with one of them, or with
            ``vocab.json`` and ``merges.txt``.

    Raises:
        FileNotFoundError: there is no such file, or none of them in the folder.
        ValueError: the file is damaged, or describes what is not supported.

    Example:
        >>> import tempfile, pathlib
        >>> from groundup.text import train_bpe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "tokenizer.json"
        ...     save_tokenizer(train_bpe("to be or not to be", 260), file)
        ...     load_tokenizer(folder).encode("to be").tokens
        ['to', 'Ġbe']
    """
    place = Path(path)
    if place.is_dir():
        if (place / "tokenizer.json").exists():
            place = place / "tokenizer.json"
        elif (place / "vocab.json").exists() and (place / "merges.txt").exists():
            return read_gpt2(place / "vocab.json", place / "merges.txt")
        elif (place / "vocab.txt").exists():
            place = place / "vocab.txt"
        else:
            raise FileNotFoundError(
                f"{place}: the folder holds no tokenizer: neither tokenizer.json, nor vocab.json "
                "with merges.txt, nor vocab.txt"
            )
    if place.suffix == ".txt":
        return read_vocab_txt(place)
    spec = _read_json(place)
    try:
        return from_json(spec)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"{place}: not a tokenizer.json as it should be ({type(error).__name__}: {error})"
        ) from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        spec = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(spec, dict):
        raise ValueError(f"{path}: a {type(spec).__name__}, expected an object")
    return spec


def from_json(spec: dict[str, Any]) -> Tokenizer:
    """The tokenizer that the content of a ``tokenizer.json`` describes.

    Raises:
        ValueError: it describes what is not supported.

    Example:
        >>> spec = {"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "a": 1}}}
        >>> from_json(spec).encode("a").ids
        [1]
    """
    decoder = spec.get("decoder") or {}
    template, trim_offsets = template_from_json(spec.get("post_processor"))
    splitter = splitter_from_json(spec.get("pre_tokenizer"))
    model = _model_from_json(spec["model"], decoder)
    if isinstance(model, BPE) and not _is_byte_level(splitter):
        raise ValueError(
            "tokenizer.json: a BPE without a ByteLevel pre_tokenizer has characters rather than "
            "bytes as tokens; only byte-level BPE is supported"
        )
    added = [
        AddedToken(
            one["content"],
            bool(one.get("special", False)),
            bool(one.get("lstrip", False)),
            bool(one.get("rstrip", False)),
            bool(one.get("single_word", False)),
            bool(one.get("normalized", False)),
            one["id"],
        )
        for one in spec.get("added_tokens") or []
    ]
    return Tokenizer(
        model,
        splitter=splitter,
        normalizer=normalizer_from_json(spec.get("normalizer")),
        added=added,
        template=template,
        trim_offsets=trim_offsets,
        truncation=_truncation_from_json(spec.get("truncation")),
        padding=_padding_from_json(spec.get("padding")),
    )


def _model_from_json(spec: dict[str, Any], decoder: dict[str, Any]) -> Model:
    kind = spec.get("type") or ("BPE" if "merges" in spec else "WordPiece")
    kinds = {one.get("type") for one in (decoder.get("decoders") or [decoder])}
    expected = {"BPE": "ByteLevel", "WordPiece": "WordPiece"}.get(kind)
    if expected is None:
        raise ValueError(
            f"tokenizer.json: model {kind!r} is not supported; these are: BPE (byte level), "
            "WordPiece"
        )
    if kinds - {expected, None}:
        raise ValueError(
            f"tokenizer.json: decoder {sorted(kinds - {expected, None})[0]!r} with a {kind} model "
            f"is not supported; only {expected} is"
        )
    if kind == "BPE":
        return bpe_from_json(spec)
    return wordpiece_from_json(spec, bool(decoder.get("cleanup", True)))


def _is_byte_level(splitter: Splitter | None) -> bool:
    parts = splitter.parts if isinstance(splitter, SplitSequence) else [splitter]
    return any(isinstance(part, ByteLevel) for part in parts)


def splitter_from_json(spec: dict[str, Any] | None) -> Splitter | None:
    """The splitter that the ``pre_tokenizer`` of a ``tokenizer.json`` describes.

    Raises:
        ValueError: it is of a kind that is not supported.

    Example:
        >>> splitter_from_json({"type": "BertPreTokenizer"}).words("so, so")
        ['so', ',', 'so']
    """
    if spec is None:
        return None
    kind = spec.get("type")
    if kind == "Sequence":
        parts = [splitter_from_json(part) for part in spec["pretokenizers"]]
        return SplitSequence([part for part in parts if part is not None])
    if kind == "ByteLevel":
        return ByteLevel(
            bool(spec.get("add_prefix_space", True)),
            bool(spec.get("trim_offsets", True)),
            bool(spec.get("use_regex", True)),
        )
    if kind == "Split":
        ((form, pattern),) = spec["pattern"].items()
        return Split(
            pattern,
            spec["behavior"],
            invert=bool(spec.get("invert", False)),
            literal=form == "String",
        )
    if kind == "Digits":
        return Digits(bool(spec.get("individual_digits", False)))
    if kind == "BertPreTokenizer":
        return BertWords()
    if kind == "Whitespace":
        return Split(r"\w+|[^\w\s]+", "Removed", invert=True)
    if kind == "WhitespaceSplit":
        return Split(r"\s+", "Removed")
    raise ValueError(
        f"tokenizer.json: pre_tokenizer {kind!r} is not supported; these are: BertPreTokenizer, "
        "ByteLevel, Digits, Sequence, Split, Whitespace, WhitespaceSplit"
    )


def _truncation_from_json(spec: dict[str, Any] | None) -> Truncation | None:
    if spec is None:
        return None
    strategies = {theirs: ours for ours, theirs in _STRATEGIES.items()}
    return Truncation(
        spec["max_length"],
        spec.get("stride", 0),
        "left" if spec.get("direction") == "Left" else "right",
        strategies[spec.get("strategy", "LongestFirst")],  # type: ignore[arg-type]
    )


def _padding_from_json(spec: dict[str, Any] | None) -> Padding | None:
    if spec is None:
        return None
    strategy = spec.get("strategy", "BatchLongest")
    return Padding(
        spec["pad_token"],
        strategy["Fixed"] if isinstance(strategy, dict) else None,
        spec.get("pad_to_multiple_of"),
        "left" if spec.get("direction") == "Left" else "right",
        spec.get("pad_type_id", 0),
    )


def as_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of the ``tokenizer.json`` of a tokenizer.

    Example:
        >>> from groundup.text import ALPHABET
        >>> as_json(Tokenizer.from_bpe(ALPHABET, []))["decoder"]["type"]
        'ByteLevel'
    """
    ids = {token: i for i, token in enumerate(tokenizer.tokens) if token}
    byte_level = ByteLevel(True, tokenizer.trim_offsets).as_json()
    processors = [byte_level] if tokenizer.trim_offsets else []
    if tokenizer.template is not None:
        processors.append(tokenizer.template.as_json(ids))
    processor = {"type": "Sequence", "processors": processors} if processors[1:] else None
    model = tokenizer.model
    if isinstance(model, WordPiece):
        prefix = model.continuing_subword_prefix
        decoder = {"type": "WordPiece", "prefix": prefix, "cleanup": model.cleanup}
    else:
        decoder = ByteLevel(True).as_json()
    truncation, padding = tokenizer.truncation, tokenizer.padding
    return {
        "version": "1.0",
        "truncation": truncation
        and {
            "direction": _SIDES[truncation.side],
            "max_length": truncation.max_length,
            "strategy": _STRATEGIES[truncation.strategy],
            "stride": truncation.stride,
        },
        "padding": padding
        and {
            "strategy": "BatchLongest" if padding.length is None else {"Fixed": padding.length},
            "direction": _SIDES[padding.side],
            "pad_to_multiple_of": padding.multiple_of,
            "pad_id": ids[padding.token],
            "pad_type_id": padding.type_id,
            "pad_token": padding.token,
        },
        "added_tokens": [token.as_json() for _, token in sorted(tokenizer.added.items())],
        "normalizer": tokenizer.normalizer and tokenizer.normalizer.as_json(),
        "pre_tokenizer": tokenizer.splitter and tokenizer.splitter.as_json(),
        "post_processor": processor or (processors[0] if processors else None),
        "decoder": decoder,
        "model": model.as_json(),
    }


def save_tokenizer(tokenizer: Tokenizer, path: str | os.PathLike[str]) -> None:
    """Write a ``tokenizer.json``.

    Args:
        tokenizer: what to write.
        path: the file; its folder is made if missing.

    Raises:
        OSError: the place cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> from groundup.text import ALPHABET
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "tokenizer.json"
        ...     save_tokenizer(Tokenizer.from_bpe(ALPHABET, []), file)
        ...     len(load_tokenizer(file))
        256
    """
    text = json.dumps(as_json(tokenizer), ensure_ascii=False, indent=2)
    write_atomically(path, text.encode())


def read_gpt2(
    vocab: str | os.PathLike[str],
    merges: str | os.PathLike[str],
    *,
    pattern: str = "gpt2",
    special_tokens: Iterable[AddedToken | str] | None = None,
) -> Tokenizer:
    """A tokenizer from GPT-2's two files.

    Args:
        vocab: ``vocab.json``, the id of each token.
        merges: ``merges.txt``, a merge a line.
        pattern: where words are cut: a name of `PATTERNS` or a pattern.
        special_tokens: those that are special. None: ``<|endoftext|>``, if it is in the vocabulary.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged.

    Example:
        >>> read_gpt2("no such file", "merges.txt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: no such file: there is no such file
    """
    ids = _read_json(Path(vocab))
    pairs = []
    for number, line in enumerate(_read_text(Path(merges)).split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, space, right = line.partition(" ")
        if not (left and space and right) or " " in right:
            raise ValueError(f"{merges}: line {number} is {line!r}, expected two tokens")
        pairs.append((left, right))
    if special_tokens is None:
        special_tokens = [token for token in ("<|endoftext|>",) if token in ids]
    try:
        return Tokenizer.from_bpe(ids, pairs, pattern=pattern, special_tokens=special_tokens)
    except ValueError as error:
        raise ValueError(f"{vocab} with {merges}: {error}") from error


def write_gpt2(tokenizer: Tokenizer, folder: str | os.PathLike[str]) -> None:
    """Write GPT-2's ``vocab.json`` and ``merges.txt``; they keep tokens and merges alone.

    Args:
        tokenizer: a byte-level one.
        folder: where to; made if missing.

    Raises:
        ValueError: the tokenizer is not byte-level BPE.

    Example:
        >>> import tempfile
        >>> from groundup.text import train_bpe
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_gpt2(train_bpe("to be or not to be", 260), folder)
        ...     load_tokenizer(folder).encode("to be").tokens
        ['to', 'Ġbe']
    """
    model = tokenizer.model
    if not isinstance(model, BPE):
        raise ValueError(
            f"write_gpt2: a tokenizer with a {type(model).__name__} model has no merges; use "
            "save_tokenizer"
        )
    ids = {token: i for i, token in enumerate(tokenizer.tokens) if token}
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in model.merges)]
    place = Path(folder)
    write_atomically(place / "vocab.json", json.dumps(ids, ensure_ascii=False).encode())
    write_atomically(place / "merges.txt", ("\n".join(lines) + "\n").encode())


def read_vocab_txt(path: str | os.PathLike[str], *, lowercase: bool = True) -> Tokenizer:
    r"""A tokenizer from BERT's ``vocab.txt``: a token a line, the line is its id.

    Args:
        path: the file.
        lowercase: whether the vocabulary has small letters without accents ("uncased").

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or lacks one of BERT's special tokens.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder) / "vocab.txt"
        ...     _ = file.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nto\nbe\n##come\n")
        ...     read_vocab_txt(file).encode("To become").tokens
        ['[CLS]', 'to', 'be', '##come', '[SEP]']
    """
    tokens = [line.removesuffix("\r") for line in _read_text(Path(path)).split("\n")]
    while tokens and not tokens[-1]:
        tokens.pop()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    missing = [token for token in special if token not in tokens]
    if missing:
        raise ValueError(f"{path}: has no token {missing[0]!r}, which BERT needs")
    return Tokenizer(
        WordPiece(tokens),
        splitter=BertWords(),
        normalizer=BertNormalizer(lowercase=lowercase),
        added=special,
        template=Template("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    )
