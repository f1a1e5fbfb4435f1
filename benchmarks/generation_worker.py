"""One library that writes tokens or encodes sentences, in a process of its own; see the benchmark.

    python benchmarks/generation_worker.py KIND PEER THREADS WHAT

KIND is "small", "file" or "encoder"; WHAT a small GPT's sizes as JSON, a GGUF file or a folder.
Commands are lines of JSON on standard input, answers lines of JSON on standard output:

    {"do": "write", "prompt": [1, 2], "count": 8, "temperature": 0}
        -> the tokens, seconds until the first is chosen, and for all the others
    {"do": "encode"}   all sentences -> seconds, and a few numbers of the vectors
    {"do": "memory"}   -> megabytes, at most so far
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundup.bench.worker import resident

Write = Callable[[Sequence[int], int, float], Iterator[int]]
"""(prompt, how many, temperature) -> the new tokens one by one."""
SENTENCES = 256
BATCH = 32
STEP = 16
"""Lengths of batches are rounded up to a multiple of this."""


# A small GPT


def small_model(sizes: dict[str, int]) -> Any:
    """The same weights in each process."""
    import groundup as gu
    from groundup.models import GPT, GPTConfig

    gu.manual_seed(0)
    model = GPT(GPTConfig(**sizes)).eval()
    with gu.no_grad():
        for p in model.parameters():
            if p.ndim == 2:
                p.assign(p * 4)  # so that the texts are not all the same token
    return model


def groundup_writer(model: Any) -> Write:
    """This library; the model's decoder compiles its steps."""
    from groundup.models.decoding import Sampling, stream

    def write(prompt: Sequence[int], count: int, temperature: float) -> Iterator[int]:
        sampling = Sampling(temperature=temperature)
        for (new,) in stream(model, [prompt], count, sampling):
            yield from new

    return write


class TorchGPT:
    """The same GPT of PyTorch's functions, as one would write it.

    Args:
        model: whose weights it has.
        grows: the cache is put together anew for each token (``cat``); else it is written into
            buffers as long as the context.
    """

    def __init__(self, model: Any, grows: bool) -> None:
        self.torch = importlib.import_module("torch")
        self.f = self.torch.nn.functional
        self.config, self.grows = model.config, grows
        self.w = {k: self.torch.tensor(v.numpy()) for k, v in model.state_dict().items()}

    def read(self, tokens: Any) -> Any:
        """Add tokens (1, T); the logits of the next one, (1, V)."""
        w, c, f = self.w, self.config, self.f
        t, begin, end = tokens.shape[1], self.place, self.place + tokens.shape[1]
        x = f.embedding(tokens, w["token.weight"]) + w["position.weight"][begin:end]
        for i in range(c.num_layers):
            p = f"blocks.{i}."
            y = self.norm(x, f"{p}norm1")
            split = self.linear(y, f"{p}attention.qkv").view(1, t, 3, c.num_heads, c.head_dim)
            q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
            k, v = self.kept(i, k, v, begin, end)
            y = f.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
            y = y.transpose(1, 2).reshape(1, t, c.d_model)
            x = x + self.linear(y, f"{p}attention.out")
            y = f.gelu(self.linear(self.norm(x, f"{p}norm2"), f"{p}up"), approximate="tanh")
            x = x + self.linear(y, f"{p}down")
        self.place = end
        return self.norm(x[:, -1], "norm") @ w["token.weight"].T

    def linear(self, x: Any, name: str) -> Any:
        """A layer by its name."""
        return self.f.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, x: Any, name: str) -> Any:
        """A layer norm by its name."""
        weight, bias = self.w[f"{name}.weight"], self.w[f"{name}.bias"]
        return self.f.layer_norm(x, weight.shape, weight, bias)

    def kept(self, layer: int, k: Any, v: Any, begin: int, end: int) -> tuple[Any, Any]:
        """All keys and values up to the new ones."""
        c, found = self.config, []
        for place, new in ((2 * layer, k), (2 * layer + 1, v)):
            if self.grows:
                whole = self.torch.cat([self.cache[place], new], 2) if begin else new
                self.cache[place] = whole
            else:
                if not begin:
                    self.cache[place] = self.torch.empty(1, c.num_heads, c.context, c.head_dim)
                whole = self.cache[place][:, :, :end]
                whole[:, :, begin:] = new
            found.append(whole)
        return found[0], found[1]

    def write(self, prompt: Sequence[int], count: int, temperature: float) -> Iterator[int]:
        """Tokens one by one."""
        torch = self.torch
        with torch.inference_mode():
            self.place, self.cache = 0, [None] * (2 * self.config.num_layers)
            logits = self.read(torch.tensor([prompt]))
            for left in range(count - 1, -1, -1):
                if temperature:
                    chosen = torch.multinomial(torch.softmax(logits / temperature, -1), 1)
                else:
                    chosen = logits.argmax(-1, keepdim=True)
                yield int(chosen)
                if left:
                    logits = self.read(chosen)


def small(peer: str, threads: int, what: str) -> Write:
    """Whoever writes with a small GPT."""
    model = small_model(json.loads(what))
    if peer == "groundup":
        return groundup_writer(model)
    importlib.import_module("torch").set_num_threads(threads)
    return TorchGPT(model, grows=peer.endswith("cat")).write


# A GGUF file


