"""What LLVM makes of a kernel, as text: for reading, not for running.

What goes in is a kernel, and a processor, which need not be the one at hand; what comes out are its
intermediate code before and after LLVM's passes and its machine code in assembly language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import llvmlite.binding as llvm

from ..emit.emit import emit
from ..kernel import Kernel
from ..native import native
from ..native.native import Host

HASWELL = Host("x86_64-unknown-linux-gnu", "haswell", "", 256)
"""A processor of 2013 with vectors of 256 bits (AVX2)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A kernel as text.

    Attributes:
        emitted: LLVM's intermediate code, as ``emit`` writes it.
        optimised: the same after LLVM's passes.
        assembly: the machine code.
    """

    emitted: str
    optimised: str
    assembly: str


def listing(kernel: Kernel, name: str = "kernel", host: Host | None = None) -> Listing:
    """Compile a kernel to text.

    Args:
        kernel: what to compile.
        name: of the function.
        host: the processor to compile for; this one if None.

    Example:
        >>> from groundup.engine.compiler.kernel import *
        >>> from groundup.engine.compiler.report.listing import HASWELL, listing
        >>> negative = Kernel((8,), 1, (gu.float32,) * 2, (
        ...     Load(0, 0, (1,)), Apply("neg", (0,), gu.float32), Store(1, 0, (1,), 1)))
        >>> "vxorps" in listing(negative, "negative", HASWELL).assembly
        True
    """
    host = host or native.host()
    emitted = emit(kernel, name, host.bits)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(host.triple).create_target_machine(
        cpu=host.cpu, features=host.features, opt=2, reloc="pic", codemodel="small"
    )
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    for each in native._PASSES:
        getattr(passes, f"add_{each}_pass")()
    with llvm.create_context() as context, llvm.parse_assembly(emitted, context) as module:
        passes.run(module, builder)
        return Listing(emitted, str(module), str(machine.emit_assembly(module)))


def function(text: str, name: str) -> str:
    r"""The lines of one function of intermediate code.

    Raises:
        ValueError: the text defines no such function.

    Example:
        >>> from groundup.engine.compiler.report.listing import function
        >>> function("define void @a() {\n  ret void\n}\ndefine void @b() {}", "a")
        'define void @a() {\n  ret void\n}'
    """
    found = re.search(rf'^define [^@\n]*@"?{re.escape(name)}"?\(.*?^\}}$', text, re.M | re.S)
    if found is None:
        raise ValueError(f"function: the text defines no {name}")
    return found[0]


def loops(text: str) -> Iterator[str]:
    r"""The innermost loops of a function: blocks that may go back to their own beginning.

    Args:
        text: intermediate code or assembly language.

    Example:
        >>> from groundup.engine.compiler.report.listing import loops
        >>> print(*loops("start:\n nop\nagain:\n dec %rax\n jne again\n ret"))
        again:
         dec %rax
         jne again
    """
    for block in re.split(r"^(?=[.\w]+:)", text, flags=re.M):
        label = block.partition(":")[0]
        back = re.search(rf"(?:\bj\w+\s+|label %){re.escape(label)}\b.*", block)
        if back is not None:
            yield block[: back.end()].rstrip()
