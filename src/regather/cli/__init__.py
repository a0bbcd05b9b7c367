"""The command line: one module a command, each imported only when it is called.

Every command module has ``SUMMARY`` (one line), ``EXAMPLES`` (lines for ``--help``),
``configure(parser)`` and ``run(args) -> int``. Errors travel as RegatherError and become one
line on standard error and an exit code here, nowhere else.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from regather._version import __version__
from regather.errors import RegatherError

COMMANDS = ("generate", "split", "publish", "serve", "get", "cluster", "demo", "info")
EXIT_CODES = """exit codes:
  0 done   1 failed, the same command resumes   2 the command cannot be carried out as given
  3 verification or trust failed   4 not enough sources   130 interrupted, the same command resumes
"""


class _Parser(argparse.ArgumentParser):
    """Writes a usage error as one line, like every other error of ours."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: error: {message}; see `{self.prog} --help`\n")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="regather",
        description="Download one large file from several servers at once: verified, resumable, "
        "and unharmed by servers that fail.",
        epilog=EXIT_CODES + "\nregather COMMAND --help has examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"regather {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the command that is called is imported; for the overview all of them are.
    called = next((word for word in argv if not word.startswith("-")), None)
    for name in COMMANDS:
        if called in COMMANDS and name != called:
            continue
        module = importlib.import_module(f"regather.cli.{name}")
        examples = "\n".join(f"  {line}" for line in module.EXAMPLES)
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (see EXIT_CODES)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        print(f"regather {__version__}")
        return 0
    try:
        parser = _parser(arguments)
        args, rest = parser.parse_known_args(arguments)
        if rest:
            print(
                f"regather {args.command}: error: not understood: {' '.join(rest)}; "
                f"see `regather {args.command} --help`",
                file=sys.stderr,
            )
            return 2
        code: int = args.run(args)
    except RegatherError as error:
        print(f"regather: {error}", *error.details, sep="\n  ", file=sys.stderr)
        return error.exit_code
    except (MemoryError, RuntimeError) as error:  # out of memory, or of threads
        detail = f" ({error})" if str(error) else ""
        print(f"regather: out of resources: {type(error).__name__}{detail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("regather: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away: not an error of ours; leave nothing to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
