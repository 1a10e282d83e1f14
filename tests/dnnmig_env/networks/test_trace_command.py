"""The commands `trace`, `profile`, `zoo`, `networks` and `profiles`, as a user types them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.__main__ import main
from dnnmig_env.networks import zoo
from dnnmig_env.networks.graph_file import read_graph
from dnnmig_env.networks.measured_profile import read_profile, shipped
from dnnmig_env.networks.profiling.measure import Effort
from dnnmig_env.networks.sent_input import network_input_bytes
from dnnmig_env.networks.sources import find, measure_source, name_of
from dnnmig_env.networks.tracing import InputSpec, libraries
from dnnmig_env.scenarios.file import load_scenario
from tests.dnnmig_env.networks.onnx.files import body, node, save, weights

OWN_CODE = """
import torch
from torch import nn

def classifier():
    rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]  # looks at values: cannot be built without memory
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(rates[1]), nn.Flatten(), nn.Linear(144, 2))

class Pair(nn.Module):
    def forward(self, ids, scale):
        return ids * scale

class Strided(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("stride", torch.tensor([2]))
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, image):
        return self.conv(image)[..., :: int(self.stride)]  # looks at values: cannot be traced if built without memory

ready = nn.Linear(3, 4)
number = lambda: 3
def broken():
    raise KeyError("no such option")
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_code.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_code", raising=False)


@pytest.mark.usefixtures("own_code")
def test_trace_of_own_code_writes_a_graph_and_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "own_code:classifier", "--input-shape", "1", "3", "8", "8", "--out", "mine.json"]) == 0
    printed = capsys.readouterr()
    graph = read_graph(tmp_path / "mine.json")
    assert graph.name == "classifier"
    assert [layer.name for layer in graph.layers] == ["0", "1", "4"]
    assert graph.origin.startswith("python -m dnnmig_env trace own_code:classifier --input-shape 1x3x8x8; torch 2.")
    assert printed.out.startswith("classifier: 3 layers, 0.0 M parameters")
    assert [line.split()[:3] for line in printed.out.splitlines()[-3:]] == [
        ["0", "0", "input"],
        ["1", "1", "0"],
        ["2", "4", "1"],
    ]
    assert printed.err == ""


@pytest.mark.usefixtures("own_code")
def test_trace_with_several_inputs_a_name_and_preprocessing(tmp_path: Path) -> None:
    assert main(["trace", "own_code:Pair", "--input-shape", "1x7:int64", "1x7", "--out", "pair.json"]) == 0
    assert read_graph(tmp_path / "pair.json").input_bytes == 7 * 8 + 7 * 4
    command = ["trace", "own_code:classifier", "--input-shape", "1x3x8x8", "--max-layers", "1", "--name", "small"]
    assert main([*command, "--out", "small.json"]) == 0
    small = read_graph(tmp_path / "small.json")
    assert (small.name, len(small), small.operators.sum()) == ("small", 1, 3)
    assert main(["trace", "own_code:ready", "--input-shape", "1", "3"]) == 0


@pytest.mark.usefixtures("own_code")
def test_trace_of_a_module_that_asks_for_its_buffers_values(tmp_path: Path) -> None:
    assert main(["trace", "own_code:Strided", "--input-shape", "image=1x3x8x8", "--out", "strided.json"]) == 0
    graph = read_graph(tmp_path / "strided.json")
    assert [(layer.name, layer.output_bytes) for layer in graph.layers] == [("conv", 4 * 3 * 6 * 3)]
    assert "--input-shape image=1x3x8x8;" in graph.origin


