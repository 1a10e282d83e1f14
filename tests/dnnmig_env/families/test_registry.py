"""What every family's generator promises, and what its options are checked for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.families.registry import FAMILIES, make_generator, scenarios
from dnnmig_env.networks.graph_file import write_graph
from dnnmig_env.networks.zoo import TEST_NETWORKS, TRAIN_NETWORKS, load, load_prepared, networks
from dnnmig_env.simulation.graph_arrays import num_edges
from dnnmig_env.simulation.packed import PackedScenarios

DRAWN = [family for family in FAMILIES if family != "toy"]


def drawn(family: str, seed: int, count: int, **options: Any) -> PackedScenarios:
    return make_generator(family, **options).draw(np.random.default_rng(seed), count).packed


def same(one: PackedScenarios, other: PackedScenarios) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("family", DRAWN)
def test_the_same_stream_gives_the_same_scenarios_and_another_one_others(family: str) -> None:
    assert same(drawn(family, 3, 5), drawn(family, 3, 5))
    assert not same(drawn(family, 3, 5), drawn(family, 4, 5))


@pytest.mark.parametrize("family", DRAWN)
def test_a_generator_goes_on_with_its_stream(family: str) -> None:
    generator, rng = make_generator(family), np.random.default_rng(3)
    assert not same(generator.draw(rng, 5).packed, generator.draw(rng, 5).packed)


@pytest.mark.parametrize("family", FAMILIES)
def test_generators_name_their_family_and_survive_pickling(family: str) -> None:
    generator = make_generator(family)
    generator.draw(np.random.default_rng(0), 1)
    copy = pickle.loads(pickle.dumps(generator))
    assert generator.family == family
    assert copy == generator
    assert copy.limits == generator.limits
    batch = pickle.loads(pickle.dumps(copy.draw(np.random.default_rng(1), 2)))
    assert batch.scenario(1).family == family
    assert same(batch.packed, generator.draw(np.random.default_rng(1), 2).packed)


@pytest.mark.parametrize("family", FAMILIES)
def test_fewer_scenarios_of_a_seed_are_the_first_of_more(family: str) -> None:
    more, fewer = scenarios(family, 20, seed=8), scenarios(family, 3, seed=8)
    assert len(more) == 20
    assert [scenario.horizon_s for scenario in fewer] == [scenario.horizon_s for scenario in more[:3]]
    assert [[user.graph.name for user in scenario.users] for scenario in fewer] == [
        [user.graph.name for user in scenario.users] for scenario in more[:3]
    ]
    assert scenarios(family, 0, seed=8) == []


@pytest.mark.parametrize("family", DRAWN)
def test_training_and_test_networks_need_the_same_sizes(family: str) -> None:
    train, test = make_generator(family, networks="train"), make_generator(family, networks="test")
    assert train.limits == test.limits
    layers = train.limits.layers
    assert train.limits.edges >= max(num_edges(load_prepared(name, layers)) for name in networks())
    assert train.limits.edges == 4 * layers  # room for wider networks in given scenarios


@pytest.mark.parametrize(("chosen", "expected"), [("train", TRAIN_NETWORKS), ("test", TEST_NETWORKS)])
def test_only_the_networks_asked_for_are_drawn(chosen: str, expected: tuple[str, ...]) -> None:
    batch = make_generator("multi-user", networks=chosen).draw(np.random.default_rng(0), 60)
    names = {user.graph.name for row in range(60) for user in batch.scenario(row).users}
    assert names == set(expected)


def test_a_traced_network_may_come_from_a_file(tmp_path: Path) -> None:
    write_graph(load("squeezenet1_1"), tmp_path / "mine.json")
    (scenario,) = scenarios("single", 1, 0, networks=[str(tmp_path / "mine.json")])
    assert scenario.users[0].graph == load_prepared("squeezenet1_1", 16)


def test_one_number_stands_for_a_range_of_that_value() -> None:
    fixed = make_generator("edge-cloud", num_users=2, num_edges=2, wan_mbps=8)
    assert fixed == make_generator("edge-cloud", num_users=(2, 2), num_edges=[2, 2], wan_mbps=(8.0, 8.0))
    packed = fixed.draw(np.random.default_rng(0), 30).packed
    assert set(packed.num_users) == {2}
    assert set(packed.num_servers) == {3}
    assert packed.up_bytes_per_s[:, 0, :, 2].max() <= 1e6


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("multiuser", {}, r"unknown family 'multiuser'; did you mean 'multi-user'\? The families are single, "),
        ("single", {"num_user": 3}, r"family 'single' has no option 'num_user'; .*The options are max_layers, "),
        ("mobile", {"num_user": 3}, r"no option 'num_user'; did you mean 'num_users'\?"),
        ("toy", {"networks": "all"}, r"family 'toy' has no option 'networks'; The options are chunk\."),
        ("multi-user", {"num_users": (8, 4)}, r"num_users is \(8, 4\); give a whole number from 1 on, or two, smaller"),
        ("multi-user", {"num_users": 0}, r"num_users is 0; give a whole number from 1 on"),
        ("multi-user", {"num_edges": 1.5}, r"num_edges is 1\.5; give a whole number"),
        ("multi-user", {"num_edges": "two"}, r"num_edges is 'two'; give a whole number"),
        ("multi-user", {"num_edges": (1, float("inf"))}, r"num_edges is \(1, inf\); give a whole number"),
        (
            "edge-cloud",
            {"access_mbps": (10, -1)},
            r"access_mbps is \(10, -1\); give a positive number, or two, smaller",
        ),
        ("edge-cloud", {"wan_mbps": 0}, r"wan_mbps is 0; give a positive number"),
        ("edge-cloud", {"query_rate_hz": (1, 2, 3)}, r"query_rate_hz is \(1, 2, 3\); give a positive number"),
        ("multi-user", {"uplink": "fair"}, r"uplink is 'fair'; choose one of priority, shared, independent\."),
        ("edge-cloud", {"horizon_uploads": float("nan")}, r"horizon_uploads is nan; give a positive number"),
        ("single", {"horizon_s": (5, 1)}, r"horizon_s is \(5, 1\); give a positive number"),
        ("single", {"max_layers": 0}, r"max_layers is 0; give a whole number from 1 on"),
        ("mobile", {"chunk": 2.5}, r"chunk is 2\.5; give a whole number from 1 on"),
        ("mobile", {"slot_s": 0}, r"slot_s is 0; give a finite number of at least 0\.001"),
        ("mobile", {"velocity_memory": 1.5}, r"velocity_memory is 1\.5; give a finite number from 0 to 1"),
        ("mobile", {"shadowing_db": -1}, r"shadowing_db is -1; give a finite number of at least 0"),
        ("mobile", {"networks": "resnet5"}, r"unknown network 'resnet5'; did you mean 'resnet50'\?"),
        ("mobile", {"networks": []}, r"networks is empty; give 'train', 'test', 'all' or at least one name"),
        ("mobile", {"networks": 3}, r"networks is 3; give 'train', 'test', 'all' or names"),
        ("single", {"traces": 3}, r"traces is 3; give the paths of trace files"),
        ("single", {"traces": "no-such.csv"}, r"trace no-such\.csv: No such file"),
    ],
)
def test_options_that_cannot_work_say_why(family: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_generator(family, **options)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="count is -1; it must not be negative"):
        scenarios("toy", -1, 0)
