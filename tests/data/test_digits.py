import builtins

import numpy as np
import pytest

import groundup as gu
from groundup.data import load_digits

pytest.importorskip("sklearn")


# R3.8
def test_the_digits_are_the_real_ones() -> None:
    from sklearn.datasets import load_digits as bundled

    ink, labels = bundled(return_X_y=True)
    parts = load_digits()
    x = np.concatenate([part.tensors[0].numpy() for part in parts])
    y = np.concatenate([part.tensors[1].numpy() for part in parts])
    assert x.shape == (1797, 1, 8, 8)
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert (x.min(), x.max()) == (0, 1)
    ours = sorted(
        (label, *row)
        for label, row in zip(y.tolist(), (x * 16).reshape(-1, 64).tolist(), strict=False)
    )
    theirs = sorted(
        (label, *row) for label, row in zip(labels.tolist(), ink.tolist(), strict=False)
    )
    assert sorted(ours) == sorted(theirs)


def test_each_digit_is_in_each_set_in_proportion() -> None:
    parts = load_digits((0.6, 0.2, 0.2), seed=1)
    counts = np.stack([np.bincount(part.tensors[1].numpy(), minlength=10) for part in parts])
    assert np.abs(counts - counts.sum(0) * np.array([[0.6], [0.2], [0.2]])).max() < 1


def test_the_seed_alone_decides() -> None:
    gu.manual_seed(0)
    first = load_digits(seed=3)
    gu.manual_seed(1)
    again, other = load_digits(seed=3), load_digits(seed=4)
    assert gu.equal(first.test.tensors[0], again.test.tensors[0])
    assert not gu.equal(first.test.tensors[0], other.test.tensors[0])


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments, **options):
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'groundup\[data\]'"):
        load_digits()
    with pytest.raises(ValueError, match="expected three"):
        load_digits((0.5, 0.5))
