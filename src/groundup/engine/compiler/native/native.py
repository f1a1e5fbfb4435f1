"""LLVM's intermediate code in, addresses of machine code for this processor out.

The text of a module goes through LLVM's parser, a few of its passes and its code generator; the
machine code is loaded into the process, where it stays. The same text is compiled once, in this
process or in an earlier one (see ``cache``). Where a program needs many functions, several become
one module, which LLVM is quicker with, and several modules are compiled at once in several threads.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from . import cache
from .threads import get_num_threads

_PASSES = ("always_inliner", "sroa", "instruction_combine", "simplify_cfg")
"""LLVM's passes, in order; what arrives here has its vectors and its unrolled loops already."""

# llvmlite lets one thread at a time into LLVM. These two calls take nearly all of the time and
# touch only objects of the thread that makes them, so they may be made in several threads.
_optimise, _emit = (
    getattr(function, "_cfn", function)
    for function in (
        ffi.lib.LLVMPY_RunNewModulePassManager,
        ffi.lib.LLVMPY_TargetMachineEmitToMemory,
    )
)

_MODULES = 8
"""Into how many modules the functions of a program are put; by their names, so that a program that
has one function more needs one module anew."""

_lock = threading.RLock()
_addresses: dict[tuple[str, str], int] = {}  # by the text's key and the function's name
_functions: dict[str, int] = {}  # by names that say what a function does
_loaded: list[Any] = []  # what LLVM would unload if it were forgotten
_numbers = itertools.count()
_own = threading.local()


@dataclass(frozen=True, slots=True)
class Host:
    """The processor that code is compiled for.

    Attributes:
        triple: architecture, vendor and system, as LLVM writes them.
        cpu: LLVM's name of the processor.
        features: its instruction sets, as LLVM's command line takes them.
        bits: width of the vectors to use: 512, 256 or 128.
    """

    triple: str
    cpu: str
    features: str
    bits: int


@functools.cache
def host() -> Host:
    """The processor that this process runs on.

    Example:
        >>> from groundup.engine.compiler.native import native
        >>> native.host().bits in (128, 256, 512)
        True
    """
    features = llvm.get_host_cpu_features()
    bits = 128
    if all(features.get(name) for name in ("avx512f", "avx512bw", "avx512dq", "avx512vl")):
        bits = 512
    elif features.get("avx2") and features.get("fma"):
        bits = 256
    return Host(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten(), bits)


@functools.cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm.Target.from_triple(host().triple)


def _new_machine() -> Any:
    return _target().create_target_machine(
        cpu=host().cpu,
        features=host().features,
        opt=2,
        reloc="pic",
        codemodel="small",
        jit=True,
    )


@functools.cache
def _linker() -> Any:
    return llvm.create_lljit_compiler(_new_machine(), use_jit_link=True)


def _key(*parts: str) -> str:
    version = ".".join(str(number) for number in llvm.llvm_version_info)
    return cache.key(*parts, version, *_PASSES, host().triple, host().cpu, host().features)


def _object_code(texts: Sequence[str]) -> bytes:
    """What LLVM makes of texts as one module, in the system's format for object files."""
    if not hasattr(_own, "machine"):
        _own.machine = _new_machine()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        _own.builder = llvm.create_pass_builder(_own.machine, options)
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    with llvm.create_context() as context, llvm.parse_assembly(texts[0], context) as module:
        for text in texts[1:]:
            module.link_in(llvm.parse_assembly(text, context))
        module.verify()
        _optimise(passes, module, _own.builder)
        with ffi.OutputString() as message:
            buffer = _emit(_own.machine, module, 1, message)
            if not buffer:
                raise RuntimeError(f"LLVM made no code: {message}")
        try:
            start = ffi.lib.LLVMPY_GetBufferStart(buffer)
            return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(buffer))
        finally:
            ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _object_codes(modules: Mapping[str, Callable[[], Sequence[str]]]) -> list[bytes]:
    """The machine code of modules by their keys, from the disk or from LLVM."""
    found = {key: cache.read(key) for key in modules}
    missing = [key for key, code in found.items() if code is None]
    if missing:
        _target()
        texts = [modules[key]() for key in missing]
        threads = min(get_num_threads(), len(missing))
        if threads == 1:
            made = [_object_code(each) for each in texts]
        else:
            with ThreadPoolExecutor(threads, "compile") as executor:
                made = list(executor.map(_object_code, texts))
        for key, code in zip(missing, made, strict=True):
            cache.write(key, code)
            found[key] = code
        cache.trim()
        _give_back()
    return [code for code in found.values() if code is not None]


