"""Moves of annealing: each changes what its name says, and never more than a plan may."""

from __future__ import annotations

import numpy as np
import pytest

from agents.planners.local_search.chains import ITEM, PRESENT, SERVER, TRIAL, WAIT, as_plan
from agents.planners.local_search.edits import make_room
from agents.planners.local_search.moves import CHANCES
from agents.planners.local_search.random import uniform
from dnnmig_env.arrays import Ints
from dnnmig_env.simulation.plan import check_plan
from tests.agents.planners import hand_made
from tests.agents.planners.annealed import Chain
from tests.agents.planners.random_scenarios import tiny

every_move = pytest.mark.parametrize("move", CHANCES)


def neighbours(move: str, seeds: int = 40) -> list[tuple[Chain, Ints, Ints]]:
    """Return chains with their plan before and after a move, where it was possible and changed something."""
    found = []
    for seed in range(seeds):
        chain = Chain(seed)
        before = chain.uploads(PRESENT)
        if len(chain.movable.user) > 0 and any(changed(chain, move) for _ in range(10)):
            found.append((chain, before, chain.uploads(TRIAL)))
    assert len(found) > seeds / 5
    return found


def changed(chain: Chain, move: str) -> bool:
    chain.propose(move)
    return not np.array_equal(chain.uploads(PRESENT), chain.uploads(TRIAL))


def items(uploads: Ints) -> list[int]:
    return [int(item) for item in uploads[:, ITEM]]


def users(chain: Chain, uploads: Ints) -> set[int]:
    return {int(user) for user in chain.movable.user[uploads[:, ITEM]]}


@every_move
def test_neighbours_are_plans_and_the_present_one_stays(move: str) -> None:
    for chain, before, after in neighbours(move):
        np.testing.assert_array_equal(chain.uploads(PRESENT), before)
        assert len(set(items(after))) == len(after)
        assert np.all((after[:, WAIT] >= 0) & (after[:, WAIT] < chain.p.num_slots[0]))
        for item, server, _ in after:
            assert server in chain.movable.servers[item, : chain.movable.num_servers[item]]


@pytest.mark.parametrize("move", ["shift", "shift-some", "swap", "reverse"])
def test_moves_in_the_order_change_nothing_else(move: str) -> None:
    for _, before, after in neighbours(move):
        assert sorted(before.tolist()) == sorted(after.tolist())


def test_a_shift_takes_one_upload_elsewhere() -> None:
    for _, before, after in neighbours("shift"):
        assert any(
            without(before, k) == without(after, items(after).index(int(before[k, ITEM]))) for k in range(len(before))
        )


def without(uploads: Ints, k: int) -> list[list[int]]:
    return np.delete(uploads, k, axis=0).tolist()  # type: ignore[no-any-return]


def test_a_swap_changes_two_places_and_a_reversal_a_stretch() -> None:
    for _, before, after in neighbours("swap"):
        assert np.count_nonzero((before != after).any(axis=1)) == 2
    for _, before, after in neighbours("reverse"):
        differs = np.flatnonzero((before != after).any(axis=1))
        stretch = slice(differs[0], differs[-1] + 1)
        np.testing.assert_array_equal(after[stretch], before[stretch][::-1])


def test_gathered_layers_are_one_users_neighbours_front_to_back() -> None:
    for chain, before, after in neighbours("gather"):
        assert sorted(before[:, :WAIT].tolist()) == sorted(after[:, :WAIT].tolist())
        assert any(before_without(chain, before, after, k) for k in range(len(after)))


def before_without(chain: Chain, before: Ints, after: Ints, k: int) -> bool:
    """Return whether the plans are the same but for uploads of one user, from the k-th on, in layer order."""
    for last in range(k, len(after)):
        moved = after[k : last + 1]
        if len(users(chain, moved)) > 1 or np.any(np.diff(moved[:, ITEM]) <= 0):
            return False
        rest = [one.tolist() for one in before if one[ITEM] not in moved[:, ITEM]]
        if rest == [*after[:k].tolist(), *after[last + 1 :].tolist()]:
            return True
    return False


