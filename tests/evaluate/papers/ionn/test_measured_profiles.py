"""Measured profiles: what a good file says, and what a bad one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluate.papers.ionn.measured_profiles import load_profile, load_profiles
from tests.evaluate.papers.profiles import TINY, write_profiles

HEADER, FIRST, RELU, *_ = TINY.splitlines()


def test_a_profile_is_a_chain_with_the_measured_seconds(tmp_path: Path) -> None:
    (network,) = load_profiles(write_profiles(tmp_path))
    assert (network.graph.name, network.graph.input_bytes, network.server_is_assumed) == ("tiny", 524288, False)
    assert [layer.predecessors for layer in network.graph.layers] == [(-1,), (0,), (1,), (2,)]
    assert network.graph.weight_bytes.tolist() == [10485760, 0, 41943040, 41943040]
    assert network.seconds.tolist() == [[0.4, 0.02], [0.1, 0.01], [0.5, 0.02], [0.5, 0.02]]


def test_without_server_times_each_layer_is_assumed_to_take_a_twentieth_of_a_millisecond(tmp_path: Path) -> None:
    unmeasured = TINY.replace(",20\n", ",\n").replace(",10\n", ",\n")
    network = load_profile(write_profiles(tmp_path, unmeasured) / "tiny.csv")
    assert network.server_is_assumed
    assert network.seconds[:, 1] == pytest.approx([5e-5, 5e-5, 5e-5, 1e-4])


def test_a_server_time_of_zero_is_measured(tmp_path: Path) -> None:
    network = load_profile(write_profiles(tmp_path, TINY.replace("100,10", "100,0")) / "tiny.csv")
    assert network.seconds[1].tolist() == [0.1, 0.0]


def test_columns_may_come_in_any_order_with_others_between(tmp_path: Path) -> None:
    turned = "\n".join(",".join(["x", *reversed(line.split(","))]) for line in TINY.splitlines())
    one, other = (
        load_profiles(write_profiles(tmp_path / name, text))[0] for name, text in (("a", TINY), ("b", turned))
    )
    assert (one.graph, one.seconds.tolist()) == (other.graph, other.seconds.tolist())


def test_every_file_of_a_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("two", "one"):
        write_profiles(tmp_path, name=name)
    (tmp_path / "README.md").write_text("no profile")
    assert [network.graph.name for network in load_profiles(tmp_path)] == ["one", "two"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("client_ms_odroid", "client_ms", "column 'client_ms_odroid' is missing; the columns are block,last_layer"),
        ("400,20", "fast,20", "line 2, client_ms_odroid: 'fast'; must be a number"),
        ("400,20", "-400,20", "line 2, client_ms_odroid: -400; must not be negative"),
        ("400,20", "nan,20", "line 2, client_ms_odroid: nan; must be finite"),
        ("400,20", ",20", "line 2, client_ms_odroid: ''; must be a number"),
        ("400,20", "400,-1", "line 2, server_ms_gpu: -1; must not be negative"),
        ("400,20", "400,", "server_ms_gpu is empty for block 0; give a time for every block or for none"),
        ("10485760", "many", "line 2, weight_bytes: 'many'; must be a number"),
        ("0,a,1,524288", "0,a,1,0", "line 2, in_bytes: 0; must be at least 1"),
        ("0,a,1,524288", "0,a,1.5,524288", "line 2, n_layers: 1.5; must be a whole number"),
        ("2,b", "3,b", r"line 4, block: 3; number the blocks from 0 on \(2 comes next\)"),
        ("2,b,1,524288", "2,b,1,5", "line 4, in_bytes: 5; the block before puts out 524288 bytes: give a chain"),
        (
            "2,b,1,524288",
            "2,b,1,900000",
            "line 4, in_bytes: 900000; the block before puts out 524288 bytes",
        ),
        ("2,b", "2,a", r"layer 2 \('a'\) repeats an earlier name"),
        (RELU, "1,relu", "line 3 has 2 cells; give one for each of the 8 columns"),
        (TINY, HEADER, "no row follows the header"),
        (TINY, "", "column 'block' is missing"),
        (TINY, f"{HEADER}\n{FIRST}".replace("10485760", "0"), "weight_bytes is 0 in every row; there is nothing to"),
        (TINY, f"{HEADER}\n{FIRST}".replace("400,20", "0,20"), "client_ms_odroid is 0 in every row"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_and_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TINY
    with pytest.raises(ValueError, match=message) as caught:
        load_profiles(write_profiles(tmp_path, TINY.replace(old, new, 1)))
    assert str(caught.value).startswith(f"{tmp_path / 'tiny.csv'}: ")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "tiny.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="it is not UTF-8 text"):
        load_profiles(tmp_path)


def test_a_folder_without_profiles_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no \.csv file"):
        load_profiles(tmp_path)
    with pytest.raises(ValueError, match="is no folder"):
        load_profiles(tmp_path / "absent")
