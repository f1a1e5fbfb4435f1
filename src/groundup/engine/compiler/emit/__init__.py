"""From a kernel to LLVM's intermediate code: loops over explicit vectors, functions of vectors.

In: a ``Kernel``. Out: the text of a function.
"""