@pytest.mark.usefixtures("own_code")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own_code:classifier"], "own_code:classifier does not say what its inputs are; give --input-shape"),
        (["own_code:classifier", "--input-shape", "1", "x"], "input shape is 'x'"),
        (["own_code:classifier", "--input-shape", "1", "5"], "cannot trace 'classifier' on inputs [(1, 5)]"),
        (["own_code:classifier", "--max-layers", "0"], "--max-layers is 0; keep at least 1 layer."),
        (["own_code:gone"], "cannot build own_code:gone: AttributeError: module 'own_code' has no attribute 'gone'"),
        (["own_code:broken"], "cannot build own_code:broken: KeyError: 'no such option'; give an importable module"),
        (["own_code:number"], "own_code:number makes a int; give one that makes a torch.nn.Module"),
        (["no_such_package:net"], "cannot build no_such_package:net: ModuleNotFoundError"),
        (["resnet50"], "source is 'resnet50'; give torchvision:NAME, timm:NAME, transformers:NAME, FILE.onnx or"),
        (["transformers:bert_bse"], "transformers has no model 'bert_bse' that can be traced; try bert_base"),
        (["gone.onnx"], "cannot read gone.onnx: No such file or directory"),
        (["own_code:ready", "--input-shape", "1x3", "--out", "/dev/null/a.json"], "cannot write /dev/null/a.json: "),
        (["own_code:ready", "--input-shape", "1x3", "--state", "h"], "own_code:ready is no ONNX file; give example"),
        (["own_code:ready", "--input-shape", "1x3", "--input-value", "a=1"], "own_code:ready is no ONNX file; give"),
        (["net.onnx", "--input-shape", "1x3:state"], "an input with :state has no name; give NAME=SHAPE:state"),
        (["net.onnx", "--input-value", "rate"], "input value is 'rate'; give NAME=VALUE with a number, true or false"),
        (["net.onnx", "--input-value", "rate=fast"], "input value is 'rate=fast'; give NAME=VALUE with a number"),
        (["net.onnx", "--input-shape", "n=3.5"], "input shape is 'n=3.5'; give sizes such as"),
        (["own_code:ready", "--input-shape", "1x3", "--input-dtype", "jpg"], "input_dtype is 'jpg'; give the type of"),
        (
            ["own_code:ready", "--input-shape", "1x3", "--input-bytes", "1", "2"],
            "input_bytes has 2 numbers for 1 inputs",
        ),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"own_code.py", "__pycache__"}


@pytest.mark.usefixtures("own_code")
def test_trace_of_an_onnx_file_with_all_that_it_leaves_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    branches = {"then_branch": body([node("MatMul", "h m", "t")], "", "t"), "else_branch": body([], "", "h")}
    nodes = [
        node("Concat", "cache x", "cache_out", axis=1),
        node("ReduceMean", "cache_out one", "h", keepdims=0),
        node("Cast", "rate", "fast", to=9),
        node("If", "fast", "y", **branches),
    ]
    shapes: Any = {"x": ("batch", 1, 8), "cache": ("batch", "past", 8), "rate": ()}
    save(tmp_path, nodes, shapes, ["y", "cache_out"], {"m": weights(8, 4), "one": np.array([1])})
    given = ["--input-value", "rate=16000", "--state", "cache*", "--out", "net.json"]
    for shape in (
        ["past=7"],
        ["x=1x1x8", "cache=1x7x8", "rate=scalar"],
        ["1x1x8", "1x7x8", "scalar"],
        ["1x1x8", "1x7x8"],
    ):
        assert main(["trace", "net.onnx", "--input-shape", *shape, *given]) == 0
        graph = read_graph(tmp_path / "net.json")
        assert (graph.input_bytes, graph.flops.sum(), graph.weight_bytes.sum()) == (32, 64, 128)
        assert graph.layers[0].internal_bytes == 7 * 32
        assert "--input-shape 1x1x8 cache=1x7x8:state rate=scalar --input-value rate=16000.0" in graph.origin
    assert "note: state that stays where it is used: cache, cache_out" in capsys.readouterr().out
    given[3] = "none"
    assert main(["trace", "net.onnx", "--input-shape", "past=7", *given, "--input-dtype", "uint8"]) == 0
    assert read_graph(tmp_path / "net.json").inputs == (8, 7 * 8)
    capsys.readouterr()
    assert main(["trace", "net.onnx", "--input-shape", "past=0", *given, "--input-bytes", "16", "0"]) == 0
    assert read_graph(tmp_path / "net.json").inputs == (16, 0)
    printed = capsys.readouterr().out
    assert "note: sends 16 for 32 bytes of input" in printed
    assert printed.splitlines()[-3].split()[1:3] == ["cache_out", "input2,input1"]


