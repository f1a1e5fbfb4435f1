"""`finch`: a proxy before a paid language-model API, whose local models learn from its answers."""

from __future__ import annotations

import json as json_
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .app import Json, examples, whole_number
from .finch_store import HomeFolder, store_commands, told
from .messages import print_json, usage

if TYPE_CHECKING:
    from ..apps.finch.settings import Settings

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 asked for wrongly, 130 stopped by Ctrl-C. Settings come from "
    "flags, from variables such as FINCH_DELTA, and from finch.toml in the home."
)
LINES = 1000
"""Requests of a line of a table."""
EXPECTED = '{"query": "...", "answer": "..."}'
"""A line of a log of requests."""

app = typer.Typer(
    name="finch",
    rich_markup_mode="markdown",
    help="A proxy for the Messages API that learns to answer what repeats itself, here.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _set(words: str, metavar: str, default: str | None = None) -> Any:
    shown: Any = False if default is None else default
    return typer.Option(metavar=metavar, help=words, show_default=shown)


Delta = Annotated[float | None, _set("Share of wrong local answers allowed.", "X", "0.05")]
Models = Annotated[
    bool | None,
    typer.Option("--models/--no-models", help="Three transformers too.", show_default="yes"),
]
Seed = Annotated[int, typer.Option(parser=whole_number(0), metavar="N", help="Of the order.")]


@app.command(
    epilog=examples(
        "finch serve --upstream https://api.anthropic.com",
        "finch serve --upstream https://api.anthropic.com --delta 0.02 --namespace support",
        "FINCH_UPSTREAM=https://api.anthropic.com finch serve",
    )
)
@told
def serve(
    upstream: Annotated[str | None, _set("Where requests are forwarded to.", "URL")] = None,
    host: Annotated[str | None, _set("Address to listen on.", "ADDRESS", "127.0.0.1")] = None,
    port: Annotated[int | None, _set("Port; 0 takes a free one.", "N", "8060")] = None,
    allow_host: Annotated[
        list[str] | None,
        _set("A name by which others reach it, such as finch.lan; may be repeated.", "NAME"),
    ] = None,
    home: HomeFolder = None,
    namespace: Annotated[
        str | None, _set("Keeps apart what the same key is used for.", "NAME")
    ] = None,
    delta: Delta = None,
    confidence: Annotated[float | None, _set("With which that is kept.", "X", "0.95")] = None,
    models: Models = None,
    preset: Annotated[str | None, _set("Size of the models.", "NAME", "nano")] = None,
    patience: Annotated[
        float | None, _set("Milliseconds that a request waits for the models.", "X", "10")
    ] = None,
    share: Annotated[float | None, _set("Of one core, for training.", "X", "0.25")] = None,
    learning: Annotated[
        bool | None,
        typer.Option("--learning/--no-learning", help="Learn from answers.", show_default="yes"),
    ] = None,
    prices: Annotated[
        str | None,
        _set("Costs of a million tokens: MODEL=INPUT/OUTPUT, with commas between.", "TABLE"),
    ] = None,
    settings: Annotated[Path | None, _set("A file of settings.", "FILE", "HOME/finch.toml")] = None,
) -> None:
    """Forward requests, learn from the answers, and answer here what is safe.

    Point a client's base URL at it; nothing else changes. Keys are passed on, never stored.
    """
    from ..apps.finch.service.loop import run
    from ..apps.finch.service.serve import Service
    from ..apps.finch.settings import misspelled

    flags = {
        "upstream": upstream, "host": host, "port": port, "allow_host": allow_host or None,
        "home": home, "namespace": namespace, "delta": delta, "confidence": confidence,
        "models": models, "preset": preset, "patience": patience, "share": share,
        "learning": learning, "prices": prices, "settings": settings,
    }  # fmt: skip
    found = _settings(flags)
    for words in misspelled():
        print(f"Note: {words}", file=sys.stderr)
    try:
        service = Service(found)
    except OSError as error:
        raise usage(
            f"port {found.port} of {found.host} cannot be used: {error.strerror}; give another "
            "--port (0 takes a free one) or --host"
        ) from None
    with service:

        def ready() -> None:
            print(service.settings.summary())
            print(f"\nReady: {service.address} (Ctrl-C ends it)", flush=True)

        run(service.run(ready))


def _settings(
    flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, serving: bool = True
) -> Settings:
    """As `read_settings`; what cannot be used was asked for wrongly."""
    from ..apps.finch.errors import FinchError
    from ..apps.finch.settings import read_settings

    try:
        return read_settings(flags, environment, serving=serving)
    except FinchError as error:
        raise usage(str(error)) from None


@app.command(
    epilog=examples(
        "ANTHROPIC_API_KEY=... finch train log.jsonl",
        "ANTHROPIC_API_KEY=... finch train log.jsonl --namespace support --delta 0.02",
    )
)
@told
def train(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG", help='Lines of {"request": BODY, "answer": TEXT}, in their order.'
        ),
    ],
    home: HomeFolder = None,
    namespace: Annotated[
        str | None, _set("Keeps apart what the same key is used for.", "NAME")
    ] = None,
    delta: Delta = None,
    preset: Annotated[str | None, _set("Size of the models.", "NAME", "nano")] = None,
    settings: Annotated[Path | None, _set("A file of settings.", "FILE", "HOME/finch.toml")] = None,
) -> None:
    """Learn from requests of the past, before the first one comes.

    What is learned is found by the key that will be used, which is read from the variable
    ANTHROPIC_API_KEY and not kept. The server must not be running. Ctrl-C loses nothing that was
    learned, but the log begins anew.
    """
    from ..apps.finch.mind.settings import MindSettings
    from ..apps.finch.proxy import key_scope
    from ..apps.finch.service.keeper import Keeper
    from ..apps.finch.service.serve import worker_options
    from ..apps.finch.service.train import Taught, teach, work_off
    from ..apps.finch.store import Scopes, Store

    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        raise usage("ANTHROPIC_API_KEY is not set, expected the key that the client will send")
    flags = {
        "home": home, "namespace": namespace, "delta": delta, "preset": preset,
        "settings": settings,
    }  # fmt: skip
    found = _settings(flags, serving=False)
    options = worker_options(found)
    console, taught = Console(stderr=True), Taught()
    with Store(found.home, "train", **options["store"]) as store:
        keeper = Keeper(store, MindSettings(**options["mind"]), worth=0, **options["keeper"])
        scope = Scopes(store.home).of(
            lambda salt: key_scope({"x-api-key": key}, salt, found.namespace)
        )
        try:
            with console.status("") as line:
                for taught in teach(keeper, scope, log):
                    line.update(f"{taught.learned:,} learned")
                    keeper.work(0.02)
                for waiting in work_off(keeper):
                    line.update(f"{waiting:,} answers wait to be learned by the models")
        finally:
            keeper.save()
    print(
        f"{taught.learned:,} requests learned, {taught.passed:,} of a kind that is always "
        f"forwarded. To {taught.agreed:,} the local answer would have been as good."
    )


