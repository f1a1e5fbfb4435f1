"""Settings: which source counts, and what is refused in which words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from groundup.apps.finch import settings as settings_
from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.mind.settings import MindSettings
from groundup.apps.finch.models.presets import PRESETS
from groundup.apps.finch.settings import KNOWN, Settings, misspelled, read_settings

UP = "https://api.example.com"
KEY = "sk-planted-1234567890"


def read(flags: dict[str, Any] | None = None, variables: dict[str, str] | None = None) -> Settings:
    return read_settings({"upstream": UP, **(flags or {})}, variables or {})


@pytest.mark.parametrize("file", [False, True])
@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("flag", [False, True])
def test_a_flag_beats_a_variable_beats_a_file_beats_the_default(
    tmp_path: Path, file: bool, variable: bool, flag: bool
) -> None:
    place = tmp_path / "finch.toml"
    place.write_text(f'upstream = "{UP}"\n' + ("delta = 0.03\n" if file else ""))
    found = read_settings(
        {"home": str(tmp_path), "delta": 0.01 if flag else None},
        {"FINCH_DELTA": "0.02"} if variable else {},
    )
    expected = [
        (flag, 0.01, "the flag --delta"),
        (variable, 0.02, "the variable FINCH_DELTA"),
        (file, 0.03, f"the file {place}"),
        (True, 0.05, "the default"),
    ]
    _, value, source = next(one for one in expected if one[0])
    assert (found.delta, found.source("delta")) == (value, source)
    assert found.source("upstream") == f"the file {place}"
    assert (f"delta from {source}" in found.summary()) == (source != "the default")


# As text (a variable), as TOML, and what it becomes.
VALUES: dict[str, tuple[str, str, Any]] = {
    "upstream": (f"{UP}/base/", f'"{UP}/base/"', f"{UP}/base"),
    "host": ("::1", '"::1"', "::1"),
    "port": ("0", "0", 0),
    "allow_host": ("Finch.lan, box", '["finch.lan", "box"]', ("finch.lan", "box")),
    "home": ("/srv/finch", '"/srv/finch"', Path("/srv/finch")),
    "namespace": ("support", '"support"', "support"),
    "delta": ("1e-3", "0.001", 0.001),
    "confidence": ("0.99", "0.99", 0.99),
    "cold_start": ("10", "10", 10),
    "conservative": ("1_000", "1_000", 1000),
    "audit_start": ("0.3", "0.3", 0.3),
    "audit_floor": ("0.01", "0.01", 0.01),
    "models": ("no", "false", False),
    "preset": ("small", '"small"', "small"),
    "patience": ("2.5", "2.5", 2.5),
    "prices": ("a-1=3/15, b=.5/1",
               '{ "a-1" = { input = 3, output = 15 }, b = { input = 0.5, output = 1 } }',
               {"a-1": (3.0, 15.0), "b": (0.5, 1.0)}),
    "currency": ("EUR", '"EUR"', "EUR"),
    "max_body": ("8 MB", '"8 MB"', 8_000_000),
    "longest_query": ("100", "100", 100),
    "max_tasks": ("7", "7", 7),
    "learning": ("off", "false", False),
    "share": ("1", "1", 1.0),
    "keep_texts": ("0", "0", 0.0),
    "keep_requests": ("5000", "5000", 5000),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_every_setting_is_read_from_everywhere(tmp_path: Path, name: str) -> None:
    text, toml, expected = VALUES[name]
    base = {} if name == "upstream" else {"upstream": UP}
    place = tmp_path / "my.toml"
    place.write_text(f"{name} = {toml}\n")
    of_file = read_settings({**base, "settings": place}, {})
    of_variable = read_settings(base, {f"FINCH_{name.upper()}": text})
    of_flag = read_settings({**base, name: text}, {})
    for found in (of_file, of_variable, of_flag):
        assert getattr(found, name) == expected
    assert getattr(of_flag, name) != KNOWN[name].default
    assert name in of_file.sources
    assert KNOWN[name].metadata["what"]


WRONG: dict[str, list[Any]] = {
    "upstream": ["", "api.example.com", "ftp://x", "https://", "https://x:99999", "https://a b",
                 "https://x?y=1", "https://x#y", f"https://user:{KEY}@x", 5],
    "host": ["", "a b", 5],
    "port": ["-1", "65536", "http", 80.5, True, "tcp://10.0.0.1:80"],
    "allow_host": ["", "a b", "a,,b", "finch.lan:80", "http://finch.lan", 5, [5], ["a,b"]],
    "home": ["", 5],
    "namespace": ["a\nb", "x" * 101, 5],
    "delta": ["0", "1", "nan", "inf", "five", True, None.__class__],
    "cold_start": ["-1", "2.5", "1e3"],
    "preset": ["pico", "Nano", 5],
    "patience": ["0", "60001", "long"],
    "prices": ["a", "a=3", "a=3/x", "a=-1/2", "=3/4", {"a": 3}, {"a": {"input": 3}}, 5,
               {"a": {"input": 3, "output": float("nan")}}],
    "max_body": ["0", "999", "2 GB", "1.5 MB", "32 MiB", True],
    "learning": ["maybe", 2],
    "share": ["0", "1.1"],
    "keep_texts": ["-1"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, all_ in WRONG.items() for v in all_])
def test_a_wrong_value_is_named_with_its_source_and_what_was_expected(
    name: str, value: Any
) -> None:
    with pytest.raises(FinchError) as raised:
        read({name: value})
    words = str(raised.value)
    assert words.startswith(f"{name} is ")
    assert f"(the flag --{name.replace('_', '-')}), expected " in words
    assert KEY not in words


@given(st.sampled_from(list(KNOWN)), st.text(max_size=30) | st.integers() | st.floats())
def test_anything_is_read_or_refused(name: str, value: Any) -> None:
    try:
        found = read({name: value})
    except FinchError:
        return
    assert getattr(found, name) is not None
    assert found.source(name) == f"the flag --{name.replace('_', '-')}"
    assert found.summary()


def test_settings_that_do_not_fit_together_are_refused() -> None:
    for flags, words in (
        ({"audit_floor": 0.6}, r"audit_floor is 0.6 \(the flag --audit-floor\), expected no more "
                               r"than audit_start, which is 0.5 \(the default\)"),
        ({"cold_start": 300}, "cold_start is 300 .*expected no more than conservative"),
        ({"upstream": "http://localhost:8060"}, "which is this server itself"),
        ({"upstream": "http://10.0.0.7", "host": "10.0.0.7", "port": 80}, "this server itself"),
    ):  # fmt: skip
        with pytest.raises(FinchError, match=words):
            read(flags)
    assert read({"upstream": "http://localhost:8061"}).upstream == "http://localhost:8061"


def test_a_missing_upstream_is_told_but_not_to_those_who_forward_nothing(tmp_path: Path) -> None:
    with pytest.raises(FinchError, match=r"upstream is not set, expected .*--upstream https://"):
        read_settings({"home": tmp_path}, {})
    assert read_settings({"home": tmp_path}, {}, serving=False).upstream == ""


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    place = tmp_path / "finch.toml"
    for line, words in (
        ("dleta = 0.1", "'dleta' is no setting; did you mean delta?"),
        ("[price]\nx = 1", "did you mean prices?"),
        ("qqqqqq = 1", "expected one of upstream, host, port"),
        (f'api_key = "{KEY}"', "Finch takes no key: the client sends its own"),
        (f'auth_token = "{KEY}"', "Finch takes no key"),
        (f'upstream = "https://{KEY}@x"', "without user, password"),
    ):
        place.write_text(line)
        with pytest.raises(FinchError) as raised:
            read_settings({"home": tmp_path}, {})
        assert words in str(raised.value)
        assert str(place) in str(raised.value)
        assert KEY not in str(raised.value)
    with pytest.raises(FinchError, match="the flag --dleta: there is no such setting"):
        read({"dleta": 0.1})


def test_variables_that_are_none_are_told_without_their_values() -> None:
    found = misspelled({"FINCH_DETLA": "1", "FINCH_API_KEY": KEY, "FINCH_PORT": "1", "HOME": "/"})
    assert found == [
        "FINCH_API_KEY is no setting; Finch takes no key: the client sends its own with each "
        "request",
        "FINCH_DETLA is no setting; did you mean FINCH_DELTA?",
    ]


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    place = tmp_path / "x.toml"
    for content, words in ((b"delta = ", "is no TOML: .*end of document"), (b"\xff", "is no TOML"),
                           (b"a = [" + b"[" * 5000, "is no TOML")):  # fmt: skip
        place.write_bytes(content)
        with pytest.raises(FinchError, match=words):
            read({"settings": place})
    with pytest.raises(FinchError, match=r"none\.toml: No such file"):
        read({}, {"FINCH_SETTINGS": str(tmp_path / "none.toml")})
    with pytest.raises(FinchError, match="File name too long"):
        read({"home": "x" * 5000})
    (tmp_path / "finch.toml").write_text('home = "/elsewhere"')
    with pytest.raises(FinchError, match="home cannot be set in the home's own file"):
        read({"home": tmp_path})


def test_it_is_told_what_will_happen() -> None:
    words = " ".join(read({"delta": 0.02, "port": 9000}).summary().split())
    for part in (UP, "http://127.0.0.1:9000/finch/", "at most 2 % of the answers", "passed on",
                 "never stored", "50 requests of each task", "30 days", "`finch purge`",
                 ):  # fmt: skip
        assert part in words
    assert "Note:" not in words
    paused = read({"learning": "off", "host": "0.0.0.0", "upstream": "http://other.example"})
    words = " ".join(paused.summary().split())
    assert "is not encrypted" in words
    assert "Anyone who can reach 0.0.0.0" in words
    assert "Learning is paused" in words


def test_no_setting_holds_a_secret_and_settings_do_not_change() -> None:
    found = read()
    assert not [name for name in KNOWN if settings_.SECRET.search(name)]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.delta = 0.5  # type: ignore[misc]
    json.dumps({name: str(getattr(found, name)) for name in KNOWN})


def test_names_and_defaults_are_those_of_the_rooms_that_use_them() -> None:
    assert tuple(PRESETS) == settings_.PRESETS
    mind = MindSettings()
    for name in ("delta", "confidence", "cold_start", "conservative", "audit_start",
                 "audit_floor", "models", "preset", "longest_query"):  # fmt: skip
        assert getattr(read(), name) == getattr(mind, name)
