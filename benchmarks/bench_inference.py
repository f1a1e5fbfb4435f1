"""How long the forward pass of one example takes, compiled, beside PyTorch's and JAX's.

The networks are those of ``bench_compiled_step``, in evaluation mode and without gradients, with
the same weights in each library; outputs are compared before anything is timed.

    python benchmarks/bench_inference.py                   # prints tables
    python benchmarks/bench_inference.py --write           # and writes docs/performance.md
    python benchmarks/bench_inference.py gpt --threads 1   # one row
"""

from __future__ import annotations

from races import main
from races_report import INFERENCE

if __name__ == "__main__":
    main(INFERENCE, str(__doc__))
