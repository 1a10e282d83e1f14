"""Work that is divided among workers gives what it gives without them, and a worker that fails says where."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dnnmig_env.families.registry import make_generator, scenarios
from evaluate.__main__ import main
from evaluate.compare.playing import Part, parts_left, play_all
from evaluate.compare.record import Record
from evaluate.compare.rollout import ROWS, Arena
from evaluate.output.journal import JOURNAL
from evaluate.output.keeping import _computed
from evaluate.parallel import Workers, results_of
from tests.evaluate.clusters import ROOT, dask_cluster, die_at_three, fail_at_three, square, threads_of_worker
from tests.evaluate.papers.profiles import write_profiles
from tests.evaluate.papers.shrunk import shrink_eosdnn

COMMAND = ["--family", "multi-user", "--option", "max_layers=4", "--scenarios", str(ROWS + 4), "--policies"]
POLICIES = "random,untrained,joint-efficiency,pso-ga:iterations=5:swarm=6+lmu"
"""One that is random side by side, one that is a network, one that plans, and one that plans at random."""


def rows(out: Path, file: str = "records.csv") -> list[dict[str, str]]:
    """Return the records of a command, without what differs from run to run."""
    found = list(csv.DictReader((out / file).read_text().splitlines()))
    return [{column: value for column, value in row.items() if column != "planning_s"} for row in found]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the results of one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    assert main([*COMMAND, POLICIES, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_same_results_whatever_the_number_of_workers(alone: Path, tmp_path: Path, workers: int) -> None:
    assert main([*COMMAND, POLICIES, "--out", str(tmp_path / "out"), "--workers", str(workers)]) == 0
    assert rows(tmp_path / "out") == rows(alone)
    summaries = [json.loads((out / "summary.json").read_text()) for out in (alone, tmp_path / "out")]
    for summary in summaries:
        for figures in summary["policies"].values():
            del figures["planning_s"]
    assert summaries[0] == summaries[1]
    assert list(summaries[0]["policies"]) == POLICIES.split(",")


def test_random_numbers_follow_from_the_scenario_and_differ_between_parts() -> None:
    # the same scenario again and again: whoever is random plays it otherwise, in the second part as well
    scenario = scenarios("multi-user", 1, seed=0, max_layers=4)[0]
    arena = Arena(make_generator("multi-user", max_layers=4).limits, [scenario] * (2 * ROWS), "multi-user")
    actions = {}
    for name in ("random", "pso-ga:iterations=1:swarm=4+lmu"):
        played = dict[int, Record]()
        for part in arena.parts(name):
            part.roll_out(*part.policy(name, 3), lambda record, played=played: played.update({record.scenario: record}))
        assert sorted(played) == list(range(2 * ROWS))
        actions[name] = [played[number].actions for number in range(2 * ROWS)]
        assert len(set(actions[name])) > ROWS
    assert actions["random"][:ROWS] != actions["random"][ROWS:]


def test_random_decisions_in_a_scenario_do_not_depend_on_how_many_are_evaluated() -> None:
    given, limits = scenarios("toy", ROWS + 3, seed=0), make_generator("toy").limits
    found = {
        count: {
            record.scenario: record.actions
            for part in Arena(limits, given[:count], "toy").parts("random")
            for record in played_alone(part)
        }
        for count in (3, ROWS + 1, ROWS + 3)
    }
    assert len(set(found[ROWS + 3].values())) > ROWS / 2
    assert found[3] == {number: found[ROWS + 3][number] for number in range(3)}
    assert found[ROWS + 1] == {number: found[ROWS + 3][number] for number in range(ROWS + 1)}


def played_alone(part: Arena) -> list[Record]:
    """Return what comes of a part under random decisions."""
    records = list[Record]()
    part.roll_out(*part.policy("random", 3), records.append)
    return records


def test_a_part_that_is_played_alone_is_played_as_in_the_whole(alone: Path) -> None:
    given = scenarios("multi-user", ROWS + 4, seed=1, max_layers=4)
    whole = Arena(make_generator("multi-user", max_layers=4).limits, given, "multi-user")
    found = rows(alone)
    for name in POLICIES.split(","):
        last = whole.parts(name)[-1]
        rollout = last.roll_out(*last.policy(name, 1))
        mine = [row for row in found if row["policy"] == name and int(row["scenario"]) in last.numbers]
        assert [float(row["mean_delay_s"]) for row in mine] == rollout.mean_delay_s.tolist()
        assert last.scenario(last.numbers[-1]) is given[-1]


@pytest.mark.parametrize(
    ("name", "words", "file"),
    [
        ("truth", ["--scenarios", "3", "--repetitions", "1", "--policies", "random,joint-efficiency"], "records.csv"),
        ("study generalisation", ["--scenarios", "3"], "study.json"),
        pytest.param(
            "study decisions",
            ["--scenarios", "3", "--seeds", "2", "--steps", "100"],
            "study.json",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_truth_and_studies_are_the_same_too(
    tmp_path: Path, name: str, words: list[str], file: str, untrained: Path
) -> None:
    agent = ["--agent", str(untrained)] if name == "study generalisation" else []
    found = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        main([*name.split(), "--family", "toy", *words, *agent, "--out", str(out), "--workers", workers])
        if file == "records.csv":
            found.append(rows(out))
        else:
            study: dict[str, Any] = json.loads((out / file).read_text())
            found.append([study.get("variants"), study.get("records"), study.get("settings")])
    assert found[0] == found[1] and found[0]


NETWORKS = ["--networks", "alexnet", "bert_mini", "--layers", "6"]
USERS = ["--users", "2", "3", "--scenarios", "2"]
PAPERS = {
    "paper": ["--mbps", "20", "80"],
    "eosdnn": ["--scenarios", "2", "--iterations", "5", "--seed", "3"],
    "mjoa-mu": [*NETWORKS, "--mbps", "20", "160", "--edge-tflops", "1", "--device-gflops", "2", *USERS],
}


@pytest.mark.parametrize("name", PAPERS)
def test_papers_are_the_same_too(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_eosdnn(monkeypatch)
    profiles = ["--profiles", str(write_profiles(tmp_path / "profiles"))] if name == "paper" else []
    found, files = [], []
    for workers in ("1", "2"):
        with monkeypatch.context() as patched:
            if workers == "2":  # nothing is computed by this process, but what compiles
                patched.setattr("evaluate.output.keeping._computed", alone_is_wrong(os.getpid(), _computed))
            out = tmp_path / workers
            assert main([name, *PAPERS[name], *profiles, "--out", str(out), "--workers", workers]) == 0
        (file,) = out.glob("*.json")
        results = json.loads(file.read_text())
        found.append(without(results, "planning_s", "config"))
        files.append({path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".md", ".png")})
    assert found[0] == found[1]
    if name != "eosdnn":  # whose table and picture have the seconds of planning
        assert files[0] == files[1]


def alone_is_wrong(process: int, compute: Any) -> Any:
    """Return a function that computes as another one does, but not in a process."""
    return partial(_elsewhere, process, compute)


def _elsewhere(process: int, compute: Any, task: Any) -> Any:
    assert os.getpid() != process
    return compute(task)


def without(data: Any, *names: str) -> Any:
    """Return results without what differs from run to run."""
    if isinstance(data, dict):
        return {name: without(each, *names) for name, each in data.items() if name not in names}
    return [without(each, *names) for each in data] if isinstance(data, list) else data


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an untrained model."""
    from evaluate.studies import runs
    from evaluate.studies.variants import Agent

    folder = tmp_path_factory.mktemp("model")
    return runs.finished_run("any", Agent(is_trained=False), 0, "toy", 1, folder, lambda line: None).model


