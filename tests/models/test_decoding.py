"""Text from a model: what is cached, chosen, searched and speculated is what it should be. R4.3."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

import groundup as gu
from groundup.models import (
    GPT,
    GPTConfig,
    KeyValueCache,
    Llama,
    LlamaConfig,
    QuantizedCache,
    Transformer,
    TransformerConfig,
)
from groundup.models.decoding import (
    GREEDY,
    Decoder,
    Sampling,
    TranslationDecoder,
    beam_search,
    choose,
    distribution,
    generate,
    length_penalty,
    penalized,
    speculative_generate,
    stream,
)

SIZES = {"vocab_size": 7, "context": 24, "d_model": 16, "num_layers": 2, "num_heads": 4}


def gpt(seed: int = 0, scale: float = 12.0, **changes) -> GPT:
    """A small GPT with random weights, so large that its answers are not all alike."""
    gu.manual_seed(seed)
    model = GPT(GPTConfig(**SIZES | changes)).eval()
    with gu.no_grad():
        for p in model.parameters():
            if p.ndim == 2:
                p.assign(p * scale)
    return model


def llama(seed: int = 0, **changes) -> Llama:
    gu.manual_seed(seed)
    return Llama(LlamaConfig(**SIZES | {"num_kv_heads": 2, "dim_feedforward": 32} | changes)).eval()


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def greedily(model, prompt: list[int], count: int) -> list[int]:
    """Greedy decoding without a cache."""
    text = list(prompt)
    with gu.no_grad():
        for _ in range(count):
            text.append(int(model(gu.tensor([text]))[0, -1].argmax().item()))
    return text[len(prompt) :]


MODELS = {
    **{positions: (lambda p=positions: gpt(positions=p)) for positions in
       ("learned", "sinusoidal", "rotary", "alibi", "none")},
    "llama": llama,
    "window": lambda: llama(window=3),
    "interleaved": lambda: llama(interleaved=True, tied=True, attention_bias=True),
}  # fmt: skip


# The cache


@pytest.mark.parametrize("name", MODELS)
def test_a_cache_changes_no_text_and_prompts_of_any_length_share_a_batch(name: str) -> None:
    model = MODELS[name]()
    prompts = [[1, 2, 3, 4, 5], [6], [2, 2, 0]]
    expected = [greedily(model, prompt, 8) for prompt in prompts]
    assert generate(model, prompts, 8) == expected
    assert [generate(model, [prompt], 8)[0] for prompt in prompts] == expected


def test_a_cache_that_grows_changes_no_text() -> None:
    model = gpt()
    assert generate(Decoder(model, capacity=2), [[1, 2, 3]], 12) == [greedily(model, [1, 2, 3], 12)]


def test_an_eight_bit_cache_is_near_the_whole_one() -> None:
    model, tokens = llama(), gu.tensor([[1, 2, 3, 4, 5, 6, 0, 1]])
    with gu.no_grad():
        exact = model(tokens)
        small = QuantizedCache(2, 1, 2, 4, 8)
        logits = gu.cat([model(tokens[:, :5], cache=small), model(tokens[:, 5:], cache=small)], 1)
    error = (logits - exact).abs().max().item() / exact.std().item()
    assert 0 < error < 0.05
    assert small.nbytes() == 2 * 2 * 2 * 8 * (4 + 4)


def test_an_eight_bit_cache_writes_nearly_the_same_text() -> None:
    model = llama()
    decoder = Decoder(model, cache=QuantizedCache)
    found = decoder.read([[1, 2, 3]])
    exact = Decoder(model).read([[1, 2, 3]])
    assert not gu.allclose(found, exact, atol=1e-7)
    assert gu.allclose(found, exact, atol=0.05 * exact.std().item())
    assert len(generate(decoder, [[1, 2, 3]], 8)[0]) == 8


def test_attention_reaches_no_further_than_it_has_to_and_beyond_the_capacity_it_grows() -> None:
    cache = gpt().make_cache(batch=1, capacity=512)
    reached = []
    for filled in (0, 60, 64, 127, 200, 511, 512):
        cache.filled.assign(filled)
        cache.reserve(1)
        reached.append((cache.reach, cache.capacity, cache.mask(1).shape[-1]))
    assert [reach for reach, _, _ in reached] == [64, 64, 128, 128, 256, 512, 1024]
    assert all(reach == seen for reach, _, seen in reached)
    assert [capacity for _, capacity, _ in reached] == [512] * 6 + [1024]


@pytest.mark.parametrize("kind", [KeyValueCache, QuantizedCache])
def test_a_step_copies_no_buffer(kind) -> None:
    model = gpt(context=4096, num_layers=1)
    cache = model.make_cache(1, 4096, kind)
    step = gu.compile(lambda tokens: model(tokens, cache=cache))
    with gu.no_grad():
        step(gu.tensor([[1]]))
        steps = gu.explain(step).to_dict()["programs"][0]["steps"]
    written = [one["writes"] for one in steps if one["kind"] == "scatter"]
    assert len(written) == 2 * (1 if kind is KeyValueCache else 2)
    assert max(written) == 4 * 4 * (4 if kind is KeyValueCache else 1)  # heads, features, bytes


def test_prompts_that_come_again_are_compiled_and_give_the_same_text() -> None:
    model = gpt(context=64, num_layers=1)
    decoder = Decoder(model)
    prompts = [[1, 2, 3, 4, 5] * 4, [6]]
    texts = [generate(decoder, prompts, 8) for _ in range(3)]
    assert texts[0] == texts[1] == texts[2] == [greedily(model, prompt, 8) for prompt in prompts]
    # 20 tokens are read in 32 slots; the rest of the context still has room.
    assert len(generate(decoder, prompts)[0]) == 45


def test_tokens_are_taken_back_across_a_change_of_reach() -> None:
    model = gpt(context=200, num_layers=1)
    decoder = Decoder(model)
    prompt = [1, 2, 3] * 21
    first = decoder.read([prompt])
    after = decoder.extend([4, 5, 6, 1])
    decoder.take_back(3)
    with gu.no_grad():
        whole = model(gu.tensor([[*prompt, 4, 2]]))
    assert gu.allclose(first, whole[:, -3], atol=1e-3)
    assert gu.allclose(after[0], whole[0, -2], atol=1e-3)
    assert gu.allclose(decoder.step([2]), whole[:, -1], atol=1e-3)


# How the next token is chosen


def test_filters_agree_with_their_definitions() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        z = random.normal(size=9) * 2
        p = np.exp(log_softmax(z / 0.7))
        order = np.argsort(-p)
        cases = {
            Sampling(0.7): set(range(9)),
            Sampling(0.7, top_k=3): set(order[:3]),
            Sampling(0.7, min_p=0.2): {i for i in range(9) if p[i] >= 0.2 * p.max()},
        }
        nucleus = int(np.searchsorted(np.cumsum(p[order]), 0.8)) + 1
        cases[Sampling(0.7, top_p=0.8)] = set(order[:nucleus])
        for sampling, kept in cases.items():
            found = distribution(gu.tensor([z.tolist()], dtype=gu.float64), sampling).numpy()[0]
            expected = np.where([i in kept for i in range(9)], p, 0)
            np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-9)


def test_the_penalty_lowers_what_occurred() -> None:
    found = penalized(gu.tensor([[2.0, -2.0, 1.0], [2.0, -2.0, 1.0]]), [[0, 1], []], 2.0)
    assert found.tolist() == [[1.0, -4.0, 1.0], [2.0, -2.0, 1.0]]


def test_draws_follow_the_distribution_and_the_seed() -> None:
    logits = gu.tensor([[0.0, 1.0, 2.0]]).expand(3000, 3)
    draws = choose(logits, Sampling(), generator=gu.Generator(1))
    assert draws == choose(logits, Sampling(), generator=gu.Generator(1))
    expected = np.exp(log_softmax(np.array([0.0, 1.0, 2.0])))
    np.testing.assert_allclose(np.bincount(draws) / 3000, expected, atol=0.03)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"min_p": 2}, {"repetition_penalty": 0}],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is .*, expected"):
        Sampling(**wrong)


# Stops, streams, limits


def test_a_stop_ends_a_text_and_is_not_part_of_it() -> None:
    model = gpt()
    whole = greedily(model, [1, 2, 3], 10)
    for first, last in itertools.combinations(range(1, 10), 2):
        stop = whole[first:last]
        at = next(i for i in range(10) if whole[i : i + len(stop)] == stop)
        assert generate(model, [[1, 2, 3]], 10, stop=[stop]) == [whole[:at]]
        pieces = [tokens for (tokens,) in stream(model, [[1, 2, 3]], 10, stop=[stop])]
        assert list(itertools.chain(*pieces)) == whole[:at]


def test_a_beginning_of_a_stop_that_was_none_is_given_in_the_end() -> None:
    model = gpt()
    whole = greedily(model, [1], 5)
    never = [*whole[-2:], 0, 0]
    assert generate(model, [[1]], 5, stop=[never]) == [whole]


def test_each_text_of_a_batch_ends_by_itself() -> None:
    model = gpt()
    prompts = [[1, 2, 3], [4]]
    wholes = [greedily(model, prompt, 8) for prompt in prompts]
    stop = [wholes[0][2]]
    expected = [text[: text.index(stop[0])] if stop[0] in text else text for text in wholes]
    assert generate(model, prompts, 8, stop=[stop]) == expected


def test_what_is_no_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="add up to nan"):
        choose(gu.tensor([[1.0, math.nan]]), Sampling())


def test_sampling_is_reproducible() -> None:
    model = gpt(scale=3.0)
    first, again, other = (
        generate(model, [[1], [2]], 12, Sampling(), generator=gu.Generator(seed))
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_the_context_is_the_limit() -> None:
    model = gpt()
    assert len(generate(model, [[1] * 20])[0]) == 5  # 20 + 5 tokens: the last one is not read
    with pytest.raises(ValueError, match=r"max_new_tokens is 6, but .* has room for 5"):
        generate(model, [[1] * 20], 6)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "no prompt given"),
        ([[]], "prompt 0 is empty"),
        ([[1], [7]], "prompt 1: token 7 at place 0, but the model knows 0 to 6"),
        ([[1] * 25], "prompt 0 has 25 tokens, but the model's context is 24"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(prompts, message) -> None:
    with pytest.raises(ValueError, match=message):
        generate(gpt(), prompts, 2)
    with pytest.raises(ValueError, match="empty sequence would end"):
        generate(gpt(), [[1]], 2, stop=[[]])


# Beam search


def every_text(model, prompt: list[int], end: int, limit: int, alpha: float):
    """All texts that end within the limit, and those that reach it, with their scores."""
    found = []
    with gu.no_grad():
        frontier = [([], 0.0)]
        for length in range(1, limit + 1):
            following = []
            for text, score in frontier:
                logits = model(gu.tensor([[*prompt, *text]]))[0, -1].double().numpy()
                for token, p in enumerate(log_softmax(logits)):
                    total = score + float(p)
                    if token == end:
                        found.append((total / length_penalty(length, alpha), text))
                    else:
                        following.append(([*text, token], total))
            frontier = following
        found += [(score / length_penalty(limit, alpha), text) for text, score in frontier]
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_wide_beam_finds_what_enumeration_finds(seed: int, alpha: float) -> None:
    model = gpt(seed, vocab_size=4)
    expected = every_text(model, [1, 2], 0, 3, alpha)
    found = beam_search(model, [1, 2], end=0, max_new_tokens=3, beams=30, alpha=alpha)
    for hypothesis, (score, text) in zip(found[:5], expected[:5], strict=True):
        assert hypothesis.score == pytest.approx(score, abs=1e-4)
        assert hypothesis.tokens == text


def test_one_beam_is_greedy() -> None:
    model = gpt()
    whole = greedily(model, [1, 2], 6)
    found = beam_search(model, [1, 2], end=whole[4], max_new_tokens=6, beams=1)
    assert found[0].tokens == whole[: whole.index(whole[4])]


# Speculation


@pytest.mark.parametrize("draft_seed", [0, 1])
def test_greedy_speculation_gives_the_targets_text(draft_seed: int) -> None:
    target, draft = gpt(0), gpt(draft_seed, num_layers=1 if draft_seed else 2)
    found = speculative_generate(target, draft, [1, 2], 12, ahead=3)
    assert found.tokens == greedily(target, [1, 2], 12)
    if draft_seed == 0:
        assert found.accepted == found.proposed
        assert found.passes <= 1 + math.ceil(11 / 4)


def test_speculation_has_the_targets_distribution() -> None:
    target, draft = gpt(0, 3.0, vocab_size=3), gpt(1, 3.0, vocab_size=3)
    generator, count = gu.Generator(0), 200
    found = Counter(
        tuple(speculative_generate(target, draft, [1], 2, Sampling(), ahead=2,
                                   generator=generator).tokens)
        for _ in range(count)
    )  # fmt: skip
    with gu.no_grad():
        first = np.exp(log_softmax(target(gu.tensor([[1]]))[0, -1].double().numpy()))
        chi = 0.0
        for a, b in itertools.product(range(3), repeat=2):
            second = np.exp(log_softmax(target(gu.tensor([[1, a]]))[0, -1].double().numpy()))
            expected = count * first[a] * second[b]
            chi += (found[a, b] - expected) ** 2 / expected
    assert chi < 26.1  # the 99.9 % point of chi squared with 8 degrees of freedom


# Encoder-decoder


def test_a_translation_by_cache_is_the_one_without() -> None:
    gu.manual_seed(0)
    sizes = {"vocab_size": 9, "context": 12, "d_model": 16, "num_layers": 2, "num_heads": 2}
    for norm_first in (True, False):
        model = Transformer(
            TransformerConfig(**sizes, dim_feedforward=32, norm_first=norm_first)
        ).eval()
        sources = [[1, 2, 3, 4], [5, 6]]
        expected = []
        for source in sources:
            text = [0]
            with gu.no_grad():
                for _ in range(6):
                    logits = model(gu.tensor([source]), gu.tensor([text]))
                    text.append(int(logits[0, -1].argmax().item()))
            expected.append(text[1:])
        assert generate(TranslationDecoder(model, begin=0), sources, 6) == expected
        best = beam_search(TranslationDecoder(model, 0, copies=3), sources[0], 8, 6, beams=3)
        assert best[0].log_probability <= 0
        assert len(best) == 3
    assert GREEDY.greedy
