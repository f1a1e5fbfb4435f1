"""A stand-in for the remote API, which answers from a table: for the demonstration and the tests.

It speaks enough of the Messages API for any client: JSON and event streams, errors for what it does
not understand. A question that is not in the table gets `UNKNOWN`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from itertools import count

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..wire.answer import local_body, local_events
from ..wire.call import Call
from ..wire.failure import error_body

UNKNOWN = "I do not know."


def fake_upstream(answers: Mapping[str, str], delay: float = 0.0) -> Starlette:
    """An application that answers `/v1/messages`.

    Args:
        answers: by the text of the last user turn.
        delay: seconds before an answer begins.

    Example:
        >>> [route.path for route in fake_upstream({}).routes]
        ['/v1/messages', '/v1/messages/count_tokens']
    """
    numbers = count(1)

    async def messages(request: Request) -> Response:
        try:
            fields = json.loads(await request.body())
            query = _text(fields["messages"][-1]["content"])
            model, streamed = str(fields["model"]), fields.get("stream") is True
        except (ValueError, KeyError, IndexError, TypeError):
            body = error_body(400, "expected a model and messages")
            return Response(body, 400, media_type="application/json")
        await asyncio.sleep(delay)
        text = answers.get(query, UNKNOWN)
        ident = f"fake{next(numbers):08}"
        call = Call("/v1/messages", model, query, "", streamed, None, None, 0)
        tokens = max(len(query) // 4, 1), max(len(text) // 4, 1)
        headers = {"request-id": f"req_{ident}"}
        if not streamed:
            return Response(
                local_body(call, text, ident, *tokens),
                headers=headers,
                media_type="application/json",
            )

        async def events() -> AsyncIterator[bytes]:
            for event in local_events(call, text, ident, *tokens):
                yield event

        return StreamingResponse(events(), headers=headers, media_type="text/event-stream")

    async def counted(request: Request) -> Response:
        return JSONResponse({"input_tokens": max(len(await request.body()) // 4, 1)})

    return Starlette(
        routes=[
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", counted, methods=["POST"]),
        ]
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise TypeError("expected text or blocks")
    return "\n\n".join(block["text"] for block in content if block["type"] == "text")
