"""Settings of `finch serve`: from flags, the environment, a file, or the defaults, in this order.

    finch serve --upstream https://api.example.com --delta 0.02
    FINCH_DELTA=0.02
    delta = 0.02            # in finch.toml

The file is that of `--settings`, of FINCH_SETTINGS, or `finch.toml` in the home. Each value knows
where it came from. There is no setting for a key: the client sends its own with every request.
"""

from __future__ import annotations

import math
import os
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import FinchError

PREFIX = "FINCH_"
PRESETS = ("nano", "micro", "small", "medium", "large", "document")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECRET = re.compile(r"key|token|secret|password|authorization", re.IGNORECASE)
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
TRUTH = {"true": True, "on": True, "yes": True, "1": True,
         "false": False, "off": False, "no": False, "0": False}  # fmt: skip

Prices = Mapping[str, tuple[float, float]]


# Reading one value. What cannot be read is a ValueError that says what was expected.


def _number(low: float, high: float, *, open_: bool = True) -> Callable[[Any], float]:
    words = f"a number between {low:g} and {high:g}" if open_ else f"{low:g} to {high:g}"

    def read(given: Any) -> float:
        try:
            value = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            value = math.nan
        if not (low < value < high if open_ else low <= value <= high):
            raise ValueError(words)
        return value

    return read


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(given: Any) -> int:
        text = given.replace("_", "") if isinstance(given, str) else given
        try:
            value = int(text)
        except (TypeError, ValueError, OverflowError):
            value = low - 1
        if isinstance(given, bool | float) or not low <= value <= high:
            raise ValueError(f"a whole number from {low:,} to {high:,}")
        return value

    return read


def _bytes(given: Any) -> int:
    found = re.fullmatch(r"(\d{1,18}) ?([kmg]?b?)", str(given).strip().lower())
    unit = found[2] if found else ""
    if found is None or isinstance(given, bool | float) or unit not in UNITS:
        raise ValueError("bytes, such as 33554432 or '32 MB'")
    value = int(found[1]) * UNITS[unit]
    if not 1000 <= value <= 10**9:
        raise ValueError("1 kB to 1 GB")
    return value


def _truth(given: Any) -> bool:
    found = given if isinstance(given, bool) else TRUTH.get(str(given).strip().lower())
    if found is None:
        raise ValueError("true or false")
    return found


def _name(given: Any) -> str:
    if not isinstance(given, str) or len(given) > 100 or not (given + "x").isprintable():
        raise ValueError("up to 100 printable characters")
    return given


def _preset(given: Any) -> str:
    if given not in PRESETS:
        raise ValueError(f"one of {', '.join(PRESETS)}")
    return str(given)


def _folder(given: Any) -> Path:
    if not isinstance(given, str | os.PathLike) or not str(given) or "\0" in str(given):
        raise ValueError("a folder")
    return Path(given).expanduser()


def _host(given: Any) -> str:
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", given):
        raise ValueError("an address to listen on, such as 127.0.0.1")
    return given


def _hosts(given: Any) -> tuple[str, ...]:
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError('names such as finch.lan, with commas between; in a file ["finch.lan"]')
    found = tuple(name.strip().lower() for name in names)
    if wrong := [name for name in found if not re.fullmatch(r"[a-z0-9._-]{1,253}", name)]:
        raise ValueError(f"names without port and address, such as finch.lan, not {wrong[0]!r}")
    return found


def _upstream(given: Any) -> str:
    words = "an address such as https://api.example.com, without user, password, ? and #"
    try:
        found = urlsplit(given if isinstance(given, str) else "")
        whole = found.scheme in ("http", "https") and bool(found.hostname)
        whole = whole and (found.port or 1) > 0 and not re.search(r"[\s\\]", given)
    except ValueError:
        whole = False
    if not whole or found.username is not None or found.query or found.fragment:
        raise ValueError(words)
    return str(given).rstrip("/")


