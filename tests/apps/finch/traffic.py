"""Traffic that is made up: a few topics said in many ways."""

from __future__ import annotations

import numpy as np

TOPICS = {
    "balance": ["what is my balance", "how much money do i have", "show the balance please"],
    "freeze": ["freeze my card", "please block the card now", "my card was stolen block it"],
    "music": ["play some music", "put on a song", "play the next song please"],
    "weather": ["will it rain today", "what is the weather", "is it cold outside"],
}
PAIRS = [(query, answer) for answer, queries in TOPICS.items() for query in queries]


def some_traffic(count: int, seed: int = 0, noise: float = 0.0) -> list[tuple[str, str]]:
    """Queries of the topics with a word of no meaning put into each.

    Args:
        count: of queries.
        seed: of all that is drawn.
        noise: share of queries that mean nothing, and have any of the answers.
    """
    random = np.random.default_rng(seed)
    answers = list(TOPICS)
    out = []
    for _ in range(count):
        query, answer = PAIRS[random.integers(len(PAIRS))]
        if random.random() < noise:
            query = " ".join(f"x{n}" for n in random.integers(0, 40, 4))
            answer = answers[random.integers(len(answers))]
        words = query.split()
        words.insert(int(random.integers(len(words) + 1)), f"w{random.integers(300)}")
        out.append((" ".join(words), answer))
    return out
