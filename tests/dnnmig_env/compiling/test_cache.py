"""The cache of machine code: an edited callee gives the new number, and nothing damaged or foreign is ever run."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dnnmig_env.compiling import cache

PROJECT = Path(__file__).resolve().parents[3]

INNER = """
from dnnmig_env.compiling.jit import jit

@jit
def seconds(size):
    return size + {constant}
"""
OUTER = """
{imports}
from dnnmig_env.compiling.jit import jit

@jit
def delay(size):
    return 10.0 * seconds(size)
"""
ASK = "from dnnmig_env.probe.outer import delay; print(delay(1.0))"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what compiles, with a package `dnnmig_env.probe` whose `outer` calls its `inner`."""
    return copied(tmp_path / "src")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a copy whose machine code is in the cache; every test leaves it there, whole."""
    project = copied(tmp_path_factory.mktemp("asked") / "src")
    assert ask(project) == ("20.0", "")
    return project


def copied(project: Path) -> Path:
    compiling = project / "dnnmig_env/compiling"
    compiling.mkdir(parents=True)
    for folder in (compiling.parent, compiling):
        (folder / "__init__.py").write_text("")
    for name in ("jit.py", "cache.py", "imports.py", "inner.py", "lent.py", "array_memory.py"):
        (compiling / name).write_text((PROJECT / "dnnmig_env/compiling" / name).read_text())
    write(project, "from dnnmig_env.probe.inner import seconds", 1.0)
    return project


def write(project: Path, imports: str, constant: float, package: str = "probe") -> None:
    probe = project / "dnnmig_env" / package
    if not probe.exists():
        probe.mkdir()
        (probe / "__init__.py").write_text("")
    (probe / "inner.py").write_text(INNER.format(constant=constant))
    (probe / "outer.py").write_text(OUTER.format(imports=imports.replace("dnnmig_env.probe", f"dnnmig_env.{package}")))


def ask(project: Path, code: str = ASK, **variables: str) -> tuple[str, str]:
    """Run some code in a new process and return what it prints on stdout and on stderr.

    The process writes no bytecode of its own: Python takes the bytecode of a module for that of its source wherever the
    length of the source and the second in which it was written agree, as they may when a test edits it at once.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment = {**inherited, "PYTHONPATH": str(project), "HOME": str(project / "home"), **variables}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    (project / "home").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def entries(folder: Path) -> list[Path]:
    """Return the files of machine code in a folder and its subfolders."""
    return sorted(folder.rglob("kernels-*/*.code"))


IMPORTS = [
    "from dnnmig_env.probe.inner import seconds",
    "from dnnmig_env.probe import inner\nseconds = inner.seconds",
    "import dnnmig_env.probe.inner\nseconds = dnnmig_env.probe.inner.seconds",
    "from .inner import (\n    seconds,  # (a remark)\n)",
    "if True:\n    from dnnmig_env.probe.inner import seconds",
]
"""Ways in which a module imports what it calls."""


@pytest.mark.parametrize("variable", ["", "NUMBA_CACHE_DIR"])
def test_an_edited_callee_gives_the_new_number(project: Path, tmp_path: Path, variable: str) -> None:
    chosen = {variable: str(tmp_path / "chosen")} if variable else {}
    packages = [f"probe{k}" for k in range(len(IMPORTS))]  # one for each way; they know nothing of each other
    ask_all = "".join(f"from dnnmig_env.{each}.outer import delay; print(delay(1.0))\n" for each in packages)
    for constant, number in ((1.0, "20.0"), (2.0, "30.0")):
        for package, imports in zip(packages, IMPORTS, strict=True):
            write(project, imports, constant, package)
        said, complaints = ask(project, ask_all, **chosen)
        assert (said.split(), complaints) == ([number] * len(IMPORTS), "")


