"""The README and the pages in docs/: every command is accepted and finds its folder free, every path is there."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tyro

from agents.planners import planner
from agents.policies.name import PlannerName, parse_policy_name
from dnnmig_env import __main__ as networks
from evaluate.__main__ import COMMANDS
from evaluate.compare.config import Config, separate_names
from train.command_line import parse

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in (README, *sorted((ROOT / "docs").rglob("*.md")))}
WRITTEN_BY_HAND = [text for name, text in PAGES.items() if name != "docs/reference/commands.md"]
"""Pages with commands to type; that one tells of options, and only speaks of commands."""
MAKEFILE = (ROOT / "Makefile").read_text()

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUTS = ("runs/", "results/")
"""Folders that commands fill; git ignores them."""


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(text) if name == language]


def spans(text: str) -> list[str]:
    """What stands in backticks in running text."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def commands(text: str) -> Iterator[list[str]]:
    """The lines of bash blocks, those that go on joined, comments left out."""
    for block in blocks(text, "bash"):
        for line in block.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def commands_in_text(text: str) -> Iterator[list[str]]:
    """Whole commands in running text; without an option, a command is only spoken of."""
    for span in spans(text):
        if re.match(r"\S*python -m \w+ .*--\w", span):
            yield shlex.split(span)


def module_commands() -> list[tuple[str, list[str]]]:
    """Every `python -m MODULE ARGUMENTS` of all pages."""
    every = [words for text in WRITTEN_BY_HAND for words in (*commands(text), *commands_in_text(text))]
    ours = [words for words in every if words[0].endswith("python") and words[1] == "-m" and words[2] != "pytest"]
    return [(words[2], words[3:]) for words in ours]


def written_by(words: list[str]) -> list[str]:
    """The folders or files that a command writes."""
    if words[:2] == ["make", "train"]:
        recipe = re.search(r"^train:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
        default = re.search(r"^RUN\s*\?=\s*(\S+)", MAKEFILE, re.MULTILINE)
        assert recipe and default
        chosen = [word.removeprefix("RUN=") for word in words if word.startswith("RUN=")]
        lines = recipe.group(1).replace("$(RUN)", (chosen or [default.group(1)])[0])
        return re.findall(r"--out (\S+)", lines)
    if "--out" in words:
        return [words[words.index("--out") + 1].rstrip("/")]
    if words[1:3] == ["-m", "train"] and not {"--resume", "--help"} & set(words):
        return [str(parse(words[3:]).out)]
    return []


def check_policy(name: str) -> None:
    parsed = parse_policy_name(name)
    if isinstance(parsed, PlannerName):
        planner(parsed.planner)


def accept(module: str, arguments: list[str]) -> None:
    """Parse a command line as the program does; what is wrong with it is raised, or printed before an exit."""
    if module == "train":
        if "--resume" in arguments:  # the run is not there
            at = arguments.index("--resume")
            arguments = arguments[:at] + arguments[at + 2 :]
        config = parse(arguments)
        for name in (*config.held_out.baselines, *filter(None, [config.warm_start])):
            check_policy(name)
    elif module == "evaluate":
        named = bool(arguments) and arguments[0] in COMMANDS
        kind = COMMANDS[arguments[0]][0] if named else Config
        chosen = tyro.cli(kind, prog="python -m evaluate", args=arguments[1:] if named else arguments)
        for name in separate_names(getattr(chosen, "policies", "random")):
            check_policy(name)
    else:
        assert module == "dnnmig_env", f"no parser is known for python -m {module}"
        assert networks.main(arguments) == 0


def has_path(path: str) -> bool:
    return path.startswith(OUTPUTS) or (ROOT / path).exists()


def has_name(dotted: str) -> bool:
    """Whether a module is there, and what follows its name is mentioned in it."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                rest = parts[length : length + 1]
                return not rest or re.search(rf"\b{rest[0]}\b", file.read_text()) is not None
    return False


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150
    assert (ROOT / "docs" / "pictures" / "plan.png").stat().st_size < 150_000


def test_the_readme_trains_and_evaluates_beside_what_make_train_has_written() -> None:
    found = [folder for words in commands(PAGES["README.md"]) for folder in written_by(words)]
    assert found[:2] == ["runs/quick", "results/quick"]
    assert all(place.startswith(OUTPUTS) for place in found)


def test_no_two_commands_write_to_the_same_place() -> None:
    every = [words for text in WRITTEN_BY_HAND for words in (*commands(text), *commands_in_text(text))]
    counts = Counter(place for words in every for place in written_by(words))
    assert [place for place, count in counts.items() if count > 1] == []


@pytest.mark.parametrize(("module", "arguments"), module_commands())
def test_commands_are_accepted(module: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in networks.COMMANDS.values():
        monkeypatch.setattr(kind, "run", lambda self: None)
    try:
        accept(module, arguments)
    except SystemExit as stopped:
        assert "--help" in arguments and stopped.code in (0, None)


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_are_there(page: str) -> None:
    spoken_of = [span.split() for span in spans(PAGES[page]) if span.startswith("make ")]
    targets = [words[1] for words in (*commands(PAGES[page]), *spoken_of) if words[0] == "make"]
    assert [name for name in targets if not re.search(rf"^{re.escape(name)}:", MAKEFILE, re.MULTILINE)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, _, section in re.findall(r"\]\((?!https?:)([^)#]*)(#([^)]*))?\)", PAGES[page]):
        file = (ROOT / page).parent / target if target else ROOT / page
        assert file.exists(), target
        if section:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text()), re.MULTILINE)
            assert section in map(anchor, headings), f"{target}#{section}"


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_names_are_there(page: str) -> None:
    shown = [*spans(PAGES[page]), *(shlex.join(words) for words in commands(PAGES[page]))]
    shown += blocks(PAGES[page], "python")
    package = r"(?<![\w./-])(?:dnnmig_env|agents|train|evaluate|tests|examples|docs)"
    for text in shown:
        for path in re.findall(r"[\w.-]+(?:/[\w.-]+)+\.(?:py|yaml|md|json|csv|png)\b", text):
            assert has_path(path), path
        for folder in re.findall(rf"{package}/[\w./-]*", text):
            assert has_path(folder), folder
        for dotted in re.findall(rf"{package}(?:\.[a-zA-Z_]\w*)+", text):
            assert has_name(dotted), dotted
    for block in blocks(PAGES[page], "python"):
        compile(block, page, "exec")
        for module, names in re.findall(rf"^from ({package}[\w.]*) import (.*)$", block, re.MULTILINE):
            for name in names.split(", "):
                assert has_name(f"{module}.{name}"), f"{module}.{name}"
