"""`finch status`, `why`, `export`, `import`, `reset`, `purge`: what a home holds, or no longer."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import Json, examples
from .messages import fail, grid, output, print_json, shown, telling, usage

if TYPE_CHECKING:
    from ..apps.finch.opinion import Opinion
    from ..apps.finch.store import Deleted, Record, Selection, Store

store_commands = typer.Typer()
"""Added to the application `finch` without a name of its own."""

HomeFolder = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Where Finch keeps what it learns.",
        show_default="FINCH_HOME, or the user's data folder",
    ),
]
OfScope = Annotated[
    str | None,
    typer.Option(
        "--scope", metavar="SCOPE", help="Only of the scope that begins so.", show_default=False
    ),
]
OfTask = Annotated[
    str | None,
    typer.Option(
        "--task", metavar="TASK", help="Only of the task that begins so.", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

DECISIONS = {
    "local": "answered locally",
    "audit": "audited",
    "forward": "forwarded",
    "pass": "passed on",
}


told = telling("groundup.apps.finch.errors.FinchError")


@store_commands.command(
    epilog=examples("finch status", "finch status --json", "finch status --home work/finch")
)
@told
def status(home: HomeFolder = None, json: Json = False) -> None:
    """Tell what was answered locally, what was learned, and whether a server is running."""
    from ..apps.finch.metrics import Price, Prices
    from ..apps.finch.settings import read_settings
    from ..apps.finch.store import Home, home_folder, status as read_status

    folder = Home(home_folder(home), make=False)
    settings = read_settings({"home": folder.path}, serving=False)
    prices = Prices({m: Price(*costs) for m, costs in settings.prices.items()}, settings.currency)
    found = read_status(folder)
    found["saved"] = _saved(found["models"], prices)
    if json:
        print_json(found)
        return
    print("\n".join(_lines(found)))
    if not found["tasks"]:
        return
    table = grid("task", "scope", "model", "requests", "local", "audits", "agreed", "learned")
    for task in found["tasks"]:
        totals, mind = task["totals"], task["mind"]
        count = sum(one["requests"] for one in totals.values())
        audits = totals["audit"]["agreed"] + totals["audit"]["disagreed"]
        table.add_row(
            task["task"],
            task["scope"][:8],
            task["model"],
            f"{count:,}",
            _share(totals["local"]["requests"], count),
            f"{audits:,}",
            _share(totals["audit"]["agreed"], audits),
            "-" if mind is None else f"{_size(mind['bytes'])}, {_moment(mind['saved'])}",
        )
    output().print(table)


def _saved(models: dict[str, Any], prices: Any) -> dict[str, Any]:
    """Tokens of local answers, and what they would have cost; None where no price is set."""
    local = {model: totals["local"] for model, totals in models.items()}
    costs = [
        price.of(one["input_tokens"], one["output_tokens"])
        for model, one in local.items()
        if (price := prices.of(model)) is not None
    ]
    unpriced = [m for m, one in local.items() if one["requests"] and prices.of(m) is None]
    return {
        "tokens": sum(one["input_tokens"] + one["output_tokens"] for one in local.values()),
        "money": sum(costs) if prices.table else None,
        "currency": prices.currency,
        "unpriced": unpriced,
    }


def _lines(found: dict[str, Any]) -> list[str]:
    totals, running, texts, saved = (found[key] for key in ("totals", "running", "texts", "saved"))
    use = "no server is running"
    if running is not None:
        use = f"used by `finch {running['purpose']}` (process {running['pid']})"
    count = sum(one["requests"] for one in totals.values())
    parts = ", ".join(f"{totals[name]['requests']:,} {words}" for name, words in DECISIONS.items())
    agreed, wrong = totals["audit"]["agreed"], totals["audit"]["disagreed"]
    money = "" if saved["money"] is None else f", about {saved['money']:,.2f} {saved['currency']}"
    without = f", without {', '.join(saved['unpriced'])}, which have no price"
    oldest = "" if texts["oldest"] is None else f", the oldest of {_moment(texts['oldest'])}"
    return [
        f"home       {found['home']}: {use}",
        f"requests   {count:,}: {parts}",
        f"audits     {agreed + wrong:,} compared, {_share(agreed, agreed + wrong)} agreed",
        f"not sent   {saved['tokens']:,} tokens{money} (estimated"
        f"{without if money and saved['unpriced'] else ''})",
        f"kept       {_size(found['bytes']['minds'])} learned, {_size(found['bytes']['log'])} of "
        f"log, {texts['count']:,} texts{oldest}",
    ]


@store_commands.command(epilog=examples("finch why req_01ab23", "finch why last --json"))
@told
def why(
    request: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST",
            help="The request-id of an answer, the beginning of its name in the log, or `last`.",
        ),
    ],
    home: HomeFolder = None,
    json: Json = False,
) -> None:
    """Tell what became of a request, and what each stage said."""
    from ..apps.finch.store import Home, find, home_folder

    found = find(Home(home_folder(home), make=False), request)
    if found is None:
        raise usage(f"there is no request {request!r} in the log; it may be too old")
    if json:
        print_json(asdict(found))
        return
    print("\n".join(_told(found)))
    if found.opinions:
        table = grid("stage", "score", "would have answered")
        for opinion in found.opinions:
            table.add_row(opinion.stage, f"{opinion.score:.3f}", _answer(opinion, found))
        output().print(table)


def _told(found: Record) -> list[str]:
    times = ", ".join(f"{name} {1000 * s:.3g} ms" for name, s in found.latencies.items())
    judged = {None: "not compared", True: "as good as the remote one", False: "not as good"}
    rows = {
        "request": found.ident + (f", upstream {found.upstream}" if found.upstream else ""),
        "time": _moment(found.time),
        "decision": f"{DECISIONS[found.decision]}: {found.reason}",
        "score": "-" if found.score is None else f"{found.score:.3f}",
        "sent up": f"with probability {found.propensity:g}",
        "answer": judged[found.agreed],
        "task": f"{found.task or '-'}, {found.model or 'no model'}, status {found.status}",
        "took": times or "-",
        "tokens": f"{found.input_tokens:,} in, {found.output_tokens:,} out",
        "query": "not kept" if found.query is None else repr(found.query[:500]),
        "remote": "not kept" if found.answer is None else repr(found.answer[:500]),
    }
    return [f"{name:<10} {words}" for name, words in rows.items()]


def _answer(opinion: Opinion, found: Record) -> str:
    if opinion.answer is not None:
        return repr(opinion.answer[:200])
    return "-" if found.query is not None else "- (or not kept)"


@store_commands.command(
    "export", epilog=examples("finch export finch.zip", "finch export one.zip --scope 5f0c")
)
@told
def export_home(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="A file that is made.")],
    scope: OfScope = None,
    home: HomeFolder = None,
) -> None:
    """Write what was learned and logged to one file; a server may be running.

    The archive has prompts and answers in it, in the log and in what was learned: keep it as
    private as the home. The last line is the file.
    """
    from ..apps.finch.store import Home, export, home_folder, status as read_status

    folder = Home(home_folder(home), make=False)
    known = {one["scope"] for one in read_status(folder)["scopes"]}
    made = export(folder, archive, _whole("scope", scope, known))
    print(made, file=sys.stderr)
    print(shown(archive.resolve()))


@store_commands.command(
    "import", epilog=examples("finch import finch.zip", "finch import finch.zip --home new")
)
@told
def import_home(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Of `finch export`.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what was learned here of the same tasks.")
    ] = False,
    home: HomeFolder = None,
) -> None:
    """Take over an archive: its keys find what they had learned. No server may be running."""
    from ..apps.finch.store import home_folder, import_

    if not archive.is_file():
        raise usage(f"{archive}: there is no such file; expected what `finch export` made")
    with _open(home_folder(home), "import", make=True) as store:
        print(import_(store, archive, replace=replace))


@store_commands.command(epilog=examples("finch reset", "finch reset --task 9d1f03a27c55e0b1 --yes"))
@told
def reset(
    scope: OfScope = None, task: OfTask = None, home: HomeFolder = None, yes: Yes = False
) -> None:
    """Begin anew: delete what was learned, logged and counted. Settings stay."""
    from ..apps.finch.store import Selection, home_folder, reset as reset_store

    with _open(home_folder(home), "reset") as store:
        _ask(store, "everything learned, logged and counted", scope, task, yes)
        _report(reset_store(store, _checked(store, Selection(scope, task))))


@store_commands.command(
    epilog=examples(
        "finch purge", "finch purge --before 2027-01-31", "finch purge --scope 5f0c --yes"
    )
)
@told
def purge(
    scope: OfScope = None,
    task: OfTask = None,
    before: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Only what was said before this time (UTC), and what learned from it.",
            show_default=False,
        ),
    ] = None,
    home: HomeFolder = None,
    yes: Yes = False,
) -> None:
    """Delete stored prompts and answers, and everything that has learned from them.

    Weights, caches and replay buffers hold what they learned from, so a task that has learned from
    anything that is deleted begins anew. Figures without texts stay in the log. Archives that were
    exported are not touched. A server that is running has texts in its memory: stop it first.
    """
    from ..apps.finch.store import Selection, home_folder, purge as purge_store

    moment = None if before is None else before.replace(tzinfo=UTC).timestamp()
    with _open(home_folder(home), "purge") as store:
        when = "" if before is None else f" before {before:%Y-%m-%d %H:%M} UTC"
        _ask(store, f"prompts and answers{when}, and what learned from them", scope, task, yes)
        _report(purge_store(store, _checked(store, Selection(scope, task, moment))))


def _open(folder: Path, purpose: str, *, make: bool = False) -> Store:
    from ..apps.finch.store import Home, Store

    Home(folder, make=make)
    return Store(folder, purpose)


def _ask(store: Store, what: str, scope: str | None, task: str | None, yes: bool) -> None:
    """Ask whether to delete, at a terminal; elsewhere `--yes` has to say it."""
    if yes:
        return
    of = [f"of scope {scope}"] * (scope is not None) + [f"of task {task}"] * (task is not None)
    words = f"Delete {what} {' '.join(of) or 'of all tasks'} in {store.home.path}?"
    if not sys.stdin.isatty():
        raise usage(f"{words} Say --yes; nothing was deleted")
    if not typer.confirm(words):
        raise fail("nothing was deleted")


def _checked(store: Store, selection: Selection) -> Selection:
    """Whole names for their beginnings; a slip in a name must not pass for a deletion."""
    from ..apps.finch.store import status as read_status

    found = read_status(store.home)
    minds = list(store.minds)
    scopes = {one["scope"] for one in found["scopes"]} | {mind.scope for mind in minds}
    tasks = {one["task"] for one in found["tasks"]} | {mind.task for mind in minds}
    return replace(
        selection,
        scope=_whole("scope", selection.scope, scopes),
        task=_whole("task", selection.task, tasks),
    )


def _whole(what: str, given: str | None, known: set[str]) -> str | None:
    """The one name that begins so."""
    if given is None:
        return None
    fits = [name for name in known if name.startswith(given)]
    if len(fits) != 1 or not given:
        found = "there is no" if not fits else "there is more than one"
        raise usage(f"{found} {what} {given!r}; `finch status --json` has their names")
    return fits[0]


def _report(deleted: Deleted) -> None:
    print(f"Deleted {deleted}.")


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} %" if of else "-"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
