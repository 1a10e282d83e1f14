"""Command line of the evaluation: compare policies, or measure speed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from evaluate.config import Config, SpeedConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake is one line on stderr and exit status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments[:1] == ["speed"]:
            _speed(tyro.cli(SpeedConfig, prog="python -m evaluate speed", args=arguments[1:]))
        else:
            _compare(tyro.cli(Config, prog="python -m evaluate", args=arguments))
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written.", file=sys.stderr)
        return 130
    return 0


def _compare(config: Config) -> None:
    from evaluate.compare import compare

    compare(config)


def _speed(config: SpeedConfig) -> None:
    from evaluate.speed import measure

    measure(config)


if __name__ == "__main__":
    sys.exit(main())
