import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup import nn
from groundup.training import (
    accuracy,
    binary_accuracy,
    evaluate,
    mean_absolute_error,
    predict,
    top_k_accuracy,
)


@given(st.integers(1, 30), st.integers(1, 9))
def test_the_size_of_the_batches_does_not_matter(n: int, batch_size: int) -> None:
    g = gu.Generator(n)
    x, y = gu.randn(n, 3, generator=g), gu.randint(0, 3, (n,), generator=g)
    model = nn.Linear(3, 3)
    metrics = {"loss": nn.functional.cross_entropy, "accuracy": accuracy}
    batches = [(x[i : i + batch_size], y[i : i + batch_size]) for i in range(0, n, batch_size)]
    found = evaluate(model, batches, metrics)
    whole = {name: float(metric(model(x), y)) for name, metric in metrics.items()}
    assert found.keys() == whole.keys()
    assert np.allclose(list(found.values()), list(whole.values()), rtol=1e-5)
    outputs, targets = predict(model, batches)
    assert gu.allclose(outputs, model(x).detach(), atol=1e-6)
    assert gu.equal(targets, y)


def test_modes_are_given_back_module_by_module() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model[1].eval()  # frozen, as in fine-tuning
    before = model[1].running_mean.clone()
    batch = (gu.ones(4, 2), gu.ones(4, 2))
    first = evaluate(model, [batch], {"error": mean_absolute_error})
    assert [m.training for m in model] == [True, False, True]
    assert gu.equal(model[1].running_mean, before)
    assert first == evaluate(model, [batch], {"error": mean_absolute_error})  # no dropout

    def fail(output: gu.Tensor, target: gu.Tensor) -> float:
        assert not output.requires_grad
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(model, [batch], {"fail": fail})
    assert [m.training for m in model] == [True, False, True]
    assert gu.is_grad_enabled()


def test_no_data() -> None:
    for function in (lambda: evaluate(nn.Identity(), [], {}), lambda: predict(nn.Identity(), [])):
        with pytest.raises(ValueError, match="the data gave no batch"):
            function()


@given(st.integers(1, 20), st.integers(2, 6), st.integers(1, 3), st.data())
def test_accuracies_agree_with_sorting(n: int, classes: int, places: int, data) -> None:
    g = gu.Generator(data.draw(st.integers(0, 99)))
    scores = gu.randn(n, classes, places, generator=g)
    target = gu.randint(0, classes, (n, places), generator=g)
    # The rank of the right class among the scores of its example, 0 for the highest.
    s, t = scores.numpy(), target.numpy()[:, None]
    rank = (s > np.take_along_axis(s, t, axis=1)).sum(1)
    assert np.isclose(accuracy(scores, target), (rank == 0).mean())
    for k in range(1, classes + 1):
        assert np.isclose(top_k_accuracy(scores, target, k), (rank < k).mean())


def test_binary_accuracy_by_logits_and_by_probabilities() -> None:
    g = gu.Generator(0)
    logits, target = gu.randn(50, generator=g), gu.randint(0, 2, (50,), generator=g)
    right = ((logits.numpy() > 0) == (target.numpy() == 1)).mean()
    assert np.isclose(binary_accuracy(logits, target), right)
    assert np.isclose(binary_accuracy(logits.sigmoid(), target, threshold=0.5), right)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"scores \(N, C, ...\) and class numbers"):
        accuracy(gu.ones(4, 3), gu.ones(4, 1).long())
    with pytest.raises(ValueError, match="k is 4, expected 1 to 3"):
        top_k_accuracy(gu.ones(4, 3), gu.ones(4).long(), k=4)
    for metric in (binary_accuracy, mean_absolute_error):
        with pytest.raises(ValueError, match="expected the same shape"):
            metric(gu.ones(4, 1), gu.ones(4))
