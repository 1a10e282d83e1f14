"""The command `python -m train`."""

from __future__ import annotations

import signal
import sys

from dnnmig_env.files.command_line import discard_output
from dnnmig_env.files.quick_imports import quick_imports
from dnnmig_env.files.signals import handled, status, stop
from train.command_line import parse


def main(arguments: list[str] | None = None) -> int:
    """Train and return the exit status.

    It is 0; 2 if the training cannot begin or go on, with one line on stderr that says why; or 128 and the number of
    the signal that has ended it: 130 after Ctrl-C, 143 after SIGTERM. Once training has begun, signals save the model.
    """
    try:
        with handled(stop):
            config = parse(arguments)
            if config.seeds:
                from train.seeds import train_seeds

                return train_seeds(config, sys.argv[1:] if arguments is None else arguments)
            with quick_imports():
                from train.run import train
            return train(config)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("error: the memory of this machine does not suffice; " + _SMALLER, file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        print("error: the memory of this machine or its GPU does not suffice; " + _SMALLER, file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads the output, such as `head`, has seen enough
        discard_output()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as stopped:
        print("\nStopped before training began.", file=sys.stderr)
        return status(stopped)


_SMALLER = (
    "take a smaller --num-envs, --network.width, --network.context or --held-out.scenarios, or smaller --settings such "
    "as n_steps and buffer_size."
)


if __name__ == "__main__":
    sys.exit(main())
