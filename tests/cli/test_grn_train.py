"""`groundup grn train`, `predict`, `models` (R13.1, R13.2, R13.5): files, refusals, bits."""

import csv
import json
import os
import signal
import time
from dataclasses import replace

import pytest
from tests.cli.grn_files import FILES, SMALL, posed, write_files

from groundup.apps.grn.data.prior import read_prior
from groundup.apps.grn.task.problem import pose
from groundup.apps.grn.tuning.settings import with_settings
from groundup.apps.grn.use.combined import TOWERS
from groundup.apps.grn.use.final import train_for_use
from groundup.apps.grn.use.predict import predict
from groundup.apps.grn.use.saved import load_trained
from groundup.engine.files import load

pd = pytest.importorskip("pandas")


@pytest.fixture
def files(place):
    write_files(place)
    return place


def weights(folder):
    return {name: value.numpy() for name, value in load(folder / "weights.safetensors")[0].items()}


def same(one, other):
    return one.keys() == other.keys() and all((one[key] == other[key]).all() for key in one)


# R13.5: the same seed gives the same bits, whichever way training is started.
def test_the_command_line_gives_the_bits_of_python(groundup, files):
    done = groundup("grn", "train", *FILES, *SMALL, "--seed", "3", "model")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "model\n"
    assert "Usable: 174 edges (100%), 12 TFs (100%)" in done.stderr
    assert "AUROC on validation edges" in done.stderr
    problem = posed(files)
    recipe = with_settings("expression", {"sizes": (8, 4), "epochs": 2})
    trained = train_for_use(problem, "expression", recipe, 3)
    kept = weights(files / "model")
    own = {f"model/{name}": value.numpy() for name, value in trained.model.state_dict().items()}
    assert same({name: kept[name] for name in own}, own)
    content = json.loads((files / "model" / "model.json").read_text())
    assert content["seed"] == 3
    assert content["prior"] == problem.prior_digest
    fitted = trained.prevalence
    assert content["prevalence"] == [fitted.slope, fitted.degree, fitted.bias]
    assert content["preprocessing"]["file"] == "../x.tsv"

    again = groundup("grn", "train", *FILES, *SMALL, "--seed", "3", "model", "--json")
    assert again.exit_code == 0, again.stderr  # nothing is left to do
    told = json.loads(again.stdout)
    assert told["names"]["usable"] == 174
    assert same(weights(files / "model"), kept)
    other = groundup("grn", "train", *FILES, *SMALL, "--seed", "4", "model")
    assert other.exit_code == 1
    assert "seed was 3, now 4" in other.stderr
    assert same(weights(files / "model"), kept)
    anew = groundup("grn", "train", *FILES, *SMALL, "--seed", "4", "model", "--restart")
    assert anew.exit_code == 0, anew.stderr
    assert not same(weights(files / "model"), kept)


def test_a_model_writes_its_network(groundup, files):
    words = ("--groups", "genes.tsv", "--log1p", "--variable-genes", "40", "--normalize", "1000")
    counts = (files / "x.tsv").read_text().replace("-", "")  # no value below 0
    (files / "x.tsv").write_text(counts)
    assert groundup("grn", "train", *FILES, *SMALL, *words, "m").exit_code == 0
    done = groundup("grn", "predict", "m", "--top", "30")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "edges.tsv\n"
    with open("edges.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 30
    assert list(rows[0]) == ["TF", "target", "importance", "probability", "sign", "in_prior"]
    assert {row["in_prior"] for row in rows} <= {"True", "False"}
    assert [float(r["importance"]) for r in rows] == sorted(
        (float(r["importance"]) for r in rows), reverse=True
    )
    model = json.loads((files / "m" / "model.json").read_text())
    assert 40 <= len(model["genes"]) < 60
    named = groundup("grn", "predict", "m", "--expression", "x.tsv", "-o", "n.tsv", "--top", "30")
    assert named.exit_code == 0, named.stderr
    assert (files / "n.tsv").read_bytes() == (files / "edges.tsv").read_bytes()
    every = groundup("grn", "predict", "m", "-o", "n.sif", "--top", "0", "--json")
    assert json.loads(every.stdout)["edges"] == 12 * len(model["genes"])

    unknown = groundup("grn", "predict", "m", "-o", "net.xls")
    assert unknown.exit_code == 2
    assert "the ending says no format" in unknown.stderr
    (files / "x.tsv").unlink()
    gone = groundup("grn", "predict", "m", "-o", "gone.tsv")
    assert gone.exit_code == 1
    assert "give that of the 30 samples" in gone.stderr
    assert not (files / "gone.tsv").exists()
    assert groundup("grn", "predict", "nothing").exit_code == 1


def test_an_ensemble(groundup, files):
    done = groundup("grn", "train", *FILES, *SMALL, "--members", "2", "both")
    assert done.exit_code == 0, done.stderr
    assert "2 times" in done.stderr
    assert groundup("grn", "predict", "both", "--top", "5").exit_code == 0
    assert "\tspread\t" in (files / "edges.tsv").read_text().splitlines()[0]
    single = groundup("grn", "train", *FILES, *SMALL, "both")
    assert single.exit_code == 2
    assert "has a training of an ensemble" in single.stderr


def test_a_combined_model_with_groups_and_places(groundup, files):
    problem = posed(files)
    genes = problem.expression.genes
    lines = [f"{gene}\top{number // 2}\t{number}" for number, gene in enumerate(genes)]
    (files / "genes.tsv").write_text("\n".join(["gene\tgroup\tplace", *lines]) + "\n")
    small = ["--epochs", "2", "--members", "2", "--set", "hidden=8", "--groups", "genes.tsv"]
    done = groundup("grn", "train", *FILES, "--model", "combined", *small, "model")
    assert done.exit_code == 0, done.stderr
    assert "Weights of the evidence: towers " in done.stderr
    grouped = pose(
        problem.expression,
        read_prior(files / "net.tsv"),
        groups=[f"op{number // 2}" for number in range(len(genes))],
        places=range(len(genes)),
    )
    recipe = replace(TOWERS, epochs=2, options={"hidden": 8})
    own = predict(train_for_use(grouped, "combined", recipe, members=2))
    done = groundup("grn", "predict", "model", "--top", "0")
    assert done.exit_code == 0, done.stderr
    rows = pd.read_csv(files / "edges.tsv", sep="\t").set_index(["TF", "target"])
    assert len(rows) == own.scores.size
    best = next(own.ranked(1))
    assert rows.probability[best.tf, best.target] == pytest.approx(best.probability, rel=1e-5)
    assert "spread" in rows.columns


def test_training_to_the_end_says_so(groundup, files):
    done = groundup("grn", "train", *FILES, *SMALL, "--set", "patience=none", "end")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1].endswith("trained to the end, without a look at validation")


