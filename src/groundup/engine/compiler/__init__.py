"""The compiler: a Python function of tensors, such as a whole training step, as machine code.

What goes through which room:

    trace      the function, called once       ->  graph of primitives
    simplify   graph                           ->  smaller graph of simpler primitives
    fuse       graph                           ->  kernels (nests of loops), products, calls
    plan       kernels                         ->  the same with addresses: arena, arguments, state
    emit       kernel                          ->  LLVM's intermediate code
    products   matrix product, convolution     ->  the same, or a call of BLAS
    native     intermediate code               ->  machine code, run by one native call over threads
    run        arguments of the function       ->  results; traces anew where a guard fails

``report`` says what became of a function. What one room hands to the next is in ``graph``,
``shapes``, ``layout`` and ``kernel``.
"""
