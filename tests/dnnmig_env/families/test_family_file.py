"""Distributions of one's own in a file: what is drawn from lists and choices, what is refused, what stays the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from dnnmig_env.__main__ import main
from dnnmig_env.envs.registration import ANY_FAMILY_ID
from dnnmig_env.families.draw.ranges import choices
from dnnmig_env.families.family_file import read_family
from dnnmig_env.families.registry import make_generator, options_of, scenarios
from dnnmig_env.networks.graph_file import write_graph
from dnnmig_env.networks.zoo import load
from dnnmig_env.simulation.packed import pack
from tests.own_package import register, write_module

ROOT = Path(__file__).resolve().parents[3]

WHOLE = """
family: edge-cloud
networks: [nets/mine.json, squeezenet1_1]
traces: [walk.csv]
devices:
  - {flops_per_s: 1e9, memory_bytes_per_s: 1e10, layer_overhead_s: 5e-5}
  - {flops_per_s: [4e9, 8e9], memory_bytes_per_s: 2e10, layer_overhead_s: 4e-5}
edges:
  - {flops_per_s: 3e11, memory_bytes_per_s: 2e11, layer_overhead_s: 1e-5}
clouds:
  - {flops_per_s: 6e12, memory_bytes_per_s: 1e12, layer_overhead_s: 5e-6}
  - {flops_per_s: 9e12, memory_bytes_per_s: 1e12, layer_overhead_s: 5e-6}
