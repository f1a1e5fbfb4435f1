"""How long twelve compiled training steps take beside PyTorch's, torch.compile's and JAX's.

Each step is the whole of it: ``zero_grad``, loss, ``backward``, clipping, optimizer. All peers
start from the same weights and see the same batches; before anything is timed, the losses of some
steps and the weights after them must agree. ``groundup.bench.race`` tells how they are timed.

    python benchmarks/bench_compiled_step.py                   # prints tables
    python benchmarks/bench_compiled_step.py --write           # and writes docs/performance.md
    python benchmarks/bench_compiled_step.py gpt --threads 1   # one row
    python benchmarks/bench_compiled_step.py --check           # whether all agree, nothing timed
"""

from __future__ import annotations

from races import main
from races_report import STEPS

if __name__ == "__main__":
    main(STEPS, str(__doc__))
