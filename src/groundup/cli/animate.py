"""`groundup animate`: a page that replays a training."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from ..experiments.runner import results_of
from ..runs import Store
from .app import Json, RunId, RunsFolder, app, examples, whole_number
from .messages import fail, plain, print_json, shown, status, usage
from .show import Output


@app.command(
    epilog=examples(
        "groundup animate",
        "groundup animate 3fa94c",
        "groundup animate 3fa94c --condition CNN --output cnn.html",
        "groundup animate digits-20260131-174501-3fa94c --seed 2",
    )
)
@plain
def animate(
    run: RunId = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this network of those that the run trained; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            parser=whole_number(0),
            metavar="N",
            help="Of a group the run of this seed; by default the first.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
    runs: RunsFolder = None,
    json: Json = False,
) -> None:
    """Replay a training, of the newest run unless said otherwise.

    It is one HTML page with the network, what it gives for some inputs, and its curves. It needs
    nothing else and works offline. It plays by itself or step by step, by mouse, touch or keyboard.
    The last line is its path.
    """
    from ..experiments.animation import fitting, recorded, write_page
    from ..viz.animation.recorder import LARGEST  # Matplotlib is loaded only by who draws

    with Store(runs) as store:
        newest = next((info.id for info in store.runs() if info.parent is None), None)
        if run is None and newest is None:
            raise usage(f"there are no runs in {store.folder} yet: groundup run EXPERIMENT")
        results = results_of(store, run or newest or "")
        seeds = list(results.outcomes)
        if seed is not None and seed not in seeds:
            raise usage(
                f"{results.group.id} has no seed {seed}; it has {', '.join(map(str, seeds))}"
            )
        found = {s: recorded(results.outcomes[s].info) for s in seeds}
        chosen = seed if seed is not None else next((s for s in seeds if found[s]), seeds[0])
        names = found[chosen]
        if not names:
            again = f"groundup run {results.experiment.name} --seed {chosen}"
            raise fail(
                f"{results.outcomes[chosen].info.id} has no recording of a training. Models of up "
                f"to {LARGEST:,} parameters are recorded while they train, if the experiment does "
                f"not say otherwise; a run that was made before that has to be repeated: {again}"
            )
        if condition:
            for name in condition:
                if name not in names:
                    near = difflib.get_close_matches(name, names, 1, cutoff=0.5)
                    meant = f"did you mean {near[0]!r}? " if near else ""
                    raise usage(f"no network {name!r}; {meant}recorded are {', '.join(names)}")
            wanted = list(dict.fromkeys(condition))
        else:
            wanted = fitting(results.outcomes[chosen].info, names)
            if left := [name for name in names if name not in wanted]:
                status().print(
                    f"Left out, as the page would be slow to open: {', '.join(left)}; "
                    "--condition shows them"
                )
        path = output or results.outcomes[chosen].info.folder / "animation.html"
        frames = write_page(results, chosen, wanted, store, path)
    if json:
        info = results.outcomes[chosen].info
        content = {"animation": str(path), "run": info.id, "seed": chosen, "frames": frames}
        print_json({**content, "bytes": path.stat().st_size})
    else:
        print(shown(path))
