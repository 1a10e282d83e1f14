from __future__ import annotations

import pytest
from simpy import Environment

from evaluate.truth.simulator.station import Job, Station


class Clock:
    """Notes when jobs end."""

    def __init__(self) -> None:
        self.env, self.ends = Environment(), dict[str, float]()

    def job(self, name: str, user: int, amount: float, rate: float = 1.0) -> Job:
        return Job(user, amount, rate, lambda: self.ends.__setitem__(name, self.env.now), (0, 1))

    def at(self, time_s: float, do: object) -> None:
        assert callable(do)
        self.env.timeout(time_s).callbacks.append(lambda _: do())


def test_users_share_the_time_equally() -> None:
    # a alone from 0 to 1 does 1 of 4; then both at half: b's 1 is done at 3, when a has 2 left, which it has at 5.
    clock = Clock()
    station = Station(clock.env, 2)
    clock.at(0.0, lambda: station.add(clock.job("a", 0, 4.0)))
    clock.at(1.0, lambda: station.add(clock.job("b", 1, 1.0)))
    clock.env.run(until=10.0)
    assert clock.ends == {"b": pytest.approx(3.0), "a": pytest.approx(5.0)}
    assert station.busy_s == pytest.approx(5.0)
    assert station.present_s == pytest.approx([5.0, 2.0])
    assert station.work() == pytest.approx([4.0, 1.0])


def test_time_is_shared_not_bytes() -> None:
    # Half the time each: 10 bytes at 2 bytes/s take 10 s beside 2 bytes at 1 byte/s, which take 4 s; after these 4 s
    # the first has sent 4 bytes, and sends the other 6 in 3 s.
    clock = Clock()
    station = Station(clock.env, 2)
    station.add(clock.job("fast", 0, 10.0, 2.0))
    station.add(clock.job("slow", 1, 2.0, 1.0))
    clock.env.run(until=20.0)
    assert clock.ends == {"slow": pytest.approx(4.0), "fast": pytest.approx(7.0)}


@pytest.mark.parametrize(("share", "ends"), [(False, (2.0, 4.0, 6.0)), (True, (4.0, 6.0, 7.0))])
def test_tensors_of_one_user(share: bool, ends: tuple[float, float, float]) -> None:
    # Two users, each with half the time: user 0's tensors of 1 and 2 bytes move at 1/2 each or, sharing, at 1/4 each.
    # apart: 1 byte at 2 s, 2 bytes at 4 s, then user 1, which has 2 of 4 bytes, alone: 6 s.
    # sharing: 1 byte at 4 s; the other has 1 byte left, at 1/2: 6 s; user 1 has 4 - 3 = 1 byte left then: 7 s.
    clock = Clock()
    station = Station(clock.env, 2, tensors_share=share)
    station.add(clock.job("one", 0, 1.0))
    station.add(clock.job("two", 0, 2.0))
    station.add(clock.job("other", 1, 4.0))
    clock.env.run(until=20.0)
    assert [clock.ends[name] for name in ("one", "two", "other")] == pytest.approx(ends)
    assert station.present_s == pytest.approx(ends[1:])


def test_a_link_that_is_down_stands_still_and_takes_no_time_from_others() -> None:
    clock = Clock()
    station = Station(clock.env, 2)
    station.add(clock.job("down", 0, 2.0, 0.0))
    station.add(clock.job("up", 1, 3.0))
    clock.at(5.0, lambda: station.change_rates(lambda job: 1.0))
    clock.env.run(until=20.0)
    assert clock.ends == {"up": pytest.approx(3.0), "down": pytest.approx(7.0)}


def test_rates_change_on_the_way() -> None:
    # 2 of 10 bytes by 2 s, the other 8 at 4 bytes/s.
    clock = Clock()
    station = Station(clock.env, 1)
    station.add(clock.job("a", 0, 10.0))
    clock.at(2.0, lambda: station.change_rates(lambda job: 4.0))
    clock.env.run(until=20.0)
    assert clock.ends == {"a": pytest.approx(4.0)}


def test_who_leaves_makes_room() -> None:
    # Half speed until 2 s, when b leaves; a has 3 of 4 left.
    clock = Clock()
    station = Station(clock.env, 2)
    station.add(clock.job("a", 0, 4.0))
    station.add(clock.job("b", 1, 4.0))
    clock.at(2.0, lambda: station.remove_user(1))
    clock.env.run(until=20.0)
    assert clock.ends == {"a": pytest.approx(5.0)}


def test_what_is_stalled_can_be_given_up() -> None:
    clock = Clock()
    station = Station(clock.env, 3)
    for user, rate in ((0, 1.0), (2, 0.0), (1, 0.0)):
        station.add(clock.job(str(user), user, 1.0, rate))
    assert station.remove_stalled() == [1, 2]
    clock.env.run(until=5.0)
    assert clock.ends == {"0": pytest.approx(1.0)}
