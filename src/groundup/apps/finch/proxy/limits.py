"""How much the proxy takes, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import FinchError


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes and times in seconds; all above 0.

    Attributes:
        body: of a request; the API itself takes 32 MB.
        headers: of a request, names and values together.
        learned: of an answer that is learned from, as it came.
        query: characters of the user's text; of longer ones nothing is learned or answered here.
        connections: to the upstream, at one time; one more waits for `connect` seconds.
        idle: that a connection is kept open without a request.
        connect: to reach the upstream.
        write: that the upstream may take no byte of a request.
        read: that the upstream may send no byte of an answer; the clients' own limit is 600.
        receive: that a client may send no byte of its request.
        deadline: for the brain; after that the request is sent upstream.

    Raises:
        FinchError: a limit is not above 0.

    Example:
        >>> Limits().body
        33554432
        >>> Limits(read=0)
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: limit read=0: expected a number above 0
    """

    body: int = 32 << 20
    headers: int = 64 << 10
    learned: int = 256 << 10
    query: int = 8_000
    connections: int = 1_000
    idle: float = 20.0
    connect: float = 10.0
    write: float = 60.0
    read: float = 600.0
    receive: float = 60.0
    deadline: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise FinchError(f"limit {field.name}={value}: expected a number above 0")
