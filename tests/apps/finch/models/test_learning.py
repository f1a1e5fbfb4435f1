"""The three models learn online, resume exactly, and do not forget."""  # R14.2, R14.3, R14.5

import itertools
import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import groundup as gu
from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models import Ensemble, Example, ReplayBuffer, Sizes, TrafficTokenizer
from groundup.apps.finch.models.answers import followed
from groundup.apps.finch.models.ensemble import Said
from groundup.apps.finch.models.forgetting import measure_forgetting, without_replay
from groundup.apps.finch.models.generator import Generator
from groundup.apps.finch.models.reading import packed
from groundup.apps.finch.models.router import Router
from groundup.apps.finch.models.validator import Validator
from groundup.engine.compiler import run
from groundup.engine.compiler.trace.capture import capture

SIZES = Sizes(512, 512, 16, 32, 1, 2, 64, query=32, answer=16)
RATE = 5e-3
NOUNS = ("card", "rent", "flight", "alarm", "song", "pizza", "visa", "shoes")


def traffic(nouns: tuple[str, ...], rounds: int) -> list[tuple[str, str]]:
    forms = ("where is my {}", "tell me about the {}", "i want a {} now", "{} please", "no {} yet")
    return [(forms[i % 5].format(noun), f"about {noun}") for i in range(rounds) for noun in nouns]


def ensemble(**more: object) -> Ensemble:
    return Ensemble(SIZES, SIZES, SIZES, rate=RATE, **more)  # type: ignore[arg-type]


def taught(pairs: list[tuple[str, str]], **more: object) -> Ensemble:
    models = ensemble(**more)
    for query, answer in pairs:
        said = models.suggest(query)
        models.learn(query, answer, said.answer, said.answer == answer)
        models.work(0.0)
    while models.work(60.0):
        pass
    return models


@pytest.fixture(scope="module")
def learned() -> Ensemble:
    return taught(traffic(NOUNS, 10), replays=16)


def test_the_generator_learns_and_is_right_on_new_queries(learned: Ensemble) -> None:
    new = [(f"what about the {noun} then", f"about {noun}") for noun in NOUNS]
    said = [learned.suggest(query) for query, _ in new]
    assert [one.answer for one in said] == [answer for _, answer in new]
    assert all(0 < one.score <= 1 for one in said)
    strange = learned.suggest("zzz qqq xxx")
    assert strange.score < min(one.score for one in said)


def test_the_validator_tells_right_answers_from_wrong_ones(learned: Ensemble) -> None:
    right = [learned.validator.score(f"{n} please", f"about {n}") for n in NOUNS]
    others = zip(NOUNS, NOUNS[1:] + NOUNS[:1], strict=True)
    wrong = [learned.validator.score(f"{n} please", f"about {other}") for n, other in others]
    assert min(right) > max(wrong)
    assert {learned.validator.decide("card please", f"about {n}") for n in NOUNS} <= {0, 1}


def test_the_router_learns_where_the_local_answers_fail() -> None:
    tokenizer = TrafficTokenizer(512)
    router = Router(SIZES, tokenizer, rate=RATE)
    pairs = [
        Example(query, answer, answer, "card" not in query and "rent" not in query)
        for query, answer in traffic(NOUNS, 4)
    ]
    for _ in range(400):
        router.update(pairs)
    scores = {noun: router.score(f"my {noun} again") for noun in NOUNS}
    failing = {scores.pop("card"), scores.pop("rent")}
    assert max(failing) < min(scores.values())
    assert router.decide("my card again", threshold=0.99) == 0


