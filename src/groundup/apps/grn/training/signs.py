r"""Whether an edge activates or represses: a small head, learned from signs of known edges.

$$\Pr(+ \mid t, g) = \sigma\big(w_1 r_{tg} + w_2 m_t + b\big), \qquad
m_t = \log \frac{n_t^+ + 1}{n_t^- + 1}$$

$r$ is the correlation of TF and gene, and $m_t$ how much the TF leans to activation in training;
while the weights are fitted, an edge is left out of its own $m_t$. A logistic regression, apart
from the model that says whether there is an edge at all, so that neither bends the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..models.logistic import Logistic, fit_logistic
from ..task.problem import Known, Pairs

LEAST = 10
"""With fewer edges of either sign in training, no sign is learned."""


@dataclass(frozen=True, eq=False)
class SignHead:
    """Probabilities of activation.

    Attributes:
        fitted: of the correlation and the leaning.
        leaning: of each TF.

    Shape:
        leaning: (TFs,).
    """

    fitted: Logistic
    leaning: NDArray[np.float64]

    def __call__(
        self, pairs: Pairs, tfs: NDArray[np.int64], standardized: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Of activation, given that there is an edge.

        Args:
            pairs: the number of a TF, and the row of a gene.
            tfs: the row of each TF.
            standardized: expression of each gene with mean 0 and deviation 1.

        Shape:
            pairs: (pairs, 2), standardized: (genes, samples) -> (pairs,).
        """
        r = correlations(pairs, tfs, standardized)
        return self.fitted(np.column_stack([r, self.leaning[pairs[:, 0]]]))

    def activates(
        self, tfs: NDArray[np.int64], standardized: NDArray[np.float32], genes: slice
    ) -> NDArray[np.bool_]:
        """Whether activation is likelier, of all TFs with some genes.

        Shape:
            (TFs, some genes).
        """
        r = standardized[tfs] @ standardized[genes].T / standardized.shape[1]
        first, second = self.fitted.weights
        least = -(second * self.leaning + self.fitted.bias)
        return r * np.float32(first) >= least.astype(np.float32)[:, None]


def correlations(
    pairs: Pairs, tfs: NDArray[np.int64], standardized: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The correlation of TF and gene of each pair.

    Shape:
        pairs: (pairs, 2), standardized: (genes, samples) -> (pairs,).

    Example:
        >>> z = np.array([[1, -1], [-1, 1]], np.float32)
        >>> correlations(np.array([[0, 1]]), np.array([0]), z).tolist()
        [-1.0]
    """
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), 1024):
        some = pairs[start : start + 1024]
        product = standardized[tfs[some[:, 0]]] * standardized[some[:, 1]]
        found[start : start + 1024] = product.mean(axis=1, dtype=np.float64)
    return found


def fit_signs(known: Known) -> SignHead | None:
    """Learn signs from training edges.

    Args:
        known: what is known.

    Returns:
        None where fewer than `LEAST` edges activate or fewer repress.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> fit_signs(known) is None
        True
    """
    signs = np.where(known.edges, known.signs, 0)
    pairs = np.argwhere(signs)
    positive = signs[tuple(pairs.T)] > 0
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < LEAST:
        return None
    plus, minus = (signs > 0).sum(1), (signs < 0).sum(1)
    tf = pairs[:, 0]
    others = np.log((plus[tf] - positive + 1) / (minus[tf] - ~positive + 1))
    r = correlations(pairs, known.tfs, known.standardized)
    fitted = fit_logistic(np.column_stack([r, others]), positive, ridge=1.0)
    return SignHead(fitted, np.log((plus + 1) / (minus + 1)))
