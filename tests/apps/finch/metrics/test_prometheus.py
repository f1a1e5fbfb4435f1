"""The text for Prometheus: every line of it has the form that the format asks for. R14.6."""

from __future__ import annotations

import math
import re

from groundup.apps.finch.metrics import Metrics, Price, Prices, TaskFigures, text
from groundup.apps.finch.metrics.prometheus import Family

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")


def filled() -> Metrics:
    metrics = Metrics(Prices({"large": Price(3, 15)}, 'E"U\\R\n'), version='1 "\\\n')
    for decision in ("pass", "forward", "audit", "local"):
        metrics.request(
            decision, model="large", input_tokens=7, output_tokens=2,
            latencies={'st"age\\\n': 0.003, "slow": 700.0},
        )  # fmt: skip
    metrics.audited(True, 0.5)
    metrics.audited(False, 0.5)
    metrics.state(learning=True, waiting=3, most=9, dropped=1)
    metrics.task(TaskFigures("0a", "0b", "large", "serving", 4, 1, 2, 1, 0.25, 0.125))
    metrics.task(TaskFigures("0a", "0c", "large", "cold start", 4, 0, 0, 0, None))
    return metrics


def test_every_line_has_the_form_of_the_format() -> None:
    lines = text(filled().snapshot()).splitlines(keepends=True)
    kinds: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for line in lines:
        assert line.endswith("\n")
        words = line.rstrip("\n").split(" ", 3)
        if words[0] == "#":
            assert words[1] in ("HELP", "TYPE")
            if words[1] == "TYPE":
                assert words[2] not in kinds
                kinds[words[2]] = words[3]
            continue
        found = SAMPLE.fullmatch(line.rstrip("\n"))
        assert found, line
        family = re.sub(r"_(bucket|sum|count)$", "", found[1])
        kind = kinds.get(found[1]) or kinds[family]  # its TYPE came before
        assert (found[1].endswith("_total")) == (kind == "counter")
        float(found[3].replace("Inf", "inf"))
        assert (found[1], found[2]) not in seen
        seen.add((found[1], found[2]))
    assert len(kinds) > 15


def test_histograms_are_cumulative_and_end_with_infinity() -> None:
    lines = text(filled().snapshot()).splitlines()
    slow = [line for line in lines if line.startswith("finch_stage_seconds") and '"slow"' in line]
    buckets = [line for line in slow if "_bucket" in line]
    counts = [int(line.rsplit(" ", 1)[1]) for line in buckets]
    assert counts == sorted(counts)
    assert 'le="+Inf"' in buckets[-1]
    assert counts[-1] == 4 > counts[-2] == 0
    assert 'finch_stage_seconds_count{stage="slow"} 4' in slow
    assert 'finch_stage_seconds_sum{stage="slow"} 2800' in slow


def test_values_are_told_and_what_is_unknown_is_left_out() -> None:
    lines = text(filled().snapshot()).splitlines()
    assert "finch_error_ratio 0.5" in lines
    assert [line for line in lines if line.startswith("finch_task_error")] == [
        'finch_task_error_ratio{scope="0a",task="0b"} 0.125',
        'finch_task_error_bound_ratio{scope="0a",task="0b"} 0.25',
    ]
    assert 'finch_tokens_not_sent_total{kind="input"} 7' in lines
    assert "finch_queue_dropped_total 1" in lines
    empty = text(Metrics().snapshot()).splitlines()
    names = {line.split(" ")[0].split("{")[0] for line in empty if not line.startswith("#")}
    assert "finch_requests_total" in names
    assert not names & {
        "finch_error_ratio",
        "finch_task_error_bound_ratio",
        "finch_cost_not_incurred_total",
    }


def test_numbers_are_as_go_reads_them() -> None:
    values = [0, 1, 0.5, 1e-9, 2.0**60, math.inf, -math.inf, math.nan]
    shown = str(Family("a", "gauge", "b\\c\nd", [("", {}, value) for value in values]))
    assert shown.splitlines() == [
        "# HELP a b\\\\c\\nd", "# TYPE a gauge", "a 0", "a 1", "a 0.5", "a 1e-09",
        "a 1.152921504606847e+18", "a +Inf", "a -Inf", "a NaN",
    ]  # fmt: skip
