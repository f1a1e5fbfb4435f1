"""Experiments: each a file that states claims, measures them, and says which hold.

What a file of this package needs to be one is told in `experiment`; it imports::

    from groundup.experiments import Claim, Results, Trial, Tuned

and `foundations.digits` is an example. `groundup list` finds it; nothing is registered.
"""

from .claims import Claim, Finding, judge
from .experiment import Experiment, ExperimentError, Tuned, entries, load
from .runner import Results, run_seeds, try_out
from .trial import Outcome, Trial

__all__ = [
    "Claim",
    "Experiment",
    "ExperimentError",
    "Finding",
    "Outcome",
    "Results",
    "Trial",
    "Tuned",
    "entries",
    "judge",
    "load",
    "run_seeds",
    "try_out",
]
