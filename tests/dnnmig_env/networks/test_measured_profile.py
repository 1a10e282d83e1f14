"""Profiles as files: those that come with the project fit the zoo, what is written comes back, errors help."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dnnmig_env.networks import zoo
from dnnmig_env.networks.measured_profile import (
    FOLDER,
    Circumstances,
    LayerTime,
    Profile,
    find_profile,
    read_profile,
    shipped,
    write_profile,
)

MEASURED = Circumstances(
    command="python -m dnnmig_env profile mine:net --input-shape 1x8",
    versions="torch 2.13.0",
    machine="a board, 4 cores",
    device="cpu",
    threads=1,
    clock="process CPU time",
    repeats=20,
    warm_up=3,
    rounds=3,
    load_average=0.25,
    operator_overhead_s=1.1e-6,
    date="2026-11-21",
)


def profile(**changes: Any) -> Profile:
    values: dict[str, Any] = {
        "network": "net",
        "input_bytes": 32,
        "flops": 640,
        "weight_bytes": 160,
        "measured": MEASURED,
        "whole_s": 0.008,
        "whole_wall_s": 0.0081,
        "layers": (LayerTime(name="a", seconds=0.004), LayerTime(name="b", seconds=0.003)),
    }
    return Profile(**(values | changes))


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    write_profile(profile(), path)
    assert read_profile(path) == profile()
    data = json.loads(path.read_text())
    assert (data["layers_s"], data["whole_s"], data["ratio"]) == (0.007, 0.008, 0.875)
    assert sum('"seconds"' in line for line in path.read_text().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [path]
    write_profile(profile(), tmp_path / "new/net.json")
    assert read_profile(tmp_path / "new/net.json") == profile()


def test_a_profile_is_immutable_and_adds_up() -> None:
    mine = profile()
    assert (mine.names, mine.seconds) == (("a", "b"), (0.004, 0.003))
    assert (mine.layers_s, mine.ratio) == (pytest.approx(0.007), pytest.approx(0.875))
    with pytest.raises(ValidationError, match="frozen"):
        mine.whole_s = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": [{"name": "a", "seconds": -1}]}, "layers[0].seconds: -1; must not be negative"),
        ({"layers": [{"name": "a", "seconds": float("nan")}]}, "layers[0].seconds: nan; must be finite"),
        ({"layers": [{"name": "a", "seconds": 0.0035}] * 2}, "layers repeats the name 'a'; names must be unique"),
        ({"layers": []}, "layers: []; must not be empty"),
        ({"layer": 3}, "unknown key 'layer'; did you mean 'layers'?"),
        ({"whole_s": 0}, "whole_s: 0; must be positive"),
        ({"measured": MEASURED.model_dump() | {"threads": 0}}, "measured.threads: 0; must be at least 1"),
        ({"measured": {}}, "measured.command: missing; add it (and 11 more)"),
        ({"layers_s": 0.009}, "layers_s and ratio are [0.009, 0.875], its layers give [0.007, 0.875]"),
    ],
)
def test_a_file_that_is_no_profile_is_explained_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "net.json"
    write_profile(profile(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError) as caught:
        read_profile(path)
    text = str(caught.value)
    assert text.startswith(f"cannot read the profile {path}: {message}")
    assert text.endswith("; measure it with `python -m dnnmig_env profile`.")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "line 1: "), (b"[1]", "must be a mapping of keys"), (b"\xff", "not UTF-8 text")]
)
def test_unreadable_content_is_explained(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "net.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_profile(tmp_path / "net.json")
    assert "\n" not in str(caught.value)


def test_profiles_are_found_by_path_or_by_name(tmp_path: Path) -> None:
    write_profile(profile(), tmp_path / "phone.json")
    assert find_profile("phone.json", tmp_path) == profile()
    assert find_profile(shipped()[0], tmp_path) == read_profile(FOLDER / f"{shipped()[0]}.json")
    with pytest.raises(ValueError, match=r"cannot read the profile .*gone.json: No such file or directory; measure"):
        find_profile("gone.json", tmp_path)
    with pytest.raises(ValueError, match=r"there is no profile 'alexnet_xeon_cor'; did you mean 'alexnet_xeon_core'"):
        find_profile("alexnet_xeon_cor", tmp_path)


def test_there_are_profiles_of_different_kinds_of_networks() -> None:
    found = {read_profile(FOLDER / f"{name}.json").network for name in shipped()}
    assert len(found) >= 5
    assert {"distilbert_base", "mobilenet_v2", "resnet50", "vit_b_16"} <= found


@pytest.mark.parametrize("name", shipped())
def test_each_shipped_profile_fits_the_zoo_and_says_how_it_was_measured(name: str) -> None:
    found = read_profile(FOLDER / f"{name}.json")
    graph, how = zoo.load_prepared(found.network), found.measured
    assert found.names == tuple(layer.name for layer in graph.layers)
    assert found.is_of(graph)
    assert found.is_of(zoo.load_prepared(found.network, 7))  # the same network, however it is grouped
    assert all(seconds > 0 for seconds in found.seconds)
    assert 0.85 < found.ratio < 1.02  # the rest is Python's walk through the modules
    assert how.command.startswith(f"python -m dnnmig_env profile {zoo.SOURCES[found.network]} --input-shape ")
    assert (how.device, how.threads, how.clock) == ("cpu", 1, "process CPU time")
    assert how.repeats * how.rounds >= 100
    assert 0 < how.operator_overhead_s < 1e-5
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", how.date)
    assert "torch 2." in how.versions
    assert "/" not in how.machine  # no path


def test_measured_layers_are_not_in_proportion_to_their_flops() -> None:
    """What a profile is for: a depthwise convolution has few FLOPs and takes its time all the same."""
    found, graph = find_profile("mobilenet_v2_xeon_core", FOLDER), zoo.load_prepared("mobilenet_v2")
    rate = {layer.name: layer.flops / seconds for layer, seconds in zip(graph.layers, found.seconds, strict=True)}
    depthwise, pointwise = rate["features.2.conv.1.0"], rate["features.18.0"]
    assert depthwise < pointwise / 10
