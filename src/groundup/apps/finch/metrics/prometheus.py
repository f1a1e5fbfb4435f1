"""A snapshot as Prometheus reads it: the text exposition format, version 0.0.4.

A line ``# HELP``, a line ``# TYPE`` and the samples of each family. Backslashes and line ends are
escaped in help and labels, quotes in labels too; a value is a float as Go reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Mapping[str, str], float | None]
"""What the name ends in, labels, value; None leaves it out."""


@dataclass(frozen=True)
class Family:
    r"""Samples of one name.

    Example:
        >>> print(Family("up", "gauge", "Whether it runs.", [("", {"host": 'a"b'}, 1)]))
        # HELP up Whether it runs.
        # TYPE up gauge
        up{host="a\"b"} 1
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Iterable[Sample]

    def __str__(self) -> str:
        lines = [
            f"# HELP {self.name} {_escaped(self.help)}",
            f"# TYPE {self.name} {self.kind}",
            *(
                f"{self.name}{ending}{_labels(labels)} {_number(value)}"
                for ending, labels, value in self.samples
                if value is not None
            ),
        ]
        return "\n".join(lines)


def text(snapshot: Mapping[str, Any]) -> str:
    """The snapshot of `Metrics` as text.

    Example:
        >>> from groundup.apps.finch.metrics import Metrics
        >>> metrics = Metrics()
        >>> metrics.request("local")
        >>> [line for line in text(metrics.snapshot()).splitlines() if '"local"' in line]
        ['finch_requests_total{decision="local"} 1']
    """
    return "".join(f"{family}\n" for family in _families(snapshot))


def _families(found: Mapping[str, Any]) -> Iterable[Family]:
    audits, saved, queue = found["audits"], found["saved"], found["queue"]
    yield Family("finch_info", "gauge", "The program.", [("", {"version": found["version"]}, 1)])
    yield _gauge("finch_start_time_seconds", "When it started, since 1970.", found["started"])
    yield Family(
        "finch_requests_total",
        "counter",
        "Requests, by what became of them.",
        [("", {"decision": name}, count) for name, count in found["requests"].items()],
    )
    yield Family(
        "finch_audits_total",
        "counter",
        "Local answers that were compared with the remote ones.",
        [("", {"result": name}, audits[name]) for name in ("agreed", "disagreed")],
    )
    yield _gauge(
        "finch_recent_forward_ratio",
        "Of the recent requests that might have been answered locally, the share sent upstream.",
        found["recent"]["forward_rate"],
    )
    yield _gauge("finch_error_ratio", "Observed error of all local answers.", audits["error"])
    for name, key, words in (
        ("finch_task_error_ratio", "error", "Observed error of a task's local answers."),
        ("finch_task_error_bound_ratio", "bound", "What that error is below."),
    ):
        yield Family(
            name,
            "gauge",
            words,
            [
                ("", {"scope": task["scope"], "task": task["task"]}, task[key])
                for task in found["tasks"]
            ],
        )
    yield _gauge("finch_error_limit_ratio", "The error that is allowed.", found["limit"])
    yield Family(
        "finch_tokens_not_sent_total",
        "counter",
        "Tokens that were not sent upstream or asked for, estimated.",
        [("", {"kind": kind}, saved[f"{kind}_tokens"]) for kind in ("input", "output")],
    )
    yield Family(
        "finch_cost_not_incurred_total",
        "counter",
        "What these tokens would have cost, by the prices in the settings.",
        [("", {"currency": saved["currency"]}, saved["money"])],
    )
    yield _gauge("finch_learning", "1 while it learns, 0 while paused.", int(found["learning"]))
    yield _gauge("finch_queue_waiting", "Answers that wait to be learned.", queue["waiting"])
    yield _gauge("finch_queue_limit", "Answers that may wait.", queue["most"])
    yield Family(
        "finch_queue_dropped_total",
        "counter",
        "Answers that were not learned, because too many waited.",
        [("", {}, queue["dropped"])],
    )
    yield _gauge("finch_tasks", "Tasks that are shown.", len(found["tasks"]))
    yield Family(
        "finch_stage_seconds",
        "histogram",
        "How long each stage takes.",
        [sample for name, stage in found["stages"].items() for sample in _stage(name, stage)],
    )


def _gauge(name: str, words: str, value: float | None) -> Family:
    return Family(name, "gauge", words, [("", {}, value)])


def _stage(name: str, found: Mapping[str, Any]) -> Iterable[Sample]:
    for bound, count in found["buckets"]:
        yield "_bucket", {"stage": name, "le": _number(bound)}, count
    yield "_bucket", {"stage": name, "le": "+Inf"}, found["count"]
    yield "_sum", {"stage": name}, found["total"]
    yield "_count", {"stage": name}, found["count"]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value, quote=True)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(words: str, *, quote: bool = False) -> str:
    found = words.replace("\\", r"\\").replace("\n", r"\n")
    return found.replace('"', r"\"") if quote else found


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