options: {num_users: [2, 3], max_layers: 4, query_rate_hz: {one_of: [2, [20, 30]]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets").mkdir()
    write_graph(load("mobilenet_v3_small"), tmp_path / "nets" / "mine.json")
    (tmp_path / "walk.csv").write_text("time_s,mbps\n0,8\n1,8\n2,8\n")
    (tmp_path / "whole.yaml").write_text(WHOLE)
    return tmp_path


def written(folder: Path, text: str) -> str:
    (folder / "own.yaml").write_text(text)
    return str(folder / "own.yaml")


def test_what_is_drawn_is_what_the_file_lists(folder: Path) -> None:
    found = scenarios(str(folder / "whole.yaml"), 60, seed=3)
    users = [user for scenario in found for user in scenario.users]
    assert {scenario.family for scenario in found} == {"edge-cloud"}
    assert {len(scenario.users) for scenario in found} == {2, 3}
    names = Counter(user.graph.name for user in users)
    assert set(names) == {"mobilenet_v3_small", "squeezenet1_1"}
    assert max(len(user.graph) for user in users) <= 4
    slow = [user.device.flops_per_s == pytest.approx(1e9) for user in users]
    fast = [4e9 <= user.device.flops_per_s <= 8e9 for user in users]
    assert all(np.array(slow) ^ np.array(fast))
    memory = np.array([user.device.memory_bytes_per_s for user in users])
    np.testing.assert_allclose(memory, np.where(slow, 1e10, 2e10))
    rates = np.array([user.query_rate_hz[0] for user in users])
    assert all((rates == 2) | ((rates >= 20) & (rates <= 30)))
    assert rates[rates > 2].min() < 22 and rates.max() > 28
    for share in (np.mean(slow), np.mean(rates == 2), names["squeezenet1_1"] / len(users)):
        assert 0.35 < share < 0.65, "each of two is as probable as the other"
    servers = [server for scenario in found for server in scenario.servers]
    assert {round(server.flops_per_s / 1e9) for server in servers if server.tier == "edge"} == {300}
    clouds = Counter(round(server.flops_per_s / 1e12) for server in servers if server.tier == "cloud")
    assert set(clouds) == {6, 9} and 18 < clouds[6] < 42
    assert all(scenario.links.up_bytes_per_s.max() == pytest.approx(1e6) for scenario in found), "8 Mbit/s, as recorded"


def test_the_same_seed_gives_the_same_scenarios(folder: Path) -> None:
    name = str(folder / "whole.yaml")
    few, many, others = scenarios(name, 3, seed=3), scenarios(name, 5, seed=3), scenarios(name, 3, seed=4)
    for one, same, other in zip(few, many, others, strict=False):
        assert all((a == b).all() for a, b in zip(pack([one]), pack([same]), strict=True))
        assert one.horizon_s != other.horizon_s


@pytest.mark.parametrize("family", ["single", "edge-cloud", "multi-user", "mobile", "city"])
def test_a_file_that_says_nothing_more_is_the_family(family: str, tmp_path: Path) -> None:
    options = {"max_layers": 3}
    (same,) = scenarios(written(tmp_path, f"family: {family}\noptions: {{max_layers: 3}}\n"), 1, seed=8)
    (usual,) = scenarios(family, 1, seed=8, **options)
    assert all((a == b).all() for a, b in zip(pack([same]), pack([usual]), strict=True))
    assert options_of(str(tmp_path / "own.yaml")) == options_of(family)


def test_where_there_is_one_thing_to_choose_nothing_is_drawn() -> None:
    rng = np.random.default_rng(5)
    assert choices(rng, 1, (3,)).tolist() == [0, 0, 0]
    assert rng.random() == np.random.default_rng(5).random(), "so that families without lists draw what they always did"


@pytest.mark.parametrize("family", ["single", "mobile", "city"])
def test_other_families_take_lists_of_machines(family: str, tmp_path: Path) -> None:
    machine = "{flops_per_s: 7e9, memory_bytes_per_s: 1e10, layer_overhead_s: 5e-5}"
    name = written(tmp_path, f"family: {family}\ndevices: [{machine}, {machine}]\noptions: {{max_layers: 3}}\n")
    (scenario,) = scenarios(name, 1, seed=1)
    for user in scenario.users:
        device = user.device
        assert (device.flops_per_s, device.memory_bytes_per_s, device.layer_overhead_s) == (7e9, 1e10, 5e-5)


@pytest.mark.parametrize("family", ["edge-cloud", "mobile", "city"])
def test_machines_may_say_how_much_they_hold_and_others_keep_the_limit_of_the_family(
    family: str, tmp_path: Path
) -> None:
    rates = "memory_bytes_per_s: 2e11, layer_overhead_s: 1e-5"
    name = written(
        tmp_path,
        f"""
family: {family}
edges:
  - {{flops_per_s: 3e11, {rates}, memory_bytes: 1.5e9}}
  - {{flops_per_s: 4e11, {rates}, memory_bytes: [2e9, 8e9]}}
  - {{flops_per_s: 5e11, {rates}}}
clouds:
  - {{flops_per_s: 6e12, {rates}, memory_bytes: 7e10}}
options: {{max_layers: 3}}
""",
    )
    held: dict[int, list[float]] = {300: [], 400: [], 500: [], 6000: []}
    for scenario in scenarios(name, 40, seed=2):
        for server in scenario.servers:
            held[round(server.flops_per_s / 1e9)].append(server.memory_bytes)
    assert set(held[300]) == {1.5e9} and set(held[6000]) == {7e10}, "one number is that number to the last bit"
    ranged = np.log(np.array(held[400]) / 2e9) / np.log(4.0)
    assert ranged.min() > -1e-9 and ranged.max() < 1 + 1e-9
    assert abs(ranged.mean() - 0.5) < 0.15, "log-uniform"
    assert np.isfinite(held[500]).all() and len(np.unique(held[500])) > 15


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("devices: [{MACHINE, memory_bytes: 1e9}]", r"devices\[0\].memory_bytes is .*a device holds its whole network"),
        ("edges: [{MACHINE, memory_bytes: 0}]", r"edges\[0\].memory_bytes"),
        ("edges: [{MACHINE, memory_bytes: [2, 1]}]", r"edges\[0\].memory_bytes"),
        ("edges: [{MACHINE, memory: 1e9}]", r"edges\[0\]: unknown key 'memory'"),
    ],
)
def test_a_memory_that_cannot_be_is_refused(text: str, words: str, tmp_path: Path) -> None:
    machine = "flops_per_s: 3e11, memory_bytes_per_s: 2e11, layer_overhead_s: 1e-5"
    with pytest.raises(ValueError, match=words):
        make_generator(written(tmp_path, f"family: edge-cloud\n{text.replace('MACHINE', machine)}\n"))


