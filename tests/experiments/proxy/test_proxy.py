"""The experiments on the proxy in short: what they ask, and every metric that a claim needs."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import pytest

from groundup.apps.finch.rehearsal.replay import Counts, Tally
from groundup.experiments.proxy import forgetting, forwarded


class Quiet:
    """A trial that shows nothing."""

    def __init__(self) -> None:
        self.logged: dict[str, list[float]] = {}

    def track(self, items: Iterable[Any], description: str) -> Iterable[Any]:
        return items

    def log(self, step: int, **values: float) -> None:
        for name, value in values.items():
            self.logged.setdefault(name, []).append(value)


def claimed(module: ModuleType) -> set[str]:
    return {metric for claim in module.CLAIMS for metric in claim.metrics}


def test_shares_are_those_of_whole_thousands() -> None:
    parts = [Counts(1000, 100, 10, 5, 500), Counts(1000, 900, 9, 60, 950), Counts(10, 10, 0, 0, 10)]
    told = forwarded.told(Tally(Counts(2010, 1010, 19, 65, 1460), parts, [1.0, 0.05, 0.05]))
    assert told == {
        "local": pytest.approx(100 * 1010 / 2010), "wrong": pytest.approx(100 * 19 / 1010),
        "first": 90, "least": 10, "audits": 6,
    }  # fmt: skip


def test_all_traffic_has_the_same_requests_and_few_are_exchanged() -> None:
    logs = {name: make(3) for name, make in forwarded.traffic(2000).items()}
    assert {len(log) for log in logs.values()} == {2000}
    once, exchanged = logs["once"], logs["exchanged"]
    assert [query for query, _ in once] == [query for query, _ in exchanged]
    assert once[:1000] == exchanged[:1000]
    differ = sum(a != b for a, b in zip(once[1000:], exchanged[1000:], strict=True))
    assert 0.2 < differ / 1000 < 0.4
    assert len({query for query, _ in logs["again"]}) < 1500


def test_every_claim_is_measured() -> None:
    trial = Quiet()
    found = forwarded.run(forwarded.Config(requests=1000, transformers=False), 0, trial)  # type: ignore[arg-type]
    assert claimed(forwarded) <= found.keys()
    assert found["once-cascade/first"] > 95
    assert found["again-exact-cache/wrong"] == 0
    assert len(trial.logged["once-cascade/forwarded"]) == 1


def test_the_halves_have_no_intent_in_common() -> None:
    first, second = forgetting.halves(forgetting.Config(intents=5, requests=7), seed=0)
    assert len(first) == len(second) == 35
    names = [{answer for _, answer in half} for half in (first, second)]
    assert [len(some) for some in names] == [5, 5]
    assert not names[0] & names[1]
    assert forgetting.halves(forgetting.Config(intents=5, requests=7), seed=1) != (first, second)


@pytest.mark.slow
def test_forgetting_is_measured_with_and_without_the_buffer() -> None:
    found = forgetting.run(forgetting.Config(intents=3, requests=20), 0, Quiet())  # type: ignore[arg-type]
    assert claimed(forgetting) <= found.keys()
    assert 0 <= found["replay/old"] <= 100


@pytest.mark.parametrize(
    "make",
    [
        lambda: forwarded.Config(requests=10),
        lambda: forgetting.Config(intents=1),
        lambda: forgetting.Config(requests=0),
    ],
)
def test_what_cannot_be_asked_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()
