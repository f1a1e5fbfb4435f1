"""What is noted of one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..opinion import Opinion

DECISIONS = ("pass", "forward", "audit", "local")
"""What can become of a request.

- pass: it is of a kind that is never answered locally, and nothing is learned from it;
- forward: it was sent upstream because no local answer was good enough;
- audit: a local answer was good enough, but it was sent upstream to compare the two;
- local: it was answered locally.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One request and what was decided.

    Attributes:
        ident: the name by which it is found again; no two are equal.
        time: when it came, in seconds since 1970.
        decision: one of `DECISIONS`.
        reason: why, in plain words; never a part of the request.
        scope: of which key and namespace, as `Home.scope` gives it.
        namespace: of the scope, as it is called.
        task: the hash of everything but the user's text; "" where it does not matter.
        path: of the request.
        model: that was asked for.
        status: of the answer, as HTTP has it; 0 if the client left before.
        upstream: the name that the remote side gave to it; "" if none.
        score: the estimate that the local answer is right; None if there is none.
        propensity: the probability with which it was to be sent upstream.
        opinions: what each stage said.
        latencies: seconds by stage.
        input_tokens: that were sent upstream, or would have been.
        output_tokens: that came back, or would have.
        agreed: whether the local answer was as good as the remote one; None if not compared.
        query: the user's text, only if it is learned from.
        answer: the remote answer, only if it is learned from.

    Example:
        >>> record = Record("req_1", 0.0, "forward", "cold start", model="large")
        >>> record.propensity, record.query
        (1.0, None)
    """

    ident: str
    time: float
    decision: str
    reason: str
    scope: str = ""
    namespace: str = ""
    task: str = ""
    path: str = "/v1/messages"
    model: str = ""
    status: int = 200
    upstream: str = ""
    score: float | None = None
    propensity: float = 1.0
    opinions: Sequence[Opinion] = ()
    latencies: Mapping[str, float] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    agreed: bool | None = None
    query: str | None = None
    answer: str | None = None

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            raise ValueError(
                f"Record: decision {self.decision!r}, expected one of {', '.join(DECISIONS)}"
            )