def _prices(given: Any) -> Prices:
    words = "input and output costs of a million tokens: [prices.MODEL] input = 3, output = 15"
    if isinstance(given, str):  # a flag or a variable: MODEL=3/15,OTHER=1/5
        words = "MODEL=INPUT/OUTPUT,... with costs of a million tokens, such as large=3/15"
        parts = [part.rpartition("=") for part in given.split(",") if part.strip()]
        given = {
            name.strip(): dict(zip(("input", "output"), costs.split("/"), strict=False))
            for name, _, costs in parts
        }
    if not isinstance(given, Mapping):
        raise ValueError(words)
    cost = _number(0, 1e9, open_=False)
    found: dict[str, tuple[float, float]] = {}
    for name, costs in given.items():
        if not name or not isinstance(costs, Mapping) or set(costs) != {"input", "output"}:
            raise ValueError(words)
        try:
            found[name] = cost(costs["input"]), cost(costs["output"])
        except ValueError:
            raise ValueError(words) from None
    return found


def _about(read: Callable[[Any], Any], what: str) -> dict[str, Any]:
    return {"read": read, "what": what}


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's data in which Finch has its home.

    Example:
        >>> data_folder({"XDG_DATA_HOME": "/data"})
        PosixPath('/data/finch')
    """
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/finch").expanduser()
    data = environment.get("XDG_DATA_HOME", "")
    # The base directory specification: what is not absolute is ignored.
    return (Path(data) if os.path.isabs(data) else Path("~/.local/share").expanduser()) / "finch"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `finch serve` was told; `read_settings` makes it.

    Attributes:
        sources: where each value came from, in words; a name that is missing has its default.

    Example:
        >>> settings = read_settings({"upstream": "https://api.example.com"}, {})
        >>> settings.delta, settings.source("delta"), settings.source("upstream")
        (0.05, 'the default', 'the flag --upstream')
    """

    upstream: str = field(metadata=_about(_upstream, "where requests are forwarded to"))
    host: str = field(default="127.0.0.1", metadata=_about(_host, "address to listen on"))
    port: int = field(
        default=8060, metadata=_about(_whole(0, 65535), "port to listen on; 0 takes a free one")
    )
    allow_host: tuple[str, ...] = field(
        default=(), metadata=_about(_hosts, "names by which clients and browsers reach it")
    )
    home: Path = field(
        default_factory=data_folder, metadata=_about(_folder, "folder of all that is kept")
    )
    namespace: str = field(
        default="", metadata=_about(_name, "keeps apart what the same key is used for")
    )
    delta: float = field(
        default=0.05, metadata=_about(_number(0, 1), "share of wrong local answers allowed")
    )
    confidence: float = field(
        default=0.95, metadata=_about(_number(0, 1), "with which that is kept")
    )
    cold_start: int = field(
        default=50, metadata=_about(_whole(0, 10**6), "requests of a task forwarded at first")
    )
    conservative: int = field(
        default=200, metadata=_about(_whole(0, 10**6), "up to so many, half of delta is allowed")
    )
    audit_start: float = field(
        default=0.5, metadata=_about(_number(0, 1), "share of what could be served, audited first")
    )
    audit_floor: float = field(default=0.05, metadata=_about(_number(0, 1), "and in the end"))
    models: bool = field(
        default=True, metadata=_about(_truth, "three transformers, where the students are in doubt")
    )
    preset: str = field(default="nano", metadata=_about(_preset, "size of the models"))
    patience: float = field(
        default=10.0,
        metadata=_about(_number(0, 60_000), "milliseconds that a request waits for the models"),
    )
    prices: Prices = field(
        default_factory=dict, metadata=_about(_prices, "costs of a million tokens, by model")
    )
    currency: str = field(default="USD", metadata=_about(_name, "of the prices"))
    max_body: int = field(default=32 * 10**6, metadata=_about(_bytes, "bytes of a request"))
    longest_query: int = field(
        default=4000, metadata=_about(_whole(1, 10**6), "characters; longer ones are forwarded")
    )
    max_tasks: int = field(
        default=100, metadata=_about(_whole(1, 10**5), "tasks kept; the longest unused goes")
    )
    learning: bool = field(
        default=True, metadata=_about(_truth, "false forwards and serves, but learns nothing")
    )
    share: float = field(
        default=0.25, metadata=_about(_number(0.01, 1, open_=False), "of one core for training")
    )
    keep_texts: float = field(
        default=30.0,
        metadata=_about(_number(0, 36_500, open_=False), "days of queries and answers in the log"),
    )
    keep_requests: int = field(
        default=10**6, metadata=_about(_whole(1000, 10**9), "rows of the log")
    )
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._not_above("audit_floor", "audit_start")
        self._not_above("cold_start", "conservative")
        target = urlsplit(self.upstream)
        port = target.port or {"http": 80, "https": 443}.get(target.scheme)
        if target.hostname in (*LOOPBACK, self.host) and port == self.port:
            raise FinchError(
                f"upstream is {self.upstream} ({self.source('upstream')}), which is this server "
                f"itself, on port {self.port} ({self.source('port')}); expected another one"
            )

    def _not_above(self, low: str, high: str) -> None:
        if getattr(self, low) > getattr(self, high):
            raise FinchError(
                f"{low} is {getattr(self, low)} ({self.source(low)}), expected no more than "
                f"{high}, which is {getattr(self, high)} ({self.source(high)})"
            )

    @property
    def address(self) -> str:
        """Where it listens, as clients are told it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def source(self, name: str) -> str:
        """Where a value came from, in words."""
        return self.sources.get(name, "the default")

    def warnings(self) -> list[str]:
        """What the user should think about, in sentences."""
        found = []
        target = urlsplit(self.upstream)
        if target.scheme == "http" and target.hostname not in LOOPBACK:
            found.append(
                f"{self.upstream} is not encrypted: keys and texts can be read on the way. Use "
                "https if the other side has it."
            )
        if self.host not in LOOPBACK:
            found.append(
                f"Anyone who can reach {self.host} can use this server with a key of their own "
                "and see the page with its figures. Leave --host out to be the only one."
            )
        if not self.learning:
            found.append("Learning is paused: nothing new will be answered locally.")
        return found

    def _learners(self) -> str:
        if not self.models:
            return "without transformers"
        return f"transformers of size {self.preset}, {_percent(self.share)} of one core"

    def summary(self) -> str:
        """What will happen, to be printed at the start.

        Example:
            >>> settings = read_settings({"upstream": "https://api.example.com"}, {})
            >>> print(settings.summary().splitlines()[0])
            Finch forwards requests to https://api.example.com and learns from the answers.
        """
        kept = f"{self.keep_texts:g} days" if self.keep_texts else "not at all"
        does = "and learns from the answers" if self.learning else "and does not learn"
        rows = {
            "clients": f"base URL {self.address}; their keys are passed on, and never stored",
            "served": f"locally, where at most {_percent(self.delta)} of the answers are wrong "
            f"with {_percent(self.confidence)} confidence, and only plain single questions "
            f"of up to {self.longest_query:,} characters",
            "at first": f"{self.cold_start:,} requests of each task are forwarded, and up to "
            f"{self.conservative:,} half of that error is allowed",
            "audits": f"{_percent(self.audit_start)} of what could be served is forwarded all the "
            f"same and compared, falling to {_percent(self.audit_floor)}",
            "learning": f"{self._learners()}, {self.max_tasks:,} tasks"
            if self.learning
            else "paused",
            "kept": f"in {self.home}: queries and answers in the log {kept}; what was learned "
            "from them until `finch purge`",
            "page": f"{self.address}/finch/ and {self.address}/finch/metrics",
        }
        lines = [f"Finch forwards requests to {self.upstream} {does}.", ""]
        for name, words in rows.items():
            lines.append(
                textwrap.fill(
                    words, 100, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12,
                    break_long_words=False, break_on_hyphens=False,
                )
            )  # fmt: skip
        if self.sources:
            lines += ["", "Set, and not left at the default:"]
            lines += [f"  {name} from {source}" for name, source in self.sources.items()]
        lines += [f"\n{textwrap.fill(f'Note: {words}', 100)}" for words in self.warnings()]
        return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{share * 100:.10g} %"


KNOWN = {item.name: item for item in fields(Settings) if item.name != "sources"}


def read_settings(
    flags: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    *,
    serving: bool = True,
) -> Settings:
    """Settings from everything that may hold some.

    Args:
        flags: by the names of settings; None is not given. "settings" is a path of a file.
        environment: of which names that begin with FINCH_ count.
        serving: False for commands that forward nothing, so that upstream may be missing.

    Raises:
        FinchError: a value cannot be used; the message names it, its source and what was expected.

    Example:
        >>> environment = {"FINCH_UPSTREAM": "https://api.example.com", "FINCH_DELTA": "0.1"}
        >>> settings = read_settings({"delta": 0.02}, environment)
        >>> settings.delta, settings.source("upstream")
        (0.02, 'the variable FINCH_UPSTREAM')
        >>> read_settings({"delta": 2}, environment)
        Traceback (most recent call last):
        ...
        groundup.apps.finch.errors.FinchError: delta is 2 (the flag --delta), expected a number
        between 0 and 1
    """
    given = {name: value for name, value in flags.items() if value is not None}
    path = given.pop("settings", None) or environment.get(f"{PREFIX}SETTINGS") or None
    values: dict[str, Any] = {"home": data_folder(environment)}
    sources: dict[str, str] = {}

    def take(name: str, value: Any, source: str) -> None:
        try:
            values[name] = KNOWN[name].metadata["read"](value)
        except ValueError as error:
            shown = "not shown, as it may hold a secret" if _may_hide(name, value) else f"{value!r}"
            raise FinchError(f"{name} is {shown} ({source}), expected {error}") from None
        sources[name] = source

    outer = [(name, value, f"the flag --{name.replace('_', '-')}") for name, value in given.items()]
    for name in KNOWN:
        variable = PREFIX + name.upper()
        if environment.get(variable) and name not in given:
            outer.append((name, environment[variable], f"the variable {variable}"))
    for name, value, source in outer:
        if name not in KNOWN:
            raise FinchError(f"{source}: there is no such setting{_nearest(name, KNOWN)}")
        if name == "home":
            take(name, value, source)
    own = Path(values["home"]) / "finch.toml"
    if path is not None or _is_there(own):
        place = Path(path).expanduser() if path is not None else own
        for name, value in _file(place).items():
            if name == "home" and path is None:
                raise FinchError(f"{place}: home cannot be set in the home's own file")
            take(name, value, f"the file {place}")
    for name, value, source in outer:
        take(name, value, source)
    if "upstream" not in values and serving:
        raise FinchError(
            "upstream is not set, expected the address that requests are forwarded to: "
            '--upstream https://..., FINCH_UPSTREAM, or upstream = "https://..." in '
            f"{path or own}"
        )
    ordered = {name: sources[name] for name in KNOWN if name in sources}
    return Settings(**{"upstream": "", **values}, sources=ordered)


def misspelled(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that begin as Finch's do and are none, in sentences without their values.

    Example:
        >>> misspelled({"FINCH_DETLA": "0.1", "FINCH_HOME": "/srv", "PATH": "/bin"})
        ['FINCH_DETLA is no setting; did you mean FINCH_DELTA?']
    """
    known = {PREFIX + name.upper(): name for name in (*KNOWN, "settings")}
    return [
        f"{name} is no setting{_nearest(name, known)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise FinchError(f"{path}: {error.strerror or error}") from error


def _file(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FinchError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FinchError(f"{path} is no TOML: {error}") from error
    for name in found:
        if name not in KNOWN:
            raise FinchError(f"{path}: {name!r} is no setting{_nearest(name, KNOWN)}")
    return found


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    """What may have been meant; of what looks like a secret, that there is no place for it."""
    if SECRET.search(name):
        return "; Finch takes no key: the client sends its own with each request"
    close = get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"


def _may_hide(name: str, value: Any) -> bool:
    """Whether a value may have a password in it, as an address may."""
    return name == "upstream" or len(str(value)) > 200 or bool(SECRET.search(str(value)))
