"""Random programs compute compiled what the same text computes in PyTorch (R1.4)."""

from __future__ import annotations

import re

import pytest
from tests.compiler.fuzz_operations import ONLY_OURS, OPERATIONS
from tests.compiler.fuzzing import difference, grow, shrink

pytest.importorskip("torch")

SHARED = {name: function for name, function in OPERATIONS.items() if name not in ONLY_OURS}


@pytest.mark.parametrize("block", range(8))
def test_programs(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", "")
    for seed in range(10 * block, 10 * (block + 1)):
        program = grow(500_000 + seed, SHARED)
        found = difference(program, "compiled", "torch")
        if found is not None:
            small = shrink(program, lambda p: difference(p, "compiled", "torch") is not None)
            text = re.sub(r"gu\.compile\(f\)", "f", small.source())
            pytest.fail(f"seed {seed}:\n{text}\n{found}", pytrace=False)