def unpacked_folder(path: Path, folder: Path) -> None:
    """The model of a file as transformers reads it: float32, rotary pairs as halves."""
    from dataclasses import replace

    import groundup as gu
    from groundup.models import Llama
    from groundup.models.pretrained.gguf import read_file
    from groundup.models.pretrained.huggingface import write_folder

    model, _ = read_file(path, packed=False)
    c = model.config
    halves = Llama(replace(c, interleaved=False))
    weights = model.state_dict()
    for name, value in weights.items():
        kind = name.split(".")[-2]
        if c.interleaved and kind in ("query", "key"):
            heads = c.num_heads if kind == "query" else c.num_kv_heads
            rows = value.numpy().reshape(heads, c.features // 2, 2, -1)
            weights[name] = gu.tensor(rows.transpose(0, 2, 1, 3).reshape(value.shape))
    halves.load_state_dict(weights)
    write_folder(halves, folder)


def file(peer: str, threads: int, what: str) -> Write:
    """Whoever writes with a public model."""
    if peer == "groundup":
        from groundup.models import load_pretrained

        model, _ = load_pretrained(what)
        return groundup_writer(model)
    if peer == "llama.cpp":
        lib = importlib.import_module("llama_cpp")
        llama = lib.Llama(
            what, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False
        )

        def write(prompt: Sequence[int], count: int, temperature: float) -> Iterator[int]:
            llama.reset()
            for number, token in enumerate(llama.generate(prompt, temp=temperature), 1):
                yield int(token)
                if number == count:
                    return

        return write
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    torch.set_num_threads(threads)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        what, local_files_only=True, dtype=torch.float32
    ).eval()

    def write_theirs(prompt: Sequence[int], count: int, _: float) -> Iterator[int]:
        with torch.inference_mode():
            cache = transformers.DynamicCache()
            ids = torch.tensor([prompt])
            for _ in range(count):
                found = theirs(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                ids = found.logits[:, -1].argmax(-1, keepdim=True)
                yield int(ids)

    return write_theirs


# Sentences


def batches(folder: str) -> list[tuple[Any, Any]]:
    """(tokens, mask) of lines of Python's standard library, short ones first."""
    from groundup.data import standard_library
    from groundup.text import load_tokenizer

    tokenizer = load_tokenizer(folder)
    tokenizer.padding = None
    lines: list[str] = []
    for path in standard_library():
        for line in path.read_text("utf-8", "replace").splitlines():
            if len(line.split()) >= 8 and len(lines) < 20 * SENTENCES:
                lines.append(line.strip())
    ids = sorted((tokenizer.encode(line).ids for line in lines[::20]), key=len)
    found = []
    for begin in range(0, len(ids), BATCH):
        rows = ids[begin : begin + BATCH]
        longest = -(-max(map(len, rows)) // STEP) * STEP
        tokens = [[*row, *[0] * (longest - len(row))] for row in rows]
        mask = [[i < len(row) for i in range(longest)] for row in rows]
        found.append((np.array(tokens), np.array(mask)))
    return found


def encoder(peer: str, threads: int, what: str) -> Callable[[], Any]:
    """Whoever turns sentences into vectors."""
    every = batches(what)
    if peer.startswith("groundup"):
        import groundup as gu
        from groundup.models import load_pretrained, mean_pool

        model, _ = load_pretrained(what)

        def vectors(tokens: Any, mask: Any) -> Any:
            return mean_pool(model(tokens, mask), mask)

        run = vectors if peer.endswith("eager") else gu.compile(vectors)
        ours = [(gu.from_numpy(a), gu.from_numpy(b)) for a, b in every]

        def encode() -> Any:
            with gu.no_grad():
                return np.concatenate([run(*pair).numpy() for pair in ours])

        return encode
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    torch.set_num_threads(threads)
    theirs = transformers.AutoModel.from_pretrained(
        what, local_files_only=True, add_pooling_layer=False
    ).eval()
    pairs = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in every]

    def encode_theirs() -> Any:
        with torch.inference_mode():
            found = []
            for tokens, mask in pairs:
                x = theirs(tokens, attention_mask=mask.long()).last_hidden_state
                weights = mask.unsqueeze(-1).float()
                found.append(((x * weights).sum(1) / weights.sum(1)).numpy())
            return np.concatenate(found)

    return encode_theirs


# Commands


def timed_text(write: Write, prompt: Sequence[int], count: int, temperature: float) -> Any:
    """The tokens, and how long the first and the others took."""
    began = time.perf_counter()
    tokens = write(prompt, count, temperature)
    found = [next(tokens)]
    first = time.perf_counter()
    found += tokens
    end = time.perf_counter()
    return {"tokens": found, "first": first - began, "others": end - first}


def main() -> None:
    """Answer commands until there are no more."""
    kind, peer, threads, what = sys.argv[1:]
    if kind == "unpack":
        unpacked_folder(Path(peer), Path(what))
        return
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to standard error
    make: Any = {"small": small, "file": file, "encoder": encoder}[kind]
    work = make(peer, int(threads), what)
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        if do == "write":
            answer = timed_text(work, **command)
        elif do == "encode":
            began = time.perf_counter()
            vectors = work()
            seconds = time.perf_counter() - began
            some = [float(x) for x in vectors[:, 0]]
            answer = {"seconds": seconds, "sentences": len(vectors), "some": some}
        else:
            answer = {"peak": resident("VmHWM")}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
