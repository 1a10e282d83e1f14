"""Keeps machine code on disk for the next start of Python; never runs code that is stale, damaged or from others.

- **Stale.** Numba's own cache notices a change of the file that holds a function, but no change of other files whose
  functions are compiled into it. So the folder of a module's machine code is named after a digest of the module's
  source and of everything that it imports from this project.
- **Damaged.** Every entry of the cache is one file that begins with a digest of its remaining bytes. An entry that was
  cut off or altered counts as missing: the function is compiled again and the entry is replaced.
- **Foreign.** Machine code is stored pickled, and unpickling a file can run any code that the file holds. So the cache
  lies in a folder that belongs to the user and that nobody else can write to. Where there is no such folder, a private
  temporary folder serves this process alone.

The folder is `~/.cache/dnnmig`. `XDG_CACHE_HOME`, if set, takes the place of `~/.cache`; so does `NUMBA_CACHE_DIR`,
which wins over `XDG_CACHE_HOME`.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.core.serialize import dumps

from dnnmig_env.compiling.imports import SOURCES, THIS_MODULE, Import, imported_files, imports_in
from dnnmig_env.compiling.inner import connect, rebuilt

# What sources import is kept under the code that found it, for as many sources at most.
_IMPORTS_KEY, _MOST_SOURCES = THIS_MODULE.read_bytes(), 1000
# Settings of Numba, from the environment, that change what it compiles.
_SETTINGS = ("BOUNDSCHECK", "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT", "FULL_TRACEBACKS")
_DIGEST_BYTES = hashlib.sha256().digest_size


def keep_compiled(dispatcher: Any, function: Callable[..., Any], variant: str = "") -> None:
    """Have Numba look in this cache for a function's machine code before it compiles the function, and store it there.

    Args:
        dispatcher: The compiled function, as `numba.njit` returned it.
        function: The Python function.
        variant: Name that tells this compilation of the function from its others.
    """
    dispatcher._cache = _KernelCache(function, variant)


class _Entries:
    """The cache entries of one function: a file for each signature, replaced as a whole or not at all.

    Args:
        folder: The folder of the files.
        name: First part of the files' names.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def load(self, key: Any) -> Any:
        """Return the data saved under a key; None if there is none, or if its file is damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != digest:
            return None
        saved_key, data = pickle.loads(payload)
        return data if saved_key == key else None

    def save(self, key: Any, data: Any) -> None:
        """Save data under a key; where that fails (a full disk), say so: the code then serves this process alone."""
        payload: bytes = dumps((key, data))  # type: ignore[no-untyped-call]
        path = self._path(key)
        try:
            handle, partial = tempfile.mkstemp(prefix=path.name, suffix=".partial", dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(payload).digest() + payload)
                os.replace(partial, path)
            except OSError:
                os.unlink(partial)
                raise
        except OSError as error:
            _say(
                f"compiled code could not be kept in {self._folder} ({error.strerror}); the next start compiles again."
            )

    def flush(self) -> None:
        """Delete the entries of all signatures."""
        for path in self._folder.glob(f"{self._name}.*.code"):
            path.unlink(missing_ok=True)

    def _path(self, key: Any) -> Path:
        return self._folder / f"{self._name}.{hashlib.sha256(str(key).encode()).hexdigest()[:16]}.code"


class _Locator(UserProvidedCacheLocator):
    """Tells Numba the folder of a function's entries."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(folder_of(Path(py_file)))

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator:
        return cls(py_func, py_file)


class _KernelCacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  declared so by Numba

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        return rebuilt(target_context, payload)


class _KernelCache(FunctionCache):
    _impl_class = _KernelCacheImpl

    def __init__(self, py_func: Callable[..., Any], variant: str) -> None:
        super().__init__(py_func)  # type: ignore[no-untyped-call]
        name = f"{self._impl.filename_base}.{variant}" if variant else self._impl.filename_base
        self._cache_file: Any = _Entries(Path(self._cache_path), name)

    def save_overload(self, sig: Any, data: Any) -> None:
        connect(data)
        super().save_overload(sig, data)  # type: ignore[no-untyped-call]


@functools.cache
def folder_of(source: Path) -> Path:
    """Return the folder of a module's machine code; create it if it does not exist.

    Args:
        source: The module's file.
    """
    folder = cache_folder() / f"kernels-{digest(source)}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@functools.cache
def cache_folder() -> Path:
    """Return a folder that belongs to the user and to which nobody else can write.

    Where the usual folder does not meet that, the result is a temporary folder, which is removed when the process ends.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(chosen) if chosen else Path.home() / ".cache") / "dnnmig"
        folder.mkdir(parents=True, exist_ok=True)
        reason = _why_not(folder)
    except (OSError, RuntimeError) as error:  # Path.home() raises a RuntimeError where there is none
        reason = str(error)
    if not reason:
        return folder
    _say(f"no cache for compiled code: {reason}. This process compiles anew. Set NUMBA_CACHE_DIR to a folder of yours.")
    private = Path(tempfile.mkdtemp(prefix="dnnmig-"))
    atexit.register(_remove, private, os.getpid())
    return private


def _why_not(folder: Path) -> str:
    """Return why a folder cannot hold machine code, or "" if it can; close a folder of the user's own to all others."""
    if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
        return f"{folder} belongs to another user"
    try:
        folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} cannot be written to ({error.strerror})"


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child does not remove its parent's folder
        shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(f"dnnmig: {text}", file=sys.stderr)


@functools.cache
def digest(source: Path) -> str:
    """Return a digest of a module's source and of everything it imports from this project, decorators included."""
    found: set[Path] = set()
    queue, known = [source.resolve()], _known_imports()
    known_before = len(known)
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += imported(path)
    if len(known) > known_before:
        _keep_imports(known)
    settings: Any = numba.config
    made_by = [numba.__version__, llvmlite.__version__, np.__version__, sys.version]
    made_by += [f"{name}={getattr(settings, name, None)}" for name in _SETTINGS]
    result = hashlib.sha256("\n".join(made_by).encode())
    for path in sorted(found):
        name = path.relative_to(SOURCES) if path.is_relative_to(SOURCES) else path
        result.update(f"\n{name}\n".encode() + path.read_bytes())
    return result.hexdigest()[:16]


@functools.cache
def imported(source: Path) -> tuple[Path, ...]:
    """Return the files of this project that a module imports when it is loaded.

    Parsing all sources would take a sixth of a start, so what they import is kept with the machine code.
    """
    content, known = source.read_bytes(), _known_imports()
    key = hashlib.sha256(content).digest()
    if key not in known:
        known[key] = imports_in(content)
    return imported_files(source, known[key])


@functools.cache
def _known_imports() -> dict[bytes, tuple[Import, ...]]:
    """Return what sources import that earlier starts have parsed, by the digest of the source."""
    known: dict[bytes, tuple[Import, ...]] | None = _imports_entry().load(_IMPORTS_KEY)
    return known or {}


def _keep_imports(known: dict[bytes, tuple[Import, ...]]) -> None:
    """Keep what sources import for the next start; of the sources of former days, the oldest are forgotten."""
    for key in list(known)[:-_MOST_SOURCES]:
        del known[key]
    _imports_entry().save(_IMPORTS_KEY, known)


def _imports_entry() -> _Entries:
    return _Entries(cache_folder(), "imports")
