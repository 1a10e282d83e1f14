"""Compiling: how the project's numeric functions become machine code.

Begin with `jit`, whose decorators compile a function with Numba. `cache` keeps the machine code on disk, so that the
next start of Python need not compile again, and `threads` divides a loop over rows among threads. The other rooms use
`jit` and `threads` only.
"""
