r"""Have answers changed? More errors than were usual for stages so sure, lately.

Outcomes are grouped by how sure the stages are of the answer, and each group has a usual share of
errors $u$, from all before. With each forwarded request of outcome $e$ (1 if wrong) the evidence of
a change becomes

$$M \leftarrow (M + 1)\,\Bigl(1 + \lambda\,\frac{e - b}{b}\Bigr), \qquad b = u + \text{slack}$$

for several bets $\lambda$ in $(0, 1)$, the mean of which is looked at: a Shiryaev-Roberts
e-detector (Shin, Ramdas and Rinaldo 2023). While errors are as usual, or by less than the slack
more frequent, $M$ exceeds a limit on average no sooner than after as many requests. The groups are
by the stages' own scores and not by the combined one, since that is soon lower when answers change,
and then expects the errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BETS = np.array([0.1, 0.2, 0.4])
GROUPS = 10
LONGEST = 1000
"""Outcomes over which the usual share of a group is averaged."""
AFTER = 10
"""Outcomes that this average counts for after an alarm."""


class Drift:
    """A detector of change.

    Args:
        quiet: requests without change in which one false alarm is expected at most.
        slack: how much more errors than usual are let pass.

    Example:
        >>> drift = Drift()
        >>> any(drift.note(0.9, wrong=i % 10 == 0) for i in range(1000))
        False
        >>> [drift.note(0.9, wrong=True) for i in range(40)].index(True) < 40
        True
    """

    def __init__(self, quiet: float = 20_000.0, slack: float = 0.03) -> None:
        self.quiet, self.slack = quiet, slack
        self.alarms = 0
        self._evidence = np.zeros(len(BETS))
        self._wrong = np.ones(GROUPS)
        self._count = np.full(GROUPS, 2.0)

    def note(self, sureness: float, wrong: bool) -> bool:
        """Take in an outcome.

        Args:
            sureness: of the stages, from 0 to 1.
            wrong: whether the local answer differs from the remote one.

        Returns:
            Whether answers have changed; the evidence then starts from nothing again.
        """
        group = min(int(sureness * GROUPS), GROUPS - 1)
        base = min(self._wrong[group] / self._count[group] + self.slack, 1.0)
        self._evidence = (self._evidence + 1) * (1 + BETS * (wrong - base) / base)
        self._wrong[group] += wrong
        self._count[group] += 1
        self._hold(group, LONGEST)
        changed = bool(self._evidence.mean() >= self.quiet)
        if changed:
            self.alarms += 1
            self._evidence = np.zeros(len(BETS))
            for place in range(GROUPS):
                self._hold(place, AFTER)
        return changed

    def _hold(self, group: int, most: float) -> None:
        """Let the average of a group count for no more outcomes than so many."""
        if self._count[group] > most:
            self._wrong[group] *= most / self._count[group]
            self._count[group] = most

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "quiet": self.quiet, "slack": self.slack, "alarms": self.alarms,
            "evidence": self._evidence.tolist(), "wrong": self._wrong.tolist(),
            "count": self._count.tolist(),
        }  # fmt: skip

    @classmethod
    def from_state(cls, facts: dict[str, Any]) -> Drift:
        """The detector whose state this is."""
        drift = cls(facts["quiet"], facts["slack"])
        drift.alarms = facts["alarms"]
        drift._evidence = np.array(facts["evidence"])
        drift._wrong, drift._count = np.array(facts["wrong"]), np.array(facts["count"])
        return drift
