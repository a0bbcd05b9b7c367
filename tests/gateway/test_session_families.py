"""What monitoring gets of a gateway."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import regather
from tests.deploy.test_deploy import DOCUMENTED, metrics_in
from tests.gateway.support import content_of, get, started
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.net import wait_until
from tests.support.rogue import Rogue, sends
from tests.support.small import PIECE, small

SIZE = 3_000_000

Series = dict[tuple[str, ...], float]


def scrape(url: str) -> Series:
    answer = get(url, "-/metrics")
    assert answer.status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if sample.name.startswith("regather_")
    }


def has_counted(url: str, size: int) -> bool:
    """Whether all bytes are counted as useful: the last piece may be sent on before it is."""
    series = scrape(url).items()
    return size == sum(n for key, n in series if key[0] == "regather_source_useful_bytes_total")


def test_sources_and_files(tmp_path: Path, hosting: Hosting) -> None:
    content = random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2, fragments=2)
    good = hosting.serve(tmp_path / "out/server1").url
    lying = hosting.serve(tmp_path / "out/server1", faults=["corrupt"]).url
    manifest = tmp_path / "out/file.bin.regather.json"
    other = hosting.serve(tmp_path / "out/server2").url
    gateway = started(hosting, [manifest], servers=[good, lying, other])
    assert get(gateway.url, "file.bin").body == content.read_bytes()
    (digest,) = gateway.catalogue.by_digest
    assert get(gateway.url, f"d/{digest}/file_fragment_1.dat").status == 200

    wait_until(partial(has_counted, gateway.url, SIZE), what="the count of all pieces")
    series = scrape(gateway.url)
    received, useful, wrong = (
        {url: series["regather_source_" + name, url] for url in (good, lying, other)}
        for name in ("received_bytes_total", "useful_bytes_total", "wrong_pieces_total")
    )
    assert sum(useful.values()) == SIZE
    assert all(received[url] >= useful[url] for url in received)
    assert wrong[good] == wrong[other] == 0
    assert useful[lying] == 0
    assert (wrong[lying] > 0) == (received[lying] > 0)
    hit, miss = (series["regather_pieces_total", result] for result in ("hit", "miss"))
    assert miss >= 4, "both fragments have two pieces"
    assert hit >= 2, "the first fragment was there when it was asked for"
    assert not any(name == "regather_file_spare_servers" for name, *_ in series), "not known"
    assert series["regather_source_up", good] == series["regather_source_up", other] == 1
    used, limit = (series[f"regather_memory_{n}_bytes",] for n in ("size", "max_size"))
    assert SIZE <= used <= limit == 256 << 20
    assert series["regather_gateway_files",] == 1
    assert series["regather_http_requests_total", "200", "fragment", "GET"] == 1
    assert series["regather_http_requests_total", "200", "file", "GET"] == 1
    assert metrics_in(" ".join(name for name, *_ in series)) <= metrics_in(DOCUMENTED.read_text())


def test_how_many_servers_can_fail(tmp_path: Path, hosting: Hosting) -> None:
    part = small([40 * PIECE] * 2, parity=1)
    part.write(tmp_path, {"1": [1], "2": [2], "3": [3]})
    servers = [hosting.serve(tmp_path / name) for name in "123"]
    held = {server.url: [n] for n, server in enumerate(servers, 1)}
    gateway = started(hosting, [part.at(held).write(tmp_path, {})])
    digest = part.manifest.digest

    def spare() -> float:
        return scrape(gateway.url)["regather_file_spare_servers", digest, "small"]

    assert spare() == 1
    hosting.kill(servers[0])
    assert get(gateway.url, "small").body == content_of(part)
    assert spare() == 0
    now = scrape(gateway.url)
    assert [now["regather_source_up", url] for url in held] == [0, 1, 1]
    assert [now["regather_source_connections", url] for url in held] == [0, 0, 0]


def test_hedges_and_pauses(tmp_path: Path, hosting: Hosting) -> None:
    """A source that stalls in a piece is helped by the other; one that is busy is left alone."""
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=1)
    folder = tmp_path / "out/server1"
    stalls = hosting.serve(folder, faults=["stall"]).url
    good = hosting.serve(folder).url
    gateway = started(hosting, [tmp_path / "out/file.bin.regather.json"], servers=[stalls, good])
    assert get(gateway.url, "file.bin").status == 200
    won = "regather_hedged_requests_total", "won"
    wait_until(lambda: scrape(gateway.url)[won] > 0, what="the end of a hedge")

    later = b"HTTP/1.1 503 Later\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n"
    with Rogue(sends(later)) as busy:
        sources = [busy.url, good]
        gateway = started(hosting, [tmp_path / "out/file.bin.regather.json"], servers=sources)
        assert get(gateway.url, "file.bin").status == 200
        series = scrape(gateway.url)
        assert [series["regather_source_paused", url] for url in sources] == [1, 0]


def test_what_a_session_counted_stays(tmp_path: Path, hosting: Hosting) -> None:
    """A counter that falls looks like a restart."""
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=1)
    source = hosting.serve(tmp_path / "out/server1").url
    gateway = started(hosting, [tmp_path / "out/file.bin.regather.json"], servers=[source])
    name = "regather_source_useful_bytes_total", source
    for rounds in (1, 2):
        assert get(gateway.url, "file.bin").status == 200
        wait_until(partial(has_counted, gateway.url, rounds * SIZE), what="the count")
        assert scrape(gateway.url)[name] == rounds * SIZE
        (hosted,) = gateway.catalogue.by_digest.values()
        session = hosted.session
        hosted.close()
        wait_until(session.ended.is_set, what="the end of the session")
        assert scrape(gateway.url)[name] == rounds * SIZE


def test_a_source_that_does_not_answer(tmp_path: Path, hosting: Hosting) -> None:
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=1)
    source = hosting.serve(tmp_path / "out/server1", faults=["error:503"]).url
    gateway = started(hosting, [tmp_path / "out/file.bin.regather.json"], servers=[source])
    assert get(gateway.url, "file.bin").status >= 500
    errors = {
        k: v for k, v in scrape(gateway.url).items() if k[0] == "regather_source_errors_total"
    }
    assert sum(errors.values()) > 0
    assert all(source in key and " " not in key[1] + key[2] for key in errors)
