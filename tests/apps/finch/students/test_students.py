"""What every student must do, whichever it is (R14.2, R14.3)."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from groundup.apps.finch.students import Bayes, Exact, Linear, Neighbours, Semantic, Student

from ..traffic import PAIRS, TOPICS, some_traffic

KINDS = {
    "exact": lambda: Exact(),
    "normalised": lambda: Exact(normalise=True),
    "semantic": lambda: Semantic(0.6),
    "neighbours": lambda: Neighbours(),
    "bayes": lambda: Bayes(),
    "linear": lambda: Linear(),
}


@pytest.fixture(params=list(KINDS))
def student(request: pytest.FixtureRequest) -> Student:
    return KINDS[request.param]()


@pytest.mark.parametrize("query", ["", " ", "\n", "?", "é", "\ud800", "日本語", "x" * 100_000])
def test_nothing_is_known_at_first_and_no_text_is_too_odd(student: Student, query: str) -> None:
    said = student.suggest(query)
    assert said.answer is None
    assert said.score == 0
    for _ in range(3):
        student.learn(query, "yes")
    said = student.suggest(query)
    assert said.answer in ("yes", None)
    assert 0 <= said.score <= 1


def test_a_suggestion_changes_nothing(student: Student) -> None:
    for query, answer in some_traffic(50):
        student.learn(query, answer)
    before = student.state()
    first = [student.suggest(query) for query, _ in PAIRS]
    again = [student.suggest(query) for query, _ in PAIRS]
    assert first == again
    assert same_state(before, student.state())


def test_scores_are_shares(student: Student) -> None:
    for query, answer in some_traffic(100):
        said = student.suggest(query)
        assert said.stage == student.name
        assert 0 <= said.score <= 1
        assert (said.answer is None) <= (said.score == 0)
        student.learn(query, answer)


def test_a_saved_student_goes_on_exactly(student: Student) -> None:
    traffic = some_traffic(160)
    for query, answer in traffic[:80]:
        student.learn(query, answer)
    arrays, facts = student.state()
    other = type(student).from_state(
        {name: array.copy() for name, array in arrays.items()}, json.loads(json.dumps(facts))
    )
    for query, answer in traffic[80:]:
        assert student.suggest(query) == other.suggest(query)
        student.learn(query, answer)
        other.learn(query, answer)
    assert same_state(student.state(), other.state())


@pytest.mark.parametrize("kind", ["neighbours", "bayes", "linear"])
def test_what_repeats_in_other_words_is_learned(kind: str) -> None:
    student = KINDS[kind]()
    right = []
    for query, answer in some_traffic(150):
        right.append(student.suggest(query).answer == answer)
        student.learn(query, answer)
    assert np.mean(right[50:]) > 0.95, "an exact cache has none of these"


def test_students_can_let_go(student: Student) -> None:
    for query, answer in some_traffic(60):
        student.learn(query, answer)
    student.let_go(10)
    known = {answer for _, answer in PAIRS}
    for query, _ in PAIRS:
        assert student.suggest(query).answer in {None, *known}
    learned = some_traffic(60, seed=1)
    for query, answer in learned:
        student.learn(query, answer)
    query, answer = learned[-1]
    assert student.suggest(query).answer == answer, "it learns on"


@pytest.mark.parametrize("kind", ["neighbours", "linear"])
def test_what_changed_is_learned_sooner_when_old_examples_are_let_go(kind: str) -> None:
    def wrong_after_change(recent: int) -> int:
        student = KINDS[kind]()
        for query, answer in some_traffic(300):
            student.learn(query, answer)
        student.let_go(recent)
        turned = dict(zip(TOPICS, [*list(TOPICS)[1:], "balance"], strict=True))
        wrong = 0
        for query, answer in some_traffic(60, seed=1):
            wrong += student.suggest(query).answer != turned[answer]
            student.learn(query, turned[answer])
        return wrong

    assert wrong_after_change(0) < wrong_after_change(10_000)


def test_a_suggestion_takes_about_a_millisecond() -> None:
    # Aim: under 1 ms. The limit is wide because other work may run beside this.
    students = [KINDS[kind]() for kind in ("exact", "neighbours", "bayes", "linear")]
    random = np.random.default_rng(0)
    words = [f"word{n}" for n in range(400)]
    for place in range(400):
        query = " ".join(random.choice(words, 9))
        for student in students:
            student.learn(query, f"answer {place % 40}")
    took = []
    for _ in range(50):
        query = " ".join(random.choice(words, 9))
        start = time.perf_counter()
        for student in students:
            student.suggest(query)
        took.append(time.perf_counter() - start)
    assert np.median(took) < 0.01


def same_state(a: tuple, b: tuple) -> bool:
    return (
        a[1] == b[1]
        and a[0].keys() == b[0].keys()
        and all(np.array_equal(a[0][name], b[0][name]) for name in a[0])
    )


class TestExact:
    def test_case_matters_unless_it_is_told_otherwise(self) -> None:
        for normalise in (False, True):
            cache = Exact(normalise=normalise)
            cache.learn("Hello  there", "hi")
            assert (cache.suggest("hello there").answer == "hi") == normalise
            assert cache.suggest("Hello  there").answer == "hi"

    def test_the_last_answer_counts_and_doubt_grows_with_contradiction(self) -> None:
        cache = Exact()
        for _ in range(5):
            cache.learn("a", "1")
        sure = cache.suggest("a").score
        cache.learn("a", "2")
        assert cache.suggest("a").answer == "2"
        assert cache.suggest("a").score < sure

    def test_the_least_recently_answered_query_is_dropped(self) -> None:
        cache = Exact(entries=2)
        for query in ("a", "b", "a", "c"):
            cache.learn(query, query)
        assert cache.suggest("b").answer is None
        assert cache.suggest("a").answer == "a"

    def test_no_query_is_kept_in_words(self) -> None:
        cache = Exact()
        cache.learn("my secret is 1234", "ok")
        assert "1234" not in json.dumps(cache.state()[1])


class TestClassifiers:
    @pytest.mark.parametrize("make", [Linear, Bayes])
    def test_only_answers_that_repeat_are_classes(self, make: type[Linear] | type[Bayes]) -> None:
        student = make()
        student.learn("freeze my card", "freeze")
        student.learn("what is my balance", "balance")
        assert student.suggest("freeze my card").answer is None
        student.learn("freeze the card", "freeze")
        assert student.suggest("freeze my card").answer == "freeze"

    @pytest.mark.parametrize("make", [Linear, Bayes])
    def test_classes_are_bounded_and_old_ones_give_way(
        self, make: type[Linear] | type[Bayes]
    ) -> None:
        student = make(most=3)
        for number in range(8):
            for _ in range(6):
                student.learn(f"topic{number} asked", f"answer{number}")
        assert student.suggest("topic7 asked").answer == "answer7"
        assert student.suggest("topic0 asked").answer != "answer0"

    @pytest.mark.parametrize("make", [Linear, Bayes])
    def test_more_classes_come_than_there_is_room_for_at_first(
        self, make: type[Linear] | type[Bayes]
    ) -> None:
        student = make(most=300)
        for _ in range(3):
            for number in range(150):
                student.learn(f"topic{number} thing{number}", f"answer{number}")
        right = [student.suggest(f"topic{n} thing{n}").answer == f"answer{n}" for n in range(150)]
        assert np.mean(right) > 0.95

    def test_linear_grows_surer_with_examples(self) -> None:
        student = Linear()
        scores = []
        for _ in range(20):
            for query, answer in (("is it on", "yes"), ("is it off", "no")):
                student.learn(query, answer)
            scores.append(student.suggest("is it on").score)
        assert scores[0] == 0, "neither answer has come twice"
        assert scores[-1] > 0.9


class TestIndex:
    def test_the_oldest_are_dropped_when_full(self) -> None:
        student = Neighbours(most=8)
        student.learn("alpha beta gamma", "first")
        for number in range(8):
            student.learn(f"word{number} other{number}", f"{number}")
        assert student.suggest("alpha beta gamma").answer != "first"
        assert student.suggest("word7 other7").answer == "7"

    def test_answers_of_dropped_queries_are_forgotten(self) -> None:
        student = Neighbours(most=4)
        for number in range(50):
            student.learn(f"word{number}", f"answer{number}")
        assert len(student.state()[1]["answers"]) <= 9
        assert student.suggest("word49").answer == "answer49"

    def test_semantic_caches_take_near_for_same(self) -> None:
        cache = Semantic(threshold=0.5)
        cache.learn("enable my card", "enabled")
        assert cache.suggest("disable my card").answer == "enabled"
        assert Semantic(threshold=1.0).suggest("disable my card").answer is None


class TestForgetting:
    def test_replay_keeps_what_has_not_come_for_long(self) -> None:
        def sureness_of_old(replay: int) -> float:
            student = Linear(bits=12, replay=replay)
            traffic = some_traffic(400)
            old = [pair for pair in traffic if pair[1] in ("balance", "freeze")][:40]
            new = [pair for pair in traffic if pair[1] in ("music", "weather")]
            for query, answer in [*old, *new, *new]:
                student.learn(query, answer)
            asked = [pair for pair in some_traffic(100, 50) if pair[1] in ("balance", "freeze")]
            said = [(student.suggest(query), answer) for query, answer in asked]
            return float(np.mean([one.score * (one.answer == answer) for one, answer in said]))

        without, with_replay = sureness_of_old(0), sureness_of_old(4)
        assert with_replay > 0.95
        assert with_replay > without + 0.05


@pytest.mark.parametrize("kind", [Bayes, Linear])
def test_a_state_in_one_piece_is_read_as_older_versions_wrote_it(
    kind: type[Bayes | Linear],
) -> None:
    student = kind()
    for query, answer in some_traffic(400, noise=0.1):
        student.learn(query, answer)
    arrays, facts = student.state()
    older = {name: array for name, array in arrays.items() if "." not in name}
    for name in {name.split(".")[0] for name in arrays if "." in name}:
        pieces = [array for one, array in arrays.items() if one.startswith(f"{name}.")]
        older[name] = np.concatenate(pieces)
    again = kind.from_state(older, {**facts, "columns": 64})
    for query, answer in some_traffic(100, noise=0.5, seed=5):
        assert again.suggest(query) == student.suggest(query)
        for one in (again, student):
            one.learn(query, answer)
