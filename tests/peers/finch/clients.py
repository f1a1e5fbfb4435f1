"""Drives the official client against an address and prints what came of it, as JSON.

Runs in an interpreter of its own, since two generations of the client cannot live in one: this
file imports nothing of the tests, and the first folder of PYTHONPATH says which client it gets.

A line of its input is a list of an address, "sync" or "async", and calls; a line of its output is
the list of what came of them. The clients are kept from one line to the next.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import anthropic

KEY = "sk-planted-5f0c9a"


@cache
def client(kind: str, address: str, options: str) -> Any:
    made = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
    return made(api_key=KEY, base_url=address, **{"max_retries": 0, **json.loads(options)})


def told(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = {
        "error": type(error).__name__,
        "kinds": [kind.__name__ for kind in type(error).__mro__],
    }
    if isinstance(error, anthropic.APIStatusError):
        found["status"] = error.status_code
        found["body"] = error.body
        found["headers"] = dict(error.response.headers)
    return found


def answer(message: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    return {"message": message.to_dict(), "headers": dict(headers)}


def call_sync(one: Any, how: str, body: dict[str, Any], extra: dict[str, Any]) -> Any:
    if how == "create":
        raw = one.messages.with_raw_response.create(**body, **extra)
        return answer(raw.parse(), raw.headers)
    if how == "events":
        stream = one.messages.create(stream=True, **body, **extra)
        return {"events": [event.type for event in stream]}
    if how == "stream":
        with one.messages.stream(**body, **extra) as stream:
            text = "".join(stream.text_stream)
            return {"text": text, **answer(stream.get_final_message(), stream.response.headers)}
    if how == "leave":
        stream = one.messages.create(stream=True, **body, **extra)
        first = next(iter(stream)).type
        stream.close()
        return {"first": first}
    if how == "beta":
        return answer(one.beta.messages.create(betas=["some-beta"], **body, **extra), {})
    if how == "count":
        return {"tokens": one.messages.count_tokens(**body).input_tokens}
    if how == "models":
        found = [model.id for model in one.models.list()]
        return {"models": found, "one": one.models.retrieve(found[0]).id}
    raise ValueError(how)


async def call_async(one: Any, how: str, body: dict[str, Any], extra: dict[str, Any]) -> Any:
    if how == "create":
        raw = await one.messages.with_raw_response.create(**body, **extra)
        parsed = raw.parse()
        return answer(await parsed if inspect.isawaitable(parsed) else parsed, raw.headers)
    if how == "events":
        stream = await one.messages.create(stream=True, **body, **extra)
        return {"events": [event.type async for event in stream]}
    if how == "stream":
        async with one.messages.stream(**body, **extra) as stream:
            text = "".join([part async for part in stream.text_stream])
            final = await stream.get_final_message()
            return {"text": text, **answer(final, stream.response.headers)}
    if how == "leave":
        stream = await one.messages.create(stream=True, **body, **extra)
        first = (await anext(aiter(stream))).type
        await stream.close()
        return {"first": first}
    if how == "cancel":  # before the first token
        task = asyncio.create_task(one.messages.create(**body, **extra))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return {"cancelled": task.cancelled()}
    if how == "beta":
        return answer(await one.beta.messages.create(betas=["some-beta"], **body, **extra), {})
    if how == "count":
        return {"tokens": (await one.messages.count_tokens(**body)).input_tokens}
    if how == "models":
        found = [model.id async for model in one.models.list()]
        return {"models": found, "one": (await one.models.retrieve(found[0])).id}
    raise ValueError(how)


async def run(kind: str, address: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for call in calls:
        one = client(kind, address, json.dumps(call["options"]))
        began = time.monotonic()
        try:
            if kind == "sync":
                result = call_sync(one, call["how"], call["body"], call["extra"])
            else:
                result = await call_async(one, call["how"], call["body"], call["extra"])
        except Exception as error:
            result = told(error)
        found.append({**result, "seconds": time.monotonic() - began})
    return found


async def main() -> None:
    print(anthropic.__version__, flush=True)
    for line in sys.stdin:
        address, kind, calls = json.loads(line)
        print(json.dumps(await run(kind, address, calls)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
