"""What the server refuses: other sites, other names, other files, too much. R12.2."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from starlette.testclient import TestClient

from groundup.runs import Store
from groundup.web import create_app
from groundup.web.api import LARGEST_FIGURE
from groundup.web.security import HEADERS, Hosts
from groundup.web.server import listen

from .conftest import LOCAL, ROOT, Served

OWN = ["127.0.0.1", "127.0.0.1:8050", "localhost:1", "LOCALHOST", "[::1]:8050", "127.0.0.2"]
FOREIGN = [
    "evil.example", "evil.example:8050", "localhost.evil.example", "127.0.0.1.evil.example",
    "192.168.0.7", "8.8.8.8:80", "[2001:db8::1]", "", "127.0.0.1:8050@evil.example", "a b",
    "127.0.0.1, evil.example", "x" * 5000, "[::1", "0.0.0.0", "2130706433",
]  # fmt: skip


# DNS rebinding: the name of another site that points here
@pytest.mark.parametrize("host", FOREIGN)
def test_other_names_are_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/api/runs", "/static/js/main.js"):
        assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", OWN)
def test_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/about", headers={"host": host}).status_code == 200


def test_names_when_others_may_look_in() -> None:
    hosts = Hosts("0.0.0.0", ["dash.example"])
    assert "192.168.0.7:8050" in hosts
    assert socket.gethostname() in hosts
    assert "dash.example" in hosts
    assert "evil.example" not in hosts


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/api/runs", headers=headers).status_code == 403
    assert client.get("/api/events", headers=headers).status_code == 403


def test_a_link_on_another_site_may_lead_here(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200


def test_no_other_site_may_read_or_frame(client: TestClient) -> None:
    for path in ("/", "/api/runs", "/static/css/base.css", "/api/nothing", "/nothing"):
        answer = client.get(path, headers={"origin": LOCAL})
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "server" not in answer.headers
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert re.findall(r"https?:", policy) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_else_can_be_done(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/runs").status_code == 405


def test_only_the_run_takes_a_change(client: TestClient) -> None:
    assert client.patch("/api/runs", json={}).status_code == 405
    assert client.patch("/api/about", json={}).status_code == 405


TRAVERSALS = [
    "../events.jsonl", "..%2Fevents.jsonl", "%2e%2e%2f%2e%2e%2fruns.sqlite", "....//events.jsonl",
    "..\\events.jsonl", "%00", "confusion.svg%00.png", "/etc/passwd", "%2Fetc%2Fpasswd",
    "events.jsonl", "a" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_file_but_figures(client: TestClient, sample: Served, name: str) -> None:
    answer = client.get(f"/api/runs/{sample.runs['digits'][0]}/figures/{name}")
    assert answer.status_code in (400, 404)
    assert "created" not in answer.text


ESCAPES = ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_file_but_the_pages(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def figure_of(folder: Path, file: str) -> str:
    """A run whose journal names a file as its figure."""
    with Store(folder) as store, store.start("x") as run:
        run.log(1, loss=1.0)
    journal = folder / run.id / "events.jsonl"
    event = {"event": "figure", "time": 1.0, "name": "x", "step": None, "file": file}
    journal.write_text(journal.read_text() + json.dumps(event) + "\n")
    return run.id


# A folder of runs may come from somebody else.
@pytest.mark.parametrize("file", ["../../secret.svg", "/secret.svg", "link.svg", "page.html"])
def test_a_journal_cannot_point_elsewhere(tmp_path: Path, file: str) -> None:
    (tmp_path / "secret.svg").write_text("secret")
    run_id = figure_of(tmp_path / "runs", file)
    figures = tmp_path / "runs" / run_id / "figures"
    (figures / "page.html").write_text("secret")
    os.symlink(tmp_path / "secret.svg", figures / "link.svg")
    with TestClient(create_app(tmp_path / "runs"), base_url=LOCAL) as client:
        for found in client.get(f"/api/figures?run={run_id}").json()["figures"]:
            answer = client.get(f"/api/runs/{run_id}/figures/{found['file']}")
            assert answer.status_code == 404
            assert "secret" not in answer.text.replace("secret.svg", "")


def test_links_out_of_a_run_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.svg").write_text("secret")
    (outside / "environment.json").write_text('{"commit": "secret"}')
    run_id = figure_of(tmp_path / "runs", "secret.svg")
    folder = tmp_path / "runs" / run_id
    for path in (folder / "figures").iterdir():
        path.unlink()
    (folder / "figures").rmdir()
    os.symlink(outside, folder / "figures")
    (folder / "environment.json").unlink()
    os.symlink(outside / "environment.json", folder / "environment.json")
    with TestClient(create_app(tmp_path / "runs"), base_url=LOCAL) as client:
        assert client.get(f"/api/runs/{run_id}/figures/secret.svg").status_code == 404
        assert client.get(f"/api/runs/{run_id}").json()["environment"] == {}


def test_a_huge_figure_is_refused_in_words(tmp_path: Path) -> None:
    run_id = figure_of(tmp_path, "huge.svg")
    with (tmp_path / run_id / "figures" / "huge.svg").open("wb") as file:
        file.truncate(LARGEST_FIGURE + 1)
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        answer = client.get(f"/api/runs/{run_id}/figures/huge.svg")
    assert answer.status_code == 413
    assert "open it from the disk" in answer.json()["error"]


# An SVG file may hold a script; opened by itself it must not run.
def test_a_figure_cannot_act(client: TestClient, sample: Served) -> None:
    answer = client.get(f"/api/runs/{sample.runs['digits'][0]}/figures/confusion.svg")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


HUGE = "9" * 400
MALFORMED = [
    ("/api/runs?limit=501", 400), ("/api/runs?limit=0", 400), ("/api/runs?limit=-1", 400),
    ("/api/runs?offset=x", 400), ("/api/runs?offset=99999999999", 400),
    (f"/api/runs?offset={HUGE}", 400), ("/api/runs?limit=１", 400),
    ("/api/runs/none", 400), ("/api/runs/..", 404), ("/api/runs/x-20250131-174501-3fa94c", 404),
    (f"/api/runs/{'a' * 2000}", 400), ("/api/runs/digits", 400),
    ("/api/series", 400), ("/api/series?run=none&name=loss", 400),
    ("/api/series?name=loss" + "".join(f"&run=x-20250131-174501-{i:06x}" for i in range(101)), 400),
    ("/api/series?run=ID&name=" + "a" * 201, 400), ("/api/series?run=ID&name=%00", 400),
    ("/api/series?run=ID", 400), ("/api/series?run=ID&name=a&name=b", 400),
    ("/api/series?run=ID&name=loss&buckets=4001", 400),
    ("/api/series?run=ID&name=loss&buckets=1e3", 400),
    ("/api/series?run=ID&name=loss&low=nan", 400), ("/api/series?run=ID&name=loss&high=inf", 400),
    ("/api/series?run=ID&name=loss&low=2&high=1", 400), ("/api/series?run=ID&name=loss&x=z", 400),
    ("/api/series?run=ID&name=loss&log=2", 400), ("/api/layers?run=ID&buckets=1001", 400),
    ("/api/layers?run=ID&run=OTHER", 400), ("/api/figures", 400), ("/api/claims?run=", 400),
    ("/api/events?" + "&".join(f"name=n{i}" for i in range(201)), 400),
    ("/api/events?x=" + "a" * 100, 400), ("/api/runs?x=" + "a" * 40_000, 414),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status"), MALFORMED)
def test_what_makes_no_sense_is_refused_in_words(
    client: TestClient, sample: Served, path: str, status: int
) -> None:
    first, other = sample.runs["digits"][:2]
    answer = client.get(path.replace("ID", first).replace("OTHER", other))
    assert answer.status_code == status
    assert 3 < len(answer.json()["error"]) < 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
def test_no_input_is_a_fault_of_the_server(
    client: TestClient, sample: Served, a: str, b: str, c: str
) -> None:
    run = sample.runs["digits"][0]
    parameters = {"run": run, "name": a, "x": b, "low": c, "high": a, "buckets": c, "kind": b}
    for path in ("/api/series", "/api/layers", "/api/figures", "/api/runs"):
        assert client.get(path, params=parameters).status_code < 500


BODIES = [
    (b"{}", 400), (b"[]", 400), (b"{", 400), (b'{"tags": "x"}', 400), (b'{"tags": [1]}', 400),
    (b'{"tags": [""]}', 400), (b'{"tags": ["a\\u0000"]}', 400), (b'{"note": 1}', 400),
    (b'{"note": null}', 400), (b'{"status": "done"}', 400), (b'{"note": "a", "id": "b"}', 400),
    (json.dumps({"tags": ["a" * 61]}).encode(), 400),
    (json.dumps({"tags": [f"t{i}" for i in range(51)]}).encode(), 400),
    (json.dumps({"note": "a" * 20_001}).encode(), 400),
    (b'{"note": "' + b"a" * 200_000 + b'"}', 413), (b"[" * 100_000, 400), (b"\xff\xfe", 400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BODIES)
def test_a_change_is_checked(client: TestClient, sample: Served, body: bytes, status: int) -> None:
    run_id = sample.runs["digits"][0]
    before = client.get(f"/api/runs/{run_id}").json()
    headers = {"content-type": "application/json"}
    answer = client.patch(f"/api/runs/{run_id}", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert client.get(f"/api/runs/{run_id}").json() == before


# A form of another site can send text/plain without asking first, but not JSON.
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_change_must_be_json(client: TestClient, sample: Served, kind: str) -> None:
    path = f"/api/runs/{sample.runs['digits'][0]}"
    answer = client.patch(path, content=b'{"note": "x"}', headers={"content-type": kind})
    assert answer.status_code == 415


def test_half_a_surrogate_is_stored_as_a_mark(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        run_id = store.queue("x").id
    with TestClient(create_app(tmp_path), base_url=LOCAL) as client:
        headers = {"content-type": "application/json"}
        body = b'{"note": "\\ud800", "tags": ["e\\u0301"]}'
        answer = client.patch(f"/api/runs/{run_id}", content=body, headers=headers)
        assert answer.json() == {"id": run_id, "tags": ["é"], "note": "?"}


def test_a_web_socket_is_closed(client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/events"):
        pass


# Loopback by default, and a warning otherwise


def test_a_port_in_use_is_told() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port}: .*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_who_is_let_in_is_told(tmp_path: Path, host: str, warned: bool) -> None:
    program = (
        "import uvicorn; uvicorn.Server.run = lambda self, sockets: print(sockets[0].getsockname())"
        f"\nfrom groundup.web import serve; serve({str(tmp_path)!r}, host={host!r}, port=0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ("Anyone who can reach" in done.stdout) == warned
    assert f"('{host}'" in done.stdout
