"""How fast tokenizers are trained and texts encoded, beside tokenizers, tiktoken and plain Python.

One thread. The text is that of Python's standard library, or a file's. All work on the same text
with GPT-2's pattern; before anything is timed, the merges of `tokenizers` and the ids of all must
be the same as ours. tiktoken cannot train in a useful time, so it encodes only, with our merges.
The plain trainer counts all pairs anew for each merge, so it is given a part of the text and few
merges, and its time is for those.

    python benchmarks/bench_text.py                # prints a table
    python benchmarks/bench_text.py --file PATH    # of another text
    python benchmarks/bench_text.py --write        # and puts it into docs/performance.md
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from harness import markdown_table, processor, write_section

MERGES = 4096
CHARACTERS = 4_300_000
PLAIN_MERGES = 10
PLAIN_CHARACTERS = 200_000


@dataclass(frozen=True)
class Row:
    """Seconds of ours and a peer's; ratios peer / ours, so above 1 ours is faster."""

    work: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    low: float
    high: float

    def cells(self) -> list[str]:
        """The row of the table."""
        ratio, ends = f"{self.ratio:.1f}", f"{self.low:.1f} to {self.high:.1f}"
        return [self.work, self.peer, f"{self.ours:.3f}", f"{self.theirs:.3f}", ratio, ends]


HEAD = ["work", "the other", "groundup, s", "the other, s", "the other / groundup", "all turns"]


def plain_trainer(text: str, merges: int) -> list[tuple[str, str]]:
    """Sennrich et al. 2016, algorithm 1 as it stands, on bytes: count, join the most frequent."""
    from groundup.text import GPT2, compile_pattern
    from groundup.text.byte_level import ALPHABET, as_characters

    ids = {c: i for i, c in enumerate(ALPHABET)}
    found = Counter(compile_pattern(GPT2).words(text))
    words = [(list(as_characters(word.encode())), n) for word, n in found.items()]
    out: list[tuple[str, str]] = []
    for _ in range(merges):
        counts: Counter[tuple[str, str]] = Counter()
        for word, n in words:
            for pair in pairwise(word):
                counts[pair] += n
        best = max(counts, key=lambda pair: (counts[pair], -ids[pair[0]], -ids[pair[1]]))
        joined = "".join(best)
        out.append(best)
        ids.setdefault(joined, len(ids))
        for word, _n in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == best:
                    word[i : i + 2] = [joined]
                i += 1
    return out


def compare(
    work: str, peer: str, ours: Callable[[], object], theirs: Callable[[], object], turns: int
) -> Row:
    """Time two in turns."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(turns)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(b / a for a, b in pairs)
    return Row(work, peer, mine, other, statistics.median(ratios), ratios[0], ratios[-1])


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes; what was left by others is cleared away before."""
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def same(name: str, found: object, expected: object) -> None:
    """Refuse to time what gives other results."""
    if found != expected:
        raise AssertionError(f"{name} differ from those of groundup")


