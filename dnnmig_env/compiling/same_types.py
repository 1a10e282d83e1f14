"""Calls compiled functions again and again with arguments of the same types, without asking for the types each time.

Numba looks at the type of every argument at every call, to choose the machine code for it. For a step of an environment
this takes 15 microseconds, which is longer than the step takes to compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnnmig_env.compiling.threads import ROWS_PER_CORE, share_rows


class SameTypes:
    """The machine code of compiled functions for the types with which its owner calls them.

    The types never change: arrays keep their element types, their numbers of dimensions and their memory layouts, and
    remain writable. Named tuples of arrays are lent once by the owner (`dnnmig_env.compiling.lent`), not at every call.
    Copies and pickles of this object are empty, so that a copy of its owner looks at its own arrays.
    """

    def __init__(self) -> None:
        self._code: dict[Any, Callable[..., None]] = {}

    def code(self, function: Callable[..., None], *arguments: Any) -> Callable[..., None]:
        """Return what to call in place of a compiled function.

        Args:
            function: A function compiled with a decorator of `dnnmig_env.compiling.jit`.
            *arguments: Arguments for it. Only those of the first call are looked at.
        """
        found = self._code.get(function)
        if found is None:
            dispatcher: Any = getattr(function, "called_from_python", function)
            found = self._code[function] = dispatcher.compile(tuple(map(dispatcher.typeof_pyval, arguments)))
        return found

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a compiled function."""
        self.code(function, *arguments)(*arguments)

    def share_rows(self, loop: Callable[..., None], count: int, *arguments: Any, per_core: int = ROWS_PER_CORE) -> None:
        """Divide the iterations of a loop among threads, as `dnnmig_env.compiling.threads.share_rows` does."""
        share_rows(self.code(loop, 0, count, *arguments), count, *arguments, per_core=per_core)

    def __reduce__(self) -> tuple[type[SameTypes], tuple[()]]:
        """Return how to make a copy: an empty one."""
        return SameTypes, ()
