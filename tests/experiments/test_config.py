"""Settings from texts: the annotated type decides, and what does not fit is named."""

from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from groundup.experiments.config import ConfigError, assignments, changed, from_json, settings
from groundup.runs.records import jsonable


@dataclass
class Inner:
    depth: int = 2


@dataclass
class Config:
    epochs: int = 40
    rate: float = 0.1
    deep: bool = False
    name: str = "relu"
    kind: Literal["sgd", "adam"] = "sgd"
    limit: float | None = None
    sizes: tuple[int, ...] = (64, 10)
    pair: tuple[int, float] = (1, 0.5)
    words: list[str] = field(default_factory=list)
    lr: dict[str, float] = field(default_factory=lambda: {"MLP": 0.03, "CNN": 0.01})
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("expected at least one epoch")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "5", 5),
        ("rate", "1e-3", 0.001),
        ("rate", "2", 2.0),
        ("deep", "yes", True),
        ("deep", "False", False),
        ("name", "gelu", "gelu"),
        ("kind", "adam", "adam"),
        ("limit", "none", None),
        ("limit", "0.5", 0.5),
        ("sizes", "64,32,10", (64, 32, 10)),
        ("sizes", "", ()),
        ("pair", "3, 0.25", (3, 0.25)),
        ("words", "a, b", ["a", "b"]),
        ("lr", "0.5", {"MLP": 0.5, "CNN": 0.5}),
        ("lr.CNN", "0.5", {"MLP": 0.03, "CNN": 0.5}),
        ("inner.depth", "7", Inner(7)),
    ],
)
def test_texts_become_values_of_the_annotated_type(name, text, value):
    found = getattr(changed(Config(), {name: text}), name.partition(".")[0])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("epochs", "many", ["epochs=many", "whole number"]),
        ("epochs", "1.5", ["whole number"]),
        ("epochs", "0", ["epochs=0", "at least one epoch"]),
        ("rate", "fast", ["rate=fast", "a number"]),
        ("deep", "perhaps", ["true or false"]),
        ("kind", "adma", ["sgd, adam"]),
        ("limit", "x", ["number", "none"]),
        ("pair", "1", ["1 values, expected 2"]),
        ("lr.CMN", "1", ["did you mean CNN"]),
        ("lr.CNN", "x", ["lr.CNN=x", "number"]),
        ("epoch", "5", ["did you mean epochs", "sizes"]),
        ("epochs.x", "5", ["no parts"]),
        ("inner", "5", ["inner.depth"]),
    ],
)
def test_what_does_not_fit_is_named(name, text, words):
    with pytest.raises(ConfigError) as caught:
        changed(Config(), {name: text})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["epochs", "=5", ""])
def test_an_assignment_has_an_equals_sign(text):
    with pytest.raises(ConfigError, match="FIELD=VALUE"):
        assignments([text])


@given(
    st.builds(
        Config,
        epochs=st.integers(1, 10**9),
        rate=st.floats(allow_nan=False, allow_infinity=False),
        deep=st.booleans(),
        limit=st.none() | st.floats(0, 1),
        sizes=st.lists(st.integers()).map(tuple),
        lr=st.fixed_dictionaries({"MLP": st.floats(0, 1), "CNN": st.floats(0, 1)}),
        inner=st.builds(Inner, depth=st.integers()),
    )
)
def test_what_was_stored_is_what_is_read(config):
    assert from_json(Config, jsonable(config)) == config


@given(st.integers(1, 99), st.floats(0, 1), st.booleans())
def test_what_settings_lists_can_be_set(epochs, rate, deep):
    config = Config(epochs=epochs, rate=rate, deep=deep)
    texts = {n: str(v).strip("()[]") for n, v in settings(config).items() if n != "words"}
    assert changed(Config(), texts) == config


def test_the_old_config_stays_as_it_is():
    config = Config()
    changed(config, {"lr.CNN": "1", "inner.depth": "9"})
    assert config == Config()


def test_a_setting_that_is_gone_is_refused():
    with pytest.raises(ConfigError, match="momentum"):
        from_json(Config, {"momentum": 0.9})