def test_an_edited_reexport_gives_the_new_number(project: Path) -> None:
    init = project / "dnnmig_env/probe/__init__.py"
    init.write_text("from dnnmig_env.probe.inner import seconds\n")
    write(project, "from dnnmig_env.probe import seconds", 1.0)
    assert ask(project)[0] == "20.0"
    (project / "dnnmig_env/probe/other.py").write_text(INNER.format(constant=4.0))
    init.write_text("from dnnmig_env.probe.other import seconds\n")
    assert ask(project)[0] == "50.0"
    (project / "dnnmig_env/probe/other.py").write_text(INNER.format(constant=5.0))
    assert ask(project)[0] == "60.0"


def test_code_is_kept_between_runs_in_a_folder_closed_to_others(asked: Path) -> None:
    folder = asked / "home/.cache/dnnmig"
    before = {path: path.stat().st_mtime_ns for path in entries(folder)}
    assert len(before) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    hits = "; kept = delay.called_from_python.stats"
    hits += "; print(sum(kept.cache_hits.values()), sum(kept.cache_misses.values()))"
    assert ask(asked, ASK + hits)[0].split() == ["20.0", "1", "0"]
    assert {path: path.stat().st_mtime_ns for path in entries(folder)} == before


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "exchanged"])
def test_a_damaged_entry_is_a_miss_and_replaced(asked: Path, damage: str) -> None:
    found = entries(asked / "home/.cache/dnnmig")
    assert len(found) == 2
    whole = {path: path.read_bytes() for path in found}
    for path, content in whole.items():
        middle = len(content) // 2
        if damage == "exchanged":
            other = next(each for each in found if each != path)
            path.write_bytes(whole[other])
        else:
            flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            path.write_bytes({"empty": b"", "half": content[:middle], "flipped": flipped}[damage])
    assert ask(asked) == ("20.0", "")
    assert entries(asked / "home/.cache/dnnmig") == found
    for path in found:
        assert path.read_bytes()[:32] == cache.hashlib.sha256(path.read_bytes()[32:]).digest()


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR"])
def test_a_place_that_cannot_be_used_is_named_and_a_private_one_serves(
    project: Path, tmp_path: Path, variable: str
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "taken").write_text("a file")
    chosen = {variable: str(tmp_path / "taken"), "TMPDIR": str(tmp_path / "temporary")}
    number, words = ask(project, **chosen)
    assert number == "20.0"
    assert str(tmp_path / "taken") in words and "NUMBA_CACHE_DIR" in words and words.count("\n") == 0
    assert not list((tmp_path / "temporary").glob("dnnmig-*"))  # removed at the end
    assert not list(project.rglob("__pycache__/*.nbi"))  # never beside the sources, where no digest protects


def answers(monkeypatch: pytest.MonkeyPatch, folder: Path, what: Callable[[], object]) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    cache.cache_folder.cache_clear()
    try:
        what()
    finally:
        cache.cache_folder.cache_clear()


def test_a_folder_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

    def look() -> None:
        assert not cache.cache_folder().is_relative_to(tmp_path)
        assert "belongs to another user" in capsys.readouterr().err

    answers(monkeypatch, tmp_path, look)


def test_a_folder_that_cannot_be_written_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)

    def look() -> None:
        assert not cache.cache_folder().is_relative_to(tmp_path)
        assert "cannot be written to (Permission denied)" in capsys.readouterr().err

    answers(monkeypatch, tmp_path, look)


def test_a_folder_open_to_others_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dnnmig").mkdir()
    (tmp_path / "dnnmig").chmod(0o777)
    answers(monkeypatch, tmp_path, lambda: cache.cache_folder())
    assert stat.S_IMODE((tmp_path / "dnnmig").stat().st_mode) == 0o700


