"""LLVM's intermediate code in, addresses of machine code for this processor out.

The text of a module goes through LLVM's parser, a few of its passes and its code generator, several
modules at once in several threads; the machine code is loaded into the process, where it stays. The
same text is compiled once, in this process or in an earlier one (see ``cache``).
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

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

_lock = threading.RLock()
_addresses: dict[tuple[str, str], int] = {}  # by the text's key and the function's name
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
        >>> from groundup.engine.compiler import native
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


def _key(text: str) -> str:
    version = ".".join(str(number) for number in llvm.llvm_version_info)
    return cache.key(text, version, *_PASSES, host().triple, host().cpu, host().features)


def _object_code(text: str) -> bytes:
    """What LLVM makes of a module, in the system's format for object files."""
    if not hasattr(_own, "machine"):
        _own.machine = _new_machine()
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        _own.builder = llvm.create_pass_builder(_own.machine, options)
    passes = llvm.create_new_module_pass_manager()
    for name in _PASSES:
        getattr(passes, f"add_{name}_pass")()
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
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


def _object_codes(modules: Mapping[str, str]) -> dict[str, bytes]:
    """The machine code of modules by their keys, from the disk or from LLVM."""
    found = {key: cache.read(key) for key in modules}
    codes = {key: code for key, code in found.items() if code is not None}
    missing = [key for key in modules if key not in codes]
    if missing:
        _target()
        texts = [modules[key] for key in missing]
        threads = min(get_num_threads(), len(missing))
        if threads == 1:
            made = [_object_code(text) for text in texts]
        else:
            with ThreadPoolExecutor(threads, "compile") as executor:
                made = list(executor.map(_object_code, texts))
        for key, code in zip(missing, made, strict=True):
            cache.write(key, code)
            codes[key] = code
        cache.trim()
    return codes


def _load(functions: Iterable[tuple[str, str]]) -> list[int]:
    """The addresses of functions, given as (text of a module, name), names being different."""
    with _lock:
        wanted = [(_key(text), name, text) for text, name in functions]
        modules = {key: text for key, name, text in wanted if (key, name) not in _addresses}
        if modules:
            library = llvm.JITLibraryBuilder().add_current_process()
            for code in _object_codes(modules).values():
                library.add_object_img(code)
            for key, name, _ in wanted:
                if key in modules:
                    library.export_symbol(name)
            loaded = library.link(_linker(), f"library {next(_numbers)}")
            _loaded.append(loaded)
            _addresses.update({(k, name): loaded[name] for k, name, _ in wanted if k in modules})
        return [_addresses[key, name] for key, name, _ in wanted]


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
        >>> from groundup.engine.compiler import native
        >>> address = native.compile("define i32 @seven() { ret i32 7 }", "seven")
        >>> ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        7
    """
    return _load([(text, name)])[0]


def compile_functions(text: str, *names: str) -> list[int]:
    """The addresses of several functions of one module, in the order of their names.

    Example:
        >>> from groundup.engine.compiler import native
        >>> text = "define void @a() { ret void } define void @b() { ret void }"
        >>> len(native.compile_functions(text, "a", "b"))
        2
    """
    return _load([(text, name) for name in names])


def compile_many(modules: Mapping[str, str]) -> dict[str, int]:
    """The addresses of functions that are each in a module of its own.

    Several modules are compiled at the same time, by as many threads as ``get_num_threads`` says.

    Args:
        modules: the name of each function, and the text of the module that defines it and no other
            name that can be seen from outside.

    Raises:
        RuntimeError: LLVM does not accept a module.

    Example:
        >>> from groundup.engine.compiler import native
        >>> modules = {name: f"define void @{name}() {{ ret void }}" for name in ("a", "b")}
        >>> sorted(native.compile_many(modules))
        ['a', 'b']
    """
    addresses = _load([(text, name) for name, text in modules.items()])
    return dict(zip(modules, addresses, strict=True))


# A forked process inherits LLVM as it is at that moment, so nobody may be in the middle of it.
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)
