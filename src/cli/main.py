"""Entry point: parse the command line and call the subcommand."""

import argparse
import sys
from collections.abc import Sequence

from .. import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 refused with a message, 2 misused, 130 interrupted."""
    try:
        import rich  # noqa: F401
    except ImportError:
        print("the seedbed command needs its extra; install it with: pip install 'seedbed[cli]'", file=sys.stderr)
        return 2
    from . import evaluate, replay, simulate, thresholds, verify, warmup

    parser = argparse.ArgumentParser(prog="seedbed", description="Bandit decisions and cold-start allocation.")
    parser.add_argument("--version", action="version", version=f"seedbed {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    evaluate.register(commands)
    replay.register(commands)
    simulate.register(commands)
    thresholds.register(commands)
    verify.register(commands)
    warmup.register(commands)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, KeyError, OSError) as error:
        print(f"seedbed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        hint = "; it continues from its last checkpoint with --resume" if options.run is replay.run else ""
        print(f"seedbed: interrupted{hint}", file=sys.stderr)
        return 130
    return code
