"""Questions first, in any crowd, and none after the news of its own request (R14.3)."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from typing import Any

import pytest

from groundup.apps.finch.service import inbox as module
from groundup.apps.finch.service.inbox import Inbox


def line(do: str, number: int) -> bytes:
    reply = {"id": number} if do == "consider" else {}
    return json.dumps({"do": do, "number": number, **reply}).encode() + b"\n"


async def taken(inbox: Inbox) -> list[tuple[str, int]]:
    return [(message["do"], message["number"]) async for message in inbox]


def test_questions_come_first_and_each_kind_in_its_order() -> None:
    async def run() -> None:
        inbox = Inbox()
        inbox.data_received(b"".join(line(do, n) for n in range(3) for do in ("ended", "consider")))
        inbox.eof_received()
        found = await taken(inbox)
        assert found == [("consider", n) for n in range(3)] + [("ended", n) for n in range(3)]

    asyncio.run(run())


def test_lines_may_come_in_any_pieces() -> None:
    async def run() -> None:
        whole = b"".join(line("ended", n) for n in range(50))
        inbox, draws = Inbox(), random.Random(0)
        while whole:
            cut = draws.randrange(1, 90)
            inbox.data_received(whole[:cut])
            whole = whole[cut:]
        inbox.eof_received()
        assert await taken(inbox) == [("ended", n) for n in range(50)]

    asyncio.run(run())


# R14.3: what is thought of a request is thought before its answer is learned.
def test_no_news_come_before_their_question() -> None:
    async def run() -> list[tuple[str, int]]:
        inbox, draws, open_ = Inbox(), random.Random(1), list[int]()
        number, found = 0, []
        while number < 300 or open_:
            if number < 300 and draws.random() < 0.6:
                inbox.data_received(line("consider", number))
                open_.append(number)
                number += 1
            elif open_:
                inbox.data_received(line("ended", open_.pop(draws.randrange(len(open_)))))
            if draws.random() < 0.5:
                message: dict[str, Any] = await anext(inbox)
                found.append((message["do"], message["number"]))
        inbox.eof_received()
        return found + await taken(inbox)

    found = asyncio.run(run())
    places = {message: place for place, message in enumerate(found)}
    assert len(places) == 600
    assert all(places["consider", n] < places["ended", n] for n in range(300))


def test_it_says_how_far_behind_it_is() -> None:
    inbox = Inbox()
    inbox.data_received(line("ended", 0) + line("consider", 1) + line("ended", 2))
    assert inbox.behind == 2


def test_what_comes_while_one_is_at_work_is_seen_before_the_next() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        _, inbox = await asyncio.get_running_loop().create_connection(Inbox, sock=ours)
        with theirs:
            theirs.sendall(line("ended", 0) + line("ended", 1))
            assert (await anext(inbox))["number"] == 0
            theirs.sendall(line("consider", 2))
            assert (await anext(inbox))["do"] == "consider"
            assert (await anext(inbox))["number"] == 1
            inbox.reply({"id": 2})
            await asyncio.sleep(0)
            assert theirs.recv(99) == b'{"id": 2}\n'
        with pytest.raises(StopAsyncIteration):
            await anext(inbox)
        inbox.close()

    asyncio.run(run())


def test_what_nobody_takes_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 1 << 16)

    async def run() -> None:
        ours, theirs = socket.socketpair()
        _, inbox = await asyncio.get_running_loop().create_connection(Inbox, sock=ours)
        with theirs:
            theirs.setblocking(False)
            text = line("ended", 7) * 1000
            rest, sent = b"", 0
            for _ in range(200):
                rest = rest or text
                try:
                    gone = theirs.send(rest)
                except BlockingIOError:
                    gone = 0
                rest, sent = rest[gone:], sent + gone
                await asyncio.sleep(0)
            assert inbox._waiting < (1 << 16) + (1 << 19)
            assert sent < 200 * len(text)
        count = sum([1 async for _ in inbox])
        assert count == sent // len(line("ended", 7))
        inbox.close()

    asyncio.run(run())
