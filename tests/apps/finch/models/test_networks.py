"""The encoder and the decoder: what they may see, and what they do not depend on."""  # R14.2

from dataclasses import replace

import numpy as np
import pytest

import groundup as gu
from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models.network import Decoder, Encoder, Sizes
from groundup.apps.finch.models.reading import FEATURES, Reader, packed, rounded, word_features
from groundup.apps.finch.models.tokenizer import BOUNDARY, END, PAD, SUMMARY, TrafficTokenizer

SIZES = Sizes(300, 64, 8, 16, 2, 2, 32, query=32, answer=8)


def batch(rows: int = 3, t: int = 16, seed: int = 0) -> tuple[gu.Tensor, gu.Tensor]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(4, 300, (rows, t))
    features = rng.integers(0, 64, (rows, t, FEATURES))
    for row in range(rows):
        tokens[row, 5 + row :] = PAD
        features[row, 5 + row :] = 0
    return gu.tensor(tokens), gu.tensor(features)


def padded(tokens: gu.Tensor, features: gu.Tensor, more: int) -> tuple[gu.Tensor, gu.Tensor]:
    n, _, k = features.shape
    return (
        gu.cat([tokens, gu.zeros(n, more, dtype=gu.int64)], 1),
        gu.cat([features, gu.zeros(n, more, k, dtype=gu.int64)], 1),
    )


def decoder() -> Decoder:
    return lively(Decoder(SIZES, seed=1).eval())


def lively(net):  # type: ignore[no-untyped-def]
    """The same with larger weights, so that differences would be seen."""
    with gu.no_grad():
        for p in net.parameters():
            p.assign(p * 5)
        net.allow(300)
    return net


AFTER = gu.tensor([[BOUNDARY, 70, 80, 90]] * 3)


def test_padding_changes_nothing() -> None:
    tokens, features = batch()
    wide = padded(tokens, features, 16)
    net = decoder()
    assert gu.allclose(net(tokens, features, AFTER), net(*wide, AFTER), atol=1e-4)
    judge = lively(Encoder(SIZES, seed=1).eval())
    after = gu.cat([gu.full((3, 1), SUMMARY), AFTER], 1)
    for x, y in zip(judge(tokens, features, after), judge(*wide, after), strict=True):
        assert gu.allclose(x, y, atol=1e-4)


def test_the_answer_is_read_forwards_and_the_query_both_ways() -> None:
    net, (tokens, features) = decoder(), batch()
    other = AFTER.clone()
    other[:, 3] = 99
    one, two = net(tokens, features, AFTER), net(tokens, features, other)
    assert gu.allclose(one[:, :3], two[:, :3], atol=1e-6)
    assert not gu.allclose(one[:, 3], two[:, 3], atol=1e-2)
    last = tokens.clone()
    last[0, 4] = 200  # the last word of the first query
    assert not gu.allclose(net(last, features, AFTER)[0, 0], one[0, 0], atol=1e-3)


def test_the_cache_gives_what_the_whole_pass_gives() -> None:
    net = decoder()
    tokens, features = batch(rows=1)
    whole = net(tokens, features, AFTER[:1])
    cache = net.make_cache(16)
    for _ in range(2):  # the cache can be used again
        with gu.no_grad():
            first, bag = net.begin(tokens, features, cache)
            later = [net.step(tokens, bag, cache, gu.tensor([[new]])) for new in (70, 80, 90)]
        assert gu.allclose(gu.stack([first, *later], 1), whole, atol=1e-4)


def test_the_guess_does_not_see_the_answer_but_the_judgement_does() -> None:
    net, (tokens, features) = lively(Encoder(SIZES, seed=1).eval()), batch()
    one = gu.tensor([[SUMMARY, BOUNDARY, 70]] * 3)
    two = gu.tensor([[SUMMARY, BOUNDARY, 71]] * 3)
    (judged, guess, vector), (other, same, still) = (
        net(tokens, features, one),
        net(tokens, features, two),
    )
    assert gu.allclose(guess, same, atol=1e-6)
    assert gu.allclose(vector, still, atol=1e-6)
    assert not gu.allclose(judged, other, atol=1e-3)


def test_without_an_answer_the_judgement_does_not_change_the_blocks() -> None:
    tokens, features = batch()
    for after, changes in (([SUMMARY, BOUNDARY], False), ([SUMMARY, BOUNDARY, 70], True)):
        net = lively(Encoder(SIZES, seed=1))
        judged, _, _ = net(tokens, features, gu.tensor([after] * 3))
        judged.sum().backward()
        assert (net.blocks[0].up.weight.grad is not None) is changes
        assert net.head.weight.grad is not None


def test_what_is_no_token_yet_is_never_written() -> None:
    net = Decoder(SIZES).eval()
    net.allow(270)
    best = net(*batch(), AFTER)
    share = gu.softmax(best, -1)
    assert float(share[..., 270:].sum().item()) == 0
    assert float(share[..., [PAD, BOUNDARY, SUMMARY]].sum().item()) == 0
    assert float(share[..., END].min().item()) > 0


def test_a_seed_says_all() -> None:
    x = batch()
    assert gu.equal(Decoder(SIZES, 5).eval()(*x, AFTER), Decoder(SIZES, 5).eval()(*x, AFTER))
    assert not gu.equal(Decoder(SIZES, 5).eval()(*x, AFTER), Decoder(SIZES, 6).eval()(*x, AFTER))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"vocab": 10}, "vocab is 10"), ({"heads": 3}, "does not divide"), ({"layers": 0}, "layers")],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(FinchError, match=message):
        replace(SIZES, **change)


# What a query is turned into


def test_words_that_are_spelled_alike_share_features() -> None:
    def shared(one: str, other: str) -> float:
        a, b = (set(word_features(w, "", 10**6)) for w in (one, other))
        return len(a & b) / len(a | b)

    assert shared("transferring", "transferred") > 0.3 > shared("transferring", "weather")
    assert word_features("to", "go", 100) != word_features("to", "be", 100)
    assert all(0 < row < 100 for row in word_features("extraordinarily", "an", 100))


def test_features_do_not_depend_on_the_tokenizer() -> None:
    tokenizer = TrafficTokenizer(400)
    reader = Reader(tokenizer, rows=1000, longest=64)
    before = reader.read("move my money")
    tokenizer.extend(["move my money"] * 4)
    after = reader.read("move my money")
    assert before is not None
    assert after is not None
    assert len(after.ids) < len(before.ids)
    kept = [reading.features[reading.features.any(axis=1)] for reading in (before, after)]
    np.testing.assert_array_equal(kept[0], kept[1])
    assert len(kept[0]) == 3


def test_what_is_too_long_or_empty_has_no_reading() -> None:
    reader = Reader(TrafficTokenizer(260), rows=100, longest=32)
    assert reader.read("x" * 32) is not None
    assert reader.read("x" * 33) is None
    assert reader.read("x" * 10**6) is None
    assert reader.read("") is None
    odd = reader.read("\ud800 \U0001f600")
    assert odd is not None
    assert packed([odd])[0].shape == (1, rounded(len(odd.ids)))
