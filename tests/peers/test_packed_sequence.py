"""R2.4 beside PyTorch: sequences of different lengths, packed and padded, through every layer."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup import nn

torch = pytest.importorskip("torch")

from tests.peers.comparison import Translation, assert_close  # noqa: E402
from tests.peers.test_recurrent import every_kind, pair, states  # noqa: E402
from tests.peers.twins import random  # noqa: E402

ours, theirs = nn.utils.rnn, torch.nn.utils.rnn
LENGTHS = {"sorted": [6, 4, 4, 2, 1], "mixed": [2, 6, 1, 4, 4], "equal": [3, 3], "one": [5]}
every_order = pytest.mark.parametrize("order", LENGTHS)
both_layouts = pytest.mark.parametrize("batch_first", [False, True])


def assert_same_packed(a: Any, b: Any) -> None:
    assert_close(a.data, b.data, "data")
    assert list(a.batch_sizes) == b.batch_sizes.tolist()
    for name in ("sorted_indices", "unsorted_indices"):
        mine, other = getattr(a, name), getattr(b, name)
        assert (mine is None) == (other is None), name
        if other is not None:
            assert_close(mine, other, name)


@every_order
@both_layouts
def test_packing_and_padding(order: str, batch_first: bool) -> None:
    lengths = LENGTHS[order]
    size = (len(lengths), 7) if batch_first else (7, len(lengths))
    x = random(*size, 2, 3)
    mine = Translation()(x)
    for enforce in (True, False):
        if enforce and order == "mixed":
            with pytest.raises(ValueError, match=r"\[2, 6, 1, 4, 4\] are not sorted"):
                ours.pack_padded_sequence(mine, lengths, batch_first)
            with pytest.raises(RuntimeError, match="sorted"):
                theirs.pack_padded_sequence(x, lengths, batch_first)
            continue
        a = ours.pack_padded_sequence(mine, gu.tensor(lengths), batch_first, enforce)
        b = theirs.pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce)
        if order != "mixed" and not enforce:  # ties may be put in any order
            assert a.sorted_indices.tolist() == list(range(len(lengths)))
        assert_close(
            ours.pad_packed_sequence(a, batch_first, -1.5, 9)[0],
            theirs.pad_packed_sequence(b, batch_first, -1.5, 9)[0],
            "padded again",
        )
        found, expected = ours.pad_packed_sequence(a), theirs.pad_packed_sequence(b)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other, "padded again")
        (found[0] * found[0]).sum().backward()
        (expected[0] * expected[0]).sum().backward()
        assert_close(mine.grad, x.grad, "gradient")
        mine.grad = x.grad = None
        if enforce:
            assert_same_packed(a, b)


@pytest.mark.parametrize("side", ["left", "right"])
@both_layouts
def test_lists_of_sequences(batch_first: bool, side: str) -> None:
    given = [random(length, 3, seed=length) for length in (4, 2, 5)]
    mine = Translation()(given)
    a = ours.pad_sequence(mine, batch_first, 0.5, side)
    b = theirs.pad_sequence(given, batch_first, 0.5, side)
    assert_close(a, b, "padded")
    if side == "right":
        for found, x in zip(ours.unpad_sequence(a, [4, 2, 5], batch_first), given, strict=True):
            assert_close(found, x, "unpadded")
    assert_same_packed(
        ours.pack_sequence(mine, enforce_sorted=False),
        theirs.pack_sequence(given, enforce_sorted=False),
    )
    with pytest.raises(ValueError, match="not sorted"):
        ours.pack_sequence(mine)


def gradients(net: Any, x: Any, hx: Any) -> list[Any]:
    return [p.grad for p in (*net.parameters(), x, *(hx if isinstance(hx, tuple) else (hx,)))]


@every_kind
@pytest.mark.parametrize(
    ("order", "num_layers", "bidirectional"),
    [*product(["sorted", "mixed"], [1, 2], [True, False]), ("equal", 2, True), ("one", 1, True)],
)
def test_outputs_states_and_gradients(
    kind: str, order: str, num_layers: int, bidirectional: bool
) -> None:
    lengths = LENGTHS[order]
    n, t = len(lengths), max(lengths)
    net, twin = pair(kind, 3, 4, num_layers=num_layers, bidirectional=bidirectional)
    for given in (False, True):
        x, hx = random(t, n, 3), states(kind, num_layers * (1 + bidirectional), n, 4)
        translate = Translation()
        mine_x, mine_hx = translate(x), translate(hx)
        a = ours.pack_padded_sequence(mine_x, lengths, enforce_sorted=order != "mixed")
        b = theirs.pack_padded_sequence(x, lengths, enforce_sorted=order != "mixed")
        a, end_a = net(a, mine_hx) if given else net(a)
        b, end_b = twin(b, hx) if given else twin(b)
        padded_a, padded_b = ours.pad_packed_sequence(a)[0], theirs.pad_packed_sequence(b)[0]
        assert_close(padded_a, padded_b, "output")
        ends_a, ends_b = ((e if isinstance(e, tuple) else (e,)) for e in (end_a, end_b))
        for one, other in zip(ends_a, ends_b, strict=True):
            assert_close(one, other, "last state")
        loss_a = (padded_a * (0.3 + padded_a)).sum() + sum((e * e).sum() for e in ends_a)
        loss_b = (padded_b * (0.3 + padded_b)).sum() + sum((e * e).sum() for e in ends_b)
        loss_a.backward()
        loss_b.backward()
        found, expected = gradients(net, mine_x, mine_hx), gradients(twin, x, hx)
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert (one is None) == (other is None)
            if other is not None:
                assert_close(one, other, f"gradient {i}")
        net.zero_grad()
        twin.zero_grad()


@every_kind
@gu.no_grad()
def test_the_last_state_is_that_of_each_sequence_alone(kind: str) -> None:
    net, _ = pair(kind, 3, 4, num_layers=2, bidirectional=True)
    alone = [Translation()(random(length, 1, 3, seed=length).detach()) for length in (3, 5, 1)]
    output, end = net(ours.pack_sequence([x.squeeze(1) for x in alone], enforce_sorted=False))
    padded, lengths = ours.pad_packed_sequence(output)
    for i, x in enumerate(alone):
        single, last = net(x)
        size = int(lengths[i])
        np.testing.assert_allclose(padded[:size, i].numpy(), single[:, 0].numpy(), 1e-12)
        for many, one in zip(
            end if isinstance(end, tuple) else (end,),
            last if isinstance(last, tuple) else (last,),
            strict=True,
        ):
            np.testing.assert_allclose(many[:, i].numpy(), one[:, 0].numpy(), 1e-12)


def test_dropout_between_layers_of_packed_sequences() -> None:
    net, twin = pair("lstm", 3, 4, num_layers=2, dropout=1.0)
    x = random(4, 2, 3)
    a = net(ours.pack_padded_sequence(Translation()(x), [4, 2]))[0]
    assert_close(a.data, twin(theirs.pack_padded_sequence(x, [4, 2]))[0].data, "output")


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_compiled_step_is_made_for_each_set_of_lengths(kind: str) -> None:
    net, _ = pair(kind, 3, 4, bidirectional=True)
    net.float()

    def loss(x: Any, lengths: list[int]) -> Any:
        output = net(ours.pack_padded_sequence(x, lengths, enforce_sorted=False))[0]
        return ours.pad_packed_sequence(output)[0].square().mean()

    compiled = gu.compile(loss)
    for seed, lengths in enumerate(([2, 5, 3], [5, 1, 1], [2, 5, 3])):
        x = gu.randn(5, 3, 3, generator=gu.Generator(seed))
        assert compiled(x, lengths).item() == pytest.approx(loss(x, lengths).item(), rel=1e-5)
    packed = ours.pack_padded_sequence(x, lengths, enforce_sorted=False)
    through = gu.compile(lambda p: net(p)[0].data)(packed).detach()
    np.testing.assert_allclose(through.numpy(), net(packed)[0].data.detach().numpy(), 1e-5, 1e-6)


def test_what_does_not_fit_is_refused() -> None:
    x = gu.ones(4, 2, 3)
    for lengths in ([4, 0], [5, 1], []):
        with pytest.raises(ValueError, match=r"pack_padded_sequence: (lengths|input)"):
            ours.pack_padded_sequence(x, lengths)
    packed = ours.pack_padded_sequence(x, [4, 2])
    with pytest.raises(ValueError, match="total_length 3 is shorter"):
        ours.pad_packed_sequence(packed, total_length=3)
    with pytest.raises(ValueError, match=r"LSTM\(2, 4\): packed data \(6, 3\)"):
        nn.LSTM(2, 4)(packed)
    with pytest.raises(ValueError, match="initial state"):
        nn.GRU(3, 4)(packed, gu.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="pad_sequence: shapes"):
        ours.pad_sequence([gu.ones(2, 3), gu.ones(2, 2)])
