"""From a text file of any size to tokens on the disk.

The file is read twice in blocks of a megabyte, and never held: once to see that it is UTF-8 and
which characters it has, once to turn it into tokens, which go to a file that training maps. Kept
in memory are the validation text, at most a million bytes, and for comparison the last two of the
training text.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ...data import TokenFile, write_tokens
from ...engine.files import write_atomically
from ...text import Tokenizer, character_tokenizer, load_tokenizer, save_tokenizer, train_bpe
from .recipe import Recipe

BLOCK = 2**20
MOST_HELD = 10**6
COMPARED = 2 * 10**6
LEARNED_FROM = 64 * 10**6
"""Bytes: of a block, of validation, of training text for baselines, and for the BPE's merges."""
LOOKED_AT = 5_000
"""Characters at the end of a block in which a cut is looked for."""
Progress = Callable[[str, int, int], None]
"""Is told what is being done, how many bytes are done, and of how many."""

_CUT = re.compile(r"(?<=[^\W\d_])(?= [^\W\d_])")
"""Between a letter and " a" every pattern cuts, so that blocks that end there change no token."""


class TextError(ValueError):
    """A file that no language model can be trained on: not UTF-8, empty or too short.

    Example:
        >>> prepare("no such file", Path("."), Recipe())
        Traceback (most recent call last):
        ...
        groundup.apps.language_model.corpus.TextError: no such file: there is no such file
    """


@dataclass(frozen=True)
class Scan:
    """What a first look at a file tells.

    Attributes:
        size: its bytes, without a byte order mark.
        digest: SHA-256 of the whole file.
        characters: the different ones, in the order of their code points.
        split: the byte where the validation text begins, at the beginning of a character.
        start: 3 if the file begins with a byte order mark, else 0.
    """

    size: int
    digest: str
    characters: str
    split: int
    start: int


@dataclass(frozen=True)
class Corpus:
    """A text as tokens.

    Attributes:
        tokens: all of them, training text first.
        split: the first token of the validation text.
        tokenizer: what they mean.
        before: the end of the training text, for baselines.
        held: the validation text.
        characters: how many there are in the training text.
        digest: of the file.

    Example:
        >>> list(Corpus.__dataclass_fields__)[:3]
        ['tokens', 'split', 'tokenizer']
    """

    tokens: TokenFile
    split: int
    tokenizer: Tokenizer
    before: str
    held: str
    characters: int
    digest: str


def prepare(
    file: str | os.PathLike[str],
    folder: Path,
    recipe: Recipe,
    progress: Progress = lambda what, done, total: None,
) -> Corpus:
    r"""Read a text and turn it into tokens; what is in the folder already is used.

    Args:
        file: UTF-8.
        folder: gets ``tokenizer.json``, ``tokens.bin`` and ``tokens.json``.
        recipe: the tokenizer, the context and the part for validation.
        progress: called for every block.

    Raises:
        TextError: the file is missing, not UTF-8, empty or too short.
        OSError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     file = Path(name) / "text"
        ...     _ = file.write_text("to be or not to be\n" * 20)
        ...     corpus = prepare(file, Path(name) / "run", Recipe(context=8))
        ...     len(corpus.tokens), corpus.split, len(corpus.tokenizer), corpus.held[-6:]
        (380, 342, 8, 'to be\n')
    """
    path = Path(file)
    found = scan(path, recipe.validation, progress)
    made = _made(folder, found, recipe) or _make(path, folder, found, recipe, progress)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    tokens = TokenFile(folder / "tokens.bin", len(tokenizer))
    split, held = made["split"], len(tokens) - made["split"]
    if split <= recipe.context + 1 or held < 2:
        raise TextError(
            f"{path}: {split:,} tokens to train on and {held:,} for validation are too few for a "
            f"context of {recipe.context}; expected at least {recipe.context + 2} and 2: give more "
            "text, or a shorter context"
        )
    first = max(0, found.split - COMPARED)
    with open(path, "rb") as source:
        source.seek(found.start + first)
        before = source.read(found.split - first)
        after = source.read(found.size - found.split)
    return Corpus(
        tokens,
        split,
        tokenizer,
        before.decode("utf-8", "ignore"),  # it may begin in the middle of a character
        after.decode("utf-8"),
        made["characters"],
        found.digest,
    )