def test_the_decoders_score_is_the_probability_of_the_answer(learned: Ensemble) -> None:
    """Over the whole pass, without the cache and not compiled."""
    for query in ("card please", "tell me about the visa or the rent"):
        answer, score = learned.generator.suggest(query)
        assert answer is not None
        reading = learned.generator.reader.read(query)
        assert reading is not None
        shown, wanted, weight = followed(
            [learned.tokenizer.encode_answer(answer)], learned.generator.sizes.answer
        )
        net = learned.generator.online.average
        with gu.no_grad():
            logits = net(*map(gu.tensor, (*packed([reading]), shown)))
        each = gu.log_softmax(logits, dim=-1).numpy()[0]
        length = int(weight.sum())
        exact = sum(each[i, wanted[0, i]] for i in range(length))
        assert np.log(score) == pytest.approx(exact, abs=1e-3)


def test_what_is_too_long_has_no_opinion() -> None:
    models = ensemble()
    long = "much too long a query for these small models to read at all"
    assert models.suggest(long).answer is None
    assert models.suggest(long).score == models.suggest(long).router == 0
    assert models.validator.score("short", "a" * 100) == 0
    models.learn(long, "answer")
    models.learn("short", "an answer that has too many tokens, far more than sixteen")
    models.learn("short", "")
    models.learn("", "answer")
    assert not models.work(0.0)
    assert models.backlog == models.buffer.seen == 0


def test_learning_is_deferred_and_done_in_slices() -> None:
    models = ensemble()
    assert not models.work(1.0)
    for query, answer in traffic(NOUNS, 5):
        models.learn(query, answer)
    assert models.generator.online.steps == 0
    assert models.backlog == 40
    assert models.work(0.0)  # one slice, and more is waiting
    assert models.generator.online.steps == models.router.online.steps == 1
    while models.work(60.0):
        pass
    assert models.backlog == 0
    assert models.generator.online.steps > 5
    assert all(np.isfinite(loss) for loss in models.losses.values())


def test_nothing_is_said_of_lengths_that_were_not_learned_yet(learned: Ensemble) -> None:
    assert ensemble().suggest("card please") == Said()
    longer = "please tell me where my card is now if you can"
    assert learned.router.score(longer) > 0
    assert learned.suggest(longer) == Said()


def test_the_validator_judges_what_others_suggest(learned: Ensemble) -> None:
    said = learned.suggest("card please", ["about rent", "about card", "never heard of"])
    assert said.answer == "about card"
    assert list(said.validator) == ["about card", "about rent"]
    assert said.validator["about card"] > said.validator["about rent"]


def test_one_thread_learns_while_another_one_asks_and_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models, tracing, failed = ensemble(replays=16), set[str](), list[threading.ExceptHookArgs]()
    monkeypatch.setattr(threading, "excepthook", failed.append)
    monkeypatch.setattr(
        run, "capture", lambda *x: (tracing.add(threading.current_thread().name), capture(*x))[1]
    )
    ended = threading.Event()

    def learn() -> None:
        while not ended.is_set():
            models.work(0.01)
        while models.work(1.0):
            pass

    learner = threading.Thread(target=learn, name="learner")
    learner.start()
    for query, answer in itertools.cycle(traffic(NOUNS, 60)):
        said = models.suggest(query, ["about rent"])
        models.learn(query, answer, said.answer, said.answer == answer)
        if said.answer == "about card" or failed:
            break
        time.sleep(0.001)
    ended.set()
    learner.join()
    assert not failed, failed[0].exc_value
    assert models.backlog == 0
    assert models.suggest("card please").answer == "about card"
    assert tracing == {"learner"}


def test_nobody_waits_while_words_and_tables_change(learned: Ensemble) -> None:
    with learned._words:
        began = time.perf_counter()
        assert learned.suggest("card please") == Said()
        learned.learn("card please", "about card")
        assert time.perf_counter() - began < 1
    assert learned.suggest("card please").answer == "about card"


def test_when_answers_change_only_the_latest_are_remembered() -> None:
    pairs = traffic(NOUNS, 10)
    models = taught(pairs)
    models.let_go(5)
    models.learn("card please", "another")
    models.work(0.0)
    assert [one.answer for one in models.buffer] == [a for _, a in pairs[-5:]] + ["another"]
    other = Ensemble.from_state(*models.state())
    assert [models.buffer.sample(9)] == [other.buffer.sample(9)]


