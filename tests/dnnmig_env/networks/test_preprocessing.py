"""Regrouping changes how many layers there are and nothing else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.networks import zoo
from dnnmig_env.networks.grouping import Grouping
from dnnmig_env.networks.layer_graph import NETWORK_INPUT, Layer, LayerGraph
from dnnmig_env.networks.preprocessing import blocks, fuse, merge, merged_groups, prepare, prepared_groups


@st.composite
def graphs(draw: st.DrawFn) -> LayerGraph:
    """Graphs with branches, skips, several sinks, cheap layers, views and layers that read the network's input."""
    layers = []
    for index in range(draw(st.integers(1, 14))):
        sources = draw(st.sets(st.integers(max(NETWORK_INPUT, index - 4), index - 1), min_size=1, max_size=3))
        is_cheap = draw(st.booleans())
        layers.append(
            Layer(
                name=f"layer{index}",
                flops=0 if is_cheap else draw(st.integers(0, 1000)),
                weight_bytes=0 if is_cheap else draw(st.integers(0, 1000)),
                output_bytes=draw(st.integers(0, 1000)),
                predecessors=tuple(sorted(sources)),
                internal_bytes=draw(st.integers(0, 100)),
                operators=draw(st.integers(0, 2)),
            )
        )
    return LayerGraph("random", draw(st.integers(0, 1000)), tuple(layers))


def chain(*layers: Layer) -> LayerGraph:
    return LayerGraph("hand-made", 100, layers)


def assert_conserved(before: LayerGraph, after: LayerGraph) -> None:
    assert after.flops.sum() == before.flops.sum()
    assert after.weight_bytes.sum() == before.weight_bytes.sum()
    assert after.bytes_moved.sum() == before.bytes_moved.sum()
    assert after.operators.sum() == before.operators.sum()
    assert after.input_bytes == before.input_bytes
    assert sum(after.tensor_bytes(sink) for sink in after.output_layers) == sum(
        before.tensor_bytes(s) for s in before.output_layers
    )


@given(graphs())
def test_fuse_conserves(graph: LayerGraph) -> None:
    assert_conserved(graph, fuse(graph))


@given(graphs(), st.none() | st.integers(1, 14))
def test_groups_say_of_which_layers_a_prepared_layer_consists(graph: LayerGraph, max_layers: int | None) -> None:
    def assert_parts(groups: tuple[tuple[int, ...], ...], before: LayerGraph, after: LayerGraph) -> None:
        assert sorted(index for group in groups for index in group) == list(range(len(before)))
        assert len(groups) == len(after)
        for group, layer in zip(groups, after.layers, strict=True):
            parts = [before.layers[index] for index in group]
            assert list(group) == sorted(group)
            assert layer.flops == sum(part.flops for part in parts)
            assert layer.weight_bytes == sum(part.weight_bytes for part in parts)
            assert layer.operators == sum(part.operators for part in parts)
            assert layer.name in ({part.name for part in parts} | {f"{parts[0].name}..{parts[-1].name}"}) or max_layers

    assert_parts(prepared_groups(graph, max_layers), graph, prepare(graph, max_layers))
    if max_layers is not None:
        assert_parts(merged_groups(fuse(graph), max_layers), fuse(graph), prepare(graph, max_layers))


@given(graphs(), st.integers(1, 14))
def test_merge_conserves_and_keeps_its_promise_on_any_graph(graph: LayerGraph, max_layers: int) -> None:
    merged = merge(graph, max_layers)
    assert_conserved(graph, merged)
    assert len(merged) == min(max_layers, len(graph))  # joins one pair at a time, and no more than asked for


@given(graphs(), st.integers(1, 14))
def test_prepare_conserves(graph: LayerGraph, max_layers: int) -> None:
    assert_conserved(graph, prepare(graph, max_layers))
    assert prepare(graph, max_layers) == merge(fuse(graph), max_layers)
    assert prepare(graph) == fuse(graph)


@given(graphs(), st.randoms(use_true_random=False))
def test_any_allowed_joins_keep_order_and_let_readers_read_all_they_pay_for(graph: LayerGraph, random) -> None:
    grouping = Grouping(graph)
    while grouping.count > 1:
        groups = [index for index, members in enumerate(grouping.members) if members]
        pairs = [(u, v) for u in groups for v in groups if u < v and grouping.may_join(u, v)]
        assert pairs, "some pair may always be joined"
        grouping.join(*random.choice(pairs))
        home = {member: index for index, members in enumerate(grouping.members) for member in members}
        for index, layer in enumerate(graph.layers):
            for source in layer.predecessors:
                assert source == NETWORK_INPUT or home[source] <= home[index]
        joined = grouping.to_graph(lambda members: members[0].name)
        assert_conserved(graph, joined)
        order = sorted(set(home.values()))
        for position, layer in enumerate(joined.layers):
            members = grouping.members[order[position]]
            for source in set(layer.predecessors) - {NETWORK_INPUT}:
                read = {
                    p for member in members for p in graph.layers[member].predecessors if home.get(p) == order[source]
                }
                assert joined.tensor_bytes(source) == sum(graph.tensor_bytes(tensor) for tensor in read)


