"""One request from its first byte to its last: considered, answered here or passed on.

What comes back from the upstream is sent to the client piece by piece as it comes, its bytes
unchanged. A client that is too slow slows the reading of the upstream down, since `send` waits for
it; a client that leaves ends the request to the upstream at once, by cancelling this task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping

from starlette.types import Receive, Scope, Send

from ..wire import Answer, Call, error_body, error_event, local_body, local_events, read_call
from ..wire.call import LONGEST_BODY, MESSAGES
from .brain import Brain, Exchange, Outcome, Verdict, new_ident
from .copying import Copy, WholeEvents, is_event_stream
from .headers import as_mapping, to_client, to_upstream
from .incoming import Body, BodyError, ClientLeftError
from .limits import Limits
from .upstream import ERRORS, Response, Upstream, failure

log = logging.getLogger("groundup.finch")


class Passage:
    """One request.

    Args:
        upstream: where it may be sent.
        brain: who may answer it.
        limits: of sizes and times.
        scope_of: for the hash of the key.
        scope: of ASGI, as are `receive` and `send`.
    """

    def __init__(
        self,
        upstream: Upstream,
        brain: Brain,
        limits: Limits,
        scope_of: Callable[[Mapping[str, str]], str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self.upstream = upstream
        self.brain = brain
        self.limits = limits
        self.scope = scope
        self.receive = receive
        self.send = send
        self.headers = as_mapping(scope["headers"])
        self.key = scope_of(self.headers)
        self.body = Body(receive, limits, self._watch)
        self.call: Call | None = None  # of a message only
        self.verdict = Verdict("", False)
        self.answer: Answer | None = None
        self.outcome: Outcome = "forwarded"
        self.status = 0
        self.began, self.clock = time.time(), time.perf_counter()
        self.considered = self.first_byte = 0.0
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._gone = self._over = False

    async def run(self) -> None:
        """Answer the request; what happens meanwhile never leaves as an error."""
        try:
            await self._answer()
        except ClientLeftError:
            self.outcome = "left"
        except asyncio.CancelledError:
            if not self._gone or self._task is None or self._task.uncancel():
                raise  # the server ends
            self.outcome = "left"
        finally:
            self._over = True
            if self._watcher is not None:
                self._watcher.cancel()
            self._end()

    async def _answer(self) -> None:
        message = self.scope["raw_path"] == MESSAGES.encode() and self.scope["method"] == "POST"
        try:
            await self.body.begin(LONGEST_BODY if message else 0)
        except BodyError as error:
            await self.fail(error.status, error.words)
            return
        if message:
            await self._consider()
            if self.verdict.serve:
                await self._serve()
                return
        try:
            response = await self.upstream.send(
                self.scope["method"],
                self.upstream.target(self.scope["raw_path"], self.scope["query_string"]),
                self._request_headers(),
                None if self.body.complete and not self.body.start else self.body,
            )
        except BodyError as error:
            await self.fail(error.status, error.words)
        except ERRORS as error:
            self.outcome = "failed"
            await self.fail(*failure(error))
        else:
            try:
                await self._relay(response)
            finally:
                self._over = True
                response.close()

    def _watch(self) -> None:
        """From the end of the request's body on, see whether the client leaves."""
        self._watcher = asyncio.create_task(self._wait_for_leaving())

    async def _wait_for_leaving(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        if not self._over and self._task is not None:
            self._gone = True
            self._task.cancel()

    async def _consider(self) -> None:
        behind = self.scope["query_string"].decode("latin-1")
        # A body that is not whole by now is longer than what read_call looks into.
        self.call = call = read_call(
            "POST",
            f"{MESSAGES}?{behind}" if behind else MESSAGES,
            self.headers,
            self.body.start,
            longest=self.limits.query,
        )
        why = call.must_forward or ("it is a second try" if call.retry else None)
        if why is None:
            try:
                async with asyncio.timeout(self.limits.deadline):
                    self.verdict = await self.brain.consider(call, self.key)
            except Exception as error:
                log.warning("the brain failed to consider a request: %s", type(error).__name__)
                why = "the brain failed"
            else:
                if self.verdict.serve and any(stop in self.verdict.text for stop in call.stops):
                    why = "the local answer holds a stop sequence"
        if why is not None:
            self.verdict = Verdict(self.verdict.ident or new_ident(), False, reason=why)
        self.considered = time.perf_counter() - self.clock

    async def _serve(self) -> None:
        call, verdict = self.call, self.verdict
        assert call is not None
        self.outcome = "local"
        told = (call, verdict.text, verdict.ident, verdict.input_tokens, verdict.output_tokens)
        if call.stream:
            kind, body = "text/event-stream; charset=utf-8", b"".join(local_events(*told))
        else:
            kind, body = "application/json", local_body(*told)
        headers = [
            (b"content-type", kind.encode()),
            (b"cache-control", b"no-cache"),
            (b"request-id", f"req_{verdict.ident}".encode()),
        ]
        if not call.stream:
            headers.append((b"content-length", b"%d" % len(body)))
        await self._start(200, [*headers, *self._marks(b"local")])
        await self._piece(body)
        await self._last()

    async def _relay(self, response: Response) -> None:
        headers = as_mapping(response.headers)
        forward = to_client(response.headers)
        status = response.status
        learn = (
            self.call is not None
            and self.call.must_forward is None
            and not self.call.retry
            and status == 200
        )
        copy = Copy(self.limits.learned) if learn else None
        events = (
            WholeEvents()
            if self.call is not None
            and status == 200
            and is_event_stream(headers)
            and not headers.keys() & {"content-encoding", "content-length"}
            else None
        )
        await self._start(status, [*forward, *self._marks(b"forwarded")])
        try:
            async for chunk in response:
                if copy is not None:
                    copy.feed(chunk)
                whole = chunk if events is None else events.pass_on(chunk)
                if whole:
                    await self._piece(whole)
        except ERRORS as error:
            if events is None or not events.ended:
                await self._break_off(events, *failure(error))
                return
        if events is not None and not events.ended:
            await self._break_off(events, 502, "the upstream ended the stream before its end")
            return
        if events is not None and (rest := events.rest()):
            await self._piece(rest)
        await self._last()
        if copy is not None:
            self.answer = copy.answer(status, headers)

    async def _break_off(self, events: WholeEvents | None, status: int, words: str) -> None:
        """End an answer whose upstream died: by an error in the stream, or by closing."""
        self.outcome = "failed"
        if events is not None:
            await self._piece(events.line_break() + error_event(status, words))
            await self._last()
        # No word can be added to any other body. It is left without an end: the server then closes
        # the connection, by which the client sees that the answer is not whole.

    async def fail(self, status: int, words: str) -> None:
        """Answer with an error of the proxy's own."""
        body = error_body(status, words)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self._start(status, [*headers, *self._marks(b"failed")])
        await self._piece(body)
        await self._last()

    def _request_headers(self) -> list[tuple[bytes, bytes]]:
        headers = to_upstream(self.scope["headers"])
        if not self.body.complete:
            length = self.headers.get("content-length")
            if length is None or "transfer-encoding" in self.headers:
                return headers
            return [*headers, (b"content-length", length.split(",")[0].encode())]
        if self.body.start or self.headers.keys() & {"content-length", "transfer-encoding"}:
            return [*headers, (b"content-length", b"%d" % len(self.body.start))]
        return headers

    def _marks(self, how: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield b"x-finch", how
        if self.verdict.ident:
            yield b"x-finch-request", self.verdict.ident.encode()

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _piece(self, body: bytes) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        if not self.first_byte:
            self.first_byte = time.perf_counter() - self.clock

    async def _last(self) -> None:
        self._over = True  # from here on, receive() says that the client left even if it did not
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    def _end(self) -> None:
        if self.call is None or self.call.retry:
            return
        exchange = Exchange(
            self.call,
            self.key,
            self.verdict,
            self.answer,
            self.outcome,
            self.status,
            self.began,
            self.considered,
            self.first_byte,
            time.perf_counter() - self.clock,
        )
        try:
            self.brain.ended(exchange)
        except Exception as error:
            log.warning("the brain failed to learn from an answer: %s", type(error).__name__)
