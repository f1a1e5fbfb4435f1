"""Machine code and what runs it: LLVM, a cache on disk, tapes, a pool of threads.

In: the text of functions. Out: their addresses, and one native call that runs a whole program.
"""
