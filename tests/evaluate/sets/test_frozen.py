"""Frozen sets: what is in the repository is what was frozen, and nothing is lost on the way into an archive."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.planners import planner
from dnnmig_env.families.registry import make_generator, scenarios
from dnnmig_env.simulation.simulator import simulate
from evaluate.benchmark.freeze import freeze, frozen_json
from evaluate.compare import given
from evaluate.compare.config import Config
from evaluate.sets.archive import archive_of, texts_in
from evaluate.sets.best_known import FOUND, Found, best_delays_s, load_best, plan_from, save_best, short_plan
from evaluate.sets.frozen import FOLDER, check_sums, load_set, scenario_in

SETS = ["city-v1", "edge-cloud-v1", "mobile-v1", "multi-user-v1", "single-v1"]


def test_the_sets_are_as_they_were_frozen() -> None:
    assert sorted(check_sums()) == SETS
    for name, sha256 in check_sums().items():
        path = FOLDER / f"{name}.tar.xz"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
        with tarfile.open(path) as archive:
            assert archive.getnames() == [f"{number:03}.json" for number in range(100)]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3_000_000


def test_best_known_plans_are_of_scenarios_of_their_set() -> None:
    for name in SETS:
        frozen, best = load_set(name, 3), load_best(name)
        assert len(best) == 100
        for file, scenario in zip(frozen.files, frozen.scenarios, strict=True):
            found = simulate(scenario, plan_from(best[file].plan, scenario)).mean_delay_s
            assert found == pytest.approx(best[file].mean_delay_s, rel=1e-9)
            assert best[file].policy and best[file].version and best[file].date.startswith("20")


def test_planners_learn_from_the_past_of_the_town_of_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(name: str) -> Any:
        return given.given_scenarios(Config("device-only", Path(), set=name, scenarios=1)).generator

    assert generator("city-v1") == make_generator("city")
    assert generator("multi-user-v1") is generator("mobile-v1") is None  # no town is the same in all scenarios
    monkeypatch.setattr(given, "make_generator", lambda name: make_generator(name, city_seed=5))
    assert generator("city-v1") is None  # its town is no longer the one that is drawn


def test_equal_texts_give_equal_archives_and_come_back() -> None:
    texts = {"000.json": "{}\n", "001.json": "umläut\n"}
    assert archive_of(texts) == archive_of(dict(texts))
    assert texts_in(archive_of(texts)) == texts
    with pytest.raises(ValueError, match="no archive of texts"):
        texts_in(b"nothing of the kind")


@pytest.mark.parametrize("family", ["multi-user", "mobile"])
def test_frozen_scenarios_have_their_networks_in_full_and_hardly_differ(family: str) -> None:
    drawn = scenarios(family, 1, seed=3)[0]
    text = frozen_json(drawn)
    assert all(user["network"]["layers"] for user in json.loads(text)["users"])
    frozen = scenario_in(text)
    assert frozen_json(frozen) == text
    for user, other in zip(drawn.users, frozen.users, strict=True):
        assert replace(user.graph, origin="") == replace(other.graph, origin="")
    np.testing.assert_allclose(frozen.links.up_bytes_per_s, drawn.links.up_bytes_per_s, rtol=5e-6)
    assert np.any(np.asarray(frozen.links.up_bytes_per_s) != np.asarray(drawn.links.up_bytes_per_s))
    np.testing.assert_array_equal(frozen.links.home, drawn.links.home)


def test_a_set_is_frozen_once(tmp_path: Path) -> None:
    path = freeze("toy-v1", 3, 1, tmp_path)
    before = path.read_bytes()
    assert hashlib.sha256(before).hexdigest() == check_sums(tmp_path)["toy-v1"]
    assert [scenario.family for scenario in load_set("toy-v1", folder=tmp_path).scenarios] == ["toy"] * 3
    assert load_set("toy-v1", 2, tmp_path).files == ("000.json", "001.json")
    for name, says in (("toy-v1", "stays as it is"), ("toy", "a family and a version"), ("tyo-v1", "mean 'toy'")):
        with pytest.raises(ValueError, match=says):
            freeze(name, 3, 1, tmp_path)
    with pytest.raises(ValueError, match="--scenarios is 0"):
        freeze("toy-v2", 0, 1, tmp_path)
    with pytest.raises(ValueError, match="--scenarios is 4, but the set toy-v1 has 3"):
        load_set("toy-v1", 4, tmp_path)
    with pytest.raises(ValueError, match="did you mean 'toy-v1'"):
        load_set("toy-v", folder=tmp_path)
    path.write_bytes(before + b"x")
    with pytest.raises(ValueError, match="not the archive that was frozen"):
        load_set("toy-v1", folder=tmp_path)


def test_best_known_plans_come_back(tmp_path: Path) -> None:
    freeze("toy-v1", 2, 1, tmp_path)
    frozen = load_set("toy-v1", folder=tmp_path)
    assert load_best("toy-v1", tmp_path) == {}
    assert best_delays_s(frozen, tmp_path).tolist() == [np.inf, np.inf]
    timeline = simulate(frozen.scenarios[1], planner("joint-efficiency")(frozen.scenarios[1], np.random.default_rng(0)))
    assert timeline.plan.uploads
    text = short_plan(timeline, "joint-efficiency")
    assert plan_from(text, frozen.scenarios[1]) == timeline.plan
    assert "sha256" not in text and "start_s" not in text and "placement" not in text
    found = {"001.json": Found(timeline.mean_delay_s, "joint-efficiency", "1", "2026-11-29", text)}
    save_best("toy-v1", found, tmp_path)
    assert load_best("toy-v1", tmp_path) == found
    assert best_delays_s(frozen, tmp_path).tolist() == [np.inf, timeline.mean_delay_s]
    assert FOUND in texts_in((tmp_path / "toy-v1-best.tar.xz").read_bytes())
    (tmp_path / "toy-v1-best.tar.xz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        load_best("toy-v1", tmp_path)
