"""`groundup grn evaluate`, `report`, `plot`, `compare`, `ablate`, `sweep` (R13.4)."""

import json

import numpy as np
import pytest
from tests.cli.grn_files import FILES, SMALL, posed, write_files

from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.evaluation.record import Record
from groundup.apps.grn.registry import methods_named

pytest.importorskip("pandas")
QUICK = ("--resamples", "50")
ASKED = ("--methods", "degree,neighbours,clr", "--seeds", "2", *QUICK)


@pytest.fixture
def files(place):
    write_files(place)
    return place


def run(groundup, *words):
    done = groundup("grn", *words)
    assert done.exit_code == 0, done.stderr
    return done


def made(place, folder, names, kind="gene", seeds=2):
    """An evaluation in a folder, by way of Python."""
    return evaluate(posed(place), methods_named(names), kind, "matched", seeds, folder=folder)


def test_an_evaluation_is_told_kept_and_gone_on_with(groundup, files):
    done = run(groundup, "evaluate", *FILES, *ASKED)
    assert done.stdout.splitlines()[-1] == "grn-gene-matched/report.html"
    assert "neighbours" in done.stdout
    assert "Unlabelled pairs are pairs that the prior does not have" in done.stdout

    words = ("--methods", "clr,majority", "--seeds", "2", *QUICK, "--controls", "--json")
    content = json.loads(run(groundup, "evaluate", *FILES, *words).stdout)
    assert content["methods"] == ["degree", "clr", "majority"]
    own = evaluate(posed(files), methods_named(content["methods"]), "gene", "matched", 2)
    assert content["runs"] == json.loads(own.to_json())["runs"]  # the same from Python
    assert set(content["controls"]) == {"permuted gene labels", "rewired prior"}
    assert "rewired prior" in (files / "grn-gene-matched" / "report.html").read_text()
    assert set(Record(files / "grn-gene-matched").read().methods) == {
        "clr", "degree", "majority", "neighbours",
    }  # fmt: skip

    other = groundup("grn", "evaluate", *FILES, *ASKED, "--ratio", "2")
    assert other.exit_code == 1
    assert "keeps an evaluation of another protocol (ratio: 1.0 there, 2.0 here)" in other.stderr


def test_a_report_of_what_is_there(groundup, files):
    made(files, files / "e", ["degree", "clr"])
    made(files, files / "e" / "controls" / "rewired-prior", ["degree", "clr"])
    page = run(groundup, "report", "e", *QUICK, "-o", "page.html", "--title", "Mine")
    assert page.stdout.splitlines()[-1] == "page.html"
    text = (files / "page.html").read_text()
    assert "<title>Mine" in text
    assert "rewired prior" in text
    assert "there is no evaluation in this folder" in groundup("grn", "report", "none").stderr


def test_figures(groundup, files):
    made(files, files / "e", ["degree", "clr"], "edge")
    drawn = run(groundup, "plot", "e", "--kind", "roc", "--kind", "degree", "--format", "png")
    assert drawn.stdout.split() == ["e/figures/roc.png", "e/figures/degree.png"]
    assert (files / "e" / "figures" / "roc.png").read_bytes()[:4] == b"\x89PNG"
    assert groundup("grn", "plot", "e", "--kind", "pie").exit_code == 2
    assert groundup("grn", "plot", "e", "--method", "magic").exit_code == 2
    run(groundup, "train", *FILES, *SMALL, "model")
    assert run(groundup, "plot", "model").stdout == "model/figures/training.svg\n"


