"""Scenarios given as files are drawn as they are, each as often as another, and trained on like any family."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.families.given import Given
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.packed import Limits, pack

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ONE, TWO, CELLS = (str(EXAMPLES / f"{name}.yaml") for name in ("one_phone", "two_edges", "two_cells"))


def same(one, other):
    return all((a == b).all() for a, b in zip(pack([one]), pack([other]), strict=True))


def test_a_scenario_file_is_a_family_of_one_scenario():
    for scenario in scenarios(TWO, 3, seed=5):
        assert same(scenario, load_scenario(TWO))
    generator = make_generator(TWO)
    assert generator.family == load_scenario(TWO).family
    assert generator.limits == Limits.of([load_scenario(TWO)])


def test_of_several_files_each_is_as_probable(tmp_path):
    (tmp_path / "mine.yaml").write_text(f"scenarios: [{ONE}, {TWO}, {CELLS}]\n")
    given = [load_scenario(file) for file in (ONE, TWO, CELLS)]
    found = Counter(
        next(place for place, one in enumerate(given) if same(one, drawn))
        for drawn in scenarios(str(tmp_path / "mine.yaml"), 150, seed=1)
    )
    assert set(found) == {0, 1, 2}
    assert min(found.values()) > 30
    generator = make_generator(str(tmp_path / "mine.yaml"))
    assert generator.limits == Limits.of(given)
    assert generator.limits.lanes  # as in one of them
    batch = generator.draw(np.random.default_rng(0), 4)
    again = generator.draw(np.random.default_rng(0), 4)
    assert all((a == b).all() for a, b in zip(batch.packed, again.packed, strict=True))


def test_files_are_looked_for_beside_the_file_that_lists_them(tmp_path):
    (tmp_path / "one.yaml").write_text(Path(ONE).read_text())
    (tmp_path / "mine.yaml").write_text("scenarios: [one.yaml]\n")
    assert same(scenarios(str(tmp_path / "mine.yaml"), 1, seed=1)[0], load_scenario(ONE))


def test_the_family_is_the_one_that_all_files_state(tmp_path):
    for name, family in (("a", "lab"), ("b", "lab"), ("c", "field")):
        (tmp_path / f"{name}.yaml").write_text(f"family: {family}\n" + Path(ONE).read_text())
    files = [str(tmp_path / f"{name}.yaml") for name in "abc"]
    assert Given(tuple(files[:2])).family == "lab"
    assert Given(tuple(files)).family == "custom"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scenarios: []", "scenarios"),
        ("scenarios: one.yaml", "scenarios"),
        ("scenarios: [missing.yaml]", "missing.yaml"),
        ("scenarios: [one.yaml]\nfamily: single", "family"),
        ("servers: []\nusers: []", "horizon_s"),
    ],
)
def test_what_cannot_be_drawn_is_refused(text, words, tmp_path):
    (tmp_path / "one.yaml").write_text(Path(ONE).read_text())
    (tmp_path / "mine.yaml").write_text(text + "\n")
    with pytest.raises(ValueError, match=words) as refused:
        make_generator(str(tmp_path / "mine.yaml"))
    assert str(tmp_path / "mine.yaml") in str(refused.value)


def test_options_of_the_generator_are_checked():
    assert make_generator(ONE, chunk=2).chunk == 2
    with pytest.raises(ValueError, match="no option 'num_users'"):
        make_generator(ONE, num_users=3)
    with pytest.raises(ValueError, match="give at least one scenario file"):
        Given(())


def test_an_option_that_scenario_files_do_not_have_is_said_in_words() -> None:
    with pytest.raises(ValueError, match=r"two_edges.yaml: a family of scenario files has no option 'num_users'"):
        make_generator(str(EXAMPLES / "two_edges.yaml"), num_users=3)
