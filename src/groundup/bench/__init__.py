"""How long training steps and forward passes take, here and in other libraries.

    steps/   the networks, their losses and batches: what is timed, written once for all libraries
    worker   one implementation in a process of its own, which steps when it is told to
    race     such processes side by side: the same results first, then turns
    report   what came of it: ratios, their means, which library is ahead

`groundup bench` is this at the command line. Other libraries are timed where they are installed;
nothing here needs them. What compares with JAX and writes the page on performance is in the folder
`benchmarks` of the repository.
"""
