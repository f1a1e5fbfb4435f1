"""Tokens in a mapped file (R4.2): what is written is read, and windows resume exactly."""

import numpy as np
import pytest

from groundup.data import RandomWindows, TokenFile, write_tokens


@pytest.mark.parametrize(("size", "width"), [(256, 1), (257, 2), (65_536, 2), (65_537, 4)])
def test_pieces_become_one_row_in_the_smallest_integers(tmp_path, size, width):
    pieces = [[0, size - 1], [], np.arange(5)]
    assert write_tokens(tmp_path / "ids", pieces, size) == 7
    assert (tmp_path / "ids").stat().st_size == 7 * width
    assert TokenFile(tmp_path / "ids", size).ids.tolist() == [0, size - 1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("wrong", [-1, 10])
def test_ids_out_of_range_are_refused_and_the_old_file_stays(tmp_path, wrong):
    write_tokens(tmp_path / "ids", [[1]], 10)
    with pytest.raises(ValueError, match=f"token {wrong}, expected 0 to 9"):
        write_tokens(tmp_path / "ids", [[3, wrong]], 10)
    assert TokenFile(tmp_path / "ids", 10).ids.tolist() == [1]


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "ids").write_bytes(b"123")
    with pytest.raises(ValueError, match="3 bytes; expected a whole number of ids of 2"):
        TokenFile(tmp_path / "ids", 1_000)
    (tmp_path / "ids").write_bytes(b"")
    with pytest.raises(ValueError, match="at least one"):
        TokenFile(tmp_path / "ids", 10)


def loader(folder, **changes):
    if not (folder / "ids").exists():
        write_tokens(folder / "ids", [range(100)], 100)
    settings = {"context": 4, "batch": 3, "steps": 8, "every": 3, "seed": 5} | changes
    return RandomWindows(TokenFile(folder / "ids", 100), 90, **settings)


def test_windows_lie_before_the_end_and_reach_it(tmp_path):
    seen = set()
    for x, y in loader(tmp_path, batch=500, steps=4):
        assert x.shape == (500, 4)
        assert (y == x + 1).all()
        seen |= set(y[:, -1].tolist())
    assert seen == set(range(4, 90))


def test_it_goes_on_where_it_was_in_the_middle_of_an_epoch(tmp_path):
    def rows(data):
        return [x.tolist() for x, _ in data]

    whole = loader(tmp_path)
    expected = [rows(whole) for _ in range(3)]
    assert [len(epoch) for epoch in expected] == [3, 3, 2]
    first = loader(tmp_path)
    list(first)
    batches = iter(first)
    begun = [next(batches)[0].tolist()]
    second = loader(tmp_path, seed=9)
    second.load_state_dict(first.state_dict())
    assert begun + rows(second) == expected[1]
    assert rows(second) == expected[2]


def test_the_end_of_an_epoch_is_not_the_beginning_of_the_next(tmp_path):
    """A state taken after the last batch, before the loop has ended, gives no further batch."""
    first, second = loader(tmp_path), loader(tmp_path)
    batches = iter(first)
    for _ in range(3):
        next(batches)
    second.load_state_dict(first.state_dict())
    assert list(second) == []
    assert len(list(second)) == 3


def test_too_few_tokens_are_refused(tmp_path):
    with pytest.raises(ValueError, match="90 tokens are too few for a context of 90"):
        loader(tmp_path, context=90)