STOPPED = ["pso-ga:iterations=20:swarm=10+lmu,random"]


def wait_for_records(journal: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a journal has so many records."""
    while not journal.exists() or journal.read_text().count("\n") <= count:
        assert process.poll() is None
        time.sleep(0.02)


def started(out: Path, *words: str) -> subprocess.Popen[str]:
    """Start an evaluation that takes some seconds, in a group of its own."""
    command = [sys.executable, "-m", "evaluate", *COMMAND, *STOPPED, "--out", str(out), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGKILL))],
)
def test_a_signal_ends_all_workers_and_the_same_command_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    process = started(out, "--workers", "2")
    wait_for_records(out / JOURNAL, 3, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert "records are kept in" in said and "the same command goes on from there" in said
        assert "Traceback" not in said and "Warning" not in said
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    kept = (out / JOURNAL).read_text().splitlines()[1:]
    assert 3 <= len(kept) < 2 * (ROWS + 4)
    assert main([*COMMAND, *STOPPED, "--out", str(out)]) == 0  # with another number of workers
    assert main([*COMMAND, *STOPPED, "--out", str(tmp_path / "whole")]) == 0
    assert rows(out) == rows(tmp_path / "whole")
    seconds = {
        int(row["scenario"]): float(row["planning_s"])
        for row in csv.DictReader((out / "records.csv").read_text().splitlines())
        if row["policy"] != "random"
    }
    for line in map(json.loads, kept):
        if line["name"] != "random":  # what was kept was not planned again
            assert seconds[line["number"]] == line["record"]["planning_s"]


def fail_in(scenario: int, error: type[Exception], part: Part, record: Record) -> int:
    if record.scenario == scenario:
        raise error("nothing can be made of it.")
    return record.scenario


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_the_policy_and_the_scenario(workers: int) -> None:
    arena = Arena(make_generator("toy").limits, scenarios("toy", 4, seed=0), "toy")
    parts = parts_left("mine", "front-to-back", 0, arena, {})
    with pytest.raises(ValueError, match="policy 'mine' in scenario 2: nothing can be made of it"):
        list(play_all(parts, Workers(workers=workers), partial(fail_in, 2, ValueError)))
    with pytest.raises(ZeroDivisionError) as caught:
        list(play_all(parts, Workers(workers=workers), partial(fail_in, 1, ZeroDivisionError)))
    assert "policy 'mine' in scenario 1" in caught.value.__notes__
    parts = parts_left("other", "random", 0, arena, {})
    with pytest.raises(ValueError, match="policy 'other' in scenarios 0 to 3: "):
        list(play_all(parts, Workers(workers=workers), partial(fail_in, 2, ValueError)))


def test_only_what_is_left_is_played() -> None:
    arena = Arena(make_generator("toy").limits, scenarios("toy", 4, seed=0), "toy")
    whole = dict[int, Record]()
    for part, records in play_all(parts_left("a", "front-to-back", 0, arena, {}), Workers(), whole_record):
        assert [record.scenario for record in records] == list(part.arena.numbers)
        whole |= {record.scenario: record for record in records}
    known = {number: whole[number] for number in (0, 3)}
    assert [list(part.arena.numbers) for part in parts_left("a", "front-to-back", 0, arena, known)] == [[1], [2]]
    (side_by_side,) = parts_left("a", "random", 0, arena, {})
    ((_, records),) = play_all([side_by_side], Workers(), whole_record)
    known = {records[0].scenario: records[0]}
    ((_, others),) = play_all(parts_left("a", "random", 0, arena, known), Workers(), whole_record)
    assert {record.scenario for record in others} == set(range(4)) - set(known)
    assert parts_left("a", "random", 0, arena, {record.scenario: record for record in records}) == []


def whole_record(part: Part, record: Record) -> Record:
    return record


def test_results_come_for_every_item_and_errors_go_through() -> None:
    assert list(results_of(square, [], Workers(workers=2))) == []
    assert list(results_of(square, [3, 1], Workers())) == [9, 1]
    assert sorted(results_of(square, list(range(9)), Workers(workers=2))) == [k * k for k in range(9)]
    with pytest.raises(ValueError, match="3 cannot be had"):
        list(results_of(fail_at_three, list(range(9)), Workers(workers=2)))


def test_workers_have_one_thread_each_and_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = list(results_of(threads_of_worker, list(range(4)), Workers(workers=2)))
    assert {(loops, torch) for _, loops, torch in found} == {(1, "1")}
    assert os.getpid() not in {process for process, _, _ in found}


def test_a_worker_that_dies_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"workers have died or are missing .*the same command goes on"):
        list(results_of(die_at_three, list(range(9)), Workers(workers=2)))
    assert sorted(results_of(square, [1, 2, 3], Workers(workers=2))) == [1, 4, 9]  # there are others next time


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "0"], "--workers is 0; it must be at least 1"),
        (["--scheduler", "tcp://a:1"], "--scheduler is tcp://a:1, but --backend is local; add --backend"),
        (["--backend", "dask"], "--backend dask needs --scheduler ADDRESS"),
        (["--backend", "ray", "--workers", "2"], "--workers is 2, but with --backend ray all workers of the cluster"),
        (["--backend", "ray"], "needs the package ray, which is not installed; pip install '.[ray]'"),
    ],
)
def test_options_that_cannot_work_are_one_line(
    tmp_path: Path,
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evaluate.parallel.importlib.util.find_spec", lambda name: None)
    for command in ([*COMMAND, "random"], ["truth"], ["study", "generalisation"]):
        assert main([*command, "--out", str(tmp_path / "out"), *words]) == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs the extra dask")
def test_a_cluster_of_dask_may_lose_a_worker_but_no_result(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, 2) as (address, workers):
        out = tmp_path / "out"
        process = started(out, "--backend", "dask", "--scheduler", address)
        wait_for_records(out / JOURNAL, 5, process)
        workers[0].kill()
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert workers[1].poll() is None
    assert main([*COMMAND, *STOPPED, "--out", str(tmp_path / "whole")]) == 0
    assert rows(out) == rows(tmp_path / "whole")


def test_results_that_nobody_asks_for_any_more_are_dropped_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    found = results_of(square, [1, 2, 3, 4], Workers(workers=2))
    next(found)
    time.sleep(0.5)  # meanwhile the others are there
    found.close()
    assert [str(one.message) for one in recwarn] == []