@pytest.mark.usefixtures("own_code")
def test_trace_says_what_is_really_sent(tmp_path: Path) -> None:
    command = ["trace", "own_code:classifier", "--input-shape", "1", "3", "8", "8", "--out", "net.json"]
    assert main([*command, "--input-dtype", "uint8", "--input-ratio", "10", "--max-layers", "2"]) == 0
    graph = read_graph(tmp_path / "net.json")
    assert (graph.input_bytes, network_input_bytes(graph)) == (20, 768)
    assert main([*command, "--on-device", "0", "--max-layers", "2"]) == 0
    assert [layer.on_device for layer in read_graph(tmp_path / "net.json").layers] == [True, False]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("timm:resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("torchvision:resnet50", "resnet50"),
        ("transformers:bert_base", "bert_base"),
        ("my.package:Class.make", "make"),
        ("my.package:make", "make"),
    ],
)
def test_names_follow_from_sources(source: str, name: str) -> None:
    assert name_of(source) == name


@pytest.mark.usefixtures("own_code")
def test_profile_of_own_code_is_written_printed_and_taken_by_a_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ["own_code:classifier", "--input-shape", "1", "3", "8", "8"]
    effort = ["--repeats", "5", "--rounds", "2", "--machine", "my board"]
    assert main(["profile", *network, *effort, "--out", "board.json"]) == 0
    printed, progress = capsys.readouterr()
    assert progress.splitlines()[:2] == ["round 1 of 2", "round 2 of 2"]
    profile = read_profile(tmp_path / "board.json")
    assert (profile.network, profile.names) == ("classifier", ("0", "4"))
    assert profile.measured.command == (
        "python -m dnnmig_env profile own_code:classifier --input-shape 1x3x8x8 --repeats 5 --rounds 2"
    )
    assert profile.measured.machine == "my board"
    assert printed.startswith("classifier on my board: 2 layers, cpu, 1 thread, torch 2.")
    assert f"ratio {profile.ratio:.3f}" in printed
    assert [line.split()[:2] for line in printed.splitlines()[-2:]] == [["0", "0"], ["1", "4"]]

    assert main(["trace", *network, "--max-layers", "2", "--out", "net.json"]) == 0
    (tmp_path / "mine.yaml").write_text(
        "{horizon_s: 9, servers: [{name: edge, flops_per_s: 1e12, memory_bytes_per_s: 1e11}],"
        " default_link: {up_mbps: 8}, users: [{name: me, network: net.json, profile: {device: board.json},"
        " device: {flops_per_s: 1e9, memory_bytes_per_s: 1e9}}]}"
    )
    assert load_scenario(tmp_path / "mine.yaml").execution_s[0][:, 0].tolist() == list(profile.seconds)


@pytest.mark.usefixtures("own_code")
def test_profile_with_real_parameters_always_the_same(tmp_path: Path) -> None:
    recipes = [find("own_code:classifier", (InputSpec((1, 3, 8, 8)),), libraries.with_weights) for _ in range(2)]
    one, other = (dict(recipe.module.named_parameters()) for recipe in recipes)
    assert all(value.device.type == "cpu" and value.equal(other[name]) for name, value in one.items())
    assert all(value.abs().sum() > 0 for value in one.values())