@given(graphs())
def test_blocks_are_a_chain_cut_at_every_dominator(graph: LayerGraph) -> None:
    chained = blocks(graph)
    assert_conserved(graph, chained)
    assert [layer.predecessors for layer in chained.layers] == [(index - 1,) for index in range(len(chained))]
    dominators = [index for index in range(len(graph)) if not reaches_output_without(graph, index)]
    cuts = [index for index in dominators if index not in graph.output_layers]
    assert len(chained) == len(cuts) + 1
    assert [layer.output_bytes for layer in chained.layers[:-1]] == [graph.tensor_bytes(index) for index in cuts]


def reaches_output_without(graph: LayerGraph, removed: int) -> bool:
    """Whether some path from the input to a sink avoids a layer: the definition of a dominator, by search."""
    reached = {NETWORK_INPUT}
    for index, layer in enumerate(graph.layers):
        if index != removed and reached.intersection(layer.predecessors):
            reached.add(index)
    return bool(reached.intersection(graph.output_layers))


def test_fuse_by_hand() -> None:
    graph = chain(
        Layer("scale", 0, 0, 100, (-1,)),  # reads the input, one reader: goes forward
        Layer("conv1", 50, 40, 80, (0,)),
        Layer("norm1", 0, 8, 80, (1,)),  # a scale and a shift: cheap
        Layer("relu1", 0, 0, 80, (2,)),
        Layer("conv2", 70, 60, 20, (3,)),
        Layer("pool", 0, 0, 5, (3,)),  # its source has two readers, it has one: goes forward
        Layer("gate", 10, 30, 5, (5,)),
        Layer("mul", 0, 0, 20, (4, 6)),  # two inputs: stays
        Layer("embed", 0, 900, 20, (7,)),  # no FLOPs, but weights that have to be uploaded: stays
    )
    fused = fuse(graph)
    assert [layer.name for layer in fused.layers] == ["conv1", "conv2", "gate", "mul", "embed"]
    conv1, conv2, gate, mul, _ = fused.layers
    assert (conv1.flops, conv1.weight_bytes, conv1.output_bytes, conv1.predecessors) == (50, 48, 80, (-1,))
    # scale writes 100, conv1 reads 100; conv1 writes 80, norm1 reads 80; norm1 writes 80, relu1 reads 80.
    assert (conv1.internal_bytes, conv1.operators) == (520, 4)
    assert (gate.predecessors, gate.internal_bytes, gate.operators) == ((0,), 10, 2)
    assert (conv2.predecessors, mul.predecessors) == ((0,), (1, 2))


def test_a_scale_and_a_shift_per_output_element_are_cheap_and_more_is_not() -> None:
    def fused_layers(weight_bytes: int) -> int:
        layers = Layer("conv", 9.0, 100, 40, (-1,)), Layer("norm", 0.0, weight_bytes, 40, (0,))
        return len(fuse(LayerGraph("net", 10, layers)))

    assert fused_layers(2 * 40) == 1
    assert fused_layers(2 * 40 + 4) == 2


def test_a_cheap_layer_stays_where_joining_would_charge_a_reader_for_what_it_does_not_read() -> None:
    graph = chain(
        Layer("conv", 5, 5, 10, (-1,)),
        Layer("relu", 0, 0, 10, (0,)),  # two readers; conv is read by `skip` too
        Layer("left", 5, 5, 10, (1,)),
        Layer("right", 5, 5, 10, (1,)),
        Layer("skip", 5, 5, 10, (0, 2, 3)),
    )
    assert fuse(graph) == graph


def test_merge_balances_load_and_hides_the_large_tensor() -> None:
    graph = chain(
        Layer("a", 10, 10, 100, (-1,)),
        Layer("b", 10, 10, 900, (0,)),  # equal loads: the largest tensor to hide is b's
        Layer("c", 10, 10, 100, (1,)),
        Layer("d", 10, 10, 100, (2,)),
    )
    assert [layer.name for layer in merge(graph, 3).layers] == ["a", "b..c", "d"]
    heavy = chain(
        Layer("a", 90, 90, 10, (-1,)),
        Layer("b", 1, 1, 10, (0,)),
        Layer("c", 1, 1, 10, (1,)),
        Layer("d", 90, 90, 10, (2,)),
    )
    assert [layer.name for layer in merge(heavy, 3).layers] == ["a", "b..c", "d"]


def test_merge_joins_branches_last() -> None:
    branches = chain(
        Layer("stem", 10, 10, 10, (-1,)),
        Layer("left", 10, 10, 10, (0,)),
        Layer("right", 10, 10, 10, (0,)),
        Layer("join", 10, 10, 10, (1, 2)),
    )
    assert merge(branches, 3).layers[0].name == "stem"
    assert [layer.predecessors for layer in merge(branches, 3).layers] == [(-1,), (0,), (0, 1)]


@pytest.mark.parametrize("max_layers", [0, -3])
def test_merge_says_what_is_wrong(max_layers: int) -> None:
    with pytest.raises(ValueError, match=f"max_layers is {max_layers}; keep at least 1 layer"):
        merge(chain(Layer("a", 1, 1, 1, (-1,))), max_layers)


def test_the_largest_networks_are_prepared_in_no_time() -> None:
    zoo.load("nasnetalarge"), zoo.load("densenet201")
    start = time.perf_counter()
    prepare(zoo.load("densenet201"), 16)
    prepare(zoo.load("nasnetalarge"), 16)
    assert time.perf_counter() - start < 2  # 0.05 s on an idle machine
