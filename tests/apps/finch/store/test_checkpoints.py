"""What was learned is kept whole, with the state before it. R14.5."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file
from tests.apps.finch.store.sample import TASKS

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.store import Checkpoints, Home, State, Store, states
from groundup.apps.finch.store.states import DamagedError, pieces, read

SCOPE = "0a" * 16
TASK, OTHER = TASKS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
ARRAYS = st.dictionaries(
    st.text(st.characters(categories=["L"]), min_size=1, max_size=5),
    hnp.arrays(
        st.sampled_from([np.bool_, np.uint8, np.uint32, np.uint64, np.int64, np.float16,
                         np.float32, np.float64]),
        hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
    ),
    max_size=4,
)  # fmt: skip


def _bytes(scope: str, task: str, state: State) -> bytes:
    return b"".join(pieces(scope, task, state))


@given(ARRAYS, JSON)
def test_a_state_comes_back_bit_for_bit(arrays: dict[str, Any], content: Any) -> None:
    found = read(SCOPE, TASK, _bytes(SCOPE, TASK, State(arrays, content, 12.5)))
    assert found.content == content
    assert found.saved == 12.5
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        again = found.arrays[name]
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        assert again.tobytes() == array.tobytes()


@given(st.integers(min_value=0), st.integers(1, 255))
def test_every_changed_byte_is_noticed(place: int, change: int) -> None:
    state = State({"w": np.arange(20, dtype=np.float32)}, {"replay": ["a", "b"]}, 1.0)
    raw = bytearray(_bytes(SCOPE, TASK, state))
    raw[place % len(raw)] ^= change
    try:
        found = read(SCOPE, TASK, bytes(raw))
    except FinchError:
        return
    # What is not covered: the time, white space, and the newer versions that are refused above.
    assert found.content == state.content
    assert np.array_equal(found.arrays["w"], state.arrays["w"])


def test_every_beginning_is_refused() -> None:
    raw = _bytes(SCOPE, TASK, State({"w": np.arange(3.0)}, {"a": 1}))
    for length in range(len(raw)):
        with pytest.raises(DamagedError):
            read(SCOPE, TASK, raw[:length])
    with pytest.raises(DamagedError):
        read(SCOPE, TASK, raw + b"\0")


def test_a_file_under_another_name_is_refused() -> None:
    raw = _bytes(SCOPE, TASK, State({}, None))
    for scope, task in ((SCOPE, OTHER), ("0b" * 16, TASK)):
        with pytest.raises(DamagedError, match=f"it is of task '{TASK}' in scope '{SCOPE}'"):
            read(scope, task, raw)


def test_others_can_read_the_arrays(store: Store) -> None:
    weight = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    store.minds.save(SCOPE, TASK, {"w": weight[:, ::-1]}, {})
    (path,) = store.home.minds.rglob("*.safetensors")
    assert np.array_equal(load_file(path)["w"], weight[:, ::-1])


def test_what_cannot_be_kept_is_refused_and_the_old_state_stays(store: Store) -> None:
    store.minds.save(SCOPE, TASK, {}, "old")
    for arrays, content, words in (
        ({"w": np.array([object()])}, None, "'w' has dtype object, expected numbers"),
        ({"w": np.array(["a"])}, None, "'w' has dtype <U1"),
        ({"__metadata__": np.zeros(1)}, None, "__metadata__"),
        ({"content.json": np.zeros(1)}, None, "may not be called"),
        ({}, {1, 2}, "is no JSON"),
    ):
        with pytest.raises(FinchError, match=words):
            store.minds.save(SCOPE, TASK, arrays, content)
    assert loaded(store) == "old"
    for scope, task in (("../../etc", TASK), (SCOPE, "../x"), (SCOPE, ""), (SCOPE.upper(), TASK)):
        with pytest.raises(FinchError, match="expected 8 to 64 hexadecimal digits"):
            store.minds.save(scope, task, {}, None)
        with pytest.raises(FinchError, match="expected 8 to 64 hexadecimal digits"):
            store.minds.forget(scope, task)


def loaded(store: Store) -> Any:
    state = store.minds.load(SCOPE, TASK)
    return None if state is None else state.content


def paths(store: Store) -> tuple[Path, Path, Path]:
    folder = store.home.minds / SCOPE
    return tuple(folder / f"{TASK}{kind}.safetensors" for kind in ("", ".previous", ".damaged"))  # type: ignore[return-value]


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_newest_state_falls_back_to_the_one_before(store: Store, harm: str) -> None:
    for content in ("first", "second", "third"):
        store.minds.save(SCOPE, TASK, {"w": np.ones(100)}, content)
    newest, previous, damaged = paths(store)
    raw = bytearray(newest.read_bytes())
    flipped = raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:]
    newest.write_bytes(
        {"cut": raw[:-9], "flipped": flipped, "empty": b"", "foreign": b"x" * 99}[harm]
    )
    assert store.minds.raw(SCOPE, TASK) == previous.read_bytes()
    with pytest.warns(UserWarning, match="the one before it is used"):
        assert loaded(store) == "second"
    assert damaged.exists()
    assert not newest.exists()
    assert loaded(store) == "second"  # without a warning, which would be an error
    store.minds.save(SCOPE, TASK, {}, "fourth")
    assert loaded(store) == "fourth"
    assert previous.exists()  # the good one was not replaced by the damaged one
    newest.unlink()
    assert loaded(store) == "second"


def test_two_damaged_states_are_begun_anew(store: Store) -> None:
    for content in ("first", "second"):
        store.minds.save(SCOPE, TASK, {}, content)
    for path in paths(store)[:2]:
        path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="begun anew"),
        pytest.warns(UserWarning, match="the one before it is used"),
    ):
        assert loaded(store) is None
    assert store.minds.raw(SCOPE, TASK) is None


def test_a_newer_format_is_refused_and_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "FORMAT", 2)
    store.minds.save(SCOPE, TASK, {}, "of tomorrow")
    monkeypatch.setattr(states, "FORMAT", 1)
    with pytest.raises(FinchError, match="has format 2, this Finch reads up to 1; upgrade"):
        loaded(store)
    assert paths(store)[0].exists()


def test_a_full_disk_leaves_the_old_state(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.minds.save(SCOPE, TASK, {}, "old")
    with monkeypatch.context() as patch:

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(FinchError, match="No space left"):
            store.minds.save(SCOPE, TASK, {}, "new")
    assert loaded(store) == "old"
    assert not list(store.home.path.rglob("*.part"))


def test_forgetting_leaves_nothing(store: Store) -> None:
    for content in ("first", "second"):
        store.minds.save(SCOPE, TASK, {}, content)
        store.minds.save(SCOPE, OTHER, {}, content)
    (store.home.minds / SCOPE / f".{TASK}.safetensors.part").write_bytes(b"left behind")
    found = {saved.task: saved for saved in store.minds}
    assert set(found) == {TASK, OTHER}
    files = list((store.home.minds / SCOPE).glob(f"*{TASK}*"))
    size = sum(path.stat().st_size for path in files)
    assert found[TASK].size == size - len(b"left behind")
    assert store.minds.forget(SCOPE, TASK) == size
    assert not list(store.home.minds.rglob(f"*{TASK}*"))
    assert [saved.task for saved in store.minds] == [OTHER]
    store.minds.forget(SCOPE, OTHER)
    assert not list(store.home.minds.iterdir())
    assert store.minds.forget(SCOPE, OTHER) == 0


def test_remainders_of_killed_programs_are_removed(tmp_path: Path) -> None:
    with Store(tmp_path / "finch") as store:
        store.minds.save(SCOPE, TASK, {}, "kept")
        remainder = store.home.minds / SCOPE / f".{TASK}.safetensors.part"
        remainder.write_bytes(b"half")
        store.minds.save(SCOPE, TASK, {}, "kept")
        assert not remainder.exists()
        remainder.write_bytes(b"half")
    with Store(tmp_path / "finch") as store:
        assert not remainder.exists()
        assert loaded(store) == "kept"
    assert Checkpoints(Home(tmp_path / "none")).raw(SCOPE, TASK) is None
