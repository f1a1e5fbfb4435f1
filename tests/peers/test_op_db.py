"""Every operation that PyTorch has too, on the inputs of PyTorch's own tests (R1.1, R1.2, R1.3).

The mapping, with what is left out and why, is ``op_db_map.py``; ``op_db_table.py`` says what must
be compared and writes ``docs/compared.md``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")

from tests.peers import op_db_map, op_db_table  # noqa: E402
from tests.peers.comparison import Translation  # noqa: E402

ROOT = Path(__file__).parents[2]
CASES = op_db_map.cases()
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@EACH
def test_values_dtypes_and_gradients_are_those_of_pytorch(case: op_db_map.Case) -> None:
    total = op_db_map.Tally()
    for dtype in case.dtypes():
        total.add(op_db_map.run(case, dtype))
    assert total.compared, f"no sample of {case.name} is compared: {dict(total.left_out)}"


@pytest.mark.slow
@EACH
def test_all_samples_and_the_stranger_ones_too(case: op_db_map.Case) -> None:
    for dtype in case.dtypes():
        op_db_map.run(case, dtype, everything=True)


ALLOWED = {
    "dtypes are promoted": ("should be the same", "self.dtype to be equal to src.dtype"),
    "a value broadcasts": ("only supports a 0-dimensional value tensor",),
    "an empty dimension of channels is no error": ("optional 0 dim batch size",),
    "weights may be integers": ("multinomial only supports floating-point dtypes",),
    "NumPy has at most 64 dimensions": ("only tensors with up to 64 dims are supported",),
}
"""What PyTorch refuses and groundup does not, by words of PyTorch's message."""


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.op.error_inputs_func is not None and not case.in_place],
    ids=lambda case: case.name,
)
def test_what_pytorch_refuses_is_refused(case: op_db_map.Case) -> None:
    for error in case.op.error_inputs("cpu"):
        sample = error.sample_input
        words = str(error.error_regex).replace("\\", "")
        if case.reason(sample) or "out" in sample.kwargs or not _all_tensors(sample):
            continue
        if any(phrase in words for phrases in ALLOWED.values() for phrase in phrases):
            continue
        translate = Translation()
        args, kwargs = translate((sample.input, *sample.args)), translate(sample.kwargs)
        with np.errstate(all="ignore"):
            try:
                result: Any = case.call(*args, **kwargs)
            except op_db_map.REFUSALS:
                continue
        pytest.fail(f"{sample.summary()} gave {result!r}; PyTorch refuses: {words}")


def _all_tensors(sample: Any) -> bool:
    """Whether there is no number (or nothing) where PyTorch insists on a tensor."""
    first = sample.input if isinstance(sample.input, list | tuple) else [sample.input]
    numbers = [x for x in sample.args[:1] if isinstance(x, int | float)]
    binary = "other" in sample.kwargs or any(isinstance(x, torch.Tensor) for x in sample.args)
    return all(isinstance(x, torch.Tensor) for x in first) and not (numbers and not binary)


def test_everything_expected_is_compared() -> None:
    names, _ = op_db_table.compared()
    missing = set(op_db_table.EXPECTED.split()) - names
    assert not missing, f"neither found here nor in PyTorch's database: {sorted(missing)}"


def test_everything_public_is_compared_or_tested_elsewhere() -> None:
    unexplained = set(op_db_table.without_entry()) - set(op_db_table.ELSEWHERE_FILES)
    assert not unexplained, f"without an entry in PyTorch's database: {sorted(unexplained)}"
    superfluous = set(op_db_table.ELSEWHERE_FILES) - set(op_db_table.without_entry())
    assert not superfluous, f"compared after all, or gone: {sorted(superfluous)}"


@pytest.mark.parametrize("file", op_db_table.ELSEWHERE)
def test_files_that_test_the_rest_speak_of_it(file: str) -> None:
    text = (ROOT / file).read_text()
    for name in op_db_table.ELSEWHERE[file].split():
        assert name.split(".")[-1].strip("_") in text, f"{file} does not mention {name}"


def test_the_page_lists_what_is_compared() -> None:
    text = (ROOT / "docs" / "compared.md").read_text()
    table = text.split("## Operations")[1].split("##")[0]
    listed = {line.split("`")[3] for line in table.splitlines() if line.startswith("| `")}
    rows = {case.name for case in CASES}
    assert rows == listed, f"run op_db_table again: {sorted(rows ^ listed)}"
