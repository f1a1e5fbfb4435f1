"""The paths of the page: what they answer, and what they refuse. R14.6."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.metrics import Metrics, routes
from groundup.apps.finch.metrics.page.routes import SHARED, STATIC
from groundup.apps.finch.store import Record, Store, page

LOCAL = "http://127.0.0.1:8060"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """An application with the page and other paths, and some requests in its log."""
    metrics = Metrics()
    with Store(tmp_path / "finch") as store:
        for number in range(120):
            decision = ("local", "forward")[number % 2]
            store.log.append(
                Record(f"req_{number}", 1000.0 + number, decision, "why", task="ab12cd34",
                       query="SECRET TEXT", answer="SECRET TEXT")
            )  # fmt: skip
            metrics.request(decision)
        store.log.flush()
        added = routes(metrics.snapshot, log=lambda w: page(store.home, w), names=["Finch.lan"])
        others = Route("/{path:path}", lambda request: None)
        with TestClient(Starlette(routes=[*added, others]), base_url=LOCAL) as found:
            yield found


def test_what_is_answered(client: TestClient) -> None:
    for path in ("/finch", "/finch/"):
        found = client.get(path)
        assert found.status_code == 200
        assert "<title>Finch</title>" in found.text
    snapshot = client.get("/finch/snapshot.json")
    assert snapshot.json()["requests"]["local"] == 60
    assert snapshot.headers["cache-control"] == "no-store"
    metrics = client.get("/finch/metrics")
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'finch_requests_total{decision="local"} 60\n' in metrics.text
    assert client.head("/finch/").status_code == 200
    assert client.get("/finch/none").status_code == 404
    assert client.get("/finch/static/%2e%2e/routes.py").status_code == 404


def test_the_log_is_paged_and_filtered_and_says_nothing_of_texts(client: TestClient) -> None:
    seen: list[str] = []
    before: Any = ""
    while before is not None:
        found = client.get(f"/finch/log?limit=50{before and f'&before={before}'}").json()
        seen += [row["ident"] for row in found["requests"]]
        before = found["before"]
    assert seen == [f"req_{number}" for number in reversed(range(120))]
    rows = client.get("/finch/log?decision=local&since=1100&until=1110&task=ab12cd34").json()
    assert [row["time"] for row in rows["requests"]] == [1108.0, 1106.0, 1104.0, 1102.0, 1100.0]
    assert client.get("/finch/log?agreed=true").json() == {"requests": [], "before": None}
    assert "SECRET" not in client.get("/finch/log?limit=1000").text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit is '0', expected a whole number above 0"),
        ("limit=many", "expected a whole number"),
        ("before=" + "9" * 400, "expected a whole number"),
        ("before=-1", "expected a whole number"),
        ("decision=remote", "expected one of pass, forward, audit, local"),
        ("agreed=1", "expected true or false"),
        ("since=nan", "expected seconds since 1970"),
        ("until=x", "expected seconds since 1970"),
        ("task=' OR 1", "expected hexadecimal digits"),
        ("texts=1", "'texts': expected one of before, limit"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    client: TestClient, query: str, words: str
) -> None:
    found = client.get(f"/finch/log?{query}")
    assert found.status_code == 400
    assert words in found.json()["error"]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 421),
        ("GET", {"host": "127.0.0.1.evil.example"}, 421),
        ("GET", {"host": ""}, 421),
        ("POST", {}, 405),
        ("DELETE", {}, 405),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}, 403),
        ("GET", {"origin": "https://evil.example"}, 403),
        ("GET", {"host": "localhost:9000"}, 200),
        ("GET", {"host": "[::1]:9000"}, 200),
        ("GET", {"host": "finch.LAN"}, 200),
        ("GET", {"host": "192.168.0.7"}, 421),
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ("GET", {"sec-fetch-site": "same-origin", "origin": LOCAL}, 200),
    ],
)
def test_other_sites_may_not_ask(
    client: TestClient, method: str, headers: dict[str, str], status: int
) -> None:
    found = client.request(method, "/finch/log", headers=headers)
    assert found.status_code == status
    assert "access-control-allow-origin" not in found.headers
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["x-frame-options"] == "DENY"


def test_a_link_on_another_site_may_lead_to_the_page(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/finch/", headers=headers).status_code == 200


def test_names_when_others_may_look_in() -> None:
    added = routes(Metrics().snapshot, log=lambda w: {}, host="0.0.0.0", names=["finch.lan"])
    with TestClient(Starlette(routes=added), base_url=LOCAL) as client:
        for host, status in (("192.168.0.7:8060", 200), ("finch.lan", 200), ("evil.lan", 421)):
            assert client.get("/finch/", headers={"host": host}).status_code == status
        assert "--allow-host NAME" in client.get("/finch/", headers={"host": "a.b"}).text


def test_an_address_without_end_is_refused(client: TestClient) -> None:
    assert client.get("/finch/log?task=" + "a" * 40_000).status_code == 414


def test_a_failing_learner_is_told() -> None:
    def fail(*wanted: Any) -> Any:
        raise FinchError("the learner has ended")

    app = Starlette(routes=routes(fail, log=fail))
    with TestClient(app, base_url=LOCAL) as client:
        for path in ("snapshot.json", "log", "metrics"):
            found = client.get(f"/finch/{path}")
            assert (found.status_code, found.json()) == (503, {"error": "the learner has ended"})


# What is shipped


def test_the_page_loads_nothing_from_elsewhere_and_has_no_inline_code() -> None:
    files = sorted(STATIC.iterdir())
    assert {path.suffix for path in files} == {".html", ".css", ".js", ".svg"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]{2,}[^\s\"'`)]*", text))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        )
        assert len(text.splitlines()) < 600
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*\ssrc=)|javascript:", html)


def test_every_file_that_is_named_is_there() -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    named = re.findall(r'(?:src|href)="((?:static|shared)/[^"]+)"', html)
    assert len(named) > 5
    scripts = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")]
    for script in scripts:
        for name in re.findall(r'^import .*"(\.[^"]+)";$', script, re.MULTILINE):
            named.append(name.removeprefix("../").replace("./", "static/"))
    for name in named:
        folder, rest = name.split("/", 1)
        assert ({"static": STATIC, "shared": SHARED}[folder] / rest).is_file(), name


def test_the_snapshot_is_small(client: TestClient) -> None:
    began = time.perf_counter()
    size = len(client.get("/finch/snapshot.json").content)
    assert size < 60_000
    assert time.perf_counter() - began < 5
    json.loads(client.get("/finch/snapshot.json").text)