def test_placing_and_dropping_concern_one_user_and_one_server() -> None:
    for chain, before, after in neighbours("place"):
        changed_rows = (before != after).any(axis=1)
        assert items(before) == items(after)
        assert len(users(chain, after[changed_rows])) == len(set(after[changed_rows, SERVER])) == 1
    for chain, before, after in neighbours("drop"):
        dropped = before[[item not in items(after) for item in items(before)]]
        assert len(users(chain, dropped)) == 1
        assert [one for one in before.tolist() if one[ITEM] in items(after)] == after.tolist()


def test_layers_that_are_not_uploaded_enter_and_whole_users_change_server() -> None:
    assert any(len(after) > len(before) for _, before, after in neighbours("gather-at"))
    whole = 0
    for chain, _, after in neighbours("whole"):
        for user in users(chain, after):
            own = chain.movable.user[after[:, ITEM]] == user
            whole += own.sum() == (chain.movable.user == user).sum() > 1 and len(set(after[own, SERVER])) == 1
    assert whole > 5


def test_an_exchange_concerns_two_servers_and_at_most_two_users() -> None:
    both = 0
    for chain, before, after in neighbours("exchange", seeds=200):
        assert items(before) == items(after)
        moved = before[:, SERVER] != after[:, SERVER]
        pairs = {(int(one), int(other)) for one, other in zip(before[moved, SERVER], after[moved, SERVER], strict=True)}
        assert len(users(chain, before[moved])) == len(pairs) <= 2
        if len(pairs) == 2:
            (here, there), other = sorted(pairs)
            assert other == (there, here)
            both += 1
    assert both > 0


def test_others_give_way_to_who_moves_in() -> None:
    # Server 1 holds one layer, server 2 both. User 1 moves to server 1, where user 0 is, who goes to server 2.
    scenario = hand_made.chain(
        [1], [0], server_s=[0.1, 0.1], rate_mb_per_s=[1, 1], memory_mb=[1, 2], query_rate_hz=[1, 1]
    )
    given = Chain(0, scenario)
    given.write(PRESENT, np.array([[0, 1, 0], [1, 2, 0]]))
    given.settle(0)
    given.write(TRIAL, np.array([[0, 1, 0], [1, 1, 0]]))
    make_room(given.movable, given.walk)
    assert given.uploads(TRIAL)[:, SERVER].tolist() == [2, 1]


def test_who_fits_nowhere_is_left_out_the_latest_first() -> None:
    scenario = hand_made.chain([1, 1, 1], [0, 0, 0], memory_mb=[2])
    given = Chain(0, scenario)
    given.write(PRESENT, np.array([[0, 1, 0], [1, 1, 0]]))
    given.settle(0)
    given.write(TRIAL, np.array([[0, 1, 0], [1, 1, 0], [2, 1, 0]]))
    make_room(given.movable, given.walk)
    assert items(given.uploads(TRIAL)) == [0, 2]


def test_one_upload_waits_for_a_slot_after_the_one_it_would_begin_in() -> None:
    for chain, before, after in neighbours("wait"):
        (k,) = np.flatnonzero((before != after).any(axis=1))
        assert before[k, :WAIT].tolist() == after[k, :WAIT].tolist()
        assert after[k, WAIT] == 0 or after[k, WAIT] > chain.state.slot[k]


@every_move
def test_neighbours_fit_the_memory(move: str) -> None:
    for seed in range(20):
        scenario = tiny(np.random.default_rng(seed), users=2, layers=5, memory=True)
        chain = Chain(seed, scenario)
        chain.write(PRESENT, chain.uploads(PRESENT)[:1])
        chain.settle(0)
        for _ in range(30):
            chain.propose(move)
            check_plan(scenario, as_plan(chain.p, chain.movable, chain.uploads(TRIAL)))
            chain.write(PRESENT, chain.uploads(TRIAL))
            chain.settle(0)


def test_random_numbers_are_splitmix64() -> None:
    # The first outputs for seed 1234567 of the reference implementation (Vigna, splitmix64.c).
    chain = Chain(0)
    chain.walk.random[0] = 1234567
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [uniform(chain.walk.random) for _ in expected] == [(number >> 11) / 2**53 for number in expected]