@pytest.mark.usefixtures("own_code")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.onnx"], "net.onnx cannot be executed here, only traced; give the torch module that it came from."),
        (["own_code:classifier"], "own_code:classifier does not say what its inputs are; give --input-shape"),
        (["own_code:classifier", "--max-layers", "0"], "--max-layers is 0; keep at least 1 layer."),
        (["own_code:ready", "--input-shape", "1x3", "--repeats", "0"], "repeats is 0; give at least 1."),
        (["own_code:broken", "--input-shape", "1x3"], "cannot build own_code:broken: KeyError: 'no such option'"),
        (["own_code:ready", "--input-shape", "1x3", "--out", "a.txt"], "--out is a.txt; give a file whose name ends"),
    ],
)
def test_mistakes_in_profile_are_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {message}")
    assert printed.err.count("\n") == 1


def test_profiles_lists_those_that_come_with_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profiles"]) == 0
    lines = {line.split()[0]: line.split()[1:4] for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {"profile", *shipped()}
    assert lines["resnet50_xeon_core"][:2] == ["resnet50", "70"]


@pytest.mark.parametrize("name", ["distilbert_base", "mobilenet_v2", "whisper_tiny_encoder"])
def test_networks_of_the_zoo_can_be_measured(name: str) -> None:
    pytest.importorskip(zoo.SOURCES[name].partition(":")[0], exc_type=ImportError)
    profile = measure_source(zoo.SOURCES[name], effort=Effort(repeats=1, warm_up=0, rounds=1))
    assert profile.names == tuple(layer.name for layer in zoo.load_prepared(name).layers)
    assert profile.is_of(zoo.load(name))


def test_a_missing_library_is_explained(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as if it were not installed
    assert main(["trace", "torchvision:resnet50"]) == 2
    assert "cannot import torchvision: " in (error := capsys.readouterr().err)
    assert "`make zoo` makes an environment with it" in error


def test_networks_lists_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["networks"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {"network", *zoo.networks()}
    assert lines["resnet50"] == ["174", "70", "25.6", "4.089", "602", "train"]
    assert lines["swin_t"][-1] == "test"


def test_zoo_traces_all_before_it_writes_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["zoo", "--only", "resnet5", "--out", str(tmp_path)]) == 2
    assert "did you mean 'resnet50'?" in capsys.readouterr().err

    def build(name: str) -> libraries.Recipe:
        from torch import nn

        from dnnmig_env.networks.tracing import InputSpec

        if name == "vgg16":
            raise ValueError("no such luck")
        return libraries.Recipe(nn.Linear(3, 4), (InputSpec((1, 3)),), "torchvision 0")

    monkeypatch.setattr(libraries, "LIBRARIES", libraries.LIBRARIES)
    monkeypatch.setitem(libraries.LIBRARIES, "torchvision", build)  # type: ignore[misc]
    assert main(["zoo", "--only", "alexnet", "vgg16", "--out", str(tmp_path)]) == 2
    assert list(tmp_path.iterdir()) == []
    assert main(["zoo", "--only", "alexnet", "resnet18", "--out", str(tmp_path)]) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"alexnet", "resnet18"}
    assert read_graph(tmp_path / "alexnet.json").origin.startswith("python -m dnnmig_env trace torchvision:alexnet ")


@pytest.mark.parametrize("name", ["darknet53", "gpt2", "regnet_y_400mf"])
def test_the_zoo_can_be_traced_again(name: str, tmp_path: Path) -> None:
    pytest.importorskip(zoo.SOURCES[name].partition(":")[0], exc_type=ImportError)
    assert main(["zoo", "--only", name, "--out", str(tmp_path)]) == 0
    assert read_graph(tmp_path / f"{name}.json").flops.sum() == zoo.load(name).flops.sum()


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = """
import sys
from dnnmig_env.__main__ import main
try:
    main(["--help"])
finally:
    print([name for name in ("torch", "numba", "onnx", "stable_baselines3", "pydantic") if name in sys.modules])
"""
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert "trace" in result.stdout
    assert time.perf_counter() - start < 3  # 0.4 s on an idle machine
