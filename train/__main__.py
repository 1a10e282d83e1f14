"""The command `python -m train`."""

from __future__ import annotations

import sys

from train.command_line import parse


def main(arguments: list[str] | None = None) -> int:
    """Train and return the exit status: 0, 2 after a user's mistake, 130 after Ctrl-C.

    A mistake is one line on stderr. Ctrl-C during training saves the model first.
    """
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
