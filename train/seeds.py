"""Several training runs that differ in their seed alone: each is a process of its own, some at the same time."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from dnnmig_env.files.command_line import joined
from dnnmig_env.files.signals import Stopped, status
from train.command_line import check
from train.config import TrainConfig
from train.folder import check_free

EVERY_S = 60.0
"""Seconds between two lines that say how far a run is."""


def train_seeds(config: TrainConfig, words: Sequence[str]) -> int:
    """Train a run for each seed; return 0, or the exit status of the first one that failed.

    A run that fails ends no other. A signal is passed on to all runs, which save their models and say how they go on.

    Args:
        config: The configuration, whose `seeds` and `workers` say which runs there are and how many train at a time.
        words: The command line that it comes from.

    Raises:
        ValueError: If an option cannot work, or a folder is taken; nothing has been begun then.
    """
    folders = {seed: folder_of(config, seed) for seed in config.seeds}
    for folder in folders.values():
        check_free(folder)
    common = _without(joined(TrainConfig, words, ("--held-out.baselines",)), ("--seeds", "--workers", "--out"))
    waiting, running, statuses = list(config.seeds), dict[int, _Run](), dict[int, int]()
    try:
        while waiting or running:
            while waiting and len(running) < config.workers:
                seed = waiting.pop(0)
                running[seed] = _Run(seed, [*common, "--seed", str(seed), "--out", str(folders[seed])])
            for seed, run in list(running.items()):
                if run.process.poll() is not None:
                    statuses[seed] = run.ended()
                    del running[seed]
            time.sleep(0.1)
    except KeyboardInterrupt as stopped:
        _stop(list(running.values()), stopped)
        if waiting:
            print(f"Seeds that were not begun: {' '.join(map(str, waiting))}.", file=sys.stderr)
        return status(stopped)
    return next((statuses[seed] for seed in config.seeds if statuses[seed] != 0), 0)


class _Run:
    """The process of a run, and a thread that prints what it says behind its seed."""

    def __init__(self, seed: int, words: Sequence[str]) -> None:
        command = [sys.executable, "-m", "train", *words]
        # In a session of its own, so that a signal of the terminal comes once, from the process that started it.
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._seed = seed
        self._teller = threading.Thread(target=self._tell, args=(self.process.stdout,), daemon=True)
        self._teller.start()

    def ended(self) -> int:
        """Return the exit status of the process, once it has ended and all that it said is printed."""
        found = self.process.wait()
        self._teller.join()
        if found != 0:
            print(f"seed {self._seed}: ended with exit status {found}", file=sys.stderr, flush=True)
        return found if found >= 0 else 128 - found

    def _tell(self, said: IO[bytes]) -> None:
        told_s = time.monotonic()
        with io.TextIOWrapper(said, newline="", errors="replace") as lines:
            for line in lines:
                if line.endswith("\r"):  # a bar that is about to be drawn again
                    if time.monotonic() - told_s < EVERY_S:
                        continue
                    told_s = time.monotonic()
                if line.strip():
                    print(f"seed {self._seed}: {line.strip()}", flush=True)


def _stop(runs: Sequence[_Run], stopped: KeyboardInterrupt) -> None:
    """Pass a signal on to all runs, and wait for them; another signal is passed on, too."""
    while True:
        number = int(stopped.args[0]) if isinstance(stopped, Stopped) else signal.SIGINT
        for run in runs:
            if run.process.poll() is None:
                run.process.send_signal(number)
        try:
            for run in runs:
                run.ended()
            return
        except KeyboardInterrupt as again:
            stopped = again


def folder_of(config: TrainConfig, seed: int) -> Path:
    """Return the folder of the run of a seed."""
    out = None if config.out is None else Path(f"{config.out}-{seed}")
    found = check(replace(config, seeds=(), workers=1, seed=seed, out=out)).out
    return Path("runs") if found is None else found


def _without(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return the words of a command line without some options and their values."""
    kept, is_kept = list[str](), True
    for word in words:
        if word.startswith("--"):
            is_kept = word not in options
        if is_kept:
            kept.append(word)
    return kept
