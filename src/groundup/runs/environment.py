"""What a run's figures depend on besides its config: versions, processor, threads, commit, command.

No environment variables and no secrets: of the command line, passwords in addresses and the values
of options that are called token, password, secret or key are left out.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "safetensors", "matplotlib", "scikit-learn")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_SECRET = r"[\w-]*(?:token|password|passwd|secret|credential|(?<![a-z])key)[\w-]*"
_IN_ADDRESS = re.compile(r"(?<=://)([^/@\s:]*):[^@\s]*@")
_ASSIGNED = re.compile(rf"(?i)^(-*{_SECRET}=).*", re.DOTALL)
_OPTION = re.compile(rf"(?i)^-+{_SECRET}$")


def environment(seed: int | None = None) -> dict[str, Any]:
    """Versions, computer, commit and command line, as JSON values.

    Args:
        seed: noted with the rest.

    Example:
        >>> found = environment(seed=7)
        >>> found["seed"], sorted(found)[:4]
        (7, ['blas', 'command', 'commit', 'cores'])
    """
    import groundup

    return {
        "command": command(sys.argv),
        "seed": seed,
        "versions": {
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "groundup": groundup.__version__,
            **_versions(),
        },
        "blas": _blas(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": _cores(),
        "threads": _threads(),
        "host": platform.node(),
        "commit": _commit(Path.cwd()),
    }


def command(words: Sequence[str]) -> list[str]:
    """A command line without what is secret in it.

    Example:
        >>> command(["train", "--api-key", "k1", "--token=t1", "postgresql://me:pw@db/runs"])
        ['train', '--api-key', '***', '--token=***', 'postgresql://me:***@db/runs']
    """
    shown, hide = [], False
    for word in words:
        word = "***" if hide and not word.startswith("-") else word
        hide = _OPTION.match(word) is not None
        shown.append(_ASSIGNED.sub(r"\1***", _IN_ADDRESS.sub(r"\1:***@", word)))
    return shown


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _blas() -> str | None:
    """What NumPy multiplies matrices with."""
    import numpy as np

    config = np.show_config(mode="dicts")
    blas = (config or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{blas['name']} {blas.get('version', '')}".strip() if "name" in blas else None


@cache
def _cpu() -> str:
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads() -> int:
    """How many threads a matrix product may use, as far as the usual settings tell."""
    given = (os.environ.get(name, "") for name in THREADS)
    return next((int(value) for value in given if value.isdecimal() and int(value)), _cores())


@cache
def _commit(folder: Path) -> str | None:
    """The commit of the folder's repository, with "-dirty" if files differ from it."""
    return _output("git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
