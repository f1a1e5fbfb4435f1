"""The way to the upstream: connections used again and bounded, time limits, TLS (R14.1)."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from tests.apps.finch.upstream import (
    OLD,
    Upstream as Remote,
    Watching,
    ask,
    dying,
    message_events,
    scope_of,
    serving,
)

from groundup.apps.finch.proxy import Limits, create_app
from groundup.apps.finch.proxy.upstream import (
    ERRORS,
    MOST_UNREAD,
    CrowdedError,
    Response,
    UnfitError,
    Upstream,
    failure,
)

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Test = Callable[[], Coroutine[None, None, None]]


class Place:
    """A server that counts connections and answers each request, or does not."""

    def __init__(self) -> None:
        self.answer = ANSWER
        self.writers: list[asyncio.StreamWriter] = []
        self.by: list[int] = []
        """Which connection each request came by."""
        self.ended: list[int] = []
        """Connections that the other side closed."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.by.append(number)
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.append(number)
            writer.close()


@asynccontextmanager
async def reached(
    limits: Limits | None = None, place: Place | None = None
) -> AsyncIterator[tuple[Upstream, Place]]:
    place = place or Place()
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(f"http://127.0.0.1:{port}", limits or Limits())
    try:
        yield upstream, place
    finally:
        await upstream.close()
        server.close()
        for writer in place.writers:
            writer.close()
        await asyncio.sleep(0.01)


