"""A real object store on loopback: OpenStack Swift with its S3 API.

Three storage nodes and a proxy. Every object has a copy on each node, so all goes on with one of
them killed. Its packages are in an environment of their own, which ``make stores`` makes.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from tests.support.net import HOST, free_port, is_listening, wait_until
from tests.support.stores import without_stores
from tests.support.swift_server import KINDS

if TYPE_CHECKING:
    from obstore.store import S3Store

PYTHON = Path(__file__).parents[2] / ".venv-stores" / "bin" / "python"
KEY, SECRET = "test:tester", "testing"
NODES = 3
_START_SECONDS = 90
_PROXY = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo
    dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
# Else a node that was killed once is not asked again for a minute.
error_suppression_interval = 1
error_suppression_limit = 100
[filter:cache]
use = egg:swift#memcache
memcache_servers = {host}:{nobody}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
"""
_PLAIN_FILTERS = "catch_errors gatekeeper healthcheck listing_formats bulk copy slo dlo symlink"
_STORAGE = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {devices}
mount_check = false
fallocate_reserve = 0
recon_cache_path = {folder}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""


class Swift:
    """Runs while the ``with`` body does, below ``folder``."""

    scheme = "s3"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self._nodes: list[dict[str, int]] = []
        self._farm: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._names = itertools.count(1)

    @property
    def endpoint(self) -> str:
        """Its address for S3."""
        return f"http://{HOST}:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        """How to reach it: Settings.store_options."""
        return {"endpoint": self.endpoint, "access_key_id": KEY, "secret_access_key": SECRET}

    @property
    def refused(self) -> dict[str, str]:
        """The same with credentials that it does not take."""
        return {**self.options, "secret_access_key": "wrong"}

    def at(self, port: int) -> dict[str, str]:
        """How it is reached at another port."""
        return {"endpoint": f"http://{HOST}:{port}"}

    def environment(self, folder: Path | None = None) -> dict[str, str]:
        """How commands reach it."""
        return without_stores() | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def client(self, bucket: str) -> S3Store:
        """obstore itself, without anything of ours."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region="us-east-1",
            disable_bulk_delete=True,
            client_options={"allow_http": True},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
        )

    def bucket(self) -> str:
        """Make a new bucket."""
        import obstore

        name = f"bucket{next(self._names)}"
        url = urlsplit(obstore.sign(self.client(name), "PUT", "", timedelta(minutes=1)))
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            connection.request("PUT", f"{url.path}?{url.query}", headers={"Content-Length": "0"})
            answer = connection.getresponse()
            assert answer.status == 200, (answer.status, answer.read())
        finally:
            connection.close()
        return name

    # -- processes ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._configure()
        script = Path(__file__).with_name("swift_server.py")
        with (self._folder / "farm.log").open("ab") as log:
            self._farm = subprocess.Popen(
                [str(PYTHON), "-P", str(script), str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            self._answer()
            self._order("rings", json.dumps(self._nodes, separators=(",", ":")))
            for number in range(1, NODES + 1):
                self._launch(number)
            self._order("start", "proxy", "proxy")
            self._wait(range(1, NODES + 1), self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._farm is not None:
            assert self._farm.stdin is not None
            assert self._farm.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._farm.stdin.write("quit\n")
                self._farm.stdin.close()
            try:
                self._farm.wait(60)
            finally:
                self._farm.kill()
                self._farm.wait(60)
                self._farm.stdout.close()

    def kill(self, node: int) -> None:
        """Kill the servers of a storage node, from 1 on, at once."""
        for kind in KINDS:
            self._order("kill", f"{kind}{node}")

    def revive(self, node: int) -> None:
        """Start it again, with what it had; returns when it listens."""
        self._launch(node)
        self._wait([node])

    def _launch(self, node: int) -> None:
        for kind in KINDS:
            self._order("start", kind, f"{kind}{node}")

    def _wait(self, nodes: Sequence[int], *others: int) -> None:
        ports = [*others, *(port for node in nodes for port in self._nodes[node - 1].values())]

        def ready() -> bool:
            self._order("look")
            return all(map(is_listening, ports))

        wait_until(ready, timeout=_START_SECONDS, what="Swift")

    def _order(self, *words: str) -> None:
        """Have something done by the process whose children the servers are."""
        with self._lock:
            assert self._farm is not None
            assert self._farm.stdin is not None
            self._farm.stdin.write(" ".join(words) + "\n")
            self._farm.stdin.flush()
            self._answer()

    def _answer(self) -> None:
        assert self._farm is not None
        assert self._farm.stdout is not None
        answer = self._farm.stdout.readline().strip()
        if answer != "ok":
            logs = [self._folder / f"{answer.partition(' ')[0]}.log", self._folder / "farm.log"]
            told = "\n".join(
                log.read_text(errors="replace")[-2000:] for log in logs if log.exists()
            )
            raise RuntimeError(f"Swift: {answer}: {told}")

    def _configure(self) -> None:
        import pwd

        self._folder.mkdir(parents=True, exist_ok=True)
        common = {"host": HOST, "user": pwd.getpwuid(os.getuid()).pw_name, "folder": self._folder}
        self._nodes = [{kind: free_port() for kind in KINDS} for _ in range(NODES)]
        self.port = free_port()
        (self._folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = tests\n"
            "[storage-policy:0]\nname = p0\ndefault = yes\npolicy_type = replication\n"
        )
        filters = "".join(f"[filter:{f}]\nuse = egg:swift#{f}\n" for f in _PLAIN_FILTERS.split())
        (self._folder / "proxy.conf").write_text(
            _PROXY.format(port=self.port, nobody=free_port(), **common) + filters
        )
        for number, ports in enumerate(self._nodes, 1):
            devices = self._folder / f"node{number}"
            (devices / f"d{number}").mkdir(parents=True)
            for kind, port in ports.items():
                (self._folder / f"{kind}{number}.conf").write_text(
                    _STORAGE.format(kind=kind, port=port, devices=devices, **common)
                )
