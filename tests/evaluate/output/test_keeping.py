"""Records are computed once, come in their order, and are kept as soon as they are there, whoever computes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from evaluate.compare.record import Record
from evaluate.output.journal import JOURNAL, Journal
from evaluate.output.keeping import Keeper
from evaluate.parallel import Workers

PAIR = Workers(workers=2)


def compute(number: int, seconds: float = 0.0) -> Record:
    time.sleep(seconds)
    if number < 0:
        raise ValueError(f"number is {number}")
    return Record(number, 1.5, 2.5, 0.5, 0.75, 1e-3, 2, False, (4, number))


def compute_last(number: int, folder: Path) -> Record:
    """Compute a record once those of 1 and 2 are kept."""
    while set(journal(folder).known.get("a", {})) < {1, 2}:
        time.sleep(0.05)
    return compute(number)


def journal(folder: Path) -> Journal[Record]:
    return Journal(folder, {"policies": "a"}, Record, anew=False)


def tasks(*numbers: int, seconds: float = 0.0) -> list[tuple[str, int, Callable[[], Record]]]:
    return [("a", number, partial(compute, number, seconds)) for number in numbers]


@pytest.mark.parametrize("workers", [Workers(), PAIR])
def test_records_come_in_the_order_of_their_tasks(workers: Workers, tmp_path: Path) -> None:
    slow_first = [("a", 5, partial(compute, 5, 0.5)), *tasks(2, 7, 1)]
    expected = [compute(number) for number in (5, 2, 7, 1)]
    assert list(Keeper(workers=workers).records(slow_first)) == expected
    assert list(Keeper(journal(tmp_path), workers).records(slow_first)) == expected
    assert journal(tmp_path).known == {"a": {number: compute(number) for number in (1, 2, 5, 7)}}


@pytest.mark.parametrize("workers", [Workers(), PAIR])
def test_what_is_known_is_not_computed_again(workers: Workers, tmp_path: Path) -> None:
    known = journal(tmp_path)
    known.add("a", 1, compute(8))
    known.add("b", 3, compute(9))
    keep = Keeper(journal(tmp_path), workers)
    assert [keep.is_known(*key) for key in (("a", 1), ("b", 1), ("a", 3), ("b", 3))] == [True, False, False, True]
    assert list(keep.records(tasks(0, 1, 3))) == [compute(0), compute(8), compute(3)]
    text = (tmp_path / JOURNAL).read_text()
    failing: list[tuple[str, int, Callable[[], Record]]] = [("a", each, partial(compute, -1)) for each in (3, 1, 0)]
    again = list(Keeper(journal(tmp_path), workers).records(failing))
    assert again == [compute(3), compute(8), compute(0)]
    assert (tmp_path / JOURNAL).read_text() == text


@pytest.mark.parametrize("workers", [Workers(), PAIR])
def test_what_comes_before_a_failure_is_kept(workers: Workers, tmp_path: Path) -> None:
    failing = [*tasks(0, 1), ("a", 2, partial(compute, -1, 0.5))]
    found = Keeper(journal(tmp_path), workers).records(failing)
    assert [next(found), next(found)] == [compute(0), compute(1)]
    with pytest.raises(ValueError, match="number is -1"):
        next(found)
    assert set(journal(tmp_path).known["a"]) == {0, 1}


def test_one_worker_computes_only_what_is_asked_for(tmp_path: Path) -> None:
    found = Keeper(journal(tmp_path)).records(tasks(0, 1, 2))
    next(found)
    assert set(journal(tmp_path).known["a"]) == {0}
    found.close()  # type: ignore[attr-defined]


def test_several_workers_keep_a_record_before_its_turn(tmp_path: Path) -> None:
    found = Keeper(journal(tmp_path), PAIR).records([("a", 0, partial(compute_last, 0, tmp_path)), *tasks(1, 2)])
    assert next(found) == compute(0)
    assert set(journal(tmp_path).known["a"]) == {0, 1, 2}
    found.close()  # type: ignore[attr-defined]
