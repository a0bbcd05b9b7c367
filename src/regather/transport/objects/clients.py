"""An obstore client for each bucket: made once, shared by all connections of a download."""

from __future__ import annotations

import functools
import logging
import os
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from regather.errors import UsageError, pem_flaw, unusable
from regather.origins import Origin, origin_of
from regather.schemes import PORTS, STORES, scheme_of
from regather.tokens import is_loopback
from regather.transport.objects import installed
from regather.transport.objects.guard import Way, open_way
from regather.transport.objects.object_address import ObjectAddress, address_of
from regather.transport.objects.store_options import checked_endpoint
from regather.transport.options import TransportOptions

if TYPE_CHECKING:
    import ssl

    from obstore.store import AzureStore, GCSStore, S3Store

    Client = S3Store | GCSStore | AzureStore

__all__ = ["INSTALL", "Use", "check", "client_of"]

Use = Literal["read", "store"]
INSTALL = "pip install 'obstore>=0.9'"
_FOREVER = timedelta(days=1000)
_UPLOAD_PATIENCE = 20
"""So many time-outs a request that stores may take: obstore does not tell how far it is."""
_METADATA = ("169.254.0.0/16", "fd00:ec2::254", "metadata.google.internal")
"""Where machines in clouds ask for credentials: no proxy could tell whose they are."""
_log = logging.getLogger("regather.transport")


def check(url: str, options: TransportOptions) -> None:
    """Raise UsageError where a URL that the user named cannot be used, for the user's own reasons.

    Whatever is no address of a store is left alone.
    """
    if scheme_of(url) not in STORES:
        return
    try:
        address = address_of(url)
    except ValueError as error:
        raise UsageError(str(error), help="write it as a URL: s3://BUCKET/KEY") from None
    client_of(address, options, "read")


def client_of(address: ObjectAddress, options: TransportOptions, use: Use) -> Client:
    """The client for an object's bucket. Raises UsageError where obstore or a setting is missing.

    One to ``read`` with fails after the time-out without a byte; one to ``store`` with cannot see
    how far an upload is, so it waits longer.
    """
    stores = options.stores
    key = (address.scheme, address.bucket, use)
    with stores.lock:
        if (known := stores.clients.get(key)) is not None:
            made: Client = known
            return made
        if not installed():
            raise UsageError(f"{address.scheme}:// needs the package obstore", help=INSTALL)
        given = stores.of(address.scheme, address.bucket)
        made = _MAKERS[address.scheme](address.bucket, given, options, use)
        stores.clients[key] = made
    return made


def _s3(bucket: str, given: dict[str, str], options: TransportOptions, use: Use) -> Client:
    from obstore.store import S3Store

    from regather.transport.objects.aws import complete

    config: dict[str, Any] = complete(given)
    endpoint = config.get("endpoint", "")
    if endpoint:
        if config.get("virtual_hosted_style_request") == "true":
            # obstore wants the bucket in the endpoint then.
            parts = urlsplit(endpoint)
            if not parts.netloc.startswith(f"{bucket}."):
                endpoint = parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl()
        else:
            config["virtual_hosted_style_request"] = "false"
        # The second would else come from the environment, and outweigh the first.
        config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    config["disable_bulk_delete"] = "true"  # one object at a time works everywhere
    where = endpoint or "https://s3.amazonaws.com"
    return _made(S3Store, bucket, config, where, options, use, named=bool(endpoint))


def _gs(bucket: str, given: dict[str, str], options: TransportOptions, use: Use) -> Client:
    from obstore.store import GCSStore

    config: dict[str, Any] = dict(given)
    endpoint = config.pop("endpoint", "")
    if not endpoint and (named := os.environ.get("GOOGLE_BASE_URL")):
        endpoint = checked_endpoint(named, "GOOGLE_BASE_URL")
    if endpoint:
        config["base_url"] = endpoint
    where = endpoint or "https://storage.googleapis.com"
    return _made(GCSStore, bucket, config, where, options, use, named=bool(endpoint))