def measure(text: str, turns: int) -> list[Row]:
    """Every piece of work, in this process."""
    import tiktoken
    import tokenizers

    from groundup.text import GPT2, Tokenizer, train_bpe
    from groundup.text.byte_level import ALPHABET, as_bytes

    size = len(ALPHABET) + MERGES

    def train_theirs() -> tokenizers.Tokenizer:
        model = tokenizers.Tokenizer(tokenizers.models.BPE())
        model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=list(ALPHABET), show_progress=False
        )
        model.train_from_iterator([text], trainer)
        return model

    ours, theirs = train_bpe(text, size), train_theirs()
    ids = theirs.get_vocab()
    same("the merges of tokenizers", sorted(ids, key=ids.__getitem__), ours.tokens)
    ranks = {as_bytes(token): i for i, token in enumerate(ours.tokens)}
    rust = tiktoken.Encoding("ours", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={})
    expected = ours.encode(text)
    same("the ids of tokenizers", theirs.encode(text).ids, expected.ids)
    same("the ids of tiktoken", rust.encode_ordinary(text), expected.ids)
    same("the offsets of tokenizers", theirs.encode(text).offsets, expected.offsets)

    part = text[:PLAIN_CHARACTERS]
    few = len(ALPHABET) + PLAIN_MERGES
    same(
        "the merges of plain Python",
        plain_trainer(part, PLAIN_MERGES),
        train_bpe(part, few).model.merges,  # type: ignore[attr-defined]
    )

    lines = text.splitlines(keepends=True)
    work: list[tuple[str, str, Callable[[], object], Callable[[], object]]] = [
        (f"train, {MERGES} merges", "tokenizers", lambda: train_bpe(text, size), train_theirs),
        (
            f"train, {PLAIN_MERGES} merges, {PLAIN_CHARACTERS / 1e6:g} million characters",
            "plain Python",
            lambda: train_bpe(part, few),
            lambda: plain_trainer(part, PLAIN_MERGES),
        ),
        (
            "encode, all words new",
            "tiktoken",
            lambda: Tokenizer(ours.model, splitter=ours.splitter).encode(text),
            lambda: rust.encode_ordinary(text),
        ),
        ("encode", "tiktoken", lambda: ours.encode(text), lambda: rust.encode_ordinary(text)),
        ("encode", "tokenizers", lambda: ours.encode(text), lambda: theirs.encode(text)),
        (
            "encode, with offsets",
            "tokenizers",
            lambda: ours.encode(text).offsets,
            lambda: theirs.encode(text).offsets,
        ),
        (
            "encode line by line",
            "tokenizers",
            lambda: ours.encode_batch(lines),
            lambda: theirs.encode_batch_fast(lines),
        ),
        (
            "decode",
            "tokenizers",
            lambda: ours.decode(expected.ids),
            lambda: theirs.decode(expected.ids),
        ),
    ]
    return [compare(*one, turns) for one in work]


def document(rows: list[Row], what: str) -> str:
    """The section of the documentation that holds the table."""
    peers = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "tiktoken"))
    slower = [f'{row.peer} at "{row.work}"' for row in rows if row.ratio < 1]
    ahead = f"Ahead of groundup: {'; '.join(slower)}." if slower else "No other is faster anywhere."
    return f"""## Tokenizers

Written by `python benchmarks/bench_text.py --write`. Byte-level BPE with GPT-2's pattern, on one
thread, {what}. Merges, ids and offsets were compared before timing and are the same.
The ratio is the median over neighbouring turns: above 1, groundup is faster. tiktoken encodes with
our merges; the plain trainer counts all pairs anew for each merge. "All words new" is a tokenizer
that has not met any of the words before; the others remember them, as does that of tokenizers.
tokenizers and tiktoken are written in Rust.

{markdown_table(HEAD, [row.cells() for row in rows])}

{ahead}

Measured on: {processor()}, Python {platform.python_version()}, {peers}.
"""


def main() -> None:
    """Measure on one thread, print, and write if asked to."""
    os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, help="a text file, UTF-8, instead of Python's library")
    parser.add_argument("--characters", type=int, default=CHARACTERS, help="of the text, at most")
    parser.add_argument("--turns", type=int, default=5, help="times that each is measured")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    from groundup.data import read_text, standard_library

    if options.file:
        text, source = read_text(options.file), f"`{options.file.name}`"
    else:
        text = "".join(path.read_text("utf-8", "replace") for path in standard_library())
        source = f"the standard library of Python {platform.python_version()}"
    text = text[: options.characters]
    rows = measure(text, options.turns)
    print(markdown_table(HEAD, [row.cells() for row in rows]))
    if options.write:
        write_section(
            "text", document(rows, f"{len(text) / 1e6:.1f} million characters of {source}")
        )


if __name__ == "__main__":
    main()
