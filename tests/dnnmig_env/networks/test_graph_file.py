"""Networks as files: checked key by key, so that a mistyped key or value is never read as something else."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from dnnmig_env.networks.graph_file import GraphRow, LayerRow, read_graph
from dnnmig_env.networks.layer_graph import Layer, LayerGraph

LAYER = {"name": "a", "flops": 1.5, "weight_bytes": 4e3, "output_bytes": 2, "predecessors": [-1]}


def test_a_file_may_hold_all_that_a_graph_has() -> None:
    assert set(LayerRow.model_fields) == {field.name for field in fields(Layer)}
    assert set(GraphRow.model_fields) == {field.name for field in fields(LayerGraph)}


def written(folder: Path, layer: dict[str, Any], **changes: Any) -> Path:
    path = folder / "net.json"
    path.write_text(json.dumps({"name": "net", "input_bytes": 3, "layers": [LAYER | layer]} | changes))
    return path


def test_numbers_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    graph = read_graph(written(tmp_path, {}))
    assert graph == LayerGraph("net", 3, (Layer("a", 1.5, 4000, 2, (-1,)),))
    assert isinstance(graph.layers[0].weight_bytes, int)


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        ({"flop": 1}, {}, "layers[0]: unknown key 'flop'; did you mean 'flops'?"),
        ({"flops": True}, {}, "layers[0].flops: True; must be a number"),
        ({"flops": "1e9"}, {}, "layers[0].flops: '1e9'; must be a number in decimal digits"),
        ({"flops": float("nan")}, {}, "layers[0].flops: nan; must be finite"),
        ({"weight_bytes": 0.5}, {}, "layers[0].weight_bytes: 0.5; must be a whole number of bytes"),
        ({"output_bytes": -1}, {}, "layers[0].output_bytes: -1; must not be negative"),
        ({"internal_bytes": None}, {}, "layers[0].internal_bytes: None; must be a number"),
        ({"predecessors": [0.5]}, {}, "layers[0].predecessors[0]: 0.5; must be a whole number"),
        ({"predecessors": [False]}, {}, "layers[0].predecessors[0]: False; must be a whole number"),
        ({"predecessors": -1}, {}, "layers[0].predecessors: -1; must be a list"),
        ({"predecessors": [5]}, {}, "has predecessor 5; known layers are 0 to 0"),
        ({"name": 3}, {}, "layers[0].name: 3; must be text; put it in quotes"),
        ({}, {"layers": ["a"]}, "layers[0]: 'a'; must be a mapping of keys to values"),
        ({}, {"layers": {}}, "layers: must be a list"),
        ({}, {"input_bytes": "3"}, "input_bytes: '3'; must be a number"),
        ({}, {"origins": ""}, "unknown key 'origins'; did you mean 'origin'?"),
    ],
)
def test_errors_name_file_place_value_and_remedy_in_one_line(
    tmp_path: Path, layer: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, layer, **changes)
    with pytest.raises(ValueError) as caught:
        read_graph(path)
    assert str(caught.value).startswith(f"cannot read the network {path}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "a", "name": "b"}', "the key 'name' appears twice"),
        ("[" * 200_000, "nested too deeply"),
        ("", "line 1: Expecting value"),
    ],
)
def test_text_that_is_no_json_is_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_graph(tmp_path / "net.json")