def _az(container: str, given: dict[str, str], options: TransportOptions, use: Use) -> Client:
    from obstore.store import AzureStore

    config: dict[str, Any] = dict(given)
    endpoint = config.get("endpoint", "")
    for variable in ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"):
        if not endpoint and (named := os.environ.get(variable)):
            endpoint = checked_endpoint(named, variable)
    if config.get("use_emulator") == "true" and not endpoint:
        endpoint = "http://127.0.0.1:10000"
    elif endpoint:
        config["endpoint"] = endpoint
    account = config.get("account_name") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not account and config.get("use_emulator") != "true":
        raise UsageError(
            f"az://{container}: no storage account given",
            help="set AZURE_STORAGE_ACCOUNT_NAME, or --store-option account_name=NAME",
        )
    where = endpoint or f"https://{account}.blob.core.windows.net"
    return _made(AzureStore, container, config, where, options, use, named=bool(endpoint))


_MAKERS = {"s3": _s3, "gs": _gs, "az": _az}


def _made(
    kind: Any,
    bucket: str,
    config: dict[str, Any],
    endpoint: str,
    options: TransportOptions,
    use: Use,
    *,
    named: bool,
) -> Client:
    origin = origin_of(urlsplit(endpoint))
    host = origin[1]
    plain = origin[0] == "http"
    if plain and not is_loopback(host):
        _warn(
            options,
            f"the store at {host} is reached over plain http: others on the network can read all "
            "data and session tokens; use https",
        )
    seconds = options.timeout if use == "read" else _UPLOAD_PATIENCE * options.timeout
    client: dict[str, Any] = {
        # Also what keeps a redirect from leading from https to http.
        "allow_http": plain,
        "connect_timeout": timedelta(seconds=options.connect_timeout),
        "timeout": _FOREVER,
        ("read_timeout" if use == "read" else "timeout"): timedelta(seconds=seconds),
    }
    if named and (way := _guarded(endpoint, options, seconds)) is not None:
        config = {k: way.endpoint_seen if v == endpoint else v for k, v in config.items()}
        client |= {"allow_http": True, "proxy_url": way.proxy_url}
        client["proxy_excludes"] = ",".join((*_METADATA, os.environ.get("GCE_METADATA_HOST", "")))
    else:
        client |= _way(origin, options)
    if (path := options.stores.cacert) is not None:
        try:
            with open(path, "rb") as file:
                client["root_certificate"] = file.read()
        except OSError as error:
            raise unusable(path, "--cacert", error) from None
    try:
        # The planner, and who publishes, try again themselves, elsewhere first.
        made: Client = kind(
            bucket, config=config, client_options=client, retry_config={"max_retries": 0}
        )
    except Exception as error:  # obstore's own kinds, ValueError, TypeError
        what = str(error).partition("\n")[0]
        raise UsageError(f"{bucket}: obstore rejects the settings: {what}") from None
    return made


def _guarded(endpoint: str, options: TransportOptions, patience: float) -> Way | None:
    """The way to an endpoint that the user named, which is not trusted with our memory.

    None where we cannot speak for obstore: then it speaks itself.
    """
    origin = origin_of(urlsplit(endpoint))
    proxy = options.proxies.of(origin)
    # In plain http, as obstore is to see it, nobody writes port 80.
    if (proxy is not None and not proxy.plain) or (
        origin[0] == "https" and origin[2] == PORTS["http"]
    ):
        return None
    if (path := options.stores.cacert) is not None:
        options = replace(options, tls=partial(_trusting, path))
    way = open_way(endpoint, options, patience)
    options.stores.ways.append(way)
    return way


@functools.cache
def _trusting(path: str) -> ssl.SSLContext:
    """Whom the system trusts, and the authorities in a file besides."""
    import ssl

    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        raise UsageError(
            f"{path}: not usable as --cacert ({pem_flaw(error)})",
            help="give a PEM file with the certificates of authorities",
        ) from None
    return context


def _way(origin: Origin, options: TransportOptions) -> dict[str, str]:
    """How a client gets to an endpoint; left to itself obstore would ask the environment."""
    proxy = options.proxies.of(origin)
    if proxy is None:
        return {"proxy_url": "http://127.0.0.1:1", "proxy_excludes": "*,0.0.0.0/0,::/0"}
    if proxy.scheme not in ("http", "https"):
        raise UsageError(
            f"obstore does not support {proxy.scheme}:// proxies",
            help=f"use an http:// proxy, or reach {origin[1]} directly (--no-proxy)",
        )
    exceptions = ",".join((*options.proxies.exceptions, *_METADATA))
    return {"proxy_url": proxy.url, "proxy_excludes": exceptions}


def _warn(options: TransportOptions, line: str) -> None:
    if line not in options.stores.warned:
        options.stores.warned.add(line)
        _log.warning("regather: warning: %s", line)