def test_a_network_that_stands_twice_is_twice_as_probable(tmp_path: Path) -> None:
    name = written(
        tmp_path, "family: single\nnetworks: [squeezenet1_1, squeezenet1_1, alexnet]\noptions: {max_layers: 2}\n"
    )
    drawn = Counter(scenario.users[0].graph.name for scenario in scenarios(name, 300, seed=0))
    assert 170 < drawn["squeezenet1_1"] < 230


def test_given_options_replace_those_of_the_file(folder: Path) -> None:
    generator = make_generator(str(folder / "whole.yaml"), num_users=1)
    assert (generator.limits.users, generator.limits.layers) == (1, 4)


def test_environments_and_the_command_draw_take_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(folder / "whole.yaml")
    env = gymnasium.make(ANY_FAMILY_ID, family=name, num_users=2).unwrapped
    env.reset(seed=1)
    assert len(env.scenario().users) == 2  # type: ignore[attr-defined]
    assert main(["draw", name, "--out", str(folder / "drawn"), "--seed", "3"]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "drawn" / "whole-3-0.yaml")]


def test_the_example_draws() -> None:
    (scenario,) = scenarios(str(ROOT / "examples" / "my_family.yaml"), 1, seed=1)
    assert scenario.family == "multi-user"
    assert len(scenario.slot_starts_s) == 16


