"""Cookies go where RFC 6265 says: the cases of curl's tests, and where we differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from regather.transport.cookies import Cookies

AT = "http://www.a.example/we/want/1"
FUTURE = "Fri, 13 Feb 2125 11:56:27 GMT"
PAST = "Thu, 01 Jan 1970 00:00:00 GMT"

SET: list[tuple[str, str, Sequence[str], Mapping[str, str | None]]] = [
    ("its host and folder", AT, ["k=v"],
     {AT: "k=v", "http://www.a.example/we/want": "k=v", "http://www.a.example/we/": None,
      "http://www.a.example/we/wanted": None, "http://a.example/we/want/": None,
      "http://x.www.a.example/we/want/": None}),
    ("the root's folder", "http://a.example", ["k=v"], {"http://a.example/x/y": "k=v"}),
    ("a domain (1218)", AT, ["k=v; domain=.a.example; path=/"],
     {"http://a.example/": "k=v", "http://x.a.example/": "k=v", "http://ba.example/": None}),
    ("without a dot", AT, ["k=v; Domain=A.example; PATH=/"], {"http://x.a.example": "k=v"}),
    ("another's domain (31)", AT, ["k=v; domain=b.example; path=/", "k=v; domain=moo.www.a.example",
     "k=v; domain=example; path=/", "k=v; domain=..example", "k=v; domain=ww.a.example"],
     {AT: None, "http://b.example/": None}),
    ("an empty domain (31)", AT, ["k=v; domain=; path=/"],
     {"http://www.a.example/": "k=v", "http://a.example/": None}),
    ("one word (1258)", "http://localhost/we/want", ["k=v; domain=localhost;"],
     {"http://localhost/we/want?hoge=fuga": "k=v", "http://localhost.local/we/": None,
      "http://x.localhost/we/want": None}),
    ("an address (1105)", "http://127.0.0.1/a/b", ["k=v; domain=.0.0.1; path=/",
     "own=1; domain=127.0.0.1; path=/"], {"http://127.0.0.1/": "own=1", "http://0.0.1/": None}),
    ("IPv6", "http://[::1]:8000/", ["k=v"], {"http://[::1]/": "k=v", "http://[::2]/": None}),
    ("IDNA", "http://b\u00fccher.example/", ["k=v"], {"http://xn--bcher-kva.example/": "k=v"}),
    ("paths (1228)", "http://a.example/hoge/1", ["r=1; path=/", "d=2; path=/hoge"],
     {"http://a.example/hogege/": "r=1", "http://a.example/hoge/": "d=2; r=1"}),
    ("secure, by plain http (31)", AT, ["k=v; path=/; secure ", "l=v; path=/;Secure=no"],
     {AT: None, AT.replace("http", "https"): None}),
    ("secure", "https://a.example/", ["k=v; secure"],
     {"https://a.example/": "k=v", "http://a.example/": None}),
    ("an attribute as name (1155, 31)", AT, ["domain=value;path=/", "secure=1; path=/"],
     {AT: "domain=value; secure=1"}),
    ("blanks (31)", AT, ["k=  a  b  ;", "l =c", "m=\t d"], {AT: "k=a  b; l=c; m=d"}),
    ("no cookies (31)", AT, ["", ";", "novalue", "=v", "=; path=/"], {AT: None}),
    ("an empty value (46)", AT, ["k=; path=/;"], {AT: "k="}),
    ("equals signs", AT, ["k=a=b=="], {AT: "k=a=b=="}),
    ("case of names (31)", AT, ["k=1", "K=2"], {AT: "k=1; K=2"}),
    ("the last of two", AT, ["k=1", "k=2", "k=3; path=/"], {AT: "k=2; k=3"}),
    ("a date (327)", AT, [f"k=v; expires={FUTURE}", "l=v; expires=Fri, 13-Feb-2125 11:56:27 GMT",
     f"m=v; expires={PAST}", "n=v; expires=never"], {AT: "k=v; l=v; n=v"}),
    ("taken back (327, 420)", AT, ["k=v", "l=v", f"k=; expires={PAST}", "l=; Max-Age=-1"],
     {AT: None}),
    ("an age before a date", AT, [f"k=v; max-age=0; expires={FUTURE}",
     f"l=v; expires={PAST}; max-age=99"], {AT: "l=v"}),
    ("too long (1151, 1160)", AT, [f"{'a' * 3000}={'b' * 1097}", f"k={'c' * 4095}; path=/we"],
     {AT: f"k={'c' * 4095}"}),
    ("a name's promise", "https://a.example/d/", ["__Host-k=v; secure; path=/; domain=a.example",
     "__Host-l=v; secure", "__Secure-m=v", "__Host-n=v; secure; path=/", "__Secure-o=v; secure"],
     {"https://a.example/d/": "__Secure-o=v; __Host-n=v"}),
    # curl takes quotes off a path (1105); RFC 6265, 5.2.4: it must begin with a slash.
    ("a path in quotes", "http://a.example/f", ['k=v; path="/silly/"'],
     {"http://a.example/f": "k=v"}),
    # curl takes /x/ for /x (31); RFC 6265, 5.3, 11: the same path, or two cookies.
    ("a slash behind", AT, ["k=1; path=/we/", "k=2; path=/we"], {AT: "k=1; k=2"}),
    # curl refuses tabs (1105); RFC 6265bis, 5.6, 1 excepts them from what is refused.
    ("a tab", AT, ["k=a\tb"], {AT: "k=a\tb"}),
]  # fmt: skip


@pytest.mark.parametrize(("where", "lines", "sent"), [c[1:] for c in SET], ids=[c[0] for c in SET])
def test_set_by_servers(where: str, lines: Sequence[str], sent: Mapping[str, str | None]) -> None:
    jar = Cookies()
    jar.learn(where, lines)
    assert {url: jar.header(url) for url in sent} == sent


FILES: list[tuple[str, str, Mapping[str, str | None]]] = [
    ("lower case, secure", "h.tld\tfalse\t/\ttrue\t0\tk\tv",
     {"http://h.tld/": None, "https://h.tld/": "k=v", "https://s.h.tld/": None}),
    ("lower case, below", "h.tld\ttrue\t/\tfalse\t0\tk\tv", {"http://s.h.tld/": "k=v"}),
    ("neither yes nor no", "h.tld\tyes\t/\tyes\t0\tk\tv",
     {"http://h.tld/": None, "https://h.tld/": "k=v", "https://s.h.tld/": None}),
    ("case of the host", "H.tld\tFALSE\t/\tFALSE\t0\tk\tv", {"http://h.TLD/": "k=v"}),
    ("one word", "intra\tTRUE\t/\tFALSE\t0\tk\tv",
     {"http://intra/": "k=v", "http://intra.local/": None, "http://x.intra/": None}),
    ("a name in .local", "intra.local\tFALSE\t/\tFALSE\t0\tk\tv",
     {"http://intra.local/": "k=v", "http://intra/": None}),
    ("an address", ".0.0.1\tTRUE\t/\tFALSE\t0\tk\tv", {"http://127.0.0.1/": None}),
    ("IPv6", "::1\tFALSE\t/\tFALSE\t0\tk\tv", {"http://[::1]:80/": "k=v"}),
    ("IDNA", "xn--bcher-kva.tld\tFALSE\t/\tFALSE\t0\tk\tv", {"http://b\u00fccher.tld/": "k=v"}),
    ("IDNA in full", "b\u00fccher.tld\tFALSE\t/\tFALSE\t0\tk\tv",
     {"http://xn--bcher-kva.tld/": "k=v"}),
    ("beyond ASCII", "h.tld\tFALSE\t/\tFALSE\t0\tk\t\u00e9", {"http://h.tld/": "k=\u00c3\u00a9"}),
    ("paths (62)", ".foo.tld\tTRUE\t/we/want/\tFALSE\t0\tk\tv",
     {"http://w.foo.tld/we/want/1?hoge=fuga": "k=v", "http://w.foo.tld/we/want": None}),
    ("no value (46)", "h.tld\tFALSE\t/\tFALSE\t0\tk\t", {"http://h.tld/": "k="}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "sent"), [c[1:] for c in FILES], ids=[c[0] for c in FILES])
@pytest.mark.parametrize("head", ["# Netscape HTTP Cookie File", "# HTTP cookie file."])
def test_in_a_file(line: str, sent: Mapping[str, str | None], head: str, tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    path.write_text(f"\ufeff{head}\r\n\n{line}\r\n", "utf-8")
    jar = Cookies(str(path))
    assert {url: jar.header(url) for url in sent} == sent


def test_what_servers_set_replaces_what_was_given(tmp_path: Path) -> None:
    path = tmp_path / "cookies"
    lines = ("h.tld\tFALSE\t/\tFALSE\t0\tk\tgiven", "h.tld\tFALSE\t/\tTRUE\t0\ts\tgiven")
    path.write_text("\n".join(["# Netscape HTTP Cookie File", *lines]))
    jar = Cookies(str(path))
    # Who is on the way of plain http could say so: RFC 6265bis, 5.7, 16.
    jar.learn("http://h.tld/", ["k=new", "s=new"])
    assert jar.header("https://h.tld/") == "k=new; s=given"
    jar.learn("https://h.tld/", [f"k=; expires={PAST}", "s=new; secure"])
    assert jar.header("https://h.tld/") == "s=new"


def test_servers_cannot_set_more_and_more() -> None:
    jar = Cookies()
    for number in range(50):
        jar.learn(f"http://{number}.example/", [f"k{n}={'v' * 4000}" for n in range(100)])
    assert len(jar._set) == 300
    assert len(jar.header("http://49.example/") or "") < 8192
