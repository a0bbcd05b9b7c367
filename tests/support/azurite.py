"""Azure's emulator on loopback: Azurite, which ``make stores`` installs. It keeps all in memory."""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import http.client
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.daemon import Daemon
from tests.support.net import HOST
from tests.support.stores import without_stores

if TYPE_CHECKING:
    from obstore.store import AzureStore

MAIN = Path(__file__).parents[2] / ".venv-stores/azurite/node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published with the emulator, the same everywhere."""


class Azurite(Daemon):
    """Runs while the ``with`` body does."""

    # Where npm is missing `make stores` leaves it out.
    program = "node"
    package = "nodejs"
    scheme = "az"

    def __init__(self) -> None:
        super().__init__()
        self._names = itertools.count(1)

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        if not MAIN.exists():
            pytest.skip("Azurite is missing: apt-get install npm, then make -B stores")
        return [
            *(program, str(MAIN), "--blobHost", self.host, "--blobPort", str(self.port)),
            "--inMemoryPersistence",
            # obstore may speak a newer version of the protocol than it knows.
            *("--silent", "--disableTelemetry", "--skipApiVersionCheck"),
        ]

    @property
    def options(self) -> dict[str, str]:
        """How to reach it: Settings.store_options."""
        return {**self.at(self.port), "account_name": ACCOUNT, "account_key": KEY}

    @property
    def refused(self) -> dict[str, str]:
        """The same with credentials that it does not take."""
        return {**self.options, "account_key": base64.b64encode(b"wrong").decode()}

    def at(self, port: int) -> dict[str, str]:
        """How it is reached at another port."""
        return {"endpoint": f"http://{HOST}:{port}/{ACCOUNT}"}

    def environment(self, folder: Path) -> dict[str, str]:
        """How commands reach it."""
        return without_stores() | {
            "AZURE_STORAGE_ENDPOINT": self.options["endpoint"],
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
        }

    def client(self, bucket: str) -> AzureStore:
        """obstore itself, without anything of ours."""
        from obstore.store import AzureStore

        return AzureStore(
            bucket,
            account_name=ACCOUNT,
            account_key=KEY,
            endpoint=self.options["endpoint"],
            client_options={"allow_http": True},
        )

    def bucket(self) -> str:
        """Make a new container."""
        name = f"container{next(self._names)}"
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = "PUT" + "\n" * 12 + "".join(f"{k}:{v}\n" for k, v in sorted(headers.items()))
        signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        mac = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(mac).decode()}"
        headers["Content-Length"] = "0"
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request("PUT", f"/{ACCOUNT}/{name}?restype=container", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 201, (answer.status, answer.read())
        finally:
            connection.close()
        return name
