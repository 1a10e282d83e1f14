"""Compiles functions that only compiled functions call, no further than their callers need.

Numba optimises every function, together with copies of all that it calls, and translates it into machine code. For a
function that only compiled functions call, nobody runs that machine code, and each of its callers optimises it anew.
So such an inner function stays as it is when its types are known. The outermost function, which Python calls, is
optimised together with all that it calls, once. A first start takes two thirds of the time that it took otherwise, and
the machine code is as fast (`multi-user`, 64 rows, three rounds in turn, 28 November 2026).

What is here follows the inner workings of Numba 0.68. Tests in `tests/dnnmig_env/compiling/test_inner.py` notice if
they change.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from llvmlite import binding as llvm
from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

library_of = attrgetter("library")
"""Returns the library in which the code of a compiled function is."""

INNER = "inner"
"""What stored code without machine code is marked with."""


class InnerLibrary(JITCodeLibrary):  # type: ignore[misc]
    """The code of an inner function and of all that it calls."""

    def finalize(self) -> None:
        """Add what the function calls, after which the code is complete."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._complete()

    def serialize_using_object_code(self) -> tuple[str, str, bytes]:
        """Return what to store. Numba calls this method for every library, whether there is object code or not."""
        return self.name, INNER, self._get_module_for_linking().as_bitcode()

    @classmethod
    def stored(cls, codegen: Any, name: str, code: bytes) -> InnerLibrary:
        """Return a library that was stored."""
        self = cls(codegen, name)
        self._final_module = self._shared_module = llvm.parse_bitcode(code)
        self._complete()
        return self

    def _complete(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):  # type: ignore[misc]
    _name = "inner_lowering"

    def run_pass(self, state: Any) -> bool:
        library = state["library"] = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        function = state.cr.fndesc
        state.cr = state.cr._replace(cfunc=_entry(library, function, state.cr.env))
        state.targetctx.insert_user_function(state.cr.cfunc, function, [library])
        state.reload_init.extend(library._reload_init)
        return True


class InnerCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler for inner functions: its last step makes no machine code."""

    def define_pipelines(self) -> list[Any]:
        """Return the steps."""
        (pipeline,) = super().define_pipelines()
        pipeline.passes = [
            (_Lowering, text) if each is NativeLowering else (each, text) for each, text in pipeline.passes
        ]
        pipeline._finalized = False
        pipeline.finalize()
        return [pipeline]


def _entry(library: InnerLibrary, function: Any, environment: Any) -> Any:
    """Return what stands for an inner function where Numba expects one that Python can call."""
    name = function.qualname.rpartition(".")[2]
    return _dynfunc.make_function(function.lookup_module(), name, "An inner function.", 0, environment, (library,))


def connect(result: CompileResult) -> None:
    """Tell the machine code of an outer function where the globals of the inner ones are, for instance what they print.

    Numba does so when it makes the machine code of each, which inner functions do not have.
    """
    library = library_of(result)
    if not isinstance(library, InnerLibrary):
        for environment in result._find_referenced_environments():
            library.codegen.set_env(environment.env_name, environment)


def rebuilt(context: Any, stored: Any) -> CompileResult:
    """Return what was compiled, from what Numba has stored of it."""
    (name, kind, code), *rest = stored
    if kind != INNER:
        return CompileResult._rebuild(context, *stored)
    fndesc, environment, signature, objectmode, lifted, annotation, reload_init, environments = rest
    for initialise in reload_init:
        initialise()
    library = InnerLibrary.stored(context.codegen(), name, code)
    return CompileResult(
        target_context=context,
        typing_context=context.typing_context,
        library=library,
        environment=environment,
        entry_point=_entry(library, fndesc, environment),
        fndesc=fndesc,
        type_annotation=annotation,
        signature=signature,
        objectmode=objectmode,
        lifted=lifted,
        typing_error=None,
        call_helper=None,
        metadata=None,
        reload_init=reload_init,
        referenced_envs=environments,
    )
