"""The demonstration: a stand-in for the remote API, a server before it, and a client, all real.

Requests go over HTTP as a client would send them, one after another; what comes back is compared
with the truth, which is known here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import uvicorn

from ..proxy import listen
from .clinc150 import INSTRUCTION
from .upstream import fake_upstream

MODEL = "stand-in"
KEY = "of-nobody"
DELAY = 0.01
"""Seconds that the stand-in takes, little beside a remote model, but time enough to learn."""


@dataclass(slots=True)
class Seen:
    """What a client has seen of so many requests.

    Attributes:
        requests: that were sent.
        local: of them, answered by the server itself.
        wrong: of these, answers that are not those of the remote side.

    Example:
        >>> seen = Seen()
        >>> seen.add(local=True, right=False)
        >>> seen.forward_rate, seen.error
        (0.0, 1.0)
    """

    requests: int = 0
    local: int = 0
    wrong: int = 0

    def add(self, *, local: bool, right: bool) -> None:
        """A request more."""
        self.requests += 1
        self.local += local
        self.wrong += local and not right

    @property
    def forward_rate(self) -> float:
        """The share that went upstream."""
        return 1 - self.local / max(self.requests, 1)

    @property
    def error(self) -> float:
        """The share of wrong answers among the local ones; 0 if there were none."""
        return self.wrong / max(self.local, 1)


@contextmanager
def upstream(answers: Mapping[str, str], delay: float = DELAY) -> Iterator[str]:
    """The stand-in on a free port of this computer, in a thread; its address.

    Args:
        answers: by the text of a request.
        delay: seconds before an answer begins.

    Example:
        >>> with upstream({"hi": "hello"}) as address:
        ...     body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        ...     httpx2.post(f"{address}/v1/messages", json=body).json()["content"][0]["text"]
        'hello'
    """
    with listen() as listener:
        server = uvicorn.Server(
            uvicorn.Config(fake_upstream(answers, delay), log_level="warning", access_log=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def send(
    address: str, requests: Sequence[tuple[str, str]], instruction: str = INSTRUCTION
) -> Iterator[Seen]:
    """Send requests to a server, one after another.

    Args:
        address: of the server.
        requests: the texts, and the answers that the remote side would give.
        instruction: the system prompt of all.

    Yields:
        What was seen so far, after each; always the same object.

    Raises:
        httpx2.HTTPError: the server does not answer, or answers with an error.
    """
    seen = Seen()
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    with httpx2.Client(base_url=address, headers=headers, timeout=60) as client:
        for query, answer in requests:
            reply = client.post(
                "/v1/messages",
                json={
                    "model": MODEL,
                    "max_tokens": 16,
                    "temperature": 0,
                    "system": instruction,
                    "messages": [{"role": "user", "content": query}],
                },
            ).raise_for_status()
            text = reply.json()["content"][0]["text"]
            seen.add(local=reply.headers["x-finch"] == "local", right=text == answer)
            yield seen
