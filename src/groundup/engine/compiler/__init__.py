"""The compiler: a Python function of tensors, such as a whole training step, as machine code.

What goes through which file:

    trace      the function, called once       ->  graph of primitives
    simplify   graph                           ->  smaller graph of simpler primitives
    fuse       graph                           ->  kernels (nests of loops), products, calls
    plan       kernels                         ->  the same with addresses: arena, arguments, state
    emit       kernel                          ->  LLVM's intermediate code
    native     intermediate code               ->  addresses of machine code
    tape       kernels and addresses           ->  one native call, split over threads
    run        arguments of the function       ->  results; traces anew where a guard fails

Beside the road: ``watch`` notes what of Python a function has read, ``capture`` says what becomes
of its arguments and results, ``pullback`` differentiates calls.
"""
