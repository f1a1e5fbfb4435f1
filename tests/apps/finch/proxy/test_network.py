"""The connections to the upstream: time limits, back-pressure, TLS, proxies that are named."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore2
import httpx2
import pytest
from tests.apps.finch.upstream import (
    OLD,
    Upstream,
    Watching,
    ask,
    dying,
    message_events,
    scope_of,
    serving,
)

from groundup.apps.finch.proxy import create_app
from groundup.apps.finch.proxy.network import MOST_UNREAD, LoopBackend


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[httpcore2.AsyncNetworkStream, socket.socket]]:
    """A connection of the backend, and the bare socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await LoopBackend().connect_tcp(*listener.getsockname())
        other, _ = listener.accept()
        with other:
            other.settimeout(5)
            yield stream, other
        await stream.aclose()


def test_what_is_sent_comes() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            other.sendall(b"hello")
            assert await stream.read(3, 1.0) == b"hel"
            assert await stream.read(9, 1.0) == b"lo"
            await stream.write(b"the")
            await stream.write(b"re")
            await asyncio.sleep(0)  # it is sent at the end of this turn of the loop
            assert other.recv(9) == b"there"
            assert not stream.get_extra_info("is_readable")
            other.shutdown(socket.SHUT_WR)
            assert await stream.read(9, 1.0) == b""
            assert stream.get_extra_info("is_readable")
            with pytest.raises(httpcore2.WriteError):
                await stream.write(b"more")

    asyncio.run(run())


def test_time_limits() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            with pytest.raises(httpcore2.ReadTimeout):
                await stream.read(9, 0.02)
            other.sendall(b"late")
            assert await stream.read(9, 1.0) == b"late"
            with pytest.raises(httpcore2.WriteTimeout):
                await stream.write(bytes(1 << 24), 0.05)

    asyncio.run(run())


def test_each_wait_has_its_own_time() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            for _ in range(4):  # each wait begins anew, so together they may last longer than one
                asyncio.get_running_loop().call_later(0.1, other.sendall, b"more")
                assert await stream.read(9, 0.2) == b"more"

    asyncio.run(run())


def test_a_short_wait_after_a_long_one_is_short() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            asyncio.get_running_loop().call_later(0.01, other.sendall, b"y")
            assert await stream.read(9, 600.0) == b"y"
            async with asyncio.timeout(5):
                with pytest.raises(httpcore2.ReadTimeout):
                    await stream.read(9, 0.05)

    asyncio.run(run())


def test_a_reset_is_an_error_and_not_an_end() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            other.close()
            with pytest.raises(httpcore2.ReadError):
                await stream.read(9, 1.0)

    asyncio.run(run())


def test_a_reader_can_be_cancelled() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            task = asyncio.create_task(stream.read(9, 5.0))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            other.sendall(b"for the next")
            assert await stream.read(99, 1.0) == b"for the next"

    asyncio.run(run())


# R14.1: what nobody takes is not read.
def test_what_is_not_read_is_not_taken_in() -> None:
    async def run() -> None:
        async with linked() as (stream, other):
            other.setblocking(False)
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += other.send(bytes(1 << 16))
                    idle = 0
                except BlockingIOError:
                    idle += 1
                await asyncio.sleep(0.002)
            unread = stream._link.unread  # type: ignore[attr-defined]
            assert MOST_UNREAD < len(unread) < 2 * MOST_UNREAD + (1 << 18)
            got = 0
            while got < sent:
                got += len(await stream.read(1 << 20, 1.0))

    asyncio.run(run())


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(httpcore2.ConnectError):
        asyncio.run(LoopBackend().connect_tcp("127.0.0.1", port))
    with pytest.raises(httpcore2.ConnectError):
        asyncio.run(LoopBackend().connect_tcp("no-such-name.invalid", 80))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    upstream, brain = Upstream(), Watching()
    with (
        serving(upstream.app, certificate=certificate) as there,
        serving(create_app(there, brain, scope_of=scope_of)) as here,
        httpx2.Client(verify=False) as client,
    ):
        for stream in (True, False, True):
            response = client.post(here + "/v1/messages", json=ask(stream=stream), headers=OLD)
            assert response.status_code == 200
            if stream:
                assert response.content == b"".join(message_events())
    assert all(exchange.answer is not None for exchange in brain.wait(3))


def test_a_certificate_that_is_not_trusted(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    upstream = Upstream()
    with (
        serving(upstream.app, certificate=certificate) as there,
        serving(create_app(there, Watching(), scope_of=scope_of)) as here,
        httpx2.Client(verify=False) as client,
    ):
        response = client.post(here + "/v1/messages", json=ask(), headers=OLD)
    assert response.status_code == 502
    assert not upstream.seen, "the key was sent to a server that nobody vouches for"


def test_a_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with dying(answer, requests) as outgoing:
        monkeypatch.setenv("http_proxy", outgoing)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        app = create_app("http://api.example.com", Watching(), scope_of=scope_of)
        with serving(app) as here, httpx2.Client(trust_env=False) as client:
            response = client.post(here + "/v1/messages", json={}, headers=OLD)
    assert response.content == b"{}"
    assert requests[0].startswith(b"POST http://api.example.com/v1/messages HTTP/1.1\r\n")
