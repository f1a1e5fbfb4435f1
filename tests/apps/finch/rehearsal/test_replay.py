"""A log replayed: counts, resuming, streams (R14.3, R14.6)."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from tests.apps.finch.traffic import PAIRS, some_traffic

from groundup.apps.finch.mind.mind import Mind
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.rehearsal.policies import Forward, Unguarded
from groundup.apps.finch.rehearsal.replay import Tally, replay
from groundup.apps.finch.rehearsal.streams import changed, repeated, shuffled
from groundup.apps.finch.students import Exact

SETTINGS = MindSettings(models=False, bits=12, replay=1, minimum=60, audit_half=30)


def test_counts_are_those_of_the_steps() -> None:
    log = some_traffic(1100, noise=0.1)
    tally = Tally()
    steps = list(replay(Mind(SETTINGS), log, tally))
    decisions = Counter(step.decision for step in steps)
    assert [step.number for step in steps] == list(range(1100))
    assert tally.all.requests == 1100
    assert tally.all.local == decisions["local"] > 0
    assert tally.all.audits == decisions["audit"] > 0
    assert tally.all.forwarded == decisions["audit"] + decisions["forward"]
    assert tally.all.errors == sum(s.decision == "local" and not s.right for s in steps)
    assert [part.requests for part in tally.parts] == [1000, 100]
    assert sum(part.local for part in tally.parts) == tally.all.local
    assert len(tally.bounds) == 2
    assert tally.bounds[-1] < 1


def test_a_replay_that_was_stopped_goes_on_as_if_it_had_not_been() -> None:
    log = some_traffic(500)
    whole = Tally()
    steps = list(replay(Mind(SETTINGS), log, whole))
    mind, tally = Mind(SETTINGS), Tally()
    first = []
    for step in replay(mind, log, tally):
        first.append(step)
        if step.number == 299:
            break
    mind = Mind.from_state(*mind.state())
    tally = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    rest = list(replay(mind, log, tally))
    assert first + rest == steps
    assert tally == whole


def test_what_is_served_is_never_learned_from() -> None:
    class Nosy(Forward):
        def learn(self, thought: object, answer: str) -> None:
            learned.append(answer)

    learned: list[str] = []
    list(replay(Nosy(), [("a", "1"), ("b", "2")]))
    assert learned == ["1", "2"]
    policy = Unguarded(Exact())
    tally = Tally()
    log = [("a", "1"), ("a", "2"), ("a", "2")]
    assert [s.decision for s in replay(policy, log, tally)] == ["forward", "local", "local"]
    assert tally.all.errors == 2, "the cache never heard of 2"


def test_streams_are_what_they_say() -> None:
    pairs = [(str(n), str(n % 10)) for n in range(1000)]
    assert sorted(shuffled(pairs, 0)) == sorted(pairs)
    assert shuffled(pairs, 0) != shuffled(pairs, 1)
    often = Counter(query for query, _ in repeated(pairs, 20_000, 0, exponent=1.0))
    counts = np.array([count for _, count in often.most_common()])
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.15)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.3)
    log, first = changed(pairs, 0, share=0.3)
    assert first == 500
    assert log[:500] == pairs[:500]
    moved = {a: b for (_, a), (_, b) in zip(pairs[500:], log[500:], strict=True)}
    assert sum(a != b for a, b in moved.items()) == 3
    assert set(moved.values()) == set(moved), "the answers stay the same, their meaning does not"


def test_repeats_are_answered_locally_but_for_the_audits() -> None:
    log = repeated(PAIRS, 1300, 0)
    tally = Tally()
    list(replay(Mind(SETTINGS), log, tally))
    late = tally.parts[-1]
    assert late.requests == 300
    assert late.forwarded == late.audits, "audits are the floor of the forward rate"
    assert tally.all.errors == 0
