"""What is refused before anything is read of it: with a status and words that say what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from .limits import Limits

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
Refusal = tuple[int, str]


class OwnNames:
    """The `Host` headers of a proxy that only this computer can reach.

    A web page can make its own name point to 127.0.0.1 (DNS rebinding); then `Host` has that name.

    Args:
        others: further names, such as that of a container.

    Example:
        >>> names = OwnNames(["finch"])
        >>> "localhost:8080" in names, "[::1]:1" in names, "finch" in names, "evil.example" in names
        (True, True, True, False)
    """

    def __init__(self, others: Container[str] = ()) -> None:
        self._others = others

    def __contains__(self, header: object) -> bool:
        found = _HOST.fullmatch(header) if isinstance(header, str) else None
        if found is None:
            return False
        name = found["name"].lower().removesuffix(".")
        if name == "localhost" or name in self._others:
            return True
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return False


def refusal(scope: Scope, limits: Limits, hosts: Container[str] | None) -> Refusal | None:
    """Status and words with which a request is refused; None if it is not.

    Args:
        scope: of the request, as ASGI tells it.
        limits: of sizes.
        hosts: the `Host` headers that are accepted; None for any.

    Example:
        >>> scope = {"headers": [(b"host", b"evil.example")], "raw_path": b"/v1/models"}
        >>> refusal(scope, Limits(), OwnNames())[0]
        421
    """
    pairs: list[tuple[bytes, bytes]] = scope["headers"]
    names = [value for name, value in pairs if name == b"host"]
    if hosts is not None and (len(names) != 1 or names[0].decode("latin-1") not in hosts):
        words = "use the address that it printed, or start it with --allow-host and this name"
        return 421, f"the Host header is not a name of this proxy; {words}"
    if sum(len(name) + len(value) for name, value in pairs) > limits.headers:
        return 431, f"headers of more than {limits.headers:,} bytes; send fewer"
    lengths = {value for name, value in pairs if name == b"content-length"}
    if len(lengths) > 1 or not all(_is_length(length) for length in lengths):
        return 400, "the Content-Length header is not one whole number"
    if any(int(length) > limits.body for length in lengths):
        return 413, f"a body of more than {limits.body:,} bytes; send less"
    if any(part in (b".", b"..") for part in unquote_to_bytes(scope["raw_path"]).split(b"/")):
        return 400, "an address with . or .. as a part; write it without"
    return None


def _is_length(value: bytes) -> bool:
    return 0 < len(value) < 16 and value.isdigit()
