"""The name under which what is learned for one key is kept; the key itself goes nowhere else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping


def key_scope(headers: Mapping[str, str], salt: bytes, namespace: str = "") -> str:
    """A hash of the key of a request, which cannot be turned back without the salt.

    Args:
        headers: of the request, names in lower case. A key counts as the same in `x-api-key` and
            behind `Bearer`, so that a newer client finds what an older one has taught.
        salt: secret bytes of one home folder.
        namespace: keeps apart what one key does in several projects.

    Returns:
        32 hex digits; "" if the request has no key.

    Example:
        >>> old = key_scope({"x-api-key": "sk-1"}, b"salt")
        >>> old == key_scope({"authorization": "Bearer sk-1"}, b"salt")
        True
        >>> old == key_scope({"x-api-key": "sk-1"}, b"salt", "another")
        False
    """
    told = headers.get("authorization", "").strip()
    bearer = told[6:].strip() if told[:6].lower() == "bearer" else told
    keys = sorted({headers.get("x-api-key", "").strip(), bearer} - {""})
    if not keys:
        return ""
    parts = [namespace, *keys]
    joined = b"".join(len(part.encode()).to_bytes(8, "big") + part.encode() for part in parts)
    return hmac.new(salt, joined, hashlib.sha256).hexdigest()[:32]
