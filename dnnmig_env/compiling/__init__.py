"""Compiling: how the project's numeric functions become machine code.

Begin with `jit`, whose decorators compile a function with Numba. `cache` keeps the machine code on disk, so that the
next start of Python need not compile again, `notice` tells a user who waits for it, and `threads` divides a loop over
rows among threads. The other rooms use `jit` and `threads` only.
"""

import dnnmig_env.compiling.notice  # noqa: F401  listens from the first import on