def test_the_same_seed_and_calls_give_the_same_bits() -> None:
    pairs = traffic(NOUNS[:4], 10)
    one, two, other = (taught(pairs, seed=seed) for seed in (3, 3, 4))
    assert same(one, two)
    assert not same(one, other)


def same(one: Ensemble, two: Ensemble) -> bool:
    (a, x), (b, y) = one.state(), two.state()
    equal = all(np.array_equal(a[name], b[name]) for name in a) if a.keys() == b.keys() else False
    return equal and json.dumps(x) == json.dumps(y)


def test_a_state_resumes_to_the_same_bits() -> None:
    pairs = traffic(NOUNS, 10)
    one = ensemble(seed=2)
    for query, answer in pairs[:50]:
        one.learn(query, answer, "about card", answer == "about card")
        one.work(0.0)
    arrays, value = one.state()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    two = Ensemble.from_state(arrays, json.loads(json.dumps(value)))
    assert same(one, two)
    for models in (one, two):
        for query, answer in pairs[50:]:
            models.learn(query, answer)
            models.work(0.0)
    assert same(one, two)
    assert one.suggest("card please") == two.suggest("card please")


def test_a_state_before_anything_was_learned_resumes_too() -> None:
    one = ensemble(seed=2)
    assert same(one, Ensemble.from_state(*one.state()))


def test_a_damaged_state_is_refused() -> None:
    arrays, value = ensemble().state()
    with pytest.raises(FinchError, match="damaged"):
        Ensemble.from_state(arrays, {})
    with pytest.raises(FinchError, match=r"damaged|does not fit"):
        Ensemble.from_state(dict(list(arrays.items())[3:]), value)
    wrong = {name: array[:1] for name, array in arrays.items() if array.ndim}
    with pytest.raises(FinchError, match=r"damaged|does not fit"):
        Ensemble.from_state(arrays | wrong, value)


def test_vocabularies_of_different_sizes_are_refused() -> None:
    with pytest.raises(FinchError, match="the same"):
        Ensemble(SIZES, replace(SIZES, vocab=600), SIZES)


def test_new_tokens_begin_as_the_mean_of_their_pieces() -> None:
    tokenizer = TrafficTokenizer(300)
    generator = Generator(SIZES, tokenizer)
    generator.update([Example("ab ab", "ab")])
    table = generator.online.net.embedding.token.weight.detach().numpy().copy()
    made = tokenizer.add_answers(["ab"])
    generator.grow(made)
    grown = generator.online.net.embedding.token.weight.detach().numpy()
    ((new, pieces),) = made.items()
    np.testing.assert_allclose(grown[new], table[pieces].mean(0), atol=1e-6)
    np.testing.assert_array_equal(np.delete(grown, new, 0), np.delete(table, new, 0))


def test_a_loss_that_is_no_number_is_refused() -> None:
    validator = Validator(SIZES, TrafficTokenizer(512))
    weight = validator.online.net.head.weight
    with gu.no_grad():
        weight.assign(weight * float("nan"))
    with pytest.raises(FinchError, match="checkpoint"):
        validator.update([Example("a", "b")])


def test_replay_keeps_old_answers() -> None:
    first, second = traffic(NOUNS[:4], 10), traffic(NOUNS[4:], 20)
    with_replay = measure_forgetting(ensemble(replays=30), first, second, parts=2)
    alone = measure_forgetting(
        ensemble(replays=30, buffer=without_replay(newest=16)), first, second, parts=2
    )
    assert with_replay.old[0] > 0.9
    assert with_replay.new > 0.9
    assert alone.new > 0.9
    assert with_replay.old[-1] > alone.old[-1] + 0.2
    assert with_replay.lost < 0.1


def test_the_buffer_may_be_chosen() -> None:
    buffer = ReplayBuffer(entries=5, newest=2)
    assert ensemble(buffer=buffer).buffer is buffer
