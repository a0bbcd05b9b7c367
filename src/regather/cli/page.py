"""The option ``--page``: a page that shows what a command does, while it does it."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from regather.cli.documents import print_json
from regather.cli.options import token_in, warn
from regather.cli.parsing import Parser
from regather.errors import InterruptedDownload, RegatherError, UsageError
from regather.tokens import is_loopback

if TYPE_CHECKING:
    from regather.downloader.live import WatchedDownloads
    from regather.page.page_server import PageServer
    from regather.page.recorder import Recorder

_ADDRESS = r"(?:([^/@]+):)?([0-9]+)"
_LOOPBACK = "127.0.0.1"
_LAST_PORT = 65535


def add_page(parser: Parser, what: str) -> None:
    """The option --page, which shows ``what``."""
    parser.optional(
        "--page [PORT]",
        f"show {what} on a page for browsers, at PORT of this machine (default: a free one). "
        "HOST:PORT listens on that address instead, where others can see it too",
        const=f"{_LOOPBACK}:0",
        fits=_ADDRESS,
        type=_address,
    )


def add_page_token(parser: Parser) -> None:
    """The option --page-token, for commands whose servers can be checked from the page."""
    parser.section("display").value(
        "--page-token FILE",
        "let whoever has the token in FILE start a check of the servers from the page "
        "(default: no check can be started)",
    )


def _address(text: str) -> tuple[str, int]:
    match = re.fullmatch(_ADDRESS, text)
    if match is None or int(match[2]) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"not a port, or HOST:PORT: {text!r}")
    return (match[1] or _LOOPBACK).strip("[]"), int(match[2])


@contextmanager
def served(
    recorder: Callable[[], Recorder],
    args: argparse.Namespace,
    *,
    token: str | None = None,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> Iterator[PageServer]:
    """Serve a page at the address of ``--page``, and print where it is; see PageServer."""
    from regather.page.page_server import PageServer

    host, port = args.page
    with PageServer(recorder, host=host, port=port, token=token, beside=beside) as server:
        if args.json:
            print_json(event="page", url=server.url)
        elif not args.quiet:
            print(f"Page: {server.url}", file=sys.stderr, flush=True)
        yield server


def page_token(args: argparse.Namespace) -> str | None:
    """The token of --page-token. Raises UsageError."""
    if args.page_token is None:
        return None
    if args.page is None:
        raise UsageError("--page-token needs --page", help="add --page")
    if not is_loopback(args.page[0]):
        warn(f"the token of the page crosses the network to {args.page[0]} without encryption")
    return token_in(args.page_token, "--page-token")


@contextmanager
def download_page(args: argparse.Namespace) -> Iterator[WatchedDownloads | None]:
    """The page of downloads; None where no page is asked for."""
    if args.page is None:
        yield None
        return
    from regather.downloader.live import WatchedDownloads

    watched, started = WatchedDownloads(), time.time()

    def recorder() -> Recorder:
        from regather.page.recorder import Recorder

        return Recorder(args.command, watched, events=watched.events, started=started)

    with served(recorder, args) as server:
        watched.wait_for_reader = server.wait_for_reader
        try:
            yield watched
        except (KeyboardInterrupt, InterruptedDownload):
            watched.finish("Interrupted.", "failed")
            raise
        except RegatherError as error:
            watched.finish(f"Failed: {error.what}", "failed")
            raise