def test_folders_are_compared(groundup, files):
    one = made(files, files / "a", ["degree", "neighbours", "clr"], seeds=3)
    made(files, files / "c", ["degree", "clr"], "tf")
    lines = (files / "x.tsv").read_text().splitlines()
    random = np.random.default_rng(0)
    names = [line.split("\t")[0] for line in lines[1:]]
    noise = [[name, *map(str, random.normal(size=30).round(4))] for name in names]
    (files / "x.tsv").write_text("\n".join([lines[0], *("\t".join(row) for row in noise)]) + "\n")
    other = made(files, files / "b", ["degree", "neighbours"], seeds=3)
    content = json.loads(run(groundup, "compare", "a", "b", *QUICK, "--json").stdout)
    found = {line["method"]: line for line in content}
    assert found["degree"]["difference"]["value"] == 0
    assert found["degree"]["adjusted"] == 1
    gap = one.values("neighbours", "auroc") - other.values("neighbours", "auroc")
    assert gap.mean() > 0.05
    assert found["neighbours"]["difference"]["value"] == pytest.approx(gap.mean())
    assert found["neighbours"]["above"] == found["neighbours"]["seeds"] == 3
    table = run(groundup, "compare", "a", "a", "--methods", "neighbours=clr", *QUICK).stdout
    assert "of 3 seeds" in table
    wrong = groundup("grn", "compare", "a", "b", "--methods", "clr")
    assert wrong.exit_code == 1
    assert "method 'clr' is not in the evaluation" in wrong.stderr
    unlike = groundup("grn", "compare", "a", "c")
    assert unlike.exit_code == 1
    assert "asked about other pairs" in unlike.stderr
    assert "kind gene and tf" in unlike.stderr


def test_techniques_are_removed(groundup, files):
    words = ("--only", "no-dropout,no-matched-pairs", "--seeds", "2", *QUICK)
    done = run(groundup, "ablate", *FILES, *SMALL, *words)
    assert done.stdout.splitlines()[-1] == "expression-ablation"
    assert "no-matched-pairs" in done.stdout
    content = json.loads(run(groundup, "ablate", *FILES, *SMALL, *words, "--json").stdout)
    assert {line["method"] for line in content["lines"]} == {"no-dropout", "no-matched-pairs"}
    assert {line["against"] for line in content["lines"]} == {"whole"}
    other = groundup("grn", "ablate", *FILES, *SMALL, *words, "--set", "batch=100")
    assert other.exit_code == 1
    assert "batch was 512, now 100" in other.stderr
    unknown = groundup("grn", "ablate", *FILES, *SMALL, "--only", "no-luck")
    assert unknown.exit_code == 2
    assert "expected one of no-decoupled-decay" in unknown.stderr


def test_settings_are_searched_and_then_evaluated(groundup, files):
    words = ("sweep", *FILES, *SMALL, "--space", "dropout=uniform:0:0.5")
    done = run(groundup, *words, "--space", "batch=choice:64,128", "--trials", "2")
    assert done.stdout.splitlines()[-1] == "expression-sweep/best.json"
    more = (*words, "--space", "batch=choice:64,128", "--trials", "3", "--json")
    content = json.loads(run(groundup, *more).stdout)
    trials = content["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2]
    assert trials[0]["settings"] == {}
    assert trials[1]["settings"]["batch"] in ("64", "128")
    best = max(trials, key=lambda trial: trial["value"])
    assert content["best"] == best["number"]
    kept = json.loads((files / "expression-sweep" / "best.json").read_text())
    for name, value in best["settings"].items():
        options = kept["recipe"] | kept["recipe"]["options"]
        assert str(options[name]) == str(value)
    another = groundup("grn", *words, "--trials", "2")
    assert another.exit_code == 1
    assert "another search (ranges differ)" in another.stderr
    asked = ("--recipe", "expression-sweep/best.json", "--methods", "degree", "--seeds", "1")
    told = run(groundup, "evaluate", *FILES, *asked, *QUICK, "--json").stdout
    assert [name[:11] for name in json.loads(told)["methods"]] == ["degree", "expression-"]


def test_a_search_never_scores_test_pairs(files):
    from groundup.apps.grn.task.questions import draw_questions
    from groundup.apps.grn.task.splits import VALIDATION
    from groundup.apps.grn.training.recipes import Recipe
    from groundup.apps.grn.tuning import search as module

    problem, seen = posed(files), []

    class Fake:
        def score(self, pairs):
            seen.append(pairs)
            return np.arange(len(pairs), dtype=float)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train", lambda *given: Fake())
        module.search(problem, "expression", recipe=Recipe(epochs=1), trials=2, seeds=2)
    assert len(seen) == 4
    for seed, pairs in zip((0, 1, 0, 1), seen, strict=True):
        split = draw_questions(problem, "gene", "matched", seed).split
        assert (split.parts[tuple(pairs.T)] == VALIDATION).all()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["evaluate", *FILES, "--split", "cell"], 2, "expected one of edge, gene, group, tf, both"),
        (["evaluate", *FILES, "--negatives", "few"], 2, "expected one of uniform, matched, all"),
        (["evaluate", *FILES, "--methods", "magic"], 2, "expected names of majority, degree"),
        (["evaluate", *FILES, "--ratio", "0"], 2, "expected a positive number"),
        (["evaluate", *FILES, "--split", "group", *ASKED], 2, "--split group needs the groups"),
        (["sweep", *FILES, "--space", "depth=int:1:3"], 2, "has no setting 'depth'"),
        (["sweep", *FILES, "--space", "batch=64"], 2, "expected log:LOW:HIGH"),
        (["sweep", *FILES, "--space", "epochs=uniform:1:3"], 2, "expected a whole number"),
        (["sweep", *FILES, "--space", "batch"], 2, "expected NAME=RANGE"),
    ],
)  # fmt: skip
def test_what_is_asked_for_wrongly(groundup, files, words, code, told):
    done = groundup("grn", *words)
    assert done.exit_code == code, done.stderr + done.stdout
    assert told in done.stderr
    assert "Traceback" not in done.stderr


