from __future__ import annotations

import os
import subprocess
import sys

from evaluate.testbed.processes.ledger import DOWNLINK, UPLINK, Ledger, create

ADD = """
import sys
from evaluate.testbed.processes.ledger import Ledger, UPLINK
ledger = Ledger(int(sys.argv[1]), 2, 5)
for _ in range(500):
    with ledger.channel(UPLINK) as channel:
        channel.begin_data()
    ledger.count_sent()
ledger.mark_arrived(int(sys.argv[2]))
"""


def test_processes_count_together() -> None:
    file = create()
    try:
        ledger = Ledger(file, 2, 5)
        adders = [subprocess.Popen([sys.executable, "-c", ADD, str(file), str(n)], pass_fds=[file]) for n in (0, 2)]
        assert [process.wait(60) for process in adders] == [0, 0]
        assert ledger.sent == 1000
        with ledger.channel(UPLINK) as channel:
            assert channel.state[1] == 1000
        assert ledger.arrived == 1  # partition 2 has arrived, but not partition 1
        ledger.mark_arrived(1)
        assert ledger.arrived == 3
        for partition in (3, 4):
            ledger.mark_arrived(partition)
        assert ledger.arrived == 5
    finally:
        os.close(file)


def test_channels_are_apart() -> None:
    file = create()
    ledger = Ledger(file, 2, 0)
    with ledger.channel(UPLINK) as channel:
        channel.reserve(5.0, 1.0, 5.0)
    for other in (DOWNLINK, 2, 3):
        with ledger.channel(other) as channel:
            assert channel.reserve(5.0, 1.0, 5.0) == 6.0
    assert ledger.arrived == 0
    os.close(file)
