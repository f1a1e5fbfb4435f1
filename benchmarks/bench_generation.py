"""How fast models read prompts and write texts, and encode sentences, beside other libraries.

A small GPT beside PyTorch, eager; with `--model FILE.gguf` a public model beside llama.cpp and
transformers, which gets the file's weights unpacked to float32; with `--encoder FOLDER` a public
encoder beside transformers. Each library has a process of its own, all read the same prompt, and
they take turns. The prompt's time is that until the first token is chosen; all others count as
generation. Libraries that are missing are left out.

    python benchmarks/bench_generation.py                              # prints tables
    python benchmarks/bench_generation.py --model FILE --encoder FOLDER
    python benchmarks/bench_generation.py --model FILE --encoder FOLDER --write
                                                                       # also docs/performance.md
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from harness import markdown_table, processor, write_section

from groundup.bench.race import COUNTS, PAUSE, Worker

WORKER = str(Path(__file__).parent / "generation_worker.py")
OURS = "groundup"
SMALL = {
    "GPT 4 x 128, context 64": ({"d_model": 128, "num_layers": 4, "num_heads": 4}, 64, 16),
    "GPT 4 x 128, context 256": ({"d_model": 128, "num_layers": 4, "num_heads": 4}, 256, 64),
    "GPT 6 x 384, context 256": ({"d_model": 384, "num_layers": 6, "num_heads": 6}, 256, 64),
}
"""For each row the sizes, the context, and how much of it the prompt takes; the rest is written."""
VOCABULARY = 65
TEXT = (
    "Neural networks learn from examples. Each layer turns numbers into other numbers, and what it "
    "does depends on its weights. Training changes the weights a little at a time, so that the "
    "error becomes smaller. After many examples the network answers well on new ones too, if "
    "there were enough of them and they were like those that it will meet. "
)
NEEDS = {
    "PyTorch": ["torch"],
    "PyTorch, cat": ["torch"],
    "llama.cpp": ["llama_cpp"],
    "transformers": ["torch", "transformers"],
}
HEAD = [
    "model",
    "threads",
    "library",
    "prompt, tokens/s",
    "generation, tokens/s",
    "range",
    "groundup / it",
    "range of turns",
]


def present(peers: Sequence[str]) -> list[str]:
    """Those that are installed; what is missing is said."""
    found = []
    for peer in peers:
        missing = [m for m in NEEDS.get(peer, []) if importlib.util.find_spec(m) is None]
        if missing:
            print(f"{peer} is left out: {missing[0]} is not installed", file=sys.stderr)
        else:
            found.append(peer)
    return found


@contextlib.contextmanager
def workers(kind: str, what: dict[str, str], threads: int) -> Iterator[dict[str, Worker]]:
    """A process for each library."""
    counts = dict.fromkeys(COUNTS, str(threads))
    found = {
        peer: Worker([WORKER, kind, peer, str(threads), its], counts, threads)
        for peer, its in what.items()
    }
    try:
        yield found
    finally:
        for worker in found.values():
            worker.stop()


def turns(every: dict[str, Worker], rounds: int, **command: Any) -> dict[str, list[dict[str, Any]]]:
    """What each answers in each round; the order changes. The first answers are not kept."""
    for worker in every.values():
        for _ in range(2):  # lengths of prompts that come again are compiled
            worker.ask(**command)
    found: dict[str, list[dict[str, Any]]] = {peer: [] for peer in every}
    order = list(every)
    for _ in range(rounds):
        for peer in order:
            time.sleep(PAUSE)
            found[peer].append(every[peer].ask(**command))
        order = order[1:] + order[:1]
    return found


def middle(numbers: Sequence[float]) -> float:
    """The median."""
    return statistics.median(numbers)


def ends(numbers: Sequence[float], form: str) -> str:
    """The range."""
    return f"{min(numbers):{form}} to {max(numbers):{form}}"


def rows(
    title: str, threads: int, found: dict[str, list[dict[str, Any]]], read: int
) -> list[list[str]]:
    """A row of the table for each library."""
    table = []
    ours = [len(one["tokens"]) - 1 for one in found[OURS]]
    our_speed = [n / one["others"] for n, one in zip(ours, found[OURS], strict=True)]
    for peer, answers in found.items():
        prompt = [read / one["first"] for one in answers]
        speed = [(len(one["tokens"]) - 1) / one["others"] for one in answers]
        ratios = [a / b for a, b in zip(our_speed, speed, strict=True)]
        than = ("", "") if peer == OURS else (f"{middle(ratios):.2f}", ends(ratios, ".2f"))
        table.append(
            [
                title,
                str(threads),
                peer,
                f"{middle(prompt):,.0f}",
                f"{middle(speed):,.0f}" if middle(speed) >= 100 else f"{middle(speed):.1f}",
                ends(speed, ",.0f" if middle(speed) >= 100 else ".1f"),
                *than,
            ]
        )
        print(" | ".join(table[-1]), file=sys.stderr, flush=True)
    return table


def small_rows(threads: int, count: int) -> list[list[str]]:
    """Small GPTs with random weights, the same in each library."""
    table = []
    numbers = np.random.default_rng(0)
    peers = present([OURS, "PyTorch", "PyTorch, cat"])
    for title, (sizes, context, read) in SMALL.items():
        what = json.dumps({**sizes, "context": context, "vocab_size": VOCABULARY})
        prompt = numbers.integers(0, VOCABULARY, read).tolist()
        with workers("small", dict.fromkeys(peers, what), threads) as every:
            for how, temperature in (("greedy", 0.0), ("sampled", 0.8)):
                command = {"prompt": prompt, "count": context - read, "temperature": temperature}
                found = turns(every, count, do="write", **command)
                if not temperature:
                    agree({peer: answers[0]["tokens"] for peer, answers in found.items()})
                table += rows(f"{title}, {how}", threads, found, read)
    return table


def agree(texts: dict[str, list[int]]) -> None:
    """Refuse to compare what is not the same.

    Raises:
        AssertionError: a text differs from ours.
    """
    for peer, text in texts.items():
        if text != texts[OURS]:
            raise AssertionError(f"{peer} writes another text: {text[:8]}, not {texts[OURS][:8]}")


def alike(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens are the same at the same place."""
    return sum(x == y for x, y in zip(a, b, strict=True))