def test_a_full_disk_leaves_the_code_to_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    kept = cache._Entries(tmp_path, "delay")
    kept.save("signature", [1])
    assert kept.load("signature") is None
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_several_first_starts_at_once_all_work(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project), "NUMBA_CACHE_DIR": str(project / "cache")}
    starts = [
        subprocess.Popen([sys.executable, "-c", ASK], cwd=project, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [start.communicate(timeout=240)[0].strip() for start in starts] == ["20.0"] * 4
    assert len(entries(project / "cache")) == 2


def test_the_digest_of_a_kernel_covers_what_it_calls() -> None:
    kernels = PROJECT / "dnnmig_env"
    reached, queue = set(), [next(kernels.rglob("episodes.py"), None) or next(kernels.rglob("stepping.py"))]
    while queue:
        path = queue.pop()
        if path not in reached:
            reached.add(path)
            queue += cache.imported(path)
    assert {"kernel.py", "dynamics.py", "state.py", "actions.py"} <= {path.name for path in reached}


@pytest.mark.parametrize("library", ["numba", "llvmlite", "np", "sys"])
def test_another_compiler_has_another_digest(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    source = PROJECT / "dnnmig_env/simulation/kernel.py"
    digest = cache.digest.__wrapped__
    before = digest(source)
    assert digest(source) == before
    monkeypatch.setattr(getattr(cache, library), "version" if library == "sys" else "__version__", "another")
    assert digest(source) != before


def test_what_sources_import_is_parsed_once_and_again_where_the_entry_is_damaged(asked: Path, tmp_path: Path) -> None:
    shutil.copytree(asked / "home", tmp_path / "home")
    (entry,) = (tmp_path / "home/.cache/dnnmig").glob("imports.*.code")
    whole = entry.read_bytes()
    parsed = "import ast; real, seen = ast.parse, []\n"
    parsed += "ast.parse = lambda code, *more, **named: seen.append(type(code)) or real(code, *more, **named)\n"
    for content, again in ((whole, False), (whole[:-1] + bytes([whole[-1] ^ 1]), True), (b"", True)):
        entry.write_bytes(content)
        found = ask(asked, f"{parsed}{ASK}; print(bytes in seen)", HOME=str(tmp_path / "home"))
        assert found == (f"20.0\n{again}", "")
        assert entry.read_bytes() == whole


def test_the_oldest_sources_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_SOURCES", 2)

    def look() -> None:
        cache._keep_imports({name: (cache.Import("math", 0, ("inf",)),) for name in (b"a", b"b", b"c")})
        assert list(cache._known_imports.__wrapped__()) == [b"b", b"c"]

    answers(monkeypatch, tmp_path, look)


def test_flushing_deletes_the_entries_of_one_function_alone(tmp_path: Path) -> None:
    one, other = cache._Entries(tmp_path, "delay"), cache._Entries(tmp_path, "seconds")
    for signature in ("float64", "int64"):
        one.save(signature, [1])
        other.save(signature, [2])
    one.flush()
    assert [one.load("float64"), one.load("int64")] == [None, None]
    assert [other.load("float64"), other.load("int64")] == [[2], [2]]


def test_an_entry_is_for_its_own_signature(tmp_path: Path) -> None:
    kept = cache._Entries(tmp_path, "delay")
    kept.save("float64", [1])
    kept._path("float64").rename(kept._path("int64"))
    assert kept.load("int64") is None


def test_a_private_folder_is_removed_by_the_process_that_made_it_and_by_no_child(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    cache._remove(private, os.getpid() + 1)
    assert private.is_dir()
    cache._remove(private, os.getpid())
    assert not private.exists()


def test_code_without_checks_is_not_loaded_where_checks_are_asked_for(asked: Path, tmp_path: Path) -> None:
    shutil.copytree(asked / "home", tmp_path / "home")  # so that the machine code with checks stays out of `asked`
    misses = "; print(sum(delay.called_from_python.stats.cache_misses.values()))"
    for checks, missed in ({}, "0"), ({"NUMBA_BOUNDSCHECK": "1"}, "1"):
        assert ask(asked, ASK + misses, HOME=str(tmp_path / "home"), **checks)[0].split() == ["20.0", missed]
