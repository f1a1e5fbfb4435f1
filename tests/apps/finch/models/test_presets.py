"""Presets: what they have, what they need, and when they are refused."""  # R14.7

import pytest

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models import PRESETS, build, preset
from groundup.apps.finch.models.memory import (
    check_memory,
    decoder_parameters,
    encoder_parameters,
    memory_free,
    memory_need,
)
from groundup.apps.finch.models.network import Decoder, Encoder, Sizes


@pytest.mark.parametrize(
    "sizes",
    [
        PRESETS["nano"].router,
        PRESETS["nano"].generator,
        Sizes(300, 7, 5, 12, 3, 4, 33, query=9, answer=5),
        Sizes(261, 64, 8, 16, 1, 1, 64, query=200, answer=1),
    ],
)
def test_parameters_are_those_of_the_real_modules(sizes: Sizes) -> None:
    assert decoder_parameters(sizes) == sum(p.numel() for p in Decoder(sizes).parameters())
    assert encoder_parameters(sizes) == sum(p.numel() for p in Encoder(sizes).parameters())


def test_the_documents_sizes_are_there_and_the_others_lie_between() -> None:
    counts = PRESETS["document"].parameters()
    assert counts["router"] == pytest.approx(500e6, rel=0.05)
    assert counts["generator"] == pytest.approx(7e9, rel=0.05)
    assert counts["validator"] == pytest.approx(500e6, rel=0.05)
    totals = [sum(one.parameters().values()) for one in PRESETS.values()]
    assert totals == sorted(totals)
    assert max(PRESETS["nano"].parameters().values()) < 1.2e6


def test_the_need_is_at_least_what_the_arrays_take() -> None:
    chosen = PRESETS["nano"]
    need = memory_need(*chosen)
    parameters = sum(chosen.parameters().values())
    assert need.weights + need.learning == 5 * 4 * parameters
    ensemble = build("nano")
    held = sum(
        p.numel() * 4
        for model in (ensemble.router, ensemble.generator, ensemble.validator)
        for net in (model.online.net, model.online.average)
        for p in net.parameters()
    )
    assert need.weights == held
    assert need.cache == Decoder(chosen.generator).make_cache(128).nbytes()


def test_what_does_not_fit_is_refused_before_anything_is_built() -> None:
    with pytest.raises(FinchError, match=r"'document' needs .* GiB.* can be had; choose a smaller"):
        build("document", available=8 * 2**30)
    with pytest.raises(FinchError, match=r"'nano' needs"):
        build("nano", available=1000)
    check_memory("nano", memory_need(*PRESETS["nano"]), available=2**30)
    assert 2**20 < memory_free() < 2**50


def test_a_name_that_there_is_not_is_refused() -> None:
    with pytest.raises(FinchError, match="expected one of nano, micro"):
        preset("huge")
