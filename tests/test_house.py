"""The house rules that a machine can check, so that no review has to."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "groundup").rglob("*.py"))
LONGEST = 600
FLOORS = ["nn", "nn.functional", "optim", "training", "data", "text", "viz"]

# A file that holds pickled objects runs code when it is read.
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FRAMEWORKS = {"torch", "jax", "tensorflow", "keras", "autograd"}

# A folder of one machine; a path of an address or of this project has a word before the slash.
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:root|work|home/[a-z]\w*|Users/[a-z]\w*)/\w")
DEFERRED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")


def tracked_files() -> list[Path]:
    """Every file that is, or with the next commit may be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:  # an unpacked source archive
        folders = (ROOT / name for name in ("src", "tests", "docs", "benchmarks"))
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def lines_of(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file with their places; nothing for a binary file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        yield f"{path.relative_to(ROOT)}:{number}", line


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """The dotted names that a file imports from elsewhere, with the places where it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield f"{path.relative_to(ROOT)}:{node.lineno}", name


def test_sources_are_found() -> None:
    assert SOURCES, "src/groundup holds no Python file, so the rules below check nothing"


def test_floors_import_downwards() -> None:
    pytest.importorskip("importlinter")
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_is_one_idea() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    long = [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > LONGEST]
    assert not long, f"more than {LONGEST} lines, so more than one idea:\n" + "\n".join(long)


def test_a_file_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent, "no docstring at the top:\n" + "\n".join(silent)


def test_nothing_that_learns_is_borrowed() -> None:
    borrowed = [
        f"{place} imports {name}"
        for path in SOURCES
        for place, name in imports_of(path)
        if name.split(".")[0] in FRAMEWORKS
        or (name.split(".")[0] == "sklearn" and not name.startswith("sklearn.datasets"))
    ]
    assert not borrowed, "src learns with its own means:\n" + "\n".join(borrowed)


# R1.5: a file that is loaded must not run code.
def test_nothing_is_unpickled() -> None:
    found = [
        f"{place} imports {name}"
        for path in SOURCES
        for place, name in imports_of(path)
        if name.split(".")[0] in UNPICKLERS
    ]
    found += [
        f"{place}: {line.strip()}"
        for path in SOURCES
        for place, line in lines_of(path)
        if re.search(r"allow_pickle\s*=\s*True", line)
    ]
    assert not found, "safetensors and JSON are the formats here:\n" + "\n".join(found)


def test_no_path_of_one_machine() -> None:
    found = [
        f"{place}: {line.strip()[:100]}"
        for path in tracked_files()
        for place, line in lines_of(path)
        if MACHINE_PATH.search(line)
    ]
    assert not found, "paths that exist on one machine only:\n" + "\n".join(found)


def test_no_work_is_put_off() -> None:
    found = [
        f"{place}: {line.strip()}"
        for path in SOURCES
        for place, line in lines_of(path)
        if DEFERRED.search(line)
    ]
    assert not found, "do it or leave it out:\n" + "\n".join(found)


def public_modules() -> list[str]:
    """The packages that people import from, and every other module that states its ``__all__``."""
    stated = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if re.search(r"^__all__\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    return sorted(stated | {"groundup", *(f"groundup.{floor}" for floor in FLOORS)})


def undocumented(module: ModuleType) -> Iterator[str]:
    """What is missing in the public names of a module, a line each."""
    for name in module.__all__:
        if not hasattr(module, name):
            yield f"{module.__name__}.{name}: in __all__ but not in the module"
            continue
        value = getattr(module, name)
        is_class = inspect.isclass(value)
        if inspect.ismodule(value) or not (is_class or inspect.isroutine(value)):
            continue  # a module has its own row, a constant cannot have a docstring
        text = (vars(value).get("__doc__") if is_class else value.__doc__) or ""
        if not text.strip():
            yield f"{module.__name__}.{name}: no docstring"
        elif ">>>" not in text and not (is_class and issubclass(value, BaseException)):
            yield f"{module.__name__}.{name}: no example (>>>) in its docstring"


@pytest.mark.parametrize("name", public_modules())
def test_public_names_have_examples(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__, f"{name} offers nothing"
    assert len(set(module.__all__)) == len(module.__all__), f"{name}.__all__ repeats a name"
    missing = list(undocumented(module))
    assert not missing, f"{len(missing)} of {len(module.__all__)}:\n" + "\n".join(missing)


def test_one_version() -> None:
    import groundup

    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert groundup.__version__ == version
    assert f"\nversion: {version}\n" in citation
