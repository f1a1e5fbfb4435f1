"""Connections to the upstream are used again, bounded, and never in an odd state (R14.1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import httpcore2
import pytest

from groundup.apps.finch.proxy.network import LoopBackend
from groundup.apps.finch.proxy.pool import Pool

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Place:
    """A server that counts connections and answers each request, or does not."""

    def __init__(self) -> None:
        self.answer = ANSWER
        self.writers: list[asyncio.StreamWriter] = []
        self.by: list[int] = []
        """Which connection each request came by."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.by.append(number)
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def pooled(
    most: int = 10, patience: float = 5.0, idle: float = 60.0
) -> AsyncIterator[tuple[Pool, Place, Callable[[], httpcore2.Request]]]:
    place = Place()
    server = await asyncio.start_server(place.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = httpcore2.URL(f"http://127.0.0.1:{port}/")

    def make() -> httpcore2.AsyncConnectionInterface:
        return httpcore2.AsyncHTTPConnection(
            url.origin, keepalive_expiry=idle, network_backend=LoopBackend()
        )

    pool = Pool(make, most, patience)
    try:
        yield pool, place, lambda: httpcore2.Request("GET", url, headers=[(b"host", b"x")])
    finally:
        await pool.close()
        server.close()
        for writer in place.writers:
            writer.close()
        await asyncio.sleep(0.01)


async def read(response: httpcore2.Response) -> bytes:
    found = b"".join([piece async for piece in cast(AsyncIterator[bytes], response.stream)])
    await response.aclose()
    return found


def run(test: Callable[[], object]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test()  # type: ignore[misc]

    asyncio.run(limited())


def test_a_connection_is_used_again_the_last_one_first() -> None:
    async def test() -> None:
        async with pooled() as (pool, place, request):
            for _ in range(3):
                assert await read(await pool.send(request())) == b"{}"
            first, second = await pool.send(request()), await pool.send(request())
            assert place.by == [0, 0, 0, 0, 1]
            await read(second)
            await read(first)
            await read(await pool.send(request()))
            assert place.by[-1] == 0

    run(test)


def test_a_connection_that_was_not_read_to_its_end_is_not_used_again() -> None:
    async def test() -> None:
        async with pooled() as (pool, place, request):
            response = await pool.send(request())
            await response.aclose()
            assert await read(await pool.send(request())) == b"{}"
            assert place.by == [0, 1]

    run(test)


def test_a_connection_is_given_back_once() -> None:
    async def test() -> None:
        async with pooled(most=1, patience=0.05) as (pool, _, request):
            response = await pool.send(request())
            await read(response)
            await response.aclose()
            held = await pool.send(request())
            with pytest.raises(httpcore2.PoolTimeout):
                await pool.send(request())
            await read(held)

    run(test)


def test_a_connection_that_the_other_side_closed_is_not_used_again() -> None:
    async def test() -> None:
        async with pooled() as (pool, place, request):
            await read(await pool.send(request()))
            place.writers[0].close()
            await asyncio.sleep(0.05)
            assert await read(await pool.send(request())) == b"{}"
            assert place.by == [0, 1]
            for response in [await pool.send(request()) for _ in range(2)]:
                await read(response)
            place.writers[2].close()  # the one used last, behind one that is sound
            await asyncio.sleep(0.05)
            assert await read(await pool.send(request())) == b"{}"
            assert place.by == [0, 1, 1, 2, 1]

    run(test)


def test_a_connection_that_nobody_needed_for_long_is_closed() -> None:
    async def test() -> None:
        async with pooled(idle=0.2) as (pool, place, request):
            for response in [await pool.send(request()) for _ in range(3)]:
                await read(response)
            assert len(pool._idle) == 3
            await asyncio.sleep(0.3)
            await read(await pool.send(request()))
            assert place.by[-1] == 3
            assert len(pool._idle) == 1

    run(test)


def test_there_are_no_more_than_so_many() -> None:
    async def test() -> None:
        async with pooled(most=2, patience=0.1) as (pool, place, request):
            held = [await pool.send(request()) for _ in range(2)]
            with pytest.raises(httpcore2.PoolTimeout):
                await pool.send(request())
            waits = asyncio.create_task(pool.send(request()))
            await asyncio.sleep(0.02)
            await read(held.pop())
            await read(await waits)
            assert len(place.writers) == 2
            await read(held.pop())

    run(test)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"])
def test_what_fails_or_is_cancelled_gives_its_room_back(answer: bytes) -> None:
    async def test() -> None:
        async with pooled(most=1, patience=0.5) as (pool, place, request):
            for _ in range(3):
                place.answer = answer
                task = asyncio.create_task(pool.send(request()))
                await asyncio.sleep(0.05)
                task.cancel()
                (error,) = await asyncio.gather(task, return_exceptions=True)
                assert isinstance(error, asyncio.CancelledError | httpcore2.RemoteProtocolError)
                assert not pool._busy
                place.answer = ANSWER
                assert await read(await pool.send(request())) == b"{}"

    run(test)


def test_what_cannot_be_reached_gives_its_room_back() -> None:
    async def test() -> None:
        origin = httpcore2.URL("http://127.0.0.1:1/").origin
        pool = Pool(
            lambda: httpcore2.AsyncHTTPConnection(origin, network_backend=LoopBackend()), 1, 0.5
        )
        for _ in range(3):
            with pytest.raises(httpcore2.ConnectError):
                await pool.send(httpcore2.Request("GET", "http://127.0.0.1:1/"))

    run(test)
