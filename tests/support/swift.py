"""A real object store on loopback: OpenStack Swift with its S3 API.

Three storage nodes and a proxy. Every object has a copy on each node, so all goes on with one of
them killed. Its packages are in an environment of their own, which ``make stores`` makes.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from tests.support.net import HOST, free_port, is_listening, wait_until
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

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self._nodes: list[dict[str, int]] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
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
    def environment(self) -> dict[str, str]:
        """The same for commands."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
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
        try:
            for number in range(1, NODES + 1):
                self._launch(number)
            self._run("proxy", "proxy")
            self._wait(range(1, NODES + 1))
            wait_until(
                lambda: self._alive() and is_listening(self.port),
                timeout=_START_SECONDS,
                what="Swift's proxy",
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(20)

    def kill(self, node: int) -> None:
        """Kill the servers of a storage node, from 1 on, at once."""
        for kind in KINDS:
            process = self._processes.pop(f"{kind}{node}")
            process.send_signal(signal.SIGKILL)
            process.wait(20)

    def revive(self, node: int) -> None:
        """Start it again, with what it had; returns when it listens."""
        self._launch(node)
        self._wait([node])

    @contextmanager
    def without(self, node: int) -> Iterator[None]:
        """Meanwhile a node is dead."""
        self.kill(node)
        try:
            yield
        finally:
            self.revive(node)

    def _launch(self, node: int) -> None:
        for kind in KINDS:
            self._run(kind, f"{kind}{node}")

    def _wait(self, nodes: Sequence[int]) -> None:
        ports = [port for node in nodes for port in self._nodes[node - 1].values()]
        wait_until(
            lambda: self._alive() and all(map(is_listening, ports)),
            timeout=_START_SECONDS,
            what="Swift's storage nodes",
        )

    def _alive(self) -> bool:
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = (self._folder / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"Swift's {name} ended: {log[-2000:]}")
        return True

    def _run(self, kind: str, name: str) -> None:
        script = Path(__file__).with_name("swift_server.py")
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(PYTHON), "-P", str(script), "serve", str(self._folder), kind, name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

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
        script = Path(__file__).with_name("swift_server.py")
        nodes = json.dumps(self._nodes)
        subprocess.run(
            [str(PYTHON), "-P", str(script), "rings", str(self._folder), nodes],
            check=True,
            capture_output=True,
            timeout=60,
        )
