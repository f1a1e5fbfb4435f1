"""The official client reads the text for Prometheus as it was meant. R14.6."""

from __future__ import annotations

import pytest
from tests.apps.finch.metrics.test_prometheus import filled

from groundup.apps.finch.metrics import text

parser = pytest.importorskip("prometheus_client.parser")


def test_names_labels_and_values_come_back() -> None:
    snapshot = filled().snapshot()
    families = {f.name: f for f in parser.text_string_to_metric_families(text(snapshot))}
    requests = {s.labels["decision"]: s.value for s in families["finch_requests"].samples}
    assert requests == snapshot["requests"]
    assert families["finch_requests"].type == "counter"
    (version,) = families["finch_info"].samples
    assert version.labels == {"version": snapshot["version"]}  # with quote, backslash, line end
    (cost,) = families["finch_cost_not_incurred"].samples
    assert cost.labels == {"currency": snapshot["saved"]["currency"]}
    assert cost.value == pytest.approx(snapshot["saved"]["money"])
    stages = families["finch_stage_seconds"]
    assert stages.type == "histogram"
    for name, stage in snapshot["stages"].items():
        samples = [s for s in stages.samples if s.labels["stage"] == name]
        buckets = {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}
        assert buckets == {**dict(stage["buckets"]), float("inf"): stage["count"]}
        (total,) = (s.value for s in samples if s.name.endswith("_sum"))
        assert total == pytest.approx(stage["total"])
    for name, value in (("finch_error_ratio", 0.5), ("finch_queue_waiting", 3.0)):
        assert [sample.value for sample in families[name].samples] == [value]
