"""Azurite, Azure's emulator, where somebody runs one: REGATHER_AZURITE=http://127.0.0.1:10000.

It needs Node, so it is no part of the suite: whoever changes what concerns az:// starts it by hand
(``npx azurite-blob --skipApiVersionCheck``) and runs ``pytest tests/conformance -k az``.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import http.client
import itertools
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from obstore.store import AzureStore

AZURITE = os.environ.get("REGATHER_AZURITE", "")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published with the emulator, the same everywhere."""
_names = itertools.count(1)


def options(port: int | None = None) -> dict[str, str]:
    """Settings.store_options; at another port than its own, where one is given."""
    endpoint = urlsplit(AZURITE)
    netloc = f"{endpoint.hostname}:{port or endpoint.port}"
    return {
        "endpoint": f"http://{netloc}/{ACCOUNT}",
        "account_name": ACCOUNT,
        "account_key": KEY,
    }


def client(container: str) -> AzureStore:
    """obstore itself, without anything of ours."""
    from obstore.store import AzureStore

    given = options()
    return AzureStore(
        container,
        account_name=ACCOUNT,
        account_key=KEY,
        endpoint=given["endpoint"],
        client_options={"allow_http": True},
    )


def container() -> str:
    """Make a new container."""
    name = f"test-{os.getpid()}-{next(_names)}"
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "PUT" + "\n" * 12 + "".join(f"{k}:{v}\n" for k, v in sorted(headers.items()))
    signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
    headers["Content-Length"] = "0"
    connection = http.client.HTTPConnection(urlsplit(AZURITE).netloc, timeout=20)
    try:
        connection.request("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 201, (answer.status, answer.read())
    finally:
        connection.close()
    return name
