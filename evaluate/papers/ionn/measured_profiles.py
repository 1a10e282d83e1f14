"""Reads layer profiles that a paper published: one CSV file per network, a row per block, a chain.

The columns are those of the profiles of IONN (SoCC 2018): client times on an ODROID XU4 board, server times on a GPU.
Where a file leaves all server times empty (as for MobileNet, whose server times were not published), an assumed time
stands in.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.files.quantities import Amount, Count, Index, Quantity
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.text_file import read_text
from dnnmig_env.networks.layer_graph import Layer, LayerGraph

ASSUMED_SERVER_MS = 0.05
"""Server time per layer in milliseconds where none was measured."""


class BlockRow(Form):
    """One row of a file: a block of `n_layers` layers, the bytes that enter and leave it, its weights and its times."""

    block: Index
    last_layer: str
    n_layers: Count
    in_bytes: Count
    out_bytes: Count
    weight_bytes: Quantity
    client_ms_odroid: Amount
    server_ms_gpu: Amount | None


@dataclass(frozen=True, eq=False)
class MeasuredNetwork:
    """A chain of N blocks and how long each takes.

    Attributes:
        graph: The blocks, each as a layer; its name is the file's.
        seconds: Seconds of each block on the client and on the server, shape (N, 2).
        server_is_assumed: Whether no server times were measured, so that `ASSUMED_SERVER_MS` per layer stands in.
    """

    graph: LayerGraph
    seconds: Floats
    server_is_assumed: bool


def load_profiles(folder: Path) -> list[MeasuredNetwork]:
    """Read every CSV file of a folder, sorted by name.

    Raises:
        ValueError: If something is missing or wrong; the message names the file, the line, the value and the remedy.
    """
    if not folder.is_dir():
        raise ValueError(f"--profiles is {folder}, which is no folder; name one with a CSV file per network.")
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise ValueError(f"--profiles is {folder}, which has no .csv file; name a folder with one per network.")
    return [load_profile(path) for path in paths]


def load_profile(path: Path) -> MeasuredNetwork:
    """Read the profile of one network.

    Raises:
        ValueError: If something is missing or wrong; the message names the file, the line, the value and the remedy.
    """
    try:
        return _network(path.stem, _rows(path))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _rows(path: Path) -> list[BlockRow]:
    with io.StringIO(read_text(path, "give a CSV file"), newline="") as file:
        lines = csv.reader(file)
        header = [cell.strip() for cell in next(lines, [])]
        columns = list(BlockRow.model_fields)
        absent = [column for column in columns if column not in header]
        if absent:
            raise ValueError(f"column {absent[0]!r} is missing; the columns are {','.join(columns)}.")
        rows: list[BlockRow] = []
        for cells in lines:
            if cells:
                rows.append(_row(lines.line_num, header, cells, rows))
    if not rows:
        raise ValueError("no row follows the header; give one per block.")
    return rows


def _row(line: int, header: list[str], cells: list[str], before: list[BlockRow]) -> BlockRow:
    if len(cells) != len(header):
        raise ValueError(f"line {line} has {len(cells)} cells; give one for each of the {len(header)} columns.")
    given = dict(zip(header, map(str.strip, cells), strict=True))
    values: dict[str, object] = {column: _number_or_text(given[column]) for column in BlockRow.model_fields}
    values["last_layer"] = given["last_layer"]
    if not given["server_ms_gpu"]:
        values["server_ms_gpu"] = None
    try:
        row = checked(BlockRow, values)
    except ValueError as error:
        raise ValueError(f"line {line}, {error}") from None
    if row.block != len(before):
        raise ValueError(f"line {line}, block: {row.block}; number the blocks from 0 on ({len(before)} comes next).")
    if before and row.in_bytes != before[-1].out_bytes:
        raise ValueError(
            f"line {line}, in_bytes: {row.in_bytes}; the block before puts out {before[-1].out_bytes} bytes: "
            "give a chain of blocks."
        )
    return row


def _number_or_text(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _network(name: str, rows: list[BlockRow]) -> MeasuredNetwork:
    unmeasured = [row.server_ms_gpu is None for row in rows]
    if any(unmeasured) and not all(unmeasured):
        raise ValueError(
            f"server_ms_gpu is empty for block {unmeasured.index(True)}; give a time for every block or for none."
        )
    if not any(row.client_ms_odroid for row in rows):
        raise ValueError("client_ms_odroid is 0 in every row; give the measured milliseconds.")
    if not any(row.weight_bytes for row in rows):
        raise ValueError("weight_bytes is 0 in every row; there is nothing to upload.")
    layers = tuple(Layer(row.last_layer, 0.0, row.weight_bytes, row.out_bytes, (row.block - 1,)) for row in rows)
    milliseconds = [
        (row.client_ms_odroid, ASSUMED_SERVER_MS * row.n_layers if row.server_ms_gpu is None else row.server_ms_gpu)
        for row in rows
    ]
    return MeasuredNetwork(
        LayerGraph(name, rows[0].in_bytes, layers), np.array(milliseconds, np.float64) / 1e3, any(unmeasured)
    )
