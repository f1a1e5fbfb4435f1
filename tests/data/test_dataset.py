import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.data import Subset, TensorDataset, TextDataset, Vocabulary, default_collate, read_text


@given(st.lists(st.integers(0, 6), max_size=20))
def test_a_batch_is_its_items_put_together(indices: list[int]) -> None:
    data = TensorDataset(gu.rand(7, 2, 3), gu.arange(7))
    x, y = data.batch(indices)
    assert x.shape == (len(indices), 2, 3)
    assert y.tolist() == indices
    for row, i in zip(x, indices, strict=True) if indices else ():
        assert gu.equal(row, data[i][0])


def test_items_can_be_iterated_over() -> None:
    assert [(x.item(), y.item()) for x, y in TensorDataset(gu.arange(3), gu.arange(3) * 2)] == [
        (0, 0),
        (1, 2),
        (2, 4),
    ]


def test_a_batch_has_its_own_memory() -> None:
    x = gu.zeros(4)
    (batch,) = TensorDataset(x).batch([0, 1, 2, 3])
    batch.fill_(1)
    assert x.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("shapes", [[], [()], [(3,), (4,)], [(3, 2), (2, 3)]])
def test_tensors_of_different_lengths_are_refused(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"TensorDataset: got tensors of shapes"):
        TensorDataset(*(gu.zeros(*shape) for shape in shapes))


def test_a_subset_is_its_items_in_order() -> None:
    data = TensorDataset(gu.arange(10) * 10)
    subset = Subset(Subset(data, [9, 5, 7, 1]), [3, 0])
    assert [item[0].item() for item in subset] == [10, 90]
    assert subset.batch([1, 0, 1])[0].tolist() == [90, 10, 90]


def test_a_subset_has_batch_only_where_its_data_set_has() -> None:
    assert hasattr(Subset(TensorDataset(gu.zeros(3)), [0]), "batch")
    assert not hasattr(Subset([1, 2, 3], [0]), "batch")


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_subset_refuses_indices_out_of_range(wrong: int) -> None:
    with pytest.raises(IndexError, match=f"index {wrong} is out of range; the data set has 3"):
        Subset([1, 2, 3], [0, wrong])


# Text


@given(st.text(min_size=1))
def test_decoding_undoes_encoding(text: str) -> None:
    vocabulary = Vocabulary.of(text)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert ids.dtype == gu.int64
    assert set(ids.tolist()) == set(range(len(vocabulary)))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 30))
def test_windows_of_text(context: int, stride: int, more: int) -> None:
    tokens = list(range(100, 100 + context + 1 + more))
    data = TextDataset(tokens, context, stride)
    assert len(data) == len([p for p in range(0, len(tokens), stride) if p + context < len(tokens)])
    for i, (x, y) in enumerate(data):
        start = i * stride
        assert x.tolist() == tokens[start : start + context]
        assert y.tolist() == tokens[start + 1 : start + context + 1]
    x, y = data.batch(np.arange(len(data))[::-1])
    assert [gu.equal(a, b) for a, b in zip(data[0], (x[-1], y[-1]), strict=True)] == [True, True]
    assert x.shape == y.shape == (len(data), context)


def test_by_default_every_token_is_predicted_once() -> None:
    data = TextDataset("the quick brown fox", context=6)
    targets = [data.vocabulary.decode(y) for _, y in data]
    assert "".join(targets) == "the quick brown fox"[1:]


def test_text_from_a_file(tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffgrün\r\nblau".encode())
    assert read_text(path) == "grün\r\nblau"
    data = TextDataset(path, context=3)
    assert data.vocabulary.decode(data.tokens) == "grün\r\nblau"


def test_a_file_that_is_not_utf8(tmp_path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("abcgrün".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin.txt: not UTF-8 \(byte 0xfc at position 5\)"):
        TextDataset(path, context=2)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.txt: there is no such text file"):
        TextDataset(tmp_path / "none.txt", context=2)


def test_text_mistakes() -> None:
    with pytest.raises(ValueError, match=r"'x' \(character 2 of the text\)"):
        Vocabulary("ab").encode("abx")
    with pytest.raises(ValueError, match="3 is not a number of one of the 2 characters"):
        Vocabulary("ab").decode([0, 3])
    with pytest.raises(ValueError, match="'a' occurs more than once"):
        Vocabulary("aba")
    with pytest.raises(ValueError, match="4 tokens are too few for a context of 4"):
        TextDataset("abcd", context=4)
    with pytest.raises(ValueError, match="expected integers in one dimension"):
        TextDataset(gu.ones(10), context=2)
    with pytest.raises(ValueError, match="context 0"):
        TextDataset("abcd", context=0)
    with pytest.raises(IndexError, match="window 1 is out of range; there are 1"):
        TextDataset("abcd", context=3)[1]


# Collating


def test_collating_keeps_structure() -> None:
    items = [{"x": gu.ones(2) * i, "y": (i, float(i), i > 0), "z": np.float32(i)} for i in range(3)]
    batch = default_collate(items)
    assert batch["x"].tolist() == [[0, 0], [1, 1], [2, 2]]
    integers, numbers, truths = batch["y"]
    assert (integers.dtype, numbers.dtype, truths.dtype) == (gu.int64, gu.float32, gu.bool)
    assert batch["z"].tolist() == [0, 1, 2]


def test_collating_what_cannot_be_put_together() -> None:
    with pytest.raises(TypeError, match="cannot put str together"):
        default_collate(["a", "b"])