def test_settings_come_from_a_trained_model(groundup, files):
    assert groundup("grn", "train", *FILES, *SMALL, "one").exit_code == 0
    words = ("--recipe", "one/model.json", "--set", "batch=32")
    assert groundup("grn", "train", *FILES, *words, "two").exit_code == 0
    trained = load_trained(files / "two", posed(files).expression)
    assert trained.recipe.epochs == 2
    assert trained.recipe.batch == 32
    assert trained.recipe.options["sizes"] == (8, 4)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--prior", "net.tsv"], 2, "there is no expression"),
        (["--expression", "x.tsv"], 2, "--expression FILE and --prior FILE, or --data"),
        (["--expression", "no.tsv", "--prior", "net.tsv"], 1, "no.tsv: there is no such file"),
        ([*FILES, "--model", "magic"], 2, "expected one of regulon, expression"),
        ([*FILES, "--set", "depth=3"], 2, "model 'regulon' has no setting 'depth'"),
        ([*FILES, "--set", "epochs=few"], 2, "epochs=few: expected a whole number"),
        ([*FILES, "--epochs", "0"], 2, "expected a whole number of at least 1"),
        ([*FILES, "--hold-out", "cell"], 2, "expected one of edge, gene, group, tf"),
        ([*FILES, "--hold-out", "group"], 1, "the groups of the genes are missing"),
        ([*FILES, "--groups", "other.tsv"], 2, "no gene of the expression has a group there"),
        ([*FILES, "--duplicates", "max"], 2, "expected one of error, mean, sum, first"),
        (["--expression", "x.tsv", "--prior", "few.tsv"], 1, "only 3 of 4 edges have their TF"),
        (["--expression", "x.tsv", "--prior", "case.tsv"], 1, "names differ in capitals only"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_before_anything_is_written(groundup, files, words, code, told):
    lines = (files / "net.tsv").read_text().splitlines()
    (files / "few.tsv").write_text("\n".join([*lines[:4], "gene0\tnone\t1"]) + "\n")
    (files / "case.tsv").write_text("\n".join([lines[0], *(s.upper() for s in lines[1:])]) + "\n")
    (files / "other.tsv").write_text("gene\tgroup\nnone\ta\n")
    done = groundup("grn", "train", *words, "out")
    assert done.exit_code == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (files / "out").exists()


def test_a_folder_with_other_files_is_left_alone(groundup, files):
    done = groundup("grn", "train", *FILES, ".")
    assert done.exit_code == 2
    assert "a folder with other files" in done.stderr


def test_models_are_listed(groundup):
    done = groundup("grn", "models")
    assert "two towers over expression" in done.stdout
    content = json.loads(groundup("grn", "models", "--json").stdout)
    assert "regulon" in content["models"]
    assert "degree" in content["baselines"]


@pytest.mark.parametrize(
    "command",
    ["train", "predict", "models", "infer", "export", "evaluate", "report", "plot", "compare",
     "ablate", "sweep"],
)  # fmt: skip
def test_help_has_examples(groundup, command):
    text = groundup("grn", command, "--help").stdout
    assert "Examples:" in text
    assert f"groundup grn {command}" in " ".join(text.split())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_training_that_is_stopped_goes_on(process, files, number, code):
    words = ("grn", "train", *FILES, *SMALL[:4], "--epochs", "400", "--set", "patience=none")
    own = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    begun = process(*words, "parts", variables=own)
    deadline = time.monotonic() + 120
    while not (files / "parts" / "training" / "checkpoint.safetensors").exists():
        assert begun.poll() is None, begun.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun.send_signal(number)
    _, err = begun.communicate(timeout=60)
    assert begun.returncode == code
    assert not (files / "parts" / "model.json").exists()
    if number == signal.SIGINT:
        assert "is kept in parts. Go on with the same command: groundup grn train" in err
    for folder in ("parts", "whole"):
        out, err = process(*words, folder, variables=own).communicate(timeout=120)
        assert out == f"{folder}\n", err
    assert same(weights(files / "parts"), weights(files / "whole"))
