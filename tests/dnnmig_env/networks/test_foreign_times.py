"""Profiles of times that were measured elsewhere: a graph, and a table of names, kinds of nodes and seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnnmig_env.__main__ import main
from dnnmig_env.networks.foreign_times import read_times
from dnnmig_env.networks.graph_file import write_graph
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.measured_profile import Elsewhere, read_profile
from dnnmig_env.scenarios.file import load_scenario

NET = LayerGraph(
    "net",
    1000,
    (
        Layer("conv", 100, 400, 800, (-1,)),
        Layer("relu", 0, 0, 800, (0,)),
        Layer("head, last", 50, 300, 40, (1,)),
    ),
)
TABLE = """# measured in the laboratory
name,node,seconds
conv,phone,0.2
relu,phone,0.01
"head, last",phone,0.1

conv,edge,0.02
relu,edge,0.001
"head, last",edge,0.01
"""


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "times.csv"
    path.write_text(text)
    return path


def test_a_table_by_hand(tmp_path: Path) -> None:
    phone, edge = (read_times(NET, table(tmp_path))[node] for node in ("phone", "edge"))
    assert phone.names == ("conv", "relu", "head, last")
    assert (phone.seconds, edge.seconds) == ((0.2, 0.01, 0.1), (0.02, 0.001, 0.01))
    assert (phone.size, phone.whole_s, phone.ratio) == ((1000, 150, 700), None, None)
    assert isinstance(phone.measured, Elsewhere)
    assert (phone.measured.file, phone.measured.node, phone.measured.machine) == ("times.csv", "phone", "phone")


@pytest.mark.parametrize(
    "text",
    [
        "name;ms\nconv;200\nrelu;10\nhead, last;100\n",
        "seconds\tlayer\tcount\n0.2\tconv\t1\n0.1\thead, last\t1\n0.01\trelu\t1\n",
        "us,Name\n2e5,conv\n1e4,relu\n1e5,'head, last'\n".replace("'", '"'),
    ],
)
def test_other_separators_units_and_orders(tmp_path: Path, text: str) -> None:
    profile = read_times(NET, table(tmp_path, text), machine="a board")["device"]
    assert profile.names == ("conv", "relu", "head, last")
    assert profile.seconds == pytest.approx((0.2, 0.01, 0.1))
    assert profile.measured.machine == "a board"


def test_layers_may_be_those_as_traced_fused_or_merged(tmp_path: Path) -> None:
    fused = 'name,seconds\nconv,0.21\n"head, last",0.1\n'
    assert read_times(NET, table(tmp_path, fused))["device"].names == ("conv", "head, last")
    merged = 'name,seconds\n"conv..head, last",0.31\n'
    assert read_times(NET, table(tmp_path, merged), max_layers=1)["device"].seconds == (0.31,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,seconds\nconv,1\n", r"on 'device', 1 of the 2 layers have no time, e.g. 'head, last'; give each one"),
        (TABLE + "convs,edge,1\n", r"on 'edge', layer 'convs' is not one of 'net'; did you mean 'conv'"),
        (TABLE + "conv,edge,1\n", r"line 10: layer 'conv' has a time on 'edge' already; give one"),
        (TABLE + "conv,tv,-1\n", r"line 10: seconds is '-1'; give a number that is not negative"),
        (TABLE + "conv,tv,fast\n", r"line 10: seconds is 'fast'; give a number"),
        (TABLE + "conv,tv,inf\n", r"line 10: seconds is 'inf'; give a number"),
        (TABLE + "head, last,tv,1\n", r"line 10: 4 cells for 3 columns; put names with commas in quotes"),
        ("name,node\nconv,phone\n", r"no column is seconds or ms or us in the header \['name', 'node'\]"),
        ("name,ms,us\nconv,1,1\n", "several columns are seconds or ms or us in the header"),
        ("0.1,conv\n", "no column is name or layer in the header"),
        ("", "has no rows; give one per layer"),
        ("# nothing\nname,seconds\n", "has no rows; give one per layer"),
    ],
)
def test_mistakes_name_the_line_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_times(NET, table(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read .*gone.csv: No such file or directory; give an existing CSV"):
        read_times(NET, tmp_path / "gone.csv")
    (tmp_path / "bad.csv").write_bytes(b"name,seconds\nb\xe9,1\n")
    with pytest.raises(ValueError, match="it is not UTF-8 text"):
        read_times(NET, tmp_path / "bad.csv")


def test_the_command_writes_what_a_scenario_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_graph(NET, tmp_path / "net.json")
    table(tmp_path)
    assert main(["times", "net.json", "times.csv", "--out", "."]) == 0
    assert "net on phone: 3 layers, 310 ms, measured on 'phone', read from times.csv" in capsys.readouterr().out
    assert read_profile(tmp_path / "net_edge.json").seconds == (0.02, 0.001, 0.01)
    assert main(["times", "net.json", "times.csv", "--node", "phone", "--machine", "mine", "--out", "p.json"]) == 0
    assert read_profile(tmp_path / "p.json").measured.machine == "mine"
    for max_layers, seconds in (("", [0.2, 0.01, 0.1]), ("max_layers: 2, ", [0.21, 0.1]), ("max_layers: 1, ", [0.31])):
        (tmp_path / "mine.yaml").write_text(
            "{horizon_s: 9, servers: [{name: edge, flops_per_s: 1e12, memory_bytes_per_s: 1e11}],"
            f" default_link: {{up_mbps: 8}}, users: [{{name: me, network: net.json, {max_layers}"
            " profile: {device: p.json, edge: net_edge.json}, device: {flops_per_s: 1e9, memory_bytes_per_s: 1e9}}]}"
        )
        assert load_scenario(tmp_path / "mine.yaml").execution_s[0][:, 0].tolist() == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.json", "times.csv", "--node", "fone"], "--node is 'fone'; did you mean 'phone'?"),
        (["net.json", "times.csv", "--out", "p.json"], "--out is p.json; give an existing folder for the profiles of"),
        (["net.onnx", "times.csv"], "network is 'net.onnx'; write a .json file of it"),
        (["nett", "times.csv"], "unknown network 'nett'"),
        (["gone.json", "times.csv"], "cannot read the network gone.json"),
        (["net.json", "times.csv", "--max-layers", "0"], "max_layers is 0; keep at least 1 layer"),
    ],
)
def test_mistakes_of_the_command_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_graph(NET, tmp_path / "net.json")
    table(tmp_path)
    assert main(["times", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith(f"error: {message}")
