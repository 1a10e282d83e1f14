"""Regrouping changes how many layers there are and nothing else."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.networks import zoo
from dnnmig_env.networks.grouping import Grouping
from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.networks.preprocessing import (
    blocks,
    fuse,
    keep_on_device,
    merge,
    merged_groups,
    prepare,
    prepared_groups,
)


@st.composite
def graphs(draw: st.DrawFn, state: bool = False) -> LayerGraph:
    """Graphs with branches, skips, several sinks, cheap layers, views, several inputs, shared weights, inner outputs.

    With `state`, some layers that nobody reads are no outputs either.
    """
    layers, num_inputs = [], draw(st.integers(1, 3))
    for index in range(draw(st.integers(1, 14))):
        sources = draw(st.sets(st.integers(max(-num_inputs, index - 4), index - 1), min_size=1, max_size=3))
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
    owners = [index for index, layer in enumerate(layers) if layer.weight_bytes > 0]
    for index in draw(st.sets(st.integers(0, len(layers) - 1), max_size=3)):
        shares = draw(st.sets(st.sampled_from(owners), max_size=2)) - {index} if owners else set()
        layers[index] = replace(layers[index], shares=tuple(sorted(shares)))
    inputs = tuple(draw(st.integers(0, 1000)) for _ in range(num_inputs))
    graph = LayerGraph("random", sum(inputs), tuple(layers), inputs=inputs)
    outputs = draw(st.sets(st.integers(0, len(layers) - 1), min_size=1, max_size=3))
    return replace(graph, outputs=tuple(sorted(outputs if state else outputs.union(graph.output_layers))))


def chain(*layers: Layer) -> LayerGraph:
    return LayerGraph("hand-made", 100, layers)


def assert_conserved(before: LayerGraph, after: LayerGraph) -> None:
    assert after.flops.sum() == before.flops.sum()
    assert after.weight_bytes.sum() == before.weight_bytes.sum()
    assert after.bytes_moved.sum() == before.bytes_moved.sum()
    assert after.operators.sum() == before.operators.sum()
    assert (after.input_bytes, after.inputs) == (before.input_bytes, before.inputs)
    assert returned_bytes(after) == returned_bytes(before)


def returned_bytes(graph: LayerGraph) -> int:
    return sum(graph.tensor_bytes(layer) for layer in graph.output_layers)


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
            owners = {owner for part in parts for owner in part.shares} - set(group)
            assert layer.shares == tuple(k for k, other in enumerate(groups) if owners.intersection(other))
            assert layer.name in ({part.name for part in parts} | {f"{parts[0].name}..{parts[-1].name}"}) or max_layers

    assert_parts(prepared_groups(graph, max_layers), graph, prepare(graph, max_layers))
    if max_layers is not None:
        assert_parts(merged_groups(fuse(graph), max_layers), fuse(graph), prepare(graph, max_layers))


@given(graphs() | graphs(state=True), st.integers(1, 14))
def test_merge_conserves_and_keeps_its_promise_on_any_graph(graph: LayerGraph, max_layers: int) -> None:
    merged = merge(graph, max_layers)
    assert_conserved(graph, merged)
    assert len(merged) == min(max_layers, len(graph))  # joins one pair at a time, and no more than asked for


@given(graphs(), st.integers(1, 14))
def test_prepare_conserves(graph: LayerGraph, max_layers: int) -> None:
    assert_conserved(graph, prepare(graph, max_layers))
    assert prepare(graph, max_layers) == merge(fuse(graph), max_layers)
    assert prepare(graph) == fuse(graph)


@given(graphs() | graphs(state=True), st.randoms(use_true_random=False))
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
                assert source < 0 or home[source] <= home[index]
        joined = grouping.to_graph(lambda members: members[0].name)
        assert_conserved(graph, joined)
        order = sorted(set(home.values()))
        for position, layer in enumerate(joined.layers):
            members = grouping.members[order[position]]
            for source in (source for source in layer.predecessors if source >= 0):
                read = {
                    p for member in members for p in graph.layers[member].predecessors if home.get(p) == order[source]
                }
                assert joined.tensor_bytes(source) == sum(graph.tensor_bytes(tensor) for tensor in read)


@given(graphs())
def test_blocks_are_a_chain_cut_at_every_dominator(graph: LayerGraph) -> None:
    chained = blocks(graph)
    assert_conserved(graph, chained)
    inputs = {source for layer in graph.layers for source in layer.predecessors if source < 0}
    assert chained.layers[0].predecessors == tuple(sorted(inputs))
    assert [layer.predecessors for layer in chained.layers[1:]] == [(index,) for index in range(len(chained) - 1)]
    dominators = [index for index in range(len(graph)) if not reaches_output_without(graph, index)]
    cuts = [index for index in dominators if index not in graph.output_layers]
    assert len(chained) == len(cuts) + 1
    assert [layer.output_bytes for layer in chained.layers[:-1]] == [graph.tensor_bytes(index) for index in cuts]


def reaches_output_without(graph: LayerGraph, removed: int) -> bool:
    """Whether some path from an input to an output avoids a layer: the definition of a dominator, by search."""
    reached = set(range(-graph.num_inputs, 0))
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


@given(graphs(), st.sets(st.integers(0, 13), max_size=4), st.integers(1, 14))
def test_what_stays_on_the_device_is_merged_with_nothing_else(graph: LayerGraph, chosen: set[int], most: int) -> None:
    names = [layer.name for index, layer in enumerate(graph.layers) if index in chosen]
    marked = keep_on_device(graph, names)
    staying = {index for index, layer in enumerate(marked.layers) if layer.on_device}
    assert staying >= chosen.intersection(range(len(graph)))
    assert not any(staying.intersection(layer.shares) for i, layer in enumerate(marked.layers) if i not in staying)
    assert replace(marked, layers=tuple(replace(layer, on_device=False) for layer in marked.layers)) == graph
    try:
        merged, groups = merge(marked, most), merged_groups(marked, most)
    except ValueError as error:
        least = int(str(error).rpartition(" ")[2].rstrip("."))
        merged, groups = merge(marked, least), merged_groups(marked, least)
        assert len(merged) == least > most
        assert staying
    assert_conserved(graph, merged)
    for group, layer in zip(groups, merged.layers, strict=True):
        assert {index in staying for index in group} == {layer.on_device}


def test_patterns_name_what_stays_on_the_device() -> None:
    graph = chain(*(Layer(f"stage{k // 2}.{k % 2}", 1, 1, 1, (k - 1,)) for k in range(4)))
    assert [layer.on_device for layer in keep_on_device(graph, ["stage0.*"]).layers] == [True, True, False, False]
    with pytest.raises(ValueError, match=r"'stage7', .* is called; do you mean 'stage"):
        keep_on_device(graph, ["stage0.1", "stage7"])
    with pytest.raises(ValueError, match="cannot be cut into blocks"):
        blocks(keep_on_device(graph, ["stage1.1"]))
