"""Which headers pass through a proxy (RFC 9110, section 7.6.1), and how they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Pairs = Iterable[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Between two neighbours only."""
_OURS = frozenset({b"host", b"content-length", b"expect"})
"""Of a request, which this side writes itself."""


def as_mapping(pairs: Pairs) -> dict[str, str]:
    """Names in lower case; the values of one name joined by commas.

    Example:
        >>> as_mapping([(b"Accept", b"a"), (b"accept", b"b")])
        {'accept': 'a, b'}
    """
    found: dict[str, str] = {}
    for raw, value in pairs:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def to_upstream(pairs: Pairs) -> list[tuple[bytes, bytes]]:
    """The headers of a request that are sent on: not host and length, nor those of this proxy.

    Example:
        >>> to_upstream([(b"host", b"localhost"), (b"x-api-key", b"k"), (b"x-finch", b"off")])
        [(b'x-api-key', b'k')]
    """
    return [
        (name, value)
        for name, value in _end_to_end(pairs)
        if name not in _OURS and not name.startswith(b"x-finch")
    ]


def to_client(pairs: Pairs) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that are sent on, unchanged.

    Example:
        >>> to_client([(b"Connection", b"close, x-hop"), (b"X-Hop", b"1"), (b"Retry-After", b"3")])
        [(b'retry-after', b'3')]
    """
    return [(name, value) for name, value in _end_to_end(pairs) if not name.startswith(b"x-finch")]


def _end_to_end(pairs: Pairs) -> Iterator[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in pairs]
    dropped = HOP_BY_HOP
    for name, value in lowered:
        if name == b"connection":
            dropped = dropped | {word.strip().lower() for word in value.split(b",")}
    return ((name, value) for name, value in lowered if name not in dropped)
