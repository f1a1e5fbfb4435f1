"""Text to machine code, once in a process and once on a disk. R1.4."""

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from groundup.engine.compiler.native import cache, native

LANES = "<8 x float>"


def constant(value: int, name: str = "constant") -> str:
    return f"define i32 @{name}() {{ ret i32 {value} }}"


def constants(name: str, count: int, written: list[str]) -> dict[str, Callable[[], str]]:
    """Functions that return numbers; whose text is asked for is noted."""

    def write(i: int) -> str:
        written.append(f"{name}{i}")
        return constant(i, f"{name}{i}")

    return {f"{name}{i}": partial(write, i) for i in range(count)}


def call(address: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path))
    return tmp_path / "code"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that LLVM is given while a test runs, in a process that remembers nothing."""
    texts: list[str] = []
    real = native._object_code
    monkeypatch.setattr(native, "_addresses", {})
    monkeypatch.setattr(native, "_functions", {})

    def noted(some: Sequence[str]) -> bytes:
        texts.extend(some)
        return real(some)

    monkeypatch.setattr(native, "_object_code", noted)
    return texts


def test_the_host_has_vectors() -> None:
    host = native.host()
    assert host.bits in (128, 256, 512)
    assert (host.bits == 512) <= ("+avx512f" in host.features)
    assert (host.bits >= 256) <= ("+avx2" in host.features)
    assert host is native.host()


def test_the_same_text_is_compiled_once(folder: Path, compiled: list[str]) -> None:
    first = native.compile(constant(5), "constant")
    assert call(first) == 5
    assert native.compile(constant(5), "constant") == first
    assert compiled == [constant(5)]


def test_equal_names_in_different_texts(folder: Path) -> None:
    a, b = native.compile(constant(6), "constant"), native.compile(constant(7), "constant")
    assert (call(a), call(b)) == (6, 7)


def test_several_functions_of_one_module(folder: Path, compiled: list[str]) -> None:
    text = constant(1, "one") + "\n" + constant(2, "two") + "\n" + constant(3, "three")
    addresses = native.compile_functions(text, "two", "one")
    assert [call(address) for address in addresses] == [2, 1]
    assert call(native.compile(text, "three")) == 3
    assert compiled == [text]  # what was asked for later came from the disk


def test_many_modules(folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    modules = constants("f", 40, written)
    addresses = native.compile_many(modules)
    assert {name: call(address) for name, address in addresses.items()} == {
        f"f{i}": i for i in range(40)
    }
    assert sorted(written) == sorted(modules)
    assert len(compiled) == 40
    assert len(list(folder.iterdir())) == native._MODULES
    assert native.compile_many(constants("f", 40, written)) == addresses
    assert len(written) == 40
    more = native.compile_many(constants("f", 42, written))
    assert {call(more.pop(f"f{i}")) for i in (40, 41)} == {40, 41}
    assert more == addresses
    assert written[40:] == ["f40", "f41"]
    # Another process finds all of them on the disk, and only asks for what has changed.
    monkeypatch.setattr(native, "_functions", {})
    written.clear()
    assert call(native.compile_many(constants("f", 40, written))["f17"]) == 17
    assert written == []
    monkeypatch.setattr(native, "_functions", {})
    assert call(native.compile_many(constants("f", 41, written))["f40"]) == 40
    assert 1 <= len(written) < 20


def test_another_compiler_writes_anew(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    native.compile_many({"f": lambda: constant(1, "f")})
    monkeypatch.setattr(native, "_functions", {})
    monkeypatch.setattr(cache, "sources", lambda: "another")
    assert call(native.compile_many({"f": lambda: constant(2, "f")})["f"]) == 2


def test_functions_of_one_module_may_share_others(folder: Path, compiled: list[str]) -> None:
    shared = "define internal i32 @seven() alwaysinline { ret i32 7 }\n"
    uses = {
        name: f"{shared}define i32 @{name}() {{ %v = call i32 @seven() ret i32 %v }}"
        for name in map("user{}".format, range(20))
    }
    found = native.compile_many({name: partial(str, text) for name, text in uses.items()})
    assert {call(address) for address in found.values()} == {7}


def test_code_is_optimised_for_this_processor(folder: Path) -> None:
    text = f"""
    define void @double(ptr %x) {{
      %place = alloca ptr
      store ptr %x, ptr %place
      %again = load ptr, ptr %place
      %v = load {LANES}, ptr %again, align 4
      %w = fadd {LANES} %v, %v
      store {LANES} %w, ptr %x, align 4
      ret void
    }}"""
    numbers = (ctypes.c_float * 8)(*range(8))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(native.compile(text, "double"))(numbers)
    assert list(numbers) == [2.0 * i for i in range(8)]


def test_what_llvm_refuses_is_an_error_and_nothing_is_kept(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        native.compile("define void @wrong( {", "wrong")
    with pytest.raises(RuntimeError):
        native.compile(constant(1), "another")
    assert call(native.compile(constant(1), "constant")) == 1


def test_threads_compile_at_once(folder: Path, compiled: list[str]) -> None:
    found: dict[int, int] = {}

    def work(i: int) -> None:
        found[i] = call(native.compile(constant(i % 5), "constant"))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {i: i % 5 for i in range(20)}
    assert len(compiled) == 5


# The disk


def test_another_process_need_not_compile(folder: Path, compiled: list[str]) -> None:
    script = (
        "import ctypes, sys; from groundup.engine.compiler.native import native\n"
        f"address = native.compile({constant(8)!r}, 'constant')\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "8\n", done.stderr
    assert len(list(folder.iterdir())) == 1
    assert call(native.compile(constant(8), "constant")) == 8
    assert compiled == []


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "foreign", "folder"])
def test_a_damaged_file_is_compiled_anew(
    folder: Path, compiled: list[str], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    native.compile(constant(9), "constant")
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        content = {"cut": whole[:-100], "empty": b"", "flipped": flipped, "foreign": b"x" * 1000}
        file.write_bytes(content[damage])
    monkeypatch.setattr(native, "_addresses", {})
    assert call(native.compile(constant(9), "constant")) == 9
    assert len(compiled) == 2
    if damage != "folder":
        assert file.read_bytes() == whole


def test_other_code_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = native._key(constant(1))
    assert native._key(constant(1)) == key
    assert native._key(constant(2)) != key
    host = native.host()
    for change in ({"cpu": "other"}, {"features": host.features + ",+other"}):
        other = native.Host(**{name: getattr(host, name) for name in host.__slots__} | change)
        with monkeypatch.context() as patch:
            patch.setattr(native, "host", lambda other=other: other)
            assert native._key(constant(1)) != key


def test_a_folder_that_cannot_be_written(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv("GROUNDUP_CACHE", str(in_the_way))
    assert call(native.compile(constant(10), "constant")) == 10
    assert in_the_way.read_text() == "not a folder"


def test_the_cache_is_switched_off(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_CACHE", "")
    assert cache.folder() is None
    assert call(native.compile(constant(11), "constant")) == 11


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GROUNDUP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    cache.write("name", b"code")
    assert cache.read("name") is None


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has a folder of its own")
def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GROUNDUP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "groundup" / "code"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "groundup" / "code"


def test_a_file_of_another_user_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write("name", b"code")
    assert cache.read("name") == b"code"
    (file,) = folder.iterdir()
    real = os.fstat
    other = os.geteuid() + 1

    def foreign(handle: int) -> os.stat_result:
        fields = list(real(handle))
        fields[4] = other  # st_uid
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", foreign)
    assert cache.read("name") is None
    assert folder.stat().st_mode & 0o077 == 0
    assert file.is_file()


def test_the_cache_is_bounded(folder: Path) -> None:
    for i in range(20):
        cache.write(f"{i:02d}", bytes(1000))
        os.utime(folder / f"{i:02d}.code", (1000 + i, 1000 + i))
    cache.trim(limit=30_000)
    assert len(list(folder.iterdir())) == 20
    cache.trim(limit=12_000)
    left = sorted(path.name for path in folder.iterdir())
    assert left == [f"{i:02d}.code" for i in range(20 - len(left), 20)]  # the latest
    assert 7 <= len(left) <= 8


def test_what_a_killed_writer_left_goes(folder: Path) -> None:
    cache.write("name", b"code")
    litter = folder / ".name.code.0123"
    litter.write_bytes(b"half")
    cache.trim()
    assert litter.exists()  # its writer may be at it
    os.utime(litter, (0, 0))
    cache.trim()
    assert not litter.exists()
    assert cache.read("name") == b"code"


def test_processes_write_at_once(folder: Path) -> None:
    script = (
        "import ctypes; from groundup.engine.compiler.native import native\n"
        "texts = {\n"
        "    f'f{i}': lambda i=i: f'define i32 @f{i}() {{ ret i32 {i} }}' for i in range(30)\n"
        "}\n"
        "found = native.compile_many(texts)\n"
        "calls = [ctypes.CFUNCTYPE(ctypes.c_int)(address)() for address in found.values()]\n"
        "assert calls == list(range(30))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(list(folder.iterdir())) == native._MODULES
    assert all(path.suffix == ".code" for path in folder.iterdir())
