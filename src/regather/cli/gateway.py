"""``regather gateway``."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager

from regather.cli import options
from regather.cli.page import add_page, add_page_token, page_token, served
from regather.cli.parsing import Parser
from regather.cli.server_options import (
    add_listening,
    add_listening_display,
    add_tls,
    listening_line,
    server_token,
    warn_of_plain_http,
)
from regather.cli.value_types import share, size, whole

SUMMARY = "Serve hosted files over HTTP, recombined and verified."
EXAMPLES = (
    "regather gateway hosted/large_file.txt.regather.json --port 8001",
    "regather gateway hosted --port 0 --json",
    "regather gateway https://a.example/d/disk.img.regather.json --host ::",
    "regather gateway https://upstream.example/ --max-clients 500",
    "regather gateway https://upstream.example/ --cache /var/cache/regather --cache-size 200GiB",
    "regather gateway https://upstream.example/ --cache /var/cache/regather --prefetch",
)

COMMON = (
    *("--host", "--port", "--server", "--trust", "--cache", "--cache-size"),
    *("--read-token", "--access-log", "--page", "--json"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a manifest, or a folder of manifests: path or URL (that of a folder ends in /). "
        "Folders are looked at again when they change",
    )
    options.add_servers(parser, used="only if no other is named")
    parser.section("verification").value(
        "--digest HEX",
        "require this digest of the manifest (split, publish and info print it)",
        default="",
    )
    options.add_trust(parser)
    add_listening(parser.section("network"))
    serving = parser.section("serving (see docs/gateway.md)")
    serving.description = "The variable REGATHER_READ_TOKEN can hold the token, too."
    serving.value(
        "--cache DIR",
        "keep verified pieces in DIR, also for the next start (default: in memory only)",
    )
    serving.value(
        "--cache-size SIZE",
        "keep pieces of at most SIZE in all (default: 10GiB in DIR, or 256MiB in memory)",
        type=size,
    )
    serving.value(
        "--free-space SHARE",
        "leave this share of the file system of DIR free (default: 5%%)",
        type=share,
        default=0.05,
    )
    serving.flag(
        "--prefetch",
        "fetch all files before clients ask for them, until the cache is nearly full",
    )
    serving.value(
        "--max-clients N",
        "answer at most N requests at a time, others with 503 (default: no limit)",
        type=whole(1),
    )
    serving.value(
        "--public-url URL",
        "the address of the gateway for clients, if they reach it through a proxy",
        default="",
    )
    serving.value("--read-token FILE", "require the token in FILE from clients (default: none)")
    add_tls(serving)
    options.add_pace(parser, "source", 8)
    options.add_reach(parser, "source", 5)
    add_listening_display(parser.section("display"))
    add_page(parser, "sources, files and readers")
    add_page_token(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from regather.gateway.launch import gateway
    from regather.gateway.watched import WatchedGateway

    settings, token = options.settings_of(args), page_token(args)

    def page(watched: WatchedGateway) -> AbstractContextManager[object]:
        from regather.page.recorder import Recorder

        found = None
        if token is not None:
            from regather.cli.page_check import checks

            found = checks(lambda: watched.manifests, args.server, settings)
        recorder = Recorder("gateway", watched, events=watched.events, checks=found)
        return served(lambda: recorder, args, token=token)

    read_token = server_token(args.read_token, "--read-token", "REGATHER_READ_TOKEN")
    if read_token:
        warn_of_plain_http(args)
    named = (
        "host port digest cache cache_size free_space prefetch max_clients public_url "
        "tls_cert tls_key access_log log_format"
    )
    gateway(
        args.sources,
        servers=args.server,
        settings=settings,
        read_token=read_token,
        **options.values_of(args, named),
        page=None if args.page is None else page,
        on_listening=listening_line(args, " ".join(args.sources)),
    )
    return 0
