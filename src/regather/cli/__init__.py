"""The command line: one module a command, each imported only when it is called.

Every command module has ``SUMMARY`` (one line), ``EXAMPLES`` (lines for ``--help``),
``configure(parser)`` and ``run(args) -> int``. Errors travel as RegatherError and become one
line on standard error and an exit code here, nowhere else.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

from regather._version import __version__
from regather.cli.commands import COMMANDS, UNCONFIGURED
from regather.cli.leaving import leave
from regather.cli.overview import EXIT_CODES, Overview
from regather.cli.parsing import (
    CommandLineError,
    Parser,
    check_filled,
    command_in,
    commands_of,
    indented,
    is_option,
    near_options,
    unknown_command,
)
from regather.cli.signals import ignore_ends
from regather.cli.standard_streams import drop_output, free_of_words, goes_to_output, open_all
from regather.errors import (
    InterruptedDownload,
    RegatherError,
    StorageError,
    UsageError,
    advice,
    is_fault_here,
    of_system,
    shown_path,
)

_TAKES_ALL = ("surrogateescape", "utf-8")
"""Errors and encoding of an output that takes any file name as it is."""
_OBJECTS = 50_000
"""So many new ones are looked at for garbage together: what starting makes is none."""


def parser_of(called: str | None = None) -> Parser:
    """The parser of the whole command line, or of the command that is ``called`` alone.

    Only the command that is called is imported; for the overview all of them are.
    """
    from regather.cli.options import add_config

    parser = Overview(
        "regather",
        description="Download one large file from several servers at once. Every piece is\n"
        "verified; downloads resume, and survive servers that fail.",
        usage="regather COMMAND [options]",
    )
    parser.add_helps(parser)
    parser.add_argument(
        "-V",
        "--version",
        action="version",
        version=f"regather {__version__}",
        help="show the version",
    )
    add_config(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name in [called] if called in COMMANDS else COMMANDS:
        module = importlib.import_module(f"regather.cli.{name}")
        command = commands.add_parser(
            name,
            prog=f"regather {name}",
            help=module.SUMMARY,  # completion leaves out commands without it
            description=module.SUMMARY,
            epilog=f"examples:\n{indented(module.EXAMPLES)}\n{EXIT_CODES}",
        )
        command.examples, command.common = module.EXAMPLES, getattr(module, "COMMON", ())
        module.configure(command)
        if name not in UNCONFIGURED:
            add_config(command.section("configuration"), default=argparse.SUPPRESS)
        command.add_helps(command.section("display"))
        command.arrange()
        command.set_defaults(run=module.run)
    parser.complete = True
    return parser


def run() -> NoReturn:
    """Run the command line of this process, and end it with the exit code that it came to."""
    gc.set_threshold(_OBJECTS)
    open_all()
    try:
        code = main()
    except KeyboardInterrupt:  # a second one, while the first was told
        code = 130
    while True:
        try:
            ignore_ends()
            break
        except KeyboardInterrupt:
            continue
    leave(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (see EXIT_CODES)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    output = sys.stdout
    if isinstance(output, TextIOWrapper) and (output.errors, output.encoding) != _TAKES_ALL:
        # A name that the terminal's encoding lacks is no reason to fail when all is done.
        output.reconfigure(errors="backslashreplace")
    with free_of_words(when=goes_to_output(arguments)):
        return _ended(arguments)


def _ended(arguments: Sequence[str]) -> int:
    try:
        code = _main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output went away: not an error of ours.
        drop_output()
        return 1
    except OSError as error:
        # Those that befall commands have become errors of ours; this one befell our output.
        drop_output()
        why = (error.strerror or "").lower()
        _complain(f"regather: cannot write to standard output: {why}; {advice(error)}")
        return 1
    return code


def _main(arguments: Sequence[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        print(f"regather {__version__}")
        return 0
    arguments = arguments or ["-h"]
    try:
        code, error = _run(arguments)
    except KeyboardInterrupt:  # also one that came while another outcome was looked at
        code, error = 130, InterruptedDownload("interrupted")
    if error is not None:
        from regather.tasks import interrupts_held  # most commands have imported it

        with interrupts_held() as interrupts:
            _tell(error, as_json="--json" in arguments)
            interrupts.forget()  # it has ended, and how is told
    return code


def _logs(args: argparse.Namespace) -> bool:
    """Whether a command writes a log other than the bare warnings of the loggers."""
    wanted = getattr(args, "verbose", 0) or getattr(args, "log_format", "text") != "text"
    return bool(wanted) or getattr(args, "log", None) is not None


def _run(arguments: Sequence[str]) -> tuple[int, RegatherError | None]:
    """Run the command; returns its exit code, or the error that it ended with."""
    try:
        args = _parsed(arguments)
        if _logs(args):
            from regather.cli.logs import set_up

            set_up(args)
        if "color" in args:
            from regather.cli.progress import use_color

            use_color(args.color)
        _import_msgspec()
        code: int = args.run(args)
    except RegatherError as error:
        # What looks like a wrong name may be a disk that fails.
        if isinstance(error, UsageError) and is_fault_here(error.__context__):
            error.exit_code = StorageError.exit_code
        return error.exit_code, error
    except OSError as error:
        if _is_of_output(error):
            raise
        told = of_system(error)
        return told.exit_code, told
    except UnicodeEncodeError as error:
        return 2, UsageError(
            f"{error.object[error.start :][:20]!r}: cannot be written in the character set of this "
            f"system, {error.encoding}",
            help="set LC_ALL=C.UTF-8, or choose another name with -o",
        )
    except (MemoryError, RuntimeError) as error:  # out of memory, or of threads
        detail = f" ({error})" if str(error) else ""
        return 1, RegatherError(f"out of resources: {type(error).__name__}{detail}")
    return code, None


def _import_msgspec() -> None:
    """Import msgspec without ``typing_extensions``, which adds nothing to ``typing`` of 3.11.

    It takes a tenth of the start.
    """
    if {"msgspec", "typing_extensions"}.isdisjoint(sys.modules):
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        try:
            importlib.import_module("msgspec")
        finally:
            del sys.modules["typing_extensions"]


def _is_of_output(error: OSError) -> bool:
    """Whether it befell a ``print`` of ours, and no file: those have names, or other callers.

    Standard output may be unbuffered, so that nothing is left in it by which to tell.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    module = "" if last is None else last.tb_frame.f_globals["__name__"]
    return error.filename is None and module.startswith("regather.cli.")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line says, by the configuration where that says more. Raises UsageError."""
    called = command_in(arguments)
    parser = parser_of(called)

    def parsed() -> argparse.Namespace:
        try:
            args, rest = parser.parse_known_args(arguments)
        except CommandLineError as error:
            if called in COMMANDS:
                known = commands_of(parser)[called]
                # What is missing may be there under a name that is nearly right.
                wrong = [w for w in arguments if not is_option(w.partition("=")[0], known)]
                raise CommandLineError(
                    error.prog, error.what + near_options(wrong, known)
                ) from None
            if called is None:
                raise
            raise unknown_command(called, COMMANDS) from None
        prog = f"regather {args.command or ''}".rstrip()
        if rest:
            given = parser if args.command is None else commands_of(parser)[args.command]
            raise CommandLineError(
                prog, f"not understood: {' '.join(rest)}{near_options(rest, given)}"
            )
        # Asked for here and not by argparse, which would rather miss it than name what is unknown.
        if args.command is None:
            raise CommandLineError(prog, "no command is given")
        return args

    args = parsed()
    if args.command in UNCONFIGURED:
        return args
    check_filled(arguments)
    from regather.cli.conf import configured

    return configured(
        args, commands_of(parser)[args.command], parsed, lambda: commands_of(parser_of())
    )


def _tell(error: RegatherError, *, as_json: bool) -> None:
    """One line on standard error, and for ``--json`` the same as a document on standard output."""
    if as_json:
        from regather.cli.documents import print_json

        print_json(event="error", **error.as_dict())
    start = f"{error.prog}: error" if isinstance(error, CommandLineError) else "regather"
    _complain(f"{start}: {error.line}", *error.details)


def _complain(*lines: str) -> None:
    """Say it on standard error, very long words without their middle.

    At once, as ``print_json`` does.
    """
    words = [line.split(" ") for line in lines]
    told = [" ".join(shown_path(word) for word in line) for line in words]
    sys.stderr.write("\n  ".join(told) + "\n")
    sys.stderr.flush()