def file_rows(
    path: Path, folder: Path, threads: int, read: int, count: int, rounds: int
) -> tuple[list[list[str]], list[list[str]]]:
    """A public model: speeds; and memory beside the size of the file, with the texts' agreement."""
    from groundup.models.pretrained.load import tokenizer_of

    prompt = tokenizer_of(_header(path)).encode(TEXT * (1 + read // 60)).ids[:read]
    peers = present([OURS, "llama.cpp", "transformers"])
    if "transformers" in peers and not (folder / "config.json").exists():
        subprocess.run([sys.executable, WORKER, "unpack", str(path), "1", str(folder)], check=True)
    what = {peer: str(folder if peer == "transformers" else path) for peer in peers}
    command = {"prompt": prompt, "count": count, "temperature": 0}
    with workers("file", what, threads) as every:
        found = turns(every, rounds, do="write", **command)
        peaks = {peer: worker.ask(do="memory")["peak"] for peer, worker in every.items()}
    size = path.stat().st_size / 2**20
    exact = found[peers[-1]][0]["tokens"]
    memory = [
        [
            peer,
            str(threads),
            f"{peak:,.0f}",
            f"{peak / size:.2f}",
            f"{alike(found[peer][0]['tokens'], exact)} of {count}",
        ]
        for peer, peak in peaks.items()
    ]
    return rows(path.stem, threads, found, read), memory


def _header(path: Path) -> Any:
    from groundup.io import read_gguf

    return read_gguf(path)


def encoder_rows(folder: Path, threads: int, rounds: int) -> list[list[str]]:
    """Sentences a second."""
    peers = present([OURS, f"{OURS}, eager", "transformers"])
    with workers("encoder", dict.fromkeys(peers, str(folder)), threads) as every:
        found = turns(every, rounds, do="encode")
    table = []
    for peer, answers in found.items():
        if not np.allclose(answers[0]["some"], found[OURS][0]["some"], atol=1e-4):
            raise AssertionError(f"{peer}: other vectors")
        speed = [one["sentences"] / one["seconds"] for one in answers]
        ours = [one["sentences"] / one["seconds"] for one in found[OURS]]
        ratios = [a / b for a, b in zip(ours, speed, strict=True)]
        than = ("", "") if peer == OURS else (f"{middle(ratios):.2f}", ends(ratios, ".2f"))
        table.append([peer, str(threads), f"{middle(speed):,.0f}", ends(speed, ",.0f"), *than])
        print(" | ".join(table[-1]), file=sys.stderr, flush=True)
    return table


def document(parts: Sequence[str]) -> str:
    """The section of the page."""
    names = ("torch", "transformers", "llama_cpp_python")
    there = [
        f"{name} {version(name)}"
        for name in names
        if importlib.util.find_spec(name.removesuffix("_python"))
    ]
    if importlib.util.find_spec("llama_cpp"):
        told = importlib.import_module("llama_cpp").llama_print_system_info().decode()
        uses = [name for name, on in re.findall(r"(\w+) = (\d)", told) if on == "1"]
        there.append(f"llama.cpp built with {' '.join(uses)}")
    return f"""## Generation

Written by `python benchmarks/bench_generation.py --model FILE --encoder FOLDER --write`, one token
at a time, float32 where nothing else is said, a process for each library, the same
prompts, in turns. The ratio is that of generation in neighbouring turns: above 1, groundup is
faster.

{chr(10).join(parts)}
Measured on: {processor()}, Python {platform.python_version()}, {", ".join(there)}.
"""


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help="a GGUF file")
    parser.add_argument("--encoder", type=Path, metavar="FOLDER", help="a BERT with its tokenizer")
    parser.add_argument("--unpacked", type=Path, metavar="FOLDER", help="kept for the next run")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=9, help="of small models (default: 9)")
    parser.add_argument("--rounds", type=int, default=3, help="of public models (default: 3)")
    parser.add_argument("--prompt", type=int, default=128, help="tokens, of the file's model")
    parser.add_argument("--tokens", type=int, default=64, help="written by the file's model")
    parser.add_argument("--no-small", action="store_true", help="public models alone")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    parts: list[str] = []
    if not options.no_small:
        table = [row for n in options.threads for row in small_rows(n, options.turns)]
        parts.append(
            "Small GPTs with random weights. The greedy texts were compared and are the same. "
            'PyTorch is eager, with buffers for keys and values, or putting them together ("cat")'
            f" for each token.\n\n{markdown_table(HEAD, table)}\n"
        )
    if options.model:
        with tempfile.TemporaryDirectory() as kept:
            folder = options.unpacked or Path(kept)
            given = (options.prompt, options.tokens, options.rounds)
            both = [file_rows(options.model, folder, n, *given) for n in options.threads]
        speed, memory = ([row for one in part for row in one] for part in zip(*both, strict=True))
        head = ["library", "threads", "peak, MB", "peak / file", "tokens as in float32"]
        parts.append(
            f"`{options.model.name}`, {options.model.stat().st_size / 2**20:,.0f} MB; a prompt of "
            f"{options.prompt} tokens, {options.tokens} written. transformers has the weights "
            f"unpacked.\n\n{markdown_table(HEAD, speed)}\n\n{markdown_table(head, memory)}\n"
        )
    if options.encoder:
        table = [
            row for n in options.threads for row in encoder_rows(options.encoder, n, options.rounds)
        ]
        head = ["library", "threads", "sentences/s", "range", "groundup / it", "range of turns"]
        parts.append(
            f"The encoder `{options.encoder.name}`: 256 lines of Python's standard library, 32 at "
            f"a time, without the tokenizer's time.\n\n{markdown_table(head, table)}\n"
        )
    print("\n".join(parts))
    if options.write:
        write_section("generation", document(parts))


if __name__ == "__main__":
    main()
