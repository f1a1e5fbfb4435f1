"""What this machine can do: float32 matrix products and passes over memory, by their size.

    python benchmarks/machine.py --threads 2    # a line of JSON for the line of JSON that it reads

Products are those of NumPy's BLAS or of PyTorch's, whichever is faster at a size; a pass over
memory is the triad ``a = b + s * c`` of STREAM (McCalpin, 1995), three arrays of which each byte is
counted once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

SIDES = (16, 32, 64, 128, 256, 512, 1024, 2048)
SPANS = tuple(3 * 4 * 2**n for n in range(12, 25, 2))
"""Bytes of the three arrays: from what the first cache holds to what none does."""
TRIALS = 7
SECONDS = 0.02
"""Of a trial, at the least."""


@dataclass(frozen=True)
class Machine:
    """Speeds by size.

    Attributes:
        products: side of the square matrices -> multiplications and additions a second.
        memory: bytes that are touched -> bytes a second.
    """

    products: Mapping[int, float]
    memory: Mapping[int, float]

    def product_speed(self, side: float) -> float:
        """Of a product whose sides have this geometric mean."""
        return _between(self.products, side)

    def memory_speed(self, span: float) -> float:
        """Of passes over so many bytes."""
        return _between(self.memory, span)


def _between(table: Mapping[int, float], size: float) -> float:
    """On a line between neighbours, both axes logarithmic; beyond the ends, as at the end."""
    sizes = sorted(table)
    speeds = [np.log(table[s]) for s in sizes]
    return float(np.exp(np.interp(np.log(size), np.log(sizes), speeds)))


def fastest(call: Callable[[], object]) -> float:
    """Seconds of a call, the best of some trials."""
    call()
    began = time.perf_counter()
    call()
    repeats = max(1, round(SECONDS / max(time.perf_counter() - began, 1e-7)))
    found = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        found.append((time.perf_counter() - began) / repeats)
    return min(found)


def measure(threads: int) -> Machine:
    """Of this machine, in this process."""
    import torch

    torch.set_num_threads(threads)
    draw = np.random.default_rng(0)
    products, memory = {}, {}
    for side in SIDES:
        # Small ones many in a call, so that the call does not count.
        shape = (max(1, 2**18 // side**2), side, side)
        a, b, c = (draw.standard_normal(shape, np.float32) for _ in range(3))
        x, y, z = map(torch.from_numpy, (a, b, c))
        seconds = min(
            fastest(lambda a=a, b=b, c=c: np.matmul(a, b, out=c)),
            fastest(lambda x=x, y=y, z=z: torch.bmm(x, y, out=z)),
        )
        products[side] = 2 * shape[0] * side**3 / seconds
    for span in SPANS:
        x, y, z = (torch.ones(span // 12) for _ in range(3))
        seconds = fastest(lambda x=x, y=y, z=z: torch.add(x, y, alpha=3.0, out=z))
        memory[span] = span / seconds
    return Machine(products, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    for _ in sys.stdin:
        found = measure(options.threads)
        print(json.dumps({"products": found.products, "memory": found.memory}), flush=True)


if __name__ == "__main__":
    main()
