"""What the proxy asks of whoever thinks: may this be answered here, and see what became of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal, Protocol

from ..wire import Answer, Call

Outcome = Literal["local", "forwarded", "failed", "left"]


def new_ident() -> str:
    """A name for a request, which no other has.

    Example:
        >>> len(new_ident())
        24
    """
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a request.

    Attributes:
        ident: of the request.
        serve: True to answer with `text`, False to send the request upstream.
        text: of the local answer.
        reason: why, in plain words.
        input_tokens: as the local answer tells them.
        output_tokens: as the local answer tells them.

    Example:
        >>> Verdict(new_ident(), False, reason="cold start").serve
        False
    """

    ident: str
    serve: bool
    text: str = ""
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that is over.

    Attributes:
        call: what was asked.
        scope: hash of the key, as `key_scope` makes it.
        verdict: of the brain; the proxy's own, with the reason, if the brain was not asked or
            failed.
        answer: the remote answer, if it is whole and may be learned from.
        outcome: "local"; "forwarded", whatever the status; "failed" if the upstream could not be
            reached or died; "left" if the client was gone first.
        status: that the client was sent; 0 if none.
        began: seconds since 1970.
        considered: seconds until the verdict.
        first_byte: seconds until the first byte of the answer's body was passed on; 0 if none was.
        total: seconds.

    Example:
        >>> call = Call("/v1/messages", "", "", "", False, None, "it has tools", 0)
        >>> Exchange(call, "", Verdict("1", False), None, "left", 0, 0.0, 0.0, 0.0, 0.1).outcome
        'left'
    """

    call: Call
    scope: str
    verdict: Verdict
    answer: Answer | None
    outcome: Outcome
    status: int
    began: float
    considered: float
    first_byte: float
    total: float


class Brain(Protocol):
    """Who decides, and who learns.

    Example:
        >>> brain: Brain = Silent()
    """

    async def consider(self, call: Call, scope: str) -> Verdict:
        """Whether to answer a request here.

        Asked only of requests that an answer made here may serve, and not of a client's second
        try. If it raises, or is not done before `Limits.deadline`, the request is sent upstream.
        It runs in the server's loop: what takes long must be awaited, not computed.

        Args:
            call: with `must_forward` None.
            scope: hash of the key; what is known in one scope must not serve another.
        """
        ...

    def ended(self, exchange: Exchange) -> None:
        """A message was answered, here or there, or was not.

        Called once for every request to `/v1/messages` that is not a client's second try. Must
        return at once: it stands in the server's loop.
        """
        ...


class Silent:
    """A brain that sends everything upstream and learns nothing.

    Example:
        >>> import asyncio
        >>> call = Call("/v1/messages", "m", "hi", "1f", False, 9, None, 0)
        >>> asyncio.run(Silent().consider(call, "")).serve
        False
    """

    async def consider(self, call: Call, scope: str) -> Verdict:
        """Send it upstream."""
        return Verdict(new_ident(), False, reason="nothing is learned")

    def ended(self, exchange: Exchange) -> None:
        """Learn nothing."""