MACHINE = "memory_bytes_per_s: 1e10, layer_overhead_s: 5e-5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("famly: single", "unknown key 'famly'; did you mean 'family'?"),
        ("options: {}", "family: missing; add it"),
        ("family: [single]", "family: ['single']; must be text"),
        ("family: singel", "unknown family 'singel'; did you mean 'single'?"),
        ("family: other.yaml", "family: 'other.yaml'; it is a file, too: name the family whose generator draws"),
        ("family: single\noptions: {nets: 1}", "family 'single' has no option 'nets'; did you mean 'networks'?"),
        ("family: single\noptions: {networks: all}", "options has 'networks'; write networks beside options"),
        ("family: single\nnetworks: []", "networks: []; must be train, test, all, or a list of names and files"),
        ("family: single\nnetworks: [1]", "networks: [1]; must be train, test, all"),
        ("family: single\nnetworks: [resnet19]", "unknown network 'resnet19'"),
        ("family: single\nnetworks: absent.json", "absent.json"),
        ("family: single\ntraces: [absent.csv]", "absent.csv"),
        ("family: city\ntraces: [walk.csv]", "family 'city' has no option 'traces'"),
        (
            "family: single\noptions: {access_mbps: {one_off: [1]}}",
            "options.access_mbps: {'one_off': [1]}; write a number",
        ),
        ("family: single\noptions: {access_mbps: {one_of: [1, [9, 5]]}}", "access_mbps[1] is (9, 5); give a positive"),
        ("family: multi-user\noptions: {num_users: {one_of: [1, 2]}}", "num_users is ((1, 1), (2, 2)); give a whole"),
        (
            "family: city\noptions: {query_rate_hz: {one_of: [1, 2]}}",
            "query_rate_hz is ((1, 1), (2, 2)); give a positive",
        ),
        ("family: single\ndevices: phone", "devices: 'phone'; must be a list"),
        (
            f"family: single\ndevices: [{{flops_per_s: -1, {MACHINE}}}]",
            "devices[0].flops_per_s: -1; give a positive num",
        ),
        (
            f"family: single\ndevices: [{{flops: 1, {MACHINE}}}]",
            "devices[0]: unknown key 'flops'; did you mean 'flops_p",
        ),
        (f"family: single\nedges: [{{{MACHINE}}}]", "edges[0].flops_per_s: missing; add it"),
        (
            f"family: single\nclouds: [{{flops_per_s: 1, {MACHINE}}}]",
            "clouds are given, but these scenarios have no cl",
        ),
        (
            "family: single\noptions: {horizon_s: 9, horizon_uploads: 3}",
            "horizon_uploads is (3.0, 3.0), but horizon_s, which takes its place, is given as well; leave one of them",
        ),
        (
            "family: multi-user\ntraces: [walk.csv]\noptions: {access_mbps: 3}",
            "access_mbps is (3.0, 3.0), but traces, which takes its place",
        ),
        (
            f"family: mobile\ndevices: [{{flops_per_s: 1e9, {MACHINE}}}]\noptions: {{device_flops_per_s: 2e9}}",
            "device_flops_per_s is (2000000000.0, 2000000000.0), but devices, which takes its place",
        ),
        (
            f"family: city\nedges: [{{flops_per_s: 1e9, {MACHINE}}}]\noptions: {{edge_flops_per_s: 2e9}}",
            "edge_flops_per_s is (2000000000.0, 2000000000.0), but edges, which takes its place",
        ),
        (
            f"family: city\nclouds: [{{flops_per_s: 1e9, {MACHINE}}}]\noptions: {{cloud_flops_per_s: 2e9}}",
            "cloud_flops_per_s is (2000000000.0, 2000000000.0), but clouds, which takes its place",
        ),
        ("family: toy\ndevices: []", "family 'toy' has no option 'devices'"),
        ("family: single\nfamily: toy", "the key 'family' appears twice"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text: str, message: str, folder: Path) -> None:
    name = written(folder, text)
    with pytest.raises(ValueError) as error:
        make_generator(name)
    assert str(error.value).startswith(name)
    assert message in str(error.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml: No such file or directory; give an existing"):
        make_generator("nowhere.yaml")
    with pytest.raises(ValueError, match=r"nowhere\.yml"):
        read_family("nowhere.yml")


def test_positions_are_beside_the_file(tmp_path: Path) -> None:
    found = read_family(written(tmp_path, "family: city\npositions: town.xml\nnetworks: test\n"))
    assert found.options == {"positions": str(tmp_path / "town.xml"), "networks": "test"}


OWN = """
    from dnnmig_env.families.toy import Toy

    class Own:
        family = "own"

        def __init__(self, double: bool = False) -> None:
            self._toy = Toy()
            self.limits, self.chunk = self._toy.limits, 2 if double else 1

        def draw(self, rng, count):
            return self._toy.draw(rng, count)

    def not_a_generator():
        return 3

    number = 5
"""


def test_generators_of_others_by_reference_and_as_registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = write_module(monkeypatch, tmp_path, OWN)
    register(monkeypatch, "dnnmig.families", own_town=f"{module}:Own")
    for name in (f"{module}:Own", "own-town"):
        assert make_generator(name, double=True).chunk == 2
        assert options_of(name) == ["double"]
        assert len(scenarios(name, 3, seed=0)) == 3
        with pytest.raises(ValueError, match="has no option 'duoble'; did you mean 'double'"):
            make_generator(name, duoble=True)
    assert make_generator(written(tmp_path, "family: own-town\noptions: {double: true}\n")).chunk == 2
    with pytest.raises(ValueError, match="did you mean 'own-town'"):
        make_generator("own-twon")
    with pytest.raises(ValueError, match="is an object of class int, which does not serve here; give one of whose"):
        make_generator(f"{module}:not_a_generator")
    with pytest.raises(ValueError, match="is an object of class int, which does not serve here; give a class of gener"):
        make_generator(f"{module}:number")


def test_an_option_stands_alone_or_as_it_is_by_default_beside_what_takes_its_place() -> None:
    assert make_generator("single", access_mbps=(2, 5), horizon_uploads=3, device_flops_per_s=1e9).family == "single"
    assert make_generator("single", horizon_s=9, horizon_uploads=(0.5, 2.0)).family == "single"