def scan(
    path: Path, validation: float, progress: Progress = lambda what, done, total: None
) -> Scan:
    r"""Read a file once: is it UTF-8, which characters does it have, where to split it?

    Raises:
        TextError: it is missing, not UTF-8, or empty.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(b"caf\xe9"), file.flush()
        ...     scan(Path(file.name), 0.1)
        Traceback (most recent call last):
        ...
        groundup.apps.language_model.corpus.TextError: ...: byte 3 (0xe9) is not UTF-8; convert...
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    digest, seen, done = sha256(), np.zeros(0x110000, bool), 0
    try:
        with open(path, "rb") as source:
            total = os.fstat(source.fileno()).st_size
            start = 3 if source.read(3) == codecs.BOM_UTF8 else 0
            source.seek(0)
            while block := source.read(BLOCK):
                digest.update(block)
                waiting = len(decoder.getstate()[0])
                text = decoder.decode(block)
                seen[np.frombuffer(text.encode("utf-32-le"), np.uint32)] = True
                done += len(block)
                progress("reading", done, total)
            waiting, block = len(decoder.getstate()[0]), b""
            decoder.decode(b"", final=True)
            split = _beginning(source, done - min(int(validation * (done - start)), MOST_HELD))
    except FileNotFoundError:
        raise TextError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise TextError(f"{path}: a folder; expected a text file") from None
    except UnicodeDecodeError as error:
        place = done - waiting + error.start
        raise TextError(
            f"{path}: byte {place:,} (0x{error.object[error.start]:02x}) is not UTF-8; convert the "
            "file first, for example with: iconv -f LATIN1 -t UTF-8 FILE > NEW, where LATIN1 is "
            "what it is written in"
        ) from None
    if start:
        seen[0xFEFF] = False
    if done == start:
        raise TextError(f"{path}: empty; expected text")
    characters = "".join(map(chr, np.flatnonzero(seen).tolist()))
    return Scan(done - start, digest.hexdigest(), characters, split - start, start)


def _beginning(source: Any, place: int) -> int:
    """The nearest place from here on where a character begins."""
    source.seek(place)
    following = source.read(4)
    inside = next((i for i, byte in enumerate(following) if byte & 0xC0 != 0x80), 0)
    return int(place) + inside


def blocks(path: Path, begin: int, end: int) -> Iterator[tuple[str, int]]:
    """A part of a file in pieces that end where a tokenizer cuts anyway, and the bytes read so far.

    Where there is no such place near the end of eight blocks, they are cut there.
    """
    decoder, kept, size = codecs.getincrementaldecoder("utf-8")(), "", 0
    with open(path, "rb") as source:
        source.seek(begin)
        while begin < end and (block := source.read(min(BLOCK, end - begin))):
            begin, size = begin + len(block), size + len(block)
            kept += decoder.decode(block)
            tail = max(0, len(kept) - LOOKED_AT)
            cut = max((tail + m.start() for m in _CUT.finditer(kept[tail:])), default=0)
            if len(kept) > 8 * BLOCK:
                cut = cut or len(kept)
            if cut:
                yield kept[:cut], size
                kept = kept[cut:]
        yield kept, size


def _made(folder: Path, found: Scan, recipe: Recipe) -> dict[str, Any] | None:
    """What `_make` noted, if it was made of this file in this way."""
    try:
        made = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return made if isinstance(made, dict) and made.get("of") == _of(found, recipe) else None


def _of(found: Scan, recipe: Recipe) -> dict[str, Any]:
    settings = {k: v for k, v in asdict(recipe).items() if k in ("tokenizer", "vocab_size")}
    return {**settings, "sha256": found.digest, "split": found.split}


def _make(
    path: Path, folder: Path, found: Scan, recipe: Recipe, progress: Progress
) -> dict[str, Any]:
    """Make the tokenizer and the file of tokens."""
    begin, middle, end = found.start, found.start + found.split, found.start + found.size
    counts = {"characters": 0, "tokens": 0}
    if recipe.tokenizer == "chars":
        tokenizer = character_tokenizer(found.characters)
        numbers = np.zeros(ord(found.characters[-1]) + 1, np.uint32)
        numbers[list(map(ord, found.characters))] = np.arange(len(found.characters))

        def encode(text: str) -> Any:
            return numbers[np.frombuffer(text.encode("utf-32-le"), np.uint32)]

    else:
        learned = min(middle, begin + LEARNED_FROM)

        def pieces() -> Iterator[str]:
            for text, done in blocks(path, begin, learned):
                progress("counting words", done, learned - begin)
                yield text

        tokenizer = train_bpe(
            pieces(),
            recipe.vocab_size,
            progress=lambda done, total: progress("learning merges", done, total),
        )

        def encode(text: str) -> Any:
            return tokenizer.encode(text).ids

    def encoded(first: int, last: int) -> Iterator[Any]:
        for text, done in blocks(path, first, last):
            ids = encode(text)
            counts["characters"] += len(text)
            counts["tokens"] += len(ids)
            progress("making tokens", first - begin + done, found.size)
            yield ids

    marks: dict[str, int] = {}

    def everything() -> Iterator[Any]:
        yield from encoded(begin, middle)
        marks.update(counts)
        yield from encoded(middle, end)

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokens.json").unlink(missing_ok=True)
    save_tokenizer(tokenizer, folder / "tokenizer.json")
    write_tokens(folder / "tokens.bin", everything(), len(tokenizer))
    made = {
        "of": _of(found, recipe),
        "split": marks["tokens"],
        "characters": marks["characters"],
    }
    write_atomically(folder / "tokens.json", (json.dumps(made, indent=2) + "\n").encode())
    return made
