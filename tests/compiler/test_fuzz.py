"""Random programs compute compiled what they compute uncompiled, and so do their gradients (R1.4).

A program that does not is made small and printed. ``tests/peers/test_compiled_fuzz.py`` compares
with PyTorch too.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from groundup.engine.compiler.plan import program as compiler
from groundup.engine.compiler.products import scatters

from .fuzz_operations import OPERATIONS
from .fuzzing import Program, difference, grow, shrink

BLOCK = 25


def verdict(program: Program) -> tuple[str, str] | None:
    """A name for what is wrong with a compiled program, and the details."""
    try:
        found = difference(program, "compiled", "eager")
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1].name
        return f"{type(error).__name__} in {place}", traceback.format_exc()
    return found and ("other numbers", found)


def check(seed: int, how: Callable[[Program], tuple[str, str] | None]) -> None:
    """Fail with a small program if that of a seed goes wrong."""
    program = grow(seed, OPERATIONS)
    found = how(program)
    if found is None:
        return
    kind = found[0]

    def as_wrong(smaller: Program) -> bool:
        again = how(smaller)
        return again is not None and again[0] == kind

    small = shrink(program, as_wrong)
    details = (how(small) or found)[1]
    pytest.fail(f"seed {seed}: {kind}\n\n{small.source()}\n{details}", pytrace=False)


def some(first: int, count: int) -> list[object]:
    """Blocks, of which the first ones alone are run by default."""
    rest = (pytest.param(block, marks=pytest.mark.slow) for block in range(first, count))
    return [*range(first), *rest]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", "")


@pytest.mark.parametrize("block", some(5, 12))
def test_programs(block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        check(seed, verdict)


@pytest.mark.parametrize("block", some(2, 4))
def test_programs_on_threads(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest kernels are split over two threads."""
    monkeypatch.setattr(compiler, "_WORTH", 1)
    monkeypatch.setattr(scatters, "_WORTH", 1)
    monkeypatch.setattr(compiler, "get_num_threads", lambda: 2)
    for seed in range(5 * block, 5 * (block + 1)):
        check(100_000 + seed, verdict)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(800))
def test_many_programs(block: int) -> None:
    for seed in range(BLOCK * block, BLOCK * (block + 1)):
        check(1_000_000 + seed, verdict)


def test_a_wrong_program_becomes_small() -> None:
    """Of a whole program nothing is left but the line that is at fault."""

    def wrong(program: Program) -> bool:
        return any("softmax" in line.text for line in program.lines)

    seeds = (seed for seed in range(1000) if wrong(grow(seed, OPERATIONS)))
    program = grow(next(seeds), OPERATIONS)
    small = shrink(program, wrong)
    assert len(program.lines) > 1
    assert len(small.lines) == 1
    assert small.order == 0
    assert "softmax" in small.source()
