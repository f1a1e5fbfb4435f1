"""All that is measured of one method on one set of questions.

Probabilities and the threshold come from validation pairs; everything else is measured on test
pairs, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..task.metrics import (
    at_threshold,
    auprc,
    auroc,
    best_threshold,
    by_group,
    calibration_error,
    early_precision,
    mean_reciprocal_rank,
    precision_at,
)
from ..task.questions import Questions
from .calibrate import isotonic

Numbers = NDArray[np.float64]

METRICS: Mapping[str, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_ratio": "AUPRC ratio",
    "early_precision": "Early precision",
    "precision_at_100": "Precision at 100",
    "auroc_by_tf": "Median AUROC by TF",
    "mrr": "MRR",
    "calibration_error": "Calibration error",
    "accuracy": "Accuracy",
    "f1": "F1",
}
"""What is measured, and what it is called."""


def measure(
    questions: Questions, validation: Numbers, test: Numbers
) -> tuple[dict[str, float], Numbers]:
    """Measure scores.

    Args:
        questions: the pairs and labels.
        validation: scores of the validation pairs.
        test: scores of the test pairs.

    Shape:
        validation, test: (pairs,).

    Returns:
        (numbers by the names of `METRICS` and ``prevalence`` and ``threshold``, probabilities of
        the test pairs). Of no TF with both kinds of pairs, ``auroc_by_tf`` is NaN.

    Raises:
        ValueError: scores that are not finite, or too few or many.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.questions import draw_questions
        >>> asked = draw_questions(example_problem(), "gene", "matched", 0)
        >>> zeros = np.zeros(len(asked.validation)), np.zeros(len(asked.test))
        >>> found, probabilities = measure(asked, *zeros)
        >>> found["auroc"], found["auprc_ratio"], bool((probabilities == 0.5).all())
        (0.5, 1.0, True)
    """
    labels, tfs = questions.test_labels, questions.test[:, 0]
    threshold = best_threshold(questions.validation_labels, validation)
    probabilities = isotonic(questions.validation_labels, validation)(test)
    called = at_threshold(labels, test, threshold)
    by_tf = by_group(auroc, labels, test, tfs)
    area, prevalence = auprc(labels, test), float(labels.mean())
    found = {
        "auroc": auroc(labels, test),
        "auprc": area,
        "auprc_ratio": area / prevalence,
        "early_precision": early_precision(labels, test),
        "precision_at_100": precision_at(labels, test, 100),
        "auroc_by_tf": float(np.median(by_tf)) if len(by_tf) else float("nan"),
        "mrr": mean_reciprocal_rank(labels, test, tfs),
        "calibration_error": calibration_error(labels, probabilities),
        "accuracy": called["accuracy"],
        "f1": called["f1"],
        "prevalence": prevalence,
        "threshold": threshold,
    }
    return found, probabilities