def _give_back() -> None:
    """Let the C library return to the system what LLVM had asked for, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _linked(modules: Mapping[str, Callable[[], Sequence[str]]], names: Iterable[str]) -> Any:
    """A library of modules that has the addresses of some of their functions by their names."""
    library = llvm.JITLibraryBuilder().add_current_process()
    for code in _object_codes(modules):
        library.add_object_img(code)
    for name in names:
        library.export_symbol(name)
    loaded = library.link(_linker(), f"library {next(_numbers)}")
    _loaded.append(loaded)
    return loaded


def _load(text: str, names: Sequence[str]) -> list[int]:
    """The addresses of functions of a module."""
    with _lock:
        key = _key(text)
        missing = [name for name in names if (key, name) not in _addresses]
        if missing:
            loaded = _linked({key: lambda: [text]}, missing)
            _addresses.update({(key, name): loaded[name] for name in missing})
        return [_addresses[key, name] for name in names]


def compile(text: str, name: str) -> int:
    """The address of a function of a module, compiled for this processor.

    Args:
        text: the module, in LLVM's assembly language; it may call the C library.
        name: of a function that the module defines.

    Returns:
        the address, which stays valid as long as the process runs.

    Raises:
        RuntimeError: LLVM does not accept the module.

    Example:
        >>> import ctypes
        >>> from groundup.engine.compiler.native import native
        >>> address = native.compile("define i32 @seven() { ret i32 7 }", "seven")
        >>> ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        7
    """
    return _load(text, [name])[0]


def compile_functions(text: str, *names: str) -> list[int]:
    """The addresses of several functions of one module, in the order of their names.

    Example:
        >>> from groundup.engine.compiler.native import native
        >>> text = "define void @a() { ret void } define void @b() { ret void }"
        >>> len(native.compile_functions(text, "a", "b"))
        2
    """
    return _load(text, names)


def compile_many(modules: Mapping[str, Callable[[], str]]) -> dict[str, int]:
    """The addresses of functions whose names say what they do.

    Functions of one name have to be equal, in every process that has the same source text of this
    compiler. What is known by its name, here or on the disk, is not even written down.

    Args:
        modules: the name of each function, and what writes a module that defines it and no other
            name that can be seen from outside.

    Raises:
        RuntimeError: LLVM does not accept a module.

    Example:
        >>> from groundup.engine.compiler.native import native
        >>> modules = {f"nothing_{i}": lambda i=i: f"define void @nothing_{i}() {{ ret void }}"
        ...     for i in range(3)}
        >>> sorted(native.compile_many(modules))
        ['nothing_0', 'nothing_1', 'nothing_2']
    """
    with _lock:
        together: dict[int, list[str]] = {}
        for name in sorted(modules.keys() - _functions.keys()):
            together.setdefault(crc32(name.encode()) % _MODULES, []).append(name)
        if together:
            wanted = {
                _key(cache.sources(), *names): partial(_written, modules, names)
                for names in together.values()
            }
            names = [name for names in together.values() for name in names]
            loaded = _linked(wanted, names)
            _functions.update({name: loaded[name] for name in names})
        return {name: _functions[name] for name in modules}


def _written(modules: Mapping[str, Callable[[], str]], names: Iterable[str]) -> list[str]:
    return [modules[name]() for name in names]


# A forked process inherits LLVM as it is at that moment, so nobody may be in the middle of it.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
