"""Option types and groups that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from regather.cli.hosts import add_hosts, add_ways, hosts_of, pairs
from regather.cli.parsing import OptionsContainer, Parser
from regather.cli.value_types import number, rate, size, whole
from regather.hashes import HASH_SIZES
from regather.tokens import read_token_file

if TYPE_CHECKING:
    from regather.checksum import Checksum
    from regather.sources.settings import Settings


_FAILURES = "show failures and retries of each source. "
RATES = "show failures, pauses and rates of each source, and a summary at the end. "


def add_output(parser: Parser, *, verbose: str = _FAILURES) -> None:
    """The options on what is shown: --json, --quiet, --color, and those of add_logs.

    ``verbose`` says what --verbose shows; empty for commands without sources: they log nothing.
    """
    display = parser.section("display")
    display.flag("--json", "print JSON on standard output")
    display.flag("-q, --quiet", "show no progress or report")
    add_color(display)
    if verbose:
        add_logs(display, verbose)


def add_color(display: OptionsContainer) -> None:
    """The option --color."""
    display.value(
        "--color WHEN",
        "colour progress on a terminal: auto (unless NO_COLOR is set), always or never "
        "(default: auto)",
        choices=("auto", "always", "never"),
        default="auto",
    )


def add_logs(display: OptionsContainer, verbose: str = _FAILURES) -> None:
    """The options --verbose and --log."""
    display.add_argument(
        "-v", "--verbose", action="count", default=0, help=f"{verbose}-vv: each request too"
    )
    display.value("--log FILE", "append the lines of -vv to FILE, with the time of day")
    _add_log_format(display, "the lines of -v and --log")


def add_request_log(display: OptionsContainer) -> None:
    """The options of commands that serve: --verbose and --log-format."""
    display.flag(
        "-v, --verbose, --access-log",
        "write a line for each request to standard error",
        dest="access_log",
    )
    _add_log_format(display, "the lines on standard error")


def _add_log_format(display: OptionsContainer, what: str) -> None:
    display.value(
        "--log-format FORMAT",
        f"write {what} as text, or as json: one object a line (default: text)",
        choices=("text", "json"),
        default="text",
    )


def add_force(group: OptionsContainer, text: str) -> None:
    """The option --force."""
    group.flag("-f, --force", text)


def add_mkdir(group: OptionsContainer) -> None:
    """The option --mkdir."""
    group.flag("--mkdir", "make the folder of the output if it is missing")


def add_dry_run(group: OptionsContainer, what: str) -> None:
    """The option --dry-run."""
    group.flag("-n, --dry-run", f"show {what}; change nothing")


def add_manifest(parser: Parser) -> None:
    """The argument MANIFEST."""
    parser.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="the manifest: path, URL or - for standard input",
    )


def add_follow_links(parser: Parser) -> None:
    """Add the option for links in folders."""
    parser.flag(
        "--follow-links",
        "replace the symbolic links of a folder by the files that they point to (default: "
        "keep links that stay inside the folder, refuse others)",
    )


def add_geometry(parser: Parser, *, default: str) -> None:
    """How a file is cut and coded: --fragments or --chunk-size, --parity, --set-size."""
    group = parser.section("fragments and parity")
    how = group.alternatives()
    how.value(
        "--fragments N", f"make N data fragments of equal size (default: {default})", type=whole(1)
    )
    how.value(
        "--chunk-size SIZE", "make data fragments of SIZE bytes; the last one is shorter", type=size
    )
    group.value(
        "--parity M",
        "add M parity fragments; any M lost fragments can be restored (default: 0)",
        type=whole(0),
        default=0,
    )
    group.value(
        "--set-size K",
        "compute parity for every K consecutive data fragments (default: for all together)",
        type=whole(1),
        default=0,
    )
    group.value(
        "--piece-size SIZE",
        "verify pieces of SIZE bytes, a power of two from 64KiB to 64MiB. Smaller pieces make "
        "small reads cheaper (default: 1MiB, more for files over 256 GiB)",
        type=size,
    )


def add_spread(parser: Parser, title: str, stored: str, nothing: str, noun: str) -> None:
    """The options on what may be lost: --replicas, and --survive below ``title``."""
    parser.section("fragments and parity").value(
        "--replicas R", f"{stored} R {noun}s (default: 1)", type=whole(1), default=1
    )
    parser.section(title).value(
        "--survive F",
        f"{nothing} unless the file survives the loss of any F {noun}s (default: the larger of M "
        "and R - 1)",
        type=whole(0),
    )


LAYOUT = "fragments chunk_size parity set_size piece_size replicas survive force follow_links "
"""What add_geometry, add_spread, add_force and add_follow_links read."""


def values_of(args: object, names: str) -> dict[str, Any]:
    """The arguments, or attributes, of these names, as what is called has them too."""
    return {name: getattr(args, name) for name in names.split()}


def add_checksums(parser: Parser) -> None:
    """The options that name a hash of the whole file: see checksums_of."""
    group = parser.section("verification")
    for name, label in (("sha256", "SHA-256"), ("blake3", "BLAKE3")):
        group.add_argument(
            f"--{name}", metavar="HEX", help=f"require this {label} of the whole file"
        )
    group.many(
        "--checksum ALGO:HEX", f"require another hash of the whole file: {', '.join(HASH_SIZES)}"
    )


def add_trust(parser: Parser, *, required: bool = True) -> None:
    """The options on signed manifests: --trust, --allow-older, and --require-trust."""
    group = parser.section("verification")
    group.many(
        "--trust PUBKEY",
        "accept only a manifest signed with this minisign key, a file or the key itself; "
        "repeatable: one of them is enough",
    )
    group.flag("--allow-older", "accept an older version of a signed manifest than before")
    if required:
        group.flag(
            "--require-trust",
            "refuse a manifest from the network without --trust, --digest or a checksum",
        )


def checksums_of(args: argparse.Namespace) -> tuple[Checksum, ...]:
    """What the options of add_checksums name. Raises UsageError."""
    from regather.checksum import parse_checksum

    named = [f"{name}:{value}" for name in ("sha256", "blake3") if (value := getattr(args, name))]
    return tuple(map(parse_checksum, [*named, *args.checksum]))


def add_servers(parser: Parser, *, used: str) -> None:
    """The option --server, repeatable."""
    parser.section("sources").many(
        "--server URL",
        "add a source of fragments: URL, HOST:PORT or folder; repeatable. The folder of a "
        f"local manifest is a source {used}",
    )


def add_pace(parser: Parser, who: str, connections: int, limit: str = "") -> None:
    """The limits: --connections to one ``who``, --limit-rate."""
    network = parser.section("network")
    network.value(
        "--connections N",
        f"open at most N connections to one {who} (default: {connections}{limit})",
        type=whole(1),
        default=connections,
    )
    network.value(
        "--limit-rate RATE",
        f"transfer at most RATE, like 5MB/s, over all {who}s (default: no limit)",
        type=rate,
    )


def add_reach(parser: Parser, who: str, retries: int, note: str = "") -> None:
    """How to reach a ``who``: time-outs, retries, trust, credentials, proxies."""
    network = parser.section("network")
    network.value(
        "--timeout SECONDS",
        f"a {who} fails when it sends nothing for SECONDS (default: 15)",
        type=number(0.1),
        default=15.0,
    )
    network.value(
        "--connect-timeout SECONDS",
        f"a {who} fails when it does not connect within SECONDS (default: 5)",
        type=number(0.1),
        default=5.0,
    )
    network.value(
        "--retries N",
        f"retry a {who} at most N times in a row (default: {retries}{note})",
        type=whole(0),
        default=retries,
    )
    credentials = parser.section("credentials")
    credentials.many(
        "--token HOST=FILE", "send the token in FILE to HOST (or HOST:PORT) only; repeatable"
    )
    add_hosts(credentials)
    credentials.value(
        "--cacert FILE",
        "trust the certificate authorities in FILE, in PEM (default: those of the system)",
    )
    credentials.many(
        "--store-option KEY=VALUE",
        "set an option of object stores (s3://, gs://, az://); repeatable. Examples: "
        "endpoint=http://HOST:PORT, region=NAME, profile=NAME, skip_signature=true. For one bucket "
        "s3://BUCKET:KEY=VALUE",
    )
    add_ways(network)


def settings_of(args: argparse.Namespace) -> Settings:
    """What add_pace and add_reach have read, as far as the command has them. Raises UsageError."""
    from regather.sources.settings import Settings
    from regather.transport.objects.store_options import parse_options

    names = "connections timeout connect_timeout retries limit_rate cacert known_hosts proxy "
    names += "no_proxy cookies http2"
    given = values_of(args, " ".join(name for name in names.split() if hasattr(args, name)))
    if hasattr(args, "trust"):
        given |= values_of(args, "trust allow_older")
        given["trust_names"] = args.config_trust
        given["require_trust"] = getattr(args, "require_trust", False)
    if hasattr(args, "known_hosts"):
        given["hosts"] = hosts_of(args)
    return Settings(
        **given,
        sync=not getattr(args, "no_sync", False),
        tokens=tokens_of(args.token),
        store_options=parse_options(args.store_option),
        fallback_tokens=args.config_tokens,
    )


def add_config(parser: OptionsContainer, **how: Any) -> None:
    """The options on the configuration file: --config and --no-config."""
    parser.value(
        "--config FILE",
        "read this configuration file (default: ~/.config/regather/config.toml)",
        **how,
    )
    parser.flag("--no-config", "read no configuration file", **how)


def tokens_of(given: Sequence[str]) -> dict[str, str]:
    """Read what --token names; returns tokens by host. Raises UsageError."""
    return {
        host: token_in(path, "--token", f"--token {host}=FILE")
        for host, path in pairs(given, "--token", "HOST=FILE", "FILE holds the token")
    }


def token_in(path: str, option: str, given: str = "") -> str:
    """The token in a file; warns where all users can read it. Raises UsageError.

    ``given`` is how ``option`` was given, where errors are to tell it apart from others.
    """
    token, exposed = read_token_file(path, given or option)
    if exposed:
        warn(f"{option} {path}: all users of this machine can read it; chmod 600 it")
    return token


def warn(line: str) -> None:
    """Write a warning to standard error."""
    print(f"regather: warning: {line}", file=sys.stderr)
