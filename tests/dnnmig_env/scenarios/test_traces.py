"""Traces: all formats read, exact averages per slot, and errors that say what to do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnmig_env.scenarios.traces import Trace, load_trace

MBIT = 125_000.0


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "time_s,bytes_per_s\n0,250000\n1,500000\n3,0\n",
        "time_s,mbps\n0,2\n1,4\n3,0\n",
        "mbps, time_s\n2,0\n4,1\n0,3\n",
        "# a comment\n\ntime_s,mbps\n100,2\n\n# another\n101,4\n103,0\n",
        "\ufefftime_s,mbps\r\n0,2\r\n1,4\r\n3,0\r\n",
        '"time_s","mbps"\n"0","2"\n1,4\n3,"0"\n',
        'place,time_s,delay_ms,Mbps,\nA,0,7,2,\n"B, C",1,8,4,\nD,3,9,0,\n',
        "time_s;mbps\n0;2\n1;4\n3;0\n",
        "time_s\tmbps\n0\t2\n1\t4\n3\t0\n",
        "0 2\n1 4\n3 0\n",
        "\ufeff# Pensieve\r\n0.0\t2.0\r\n1.0\t4e0\r\n3.0\t.0\r\n",
        "7   2\n8 \t4\n10  0",
        "0,2\n1,4\n3,0\n",
    ],
    ids=[
        "bytes",
        "mbps",
        "columns swapped",
        "comments and a late start",
        "byte order mark",
        "quotes",
        "extra columns",
        "semicolons",
        "tabs",
        "Pensieve",
        "Pensieve, tabs, line ends of Windows",
        "Pensieve, several blanks and a late start",
        "Pensieve, commas",
    ],
)
def test_csv_is_read(tmp_path: Path, text: str) -> None:
    trace = load_trace(written(tmp_path, text))
    np.testing.assert_array_equal(trace.times_s, [0, 1, 3])
    np.testing.assert_array_equal(trace.bytes_per_s, [2 * MBIT, 4 * MBIT, 0])
    assert trace.period_s == 5  # the last row holds as long as the one before it


def test_mean_rates_by_hand() -> None:
    trace = Trace([0, 1, 3], [10.0, 40.0, 0.0])  # period 5 s, 90 bytes each
    np.testing.assert_allclose(trace.mean_rates([0, 2, 4], 5), [25, 20, 0])
    np.testing.assert_allclose(trace.mean_rates([0], 5), [18])
    np.testing.assert_allclose(trace.mean_rates([0], 10), [18])
    np.testing.assert_allclose(trace.mean_rates([0, 1.5], 4, offset_s=4), [10 * 0.5 / 1.5, (10 * 0.5 + 40 * 2) / 2.5])
    np.testing.assert_allclose(trace.mean_rates([0, 1], 2, offset_s=-5), [10, 40])


def test_silence_across_the_end_of_a_trace_is_exactly_zero() -> None:
    trace = Trace([0, 0.1, 0.3], [0.0, 1e7 / 3, 0.0], period_s=0.7)
    for rounds in range(50):  # from 0.5 s of one round to 0.05 s of the next
        silent, loud = trace.mean_rates([0, 0.25], 0.5, offset_s=0.5 + 0.7 * rounds)
        assert silent == 0 and loud > 0


def test_a_single_rate_holds_forever() -> None:
    np.testing.assert_allclose(Trace([0], [7.0]).mean_rates([0, 0.3, 8], 1000.0, 12.34), 7.0)


def test_mahimahi_delivers_1500_bytes_per_line(tmp_path: Path) -> None:
    # Packets at the ends of milliseconds 2 (two of them) and 4; the trace lasts 4 ms.
    trace = load_trace(written(tmp_path, "# synthetic\n2\n2\n4\n", "link.mahi"))
    np.testing.assert_allclose(trace.mean_rates([0, 0.001, 0.002, 0.003], 0.004), [0, 3e6, 0, 1.5e6])
    np.testing.assert_allclose(trace.mean_rates([0], 4.0), 3 * 1500 / 0.004)
    np.testing.assert_allclose(trace.mean_rates([0], 0.002, offset_s=0.004 * 7), 3000 / 0.002)


def test_mahimahi_packet_at_zero_belongs_to_the_round_before(tmp_path: Path) -> None:
    trace = load_trace(written(tmp_path, "0\n1\n2\n"))
    np.testing.assert_allclose(trace.mean_rates([0, 0.001], 0.002), [1.5e6, 3e6])


def test_a_steady_mahimahi_trace_is_12_mbps(tmp_path: Path) -> None:
    trace = load_trace(written(tmp_path, "".join(f"{ms}\n" for ms in range(1, 101))))
    np.testing.assert_allclose(trace.mean_rates([0, 0.05], 3.21), 12 * MBIT)


# Rates near the smallest float would be lost in sums, in any implementation.
steps = st.lists(st.tuples(st.floats(0.01, 5), st.just(0.0) | st.floats(1e-6, 1e9)), min_size=1, max_size=8)


@given(steps, st.floats(0.01, 5), st.floats(-20, 20), st.lists(st.floats(0.05, 3), min_size=1, max_size=6))
def test_mean_rates_agree_with_many_small_steps(
    rows: list[tuple[float, float]], last_s: float, offset_s: float, slots: list[float]
) -> None:
    starts = np.cumsum([0.0] + [length for length, _ in rows[:-1]])
    rates = np.array([rate for _, rate in rows])
    trace = Trace(starts, rates, starts[-1] + last_s)
    edges = np.cumsum([0.0, *slots])
    found = trace.mean_rates(edges[:-1], edges[-1], offset_s)
    for slot, (begin, end) in enumerate(pairwise(edges)):
        times = begin + (np.arange(4000) + 0.5) / 4000 * (end - begin)
        now = np.mod(times + offset_s, starts[-1] + last_s)
        sampled = rates[np.searchsorted(starts, now, side="right") - 1].mean()
        changes = len(rates) * (2 + (end - begin) / (starts[-1] + last_s))
        assert abs(found[slot] - sampled) <= rates.max() * changes / 4000 + 1e-6 * rates.max()


@given(steps, st.floats(-20, 20), st.floats(0.1, 30))
def test_slots_add_up(rows: list[tuple[float, float]], offset_s: float, horizon_s: float) -> None:
    trace = Trace(np.cumsum([0.0] + [length for length, _ in rows[:-1]]), [rate for _, rate in rows])
    fine = trace.mean_rates(np.arange(10) * horizon_s / 10, horizon_s, offset_s)
    assert np.all(fine >= 0)
    whole = trace.mean_rates([0], horizon_s, offset_s)
    np.testing.assert_allclose(fine.mean(), whole[0], rtol=1e-9, atol=1e-6 * np.max(trace.bytes_per_s))


def test_many_offsets_at_once_equal_one_by_one() -> None:
    trace = Trace([0, 1, 3], [10.0, 40.0, 0.0])
    offsets = np.array([[0.0, 1.7], [4.4, 12.0]])
    found = trace.mean_rates([0, 2], 7.5, offsets)
    assert found.shape == (2, 2, 2)
    for index in np.ndindex(2, 2):
        np.testing.assert_array_equal(found[index], trace.mean_rates([0, 2], 7.5, offsets[index]))


def test_a_trace_cannot_be_changed() -> None:
    given_rates = np.array([1.0, 2.0])
    trace = Trace([0, 1], given_rates)
    given_rates[0] = 99
    np.testing.assert_array_equal(trace.bytes_per_s, [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(trace.bytes_per_s)[0] = 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty; give"),
        ("# only a comment\n", "it is empty; give"),
        ("time_s,kbps\n0,1\n", "line 1: the columns are 'time_s,kbps'; a header names time_s and one of"),
        ("time_s,mbps,bytes_per_s\n0,1,1\n", "line 1: the columns are"),
        ("0,5,7\n1,6,7\n", "line 1: '0,5,7' has 3 numbers and no header says what they are; begin with a line of"),
        ("0 5\n1 6 7\n", "line 2: '1 6 7' has 3 cells, not 2 as the first line"),
        ("0 5\n1 2_0\n", "line 2: mbps is '2_0'; it must be a finite number"),
        ("time_s,mbps\n0,1e13\n", "line 2: mbps is '1e13'; it must be a finite number, not negative and at most 1e+12"),
        ("time,mbps\n0,1\n", "line 1: the columns are 'time,mbps'; a header names time_s"),
        ("time_s,mbps,mbps\n0,1,1\n", "line 1: the columns are"),
        ("time_s,mbps\n", "line 1: no row follows the header; give"),
        ("time_s,mbps\n0,1\n1\n", "line 3: '1' has 1 cell, not 2 as the first line"),
        ("time_s,mbps\n0,1\n1,-2\n", "line 3: mbps is '-2'; it must be a finite number, not negative"),
        ("time_s,mbps\n0,1\n1,nan\n", "line 3: mbps is 'nan'"),
        ("time_s,mbps\n0,1\n1,fast\n", "line 3: mbps is 'fast'"),
        ("time_s,mbps\n# x\n-1,1\n", "line 3: time_s is '-1'"),
        ("time_s,mbps\n0,1\n2,1\n2,3\n", "line 4: time_s 2 does not exceed 2.0; sort the rows by time"),
        ("1\n-2\n", "line 2: '-2'; a Mahimahi trace holds one whole number of milliseconds per line"),
        ("1\n2.5\n", "line 2: '2.5'"),
        ("5\n4\n", "line 2: 4 ms is before 5 ms; sort the lines"),
        ("0\n0\n", "line 2: the last time is 0 ms"),
    ],
)
def test_bad_traces_are_explained_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        load_trace(path)
    assert str(path) in str(caught.value) and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trace .*absent\.csv: No such file or directory; give an existing"):
        load_trace(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="it is a folder; give an existing"):
        load_trace(tmp_path)
    (tmp_path / "latin.csv").write_bytes("time_s,mbps # \u00e9\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8 text"):
        load_trace(tmp_path / "latin.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), r"times_s has shape \(0,\)"),
        (([0, 1], [1.0]), "give one rate per time"),
        (([1, 2], [1.0, 1.0]), r"times_s\[0\] is 1.0; times must be finite and increase from 0"),
        (([0, 2, 2], [1.0, 1.0, 1.0]), r"times_s\[2\] is 2.0"),
        (([0, float("nan")], [1.0, 1.0]), r"times_s\[1\] is nan"),
        (([0, 1], [1.0, -1.0]), "bytes_per_s contains -1.0"),
        (([0, 1], [1.0, 1.0], 1.0), "period_s is 1.0; it must be finite and beyond the last time"),
    ],
)
def test_bad_numbers_are_refused(arguments: tuple[list[float], list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trace(*arguments)


def test_slots_must_increase() -> None:
    with pytest.raises(ValueError, match="times must increase"):
        Trace([0], [1.0]).mean_rates([0, 2], 2)
