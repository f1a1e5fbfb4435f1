"""CLINC150: 23,700 requests to an assistant, each with one of 150 intents or ``oos``, none of them.

Larson et al. (2019), "An evaluation dataset for intent classification and out-of-scope prediction",
https://github.com/clinc/oos-eval; licensed under Creative Commons Attribution 3.0. All parts of it,
in one table, sorted.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "clinc150.tsv.xz"
CREDIT = "CLINC150 (Larson et al., 2019), CC BY 3.0"
INSTRUCTION = (
    "Name the intent of the user's message in one word, such as transfer or book_flight; oos if "
    "there is none that fits. Answer with that word alone."
)
"""What a client would say, for these answers to come back."""


def load_clinc150(seed: int | None = None) -> list[tuple[str, str]]:
    """All requests and their intents.

    Args:
        seed: of the order; None leaves them sorted by intent.

    Returns:
        (request, intent) of each.

    Example:
        >>> requests = load_clinc150(seed=0)
        >>> len(requests), len({intent for _, intent in requests})
        (23700, 151)
    """
    text = lzma.decompress(FILE.read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines()]
    pairs = [(request, intent) for intent, request in rows]
    if seed is None:
        return pairs
    return [pairs[place] for place in np.random.default_rng(seed).permutation(len(pairs))]