@app.command(
    epilog=examples(
        "finch replay log.jsonl", "finch replay log.jsonl --delta 0.02 --no-models --json"
    )
)
@told
def replay(
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", help='Lines of {"query": ..., "answer": ...}, in order.'),
    ],
    delta: Delta = 0.05,
    models: Models = None,
    work: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Of training for each forwarded request.",
            show_default="as it takes",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Send a log through a new mind: what would have been answered here, and how well?

    The right answers are known, so errors are counted, not estimated.
    """
    from ..apps.finch.mind.mind import Mind
    from ..apps.finch.mind.settings import MindSettings
    from ..apps.finch.rehearsal.replay import Tally, replay as send
    from ..apps.finch.service.keeper import as_good

    mind = Mind(MindSettings(delta=0.05 if delta is None else delta, models=models is not False))
    tally = Tally()
    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        seconds = math.inf if work is None else work
        for step in send(mind, _read_log(log), tally, as_good, seconds):
            if step.number % 100 == 0:
                live.update(_table(tally))
        live.update("")
    if json:
        print_json(tally.to_json())
    else:
        Console().print(_table(tally))


def _read_log(path: Path) -> Iterator[tuple[str, str]]:
    from ..apps.finch.errors import FinchError

    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    entry = json_.loads(line)
                    query, answer = entry["query"], entry["answer"]
                except (ValueError, KeyError, TypeError):
                    query = answer = None
                if not (isinstance(query, str) and isinstance(answer, str)):
                    raise FinchError(
                        f"{path}, line {number}: {line.strip()[:60]!r}, expected {EXPECTED}"
                    )
                yield query, answer
    except OSError as error:
        raise FinchError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise FinchError(
            f"{path}, after line {number}: no text in UTF-8 ({error.reason})"
        ) from None
    if not number:
        raise FinchError(f"{path} is empty, expected lines of {EXPECTED}")


def _table(tally: Any) -> Table:
    table = Table("requests", "answered here", "of these wrong", "audited")
    for number, part in enumerate(tally.parts):
        table.add_row(
            f"{number * LINES + part.requests:,}", f"{part.local_share:.0%}",
            f"{part.error:.1%}", f"{part.audits / max(part.requests, 1):.1%}",
        )  # fmt: skip
    every = tally.all
    table.add_section()
    table.add_row(
        f"all {every.requests:,}", f"{every.local_share:.1%}", f"{every.error:.2%}",
        f"{every.audits / max(every.requests, 1):.1%}",
    )  # fmt: skip
    return table


@app.command(
    epilog=examples(
        "finch evaluate --methods students,linear --seeds 2",
        "finch evaluate --log log.jsonl --delta 0.02 --output evaluation",
    )
)
@told
def evaluate(
    log: Annotated[
        Path | None,
        _set('Lines of {"query": ..., "answer": ...}.', "FILE", "CLINC150's requests"),
    ] = None,
    traffic: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="`once`: each request, in a new order; `repeated`: by Zipf's law; `changed`: "
            "in the middle some answers come to mean others.",
        ),
    ] = "once",
    methods: Annotated[
        str | None, _set("Some of them, with commas between.", "NAMES", "all")
    ] = None,
    requests: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(1),
            metavar="N",
            help="The first so many; of repeated ones, how many.",
            show_default="all",
        ),
    ] = None,
    delta: Delta = 0.05,
    seeds: Annotated[int, typer.Option(parser=whole_number(1), metavar="N", help="Orders.")] = 5,
    output: Annotated[
        Path | None, _set("A folder for the figures and all counts as JSON.", "FOLDER")
    ] = None,
    json: Json = False,
) -> None:
    """Compare the cascade with caches, neighbours and linear models on the same requests.

    Of each, how many requests are answered here, and how many of those answers are wrong.
    """
    from .. import viz
    from ..apps.finch.mind.settings import MindSettings
    from ..apps.finch.rehearsal import evaluate as rehearsal
    from ..apps.finch.rehearsal.clinc150 import load_clinc150
    from ..apps.finch.rehearsal.streams import changed, repeated, shuffled
    from ..apps.finch.service.keeper import as_good

    pairs = load_clinc150() if log is None else list(_read_log(log))
    kinds = {
        "once": lambda seed: shuffled(pairs, seed)[:requests],
        "repeated": lambda seed: repeated(pairs, requests or len(pairs), seed),
        "changed": lambda seed: changed(shuffled(pairs, seed)[:requests], seed)[0],
    }
    if traffic not in kinds:
        raise usage(f"--traffic {traffic!r}: expected one of {', '.join(kinds)}")
    names = list(rehearsal.METHODS)
    chosen = names if methods is None else [name.strip() for name in methods.split(",")]
    if unknown := [name for name in chosen if name not in names]:
        raise usage(f"--methods {unknown[0]!r}: expected some of {', '.join(names)}")
    console = Console(stderr=True)

    def tell(run: rehearsal.Run) -> None:
        every = run.tally.all
        console.print(
            f"seed {run.seed}, {run.method}: {every.local_share:.1%} here, {every.error:.2%} of "
            f"them wrong, {run.seconds:.0f} s",
            highlight=False,
        )

    settings = MindSettings(delta=0.05 if delta is None else delta)
    found = rehearsal.evaluate(kinds[traffic], chosen, range(seeds), settings, as_good, tell=tell)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "evaluation.json").write_text(found.to_json(), encoding="utf-8")
        viz.save(found.figure(), output / "forwarded.svg")
    print(found.to_json() if json else found.table())


@app.command(epilog=examples("finch demo", "finch demo --requests 5000 --delta 0.02"))
@told
def demo(
    requests: Annotated[
        int, typer.Option(parser=whole_number(1), metavar="N", help="How many are sent.")
    ] = 4000,
    delta: Delta = 0.05,
    models: Models = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Watch it learn: a stand-in for the remote API, and real requests, on this computer alone.

    The requests are those of CLINC150 (Larson et al., 2019), people's questions to an assistant
    with 150 intents; the stand-in answers with the intent.
    """
    from ..apps.finch.rehearsal.clinc150 import CREDIT, load_clinc150
    from ..apps.finch.rehearsal.demo import Seen, send, upstream
    from ..apps.finch.service.loop import run
    from ..apps.finch.service.serve import Service

    stream = load_clinc150(seed)[:requests]
    parts: list[Seen] = []
    with tempfile.TemporaryDirectory() as folder, upstream(dict(stream)) as remote:
        flags = {
            "upstream": remote, "port": 0, "home": f"{folder}/home", "delta": delta, "share": 1.0,
            "models": models,
        }  # fmt: skip
        with Service(_settings(flags, {})) as service:
            ready, failed = threading.Event(), []

            def serve_here() -> None:
                try:
                    run(service.run(ready.set))
                except Exception as error:
                    failed.append(error)
                    ready.set()

            thread = threading.Thread(target=serve_here, daemon=True)
            thread.start()
            try:
                ready.wait()
                if failed:
                    raise failed[0]
                console = Console(stderr=True)
                where = f"{CREDIT}; the page: {service.address}/finch/"
                console.print(where, markup=False, soft_wrap=True)
                last = Seen()
                with Live(console=console, refresh_per_second=4) as live:
                    for seen in send(service.address, stream):
                        if (seen.requests - 1) % (LINES // 2) == 0:
                            last = Seen(seen.requests - 1, seen.local, seen.wrong)
                            parts.append(last)
                        parts[-1] = Seen(
                            seen.requests - last.requests, seen.local - last.local,
                            seen.wrong - last.wrong,
                        )  # fmt: skip
                        if seen.requests % 20 == 0:
                            live.update(_seen(parts, seen))
                    live.update("")
            finally:  # a process that learns would be waited for, without end
                service.stop()
                thread.join()
    if json:
        print_json({"requests": seen.requests, "local": seen.local, "wrong": seen.wrong})
        return
    Console().print(_seen(parts, seen))
    print(
        f"{seen.forward_rate:.1%} were forwarded. Of the {seen.local:,} answered here "
        f"{seen.error:.1%} were wrong; allowed were {0.05 if delta is None else delta:.1%}."
    )


def _seen(parts: list[Any], all_: Any) -> Table:
    table = Table("requests", "forwarded", "answered here", "of these wrong")
    count = 0
    for part in parts:
        count += part.requests
        table.add_row(
            f"{count:,}", f"{part.forward_rate:.0%}", f"{part.local:,}", f"{part.error:.1%}"
        )
    table.add_section()
    table.add_row("all", f"{all_.forward_rate:.1%}", f"{all_.local:,}", f"{all_.error:.1%}")
    return table


app.registered_commands.extend(store_commands.registered_commands)


def main() -> None:
    """The command `finch`."""
    app(prog_name=os.path.basename(sys.argv[0]))
