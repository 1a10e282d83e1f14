"""Command line of training."""

from __future__ import annotations

import sys

from train.command_line import parse


def main(arguments: list[str] | None = None) -> int:
    """Train; a user's mistake is one line on stderr and exit status 2, Ctrl-C saves what there is and is 130."""
    try:
        config = parse(arguments)
        from train.run import train

        return train(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped before training began.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