@asynccontextmanager
async def linked(
    limits: Limits | None = None,
) -> AsyncIterator[tuple[asyncio.Task[Response], socket.socket]]:
    """A request that is being sent, and the bare socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        upstream = Upstream(f"http://127.0.0.1:{listener.getsockname()[1]}", limits or Limits())
        task = asyncio.create_task(sent(upstream))
        other, _ = await asyncio.get_running_loop().sock_accept(listener)
        with other:
            other.setblocking(False)
            await asyncio.get_running_loop().sock_recv(other, 1 << 16)
            yield task, other
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await upstream.close()


async def sent(upstream: Upstream, method: str = "GET") -> Response:
    return await upstream.send(method, b"/", [], None)


async def read(response: Response) -> bytes:
    try:
        return b"".join([piece async for piece in response])
    finally:
        response.close()


def run(test: Test) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(limited())


def test_a_connection_is_used_again() -> None:
    async def test() -> None:
        async with reached() as (upstream, place):
            for _ in range(3):
                assert await read(await sent(upstream)) == b"{}"
            place.answer = ANSWER[:-1]
            first, second = await sent(upstream), await sent(upstream)
            assert place.by == [0, 0, 0, 0, 1]
            first.close()
            second.close()

    run(test)


@pytest.mark.parametrize(
    ("method", "status"), [("GET", b"204 No Content"), ("GET", b"304 Not"), ("HEAD", b"200 OK")]
)
def test_an_answer_without_a_body_ends_at_once(method: str, status: bytes) -> None:
    async def test() -> None:
        async with reached() as (upstream, place):
            place.answer = b"HTTP/1.1 " + status + b"\r\n\r\n"
            for _ in range(2):
                assert await read(await sent(upstream, method)) == b""

    run(test)


def test_a_connection_that_was_not_read_to_its_end_is_not_used_again() -> None:
    async def test() -> None:
        async with reached() as (upstream, place):
            place.answer = ANSWER[:-1]
            (await sent(upstream)).close()
            place.answer = ANSWER
            assert await read(await sent(upstream)) == b"{}"
            assert place.by == [0, 1]
            assert place.ended == [0]

    run(test)


def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    async def test() -> None:
        async with reached() as (upstream, place):
            await read(await sent(upstream))
            place.writers[0].close()
            await asyncio.sleep(0.05)
            assert await read(await sent(upstream)) == b"{}"
            assert place.by == [0, 1]

    run(test)


def test_a_connection_that_nobody_needed_for_long_is_closed() -> None:
    async def test() -> None:
        async with reached(Limits(idle=0.2)) as (upstream, place):
            await read(await sent(upstream))
            await asyncio.sleep(0.5)
            assert place.ended == [0]
            await read(await sent(upstream))
            assert place.by == [0, 1]

    run(test)


def test_there_are_no_more_than_so_many() -> None:
    async def test() -> None:
        async with reached(Limits(connections=2, connect=0.1)) as (upstream, place):
            place.answer = ANSWER[:-1]
            held = [await sent(upstream) for _ in range(2)]
            with pytest.raises(CrowdedError) as caught:
                await sent(upstream)
            assert failure(caught.value)[0] == 529
            assert len(place.writers) == 2
            waits = asyncio.create_task(sent(upstream))
            await asyncio.sleep(0.02)
            held[0].close()
            for response in (held[1], await waits):
                response.close()

    run(test)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"])
def test_what_fails_or_is_cancelled_gives_its_room_back(answer: bytes) -> None:
    async def test() -> None:
        async with reached(Limits(connections=1, connect=0.5)) as (upstream, place):
            for _ in range(3):
                place.answer = answer
                task = asyncio.create_task(sent(upstream))
                await asyncio.sleep(0.05)
                task.cancel()
                (error,) = await asyncio.gather(task, return_exceptions=True)
                assert isinstance(error, (asyncio.CancelledError, *ERRORS))
                place.answer = ANSWER
                assert await read(await sent(upstream)) == b"{}"

    run(test)


def test_what_cannot_be_reached_gives_its_room_back() -> None:
    async def test() -> None:
        upstream = Upstream("http://127.0.0.1:1", Limits(connections=1, connect=0.5))
        for _ in range(3):
            with pytest.raises(ERRORS) as caught:
                await sent(upstream)
            assert failure(caught.value) == (
                502, "the upstream cannot be reached; is --upstream right?",
            )  # fmt: skip
        await upstream.close()

    run(test)


def test_nothing_is_asked_twice() -> None:
    async def test() -> None:
        class Leaving(Place):
            async def serve(
                self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> None:
                self.writers.append(writer)
                await reader.readuntil(b"\r\n\r\n")
                if len(self.writers) == 1:
                    writer.write(ANSWER)
                    await reader.readuntil(b"\r\n\r\n")
                writer.close()

        async with reached(place=Leaving()) as (upstream, place):
            await read(await sent(upstream))
            for number in (1, 2):  # by the connection that is there, and by a new one
                with pytest.raises(ERRORS):
                    await sent(upstream)
                assert len(place.writers) == number

    run(test)


def test_a_silence_that_is_too_long() -> None:
    async def test() -> None:
        async with linked(Limits(read=0.1)) as (task, _):
            with pytest.raises(TimeoutError) as caught:
                await task
            assert failure(caught.value) == (504, "the upstream was silent for too long")
        async with linked(Limits(read=0.2)) as (task, other):
            for piece in (ANSWER[:20], ANSWER[20:-2], ANSWER[-2:-1]):
                await asyncio.sleep(0.1)  # each silence begins anew
                other.send(piece)
            response = await task
            with pytest.raises(TimeoutError):
                await read(response)

    run(test)


def test_a_reset_is_an_error_and_not_an_end() -> None:
    async def test() -> None:
        async with linked() as (task, other):
            other.send(b"HTTP/1.1 200 OK\r\n\r\nhello")  # to the end of the connection
            response = await task
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            other.close()
            with pytest.raises(ERRORS):
                await read(response)

    run(test)


# R14.1: what nobody takes is not read.
def test_what_is_not_read_is_not_taken_in() -> None:
    async def test() -> None:
        async with linked() as (task, other):
            other.send(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n")
            response = await task
            sent, idle = 0, 0
            while idle < 20:
                try:
                    sent += other.send(bytes(1 << 16))
                    idle = 0
                except BlockingIOError:
                    idle += 1
                await asyncio.sleep(0.002)
            held = response._response.content.total_raw_bytes
            assert MOST_UNREAD < held < 2 * MOST_UNREAD + (1 << 18)
            response.close()

    run(test)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(1 << 20)


def test_an_upstream_that_takes_no_byte() -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            upstream = Upstream(f"http://127.0.0.1:{port}", Limits(write=0.1))
            with pytest.raises(TimeoutError):
                await upstream.send("POST", b"/", [], endless())
            await upstream.close()

    run(test)


def test_an_answer_before_the_request_is_whole() -> None:
    async def test() -> None:
        async with reached(Limits(write=0.1)) as (upstream, place):
            response = await upstream.send("POST", b"/", [], endless())
            await asyncio.sleep(0.2)
            assert await read(response) == b"{}"
            assert await read(await sent(upstream)) == b"{}"
            assert place.by == [0, 1], "what was cut was taken for whole"

    run(test)


def test_a_body_that_fails_raises_what_it_failed_by() -> None:
    class OddError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise OddError

    async def test() -> None:
        async with reached() as (upstream, _):
            with pytest.raises(OddError):
                await upstream.send("POST", b"/", [(b"content-length", b"9")], broken())

    run(test)


@pytest.mark.parametrize(
    ("method", "headers"), [("A B", []), ("GET", [(b"x", b"a\r\ny: b")]), ("GET", [(b"x", b"\0")])]
)
def test_what_cannot_be_written_down(method: str, headers: list[tuple[bytes, bytes]]) -> None:
    async def test() -> None:
        async with reached() as (upstream, place):
            with pytest.raises(UnfitError) as caught:
                await upstream.send(method, b"/", headers, None)
            assert failure(caught.value)[0] == 400
            assert not place.by

    run(test)


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
    upstream, brain = Remote(), Watching()
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
    upstream = Remote()
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
