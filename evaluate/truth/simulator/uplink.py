"""An uplink or a server's wire: query data share its time, and weights move beside them one transfer at a time."""

from __future__ import annotations

import math
from collections.abc import Callable

from simpy import Environment

from dnnmig_env.scenarios.uplink import Uplink as Mode
from evaluate.truth.simulator.station import Job, Station

LEAST_SHARE = 0.02
"""Share of the link's rate that weights get however busy the uplink is."""

WINDOW_S = 10.0
"""Seconds over which that share is granted: what weights have got beyond it is remembered for no longer than this."""


class Uplink(Station):
    """The radio channel from all devices of a cell, on which one upload of weights at a time may be under way.

    A server's outgoing wire, which is its uplink to other servers, is the same. Further uploads wait in a queue.

    With "priority" weights give way: they move only while no query data do. Only where that would give them less than
    `LEAST_SHARE` of the rate, taken over `WINDOW_S`, they trickle at this share beside the data, which they never slow.
    (A trickle whenever data move would, on an uplink that is busy for 90 % of the time, add 18 % to their rate.)
    With "shared" an upload is one more sharer of the time. With "independent" it moves at its full rate, and neither
    slows the other.

    Args:
        env: The clock.
        num_users: Number of users.
        mode: How weights and query data meet.
        tensors_share: As for a `Station`.

    Attributes:
        weight_bytes: Bytes of weights that have been sent for each user.
    """

    def __init__(self, env: Environment, num_users: int, mode: Mode, *, tensors_share: bool = False) -> None:
        super().__init__(env, num_users, tensors_share=tensors_share)
        self._mode = mode
        self._queue: list[Job] = []  # the first one is under way
        self._ahead_s = 0.0  # how much more than the least share weights have got, in seconds of the link's full rate
        self.weight_bytes = [0.0] * num_users

    def send_weights(self, upload: Job) -> None:
        """Begin an upload, or go on with it, as soon as those that came before it have ended."""
        self.catch_up()
        self._queue.append(upload)
        self.share_out()

    def remove_weights(self, upload: Job) -> bool:
        """Give up an upload, which stays as far as it has come; return whether it was still under way or waiting."""
        self.catch_up()
        if upload not in self._queue:
            return False
        self._queue.remove(upload)
        self.share_out()
        return True

    @property
    def has_weights(self) -> bool:
        """Whether an upload is under way, if only to wait for its link."""
        return bool(self._queue)

    @property
    def is_sending(self) -> bool:
        """Whether an upload is under way and its link is up."""
        return self._upload is not None and self._upload.rate > 0.0

    def wait_s(self, share: float) -> float:
        """Return how long all uploads here will take if they get a share of the time; infinite if a link is down."""
        self.catch_up()
        return sum(job.left / (job.rate * share) if job.rate > 0.0 else math.inf for job in self._queue)

    def rest(self) -> None:
        """Note that no upload follows at once, so that the next one begins without a past."""
        self._ahead_s = 0.0

    @property
    def _upload(self) -> Job | None:
        return self._queue[0] if self._queue else None

    def _all_jobs(self) -> list[Job]:
        return self._jobs if self._upload is None else [*self._jobs, self._upload]

    def _data_move(self) -> bool:
        return any(job.rate > 0.0 for job in self._jobs)

    def _other_sharers(self) -> int:
        return int(self._mode == "shared" and self.is_sending)

    def _set_speeds(self) -> None:
        super()._set_speeds()
        upload = self._upload
        if upload is None:
            return
        upload.speed = upload.rate
        if self._mode == "shared":
            upload.speed /= 1 + len({job.user for job in self._jobs if job.rate > 0.0})
        elif self._mode == "priority" and self._data_move():
            upload.speed *= 0.0 if self._ahead_s > 0.0 else LEAST_SHARE

    def _next_change_s(self) -> float:
        waits = self._upload is not None and self._upload.rate > 0.0 and self._upload.speed == 0.0
        return self._ahead_s / LEAST_SHARE if waits else math.inf

    def _change(self) -> None:
        self._ahead_s = 0.0

    def _work(self, elapsed_s: float) -> None:
        super()._work(elapsed_s)
        upload = self._upload
        if upload is not None and upload.rate > 0.0:
            sent = upload.speed * elapsed_s
            upload.left -= sent
            self.weight_bytes[upload.user] += sent
            ahead_s = self._ahead_s + sent / upload.rate - LEAST_SHARE * elapsed_s
            self._ahead_s = min(max(ahead_s, 0.0), LEAST_SHARE * WINDOW_S)

    def change_rates(self, rate_of: Callable[[Job], float]) -> None:
        """Give every transfer, that of weights included, the rate of a new slot."""
        self.catch_up()
        for upload in self._queue:
            upload.rate = rate_of(upload)
        super().change_rates(rate_of)

    def _end(self, job: Job) -> None:
        if job is self._upload:
            self._queue.pop(0)
            self.weight_bytes[job.user] += job.left  # what rounding has left over
        else:
            super()._end(job)