# What a split refuses leaves nothing behind, not even a folder with a protocol in it.
@pytest.mark.parametrize("command", ["evaluate", "ablate", "sweep"])
@pytest.mark.parametrize("asked", [("--split", "tf"), ("--split", "gene", "--negatives", "all")])
def test_what_cannot_be_asked_leaves_no_folder(groundup, files, command, asked):
    lines = (files / "net.tsv").read_text().splitlines()
    if "tf" in asked:  # two TFs: one part has none
        kept = [line for line in lines[1:] if line.split("\t")[0] in ("gene0", "gene1")]
        told = "split by tf: no edge of"
    else:  # every pair is an edge
        kept = [f"gene{tf}\tgene{gene}\t1" for tf in range(3) for gene in range(80)]
        told = "every pair of this part is an edge"
    (files / "net.tsv").write_text("\n".join([lines[0], *kept]) + "\n")
    words = () if command == "evaluate" else SMALL
    done = groundup("grn", command, *FILES, *asked, *words, "--folder", "here")
    assert done.exit_code == 1
    assert told in done.stderr
    assert not (files / "here").exists()


@pytest.mark.parametrize("command", ["evaluate", "ablate", "sweep"])
def test_a_folder_with_other_files_is_left_alone(groundup, files, command):
    words = ("--methods", "degree") if command == "evaluate" else SMALL
    (files / "mine").mkdir()
    (files / "mine" / "thesis.txt").write_text("x")
    before = [path.name for path in (files / "mine").iterdir()]
    done = groundup("grn", command, *FILES, *words, "--folder", "mine")
    assert done.exit_code == 1
    assert "mine: a folder with other files, such as thesis.txt; name another folder" in done.stderr
    assert [path.name for path in (files / "mine").iterdir()] == before
    other = groundup("grn", command, *FILES, *words, "--folder", "x.tsv")
    assert other.exit_code == 1
    assert "x.tsv: a file, expected a folder" in other.stderr


def test_models_of_several_networks_are_not_tuned(groundup, files):
    for command in ("ablate", "sweep"):
        done = groundup("grn", command, *FILES, "--model", "ensemble")
        assert done.exit_code == 2
        assert done.stderr.endswith("paired-early, paired-late\n")


def test_ctrl_c_says_what_is_kept(groundup, files, monkeypatch):
    from groundup.apps.grn.registry import METHODS

    def stop(known, seed):
        raise KeyboardInterrupt

    monkeypatch.setitem(METHODS, "clr", stop)
    done = groundup("grn", "evaluate", *FILES, "--methods", "degree,clr", *QUICK)
    assert done.exit_code == 130
    assert "1 of 10 runs are kept in grn-gene-matched. Go on with the same command" in done.stderr
    assert Record(files / "grn-gene-matched").read().methods == ["degree"]
