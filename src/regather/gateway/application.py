"""What a gateway answers: files by name, and all that is of one digest, for ever."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from aiohttp import hdrs, web

from regather.engine.reader_room import PieceUnavailable
from regather.errors import UsageError
from regather.gateway.catalogue import Catalogue
from regather.gateway.hosted import HostedFile, Slice
from regather.gateway.hosted_content import Document, HostedContent
from regather.gateway.index import files_listing, folder_listing
from regather.gateway.unavailable import why_not
from regather.names import MANIFEST_SUFFIX, SIGNATURE
from regather.server.app import BaseApplication
from regather.server.authorization import Tokens
from regather.server.content import Content
from regather.server.files import decoded_names
from regather.server.problem import problem

_IMMUTABLE = "max-age=31536000, immutable"
_BUSY_SECONDS = 5


class GatewayApplication(BaseApplication):
    """Answers requests for what is in a catalogue."""

    cancels = True
    no_writing = "a gateway stores nothing"

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        tokens: Tokens | None = None,
        max_clients: int | None = None,
        public_url: str = "",
        seconds: float,
    ) -> None:
        """``seconds`` is how long a first piece may take."""
        super().__init__(tokens=tokens)
        self._catalogue = catalogue
        self._max_clients = max_clients
        self.public_url = public_url
        self._seconds = seconds
        access = "private" if tokens is not None and tokens.read is not None else "public"
        self._immutable: dict[str, str] = {hdrs.CACHE_CONTROL: f"{access}, {_IMMUTABLE}"}
        self._by_name: dict[str, str] = {hdrs.CACHE_CONTROL: "no-cache"}

    def kind_of(self, target: str) -> str:
        """See RequestAnswers.kind_of."""
        kind = "listing" if target == "/" else super().kind_of(target)
        if kind == "file" and target.startswith("/d/"):
            hosted = self._catalogue.by_digest.get(target.split("/", 3)[2].lower())
            if hosted is not None and target.rpartition("/")[2] in hosted.fragments:
                return "fragment"
        return kind

    def check(self) -> None:
        """See BaseApplication.check."""
        if not self._catalogue.by_digest:
            raise OSError(errno.ENOENT, "no manifest")

    async def find(self, request: web.BaseRequest, target: str) -> Content | web.StreamResponse:
        """See RequestAnswers.find."""
        if self._max_clients is not None and len(self.state.active) > self._max_clients:
            return problem(
                request,
                503,
                f"{self._max_clients} clients are served already",
                headers={hdrs.RETRY_AFTER: str(_BUSY_SECONDS)},
            )
        if target == "/":
            return files_listing(request, self._catalogue.files, self.public_url or "/")
        is_folder = target.endswith("/")
        names = decoded_names(target.removesuffix("/"))
        if not names:
            raise FileNotFoundError
        if names[0] == "d" and len(names) > 2:
            hosted = self._catalogue.by_digest.get(names[1].lower())
            if hosted is None:
                raise FileNotFoundError
            return self._below(request, hosted, names[2:], self._immutable, is_folder=is_folder)
        hosted = self._named(names[0])
        if hosted is None:
            raise FileNotFoundError
        if names[0] in hosted.documents:
            # So its fragments are asked for where they are the same for ever.
            where = f"{self.public_url or '/'}d/{hosted.digest}/{target[1:]}"
            headers = {hdrs.LOCATION: where, hdrs.CACHE_CONTROL: "no-cache"}
            return web.Response(status=302, headers=headers)
        return self._below(request, hosted, names, self._by_name, is_folder=is_folder)

    def _named(self, name: str) -> HostedFile | None:
        by_name = self._catalogue.by_name
        return (
            by_name.get(name)
            or by_name.get(name.removesuffix(SIGNATURE).removesuffix(MANIFEST_SUFFIX))
            or self._catalogue.fragments.get(name)
            or next((h for h in by_name.values() if h.file.name == name), None)
        )

    def _below(
        self,
        request: web.BaseRequest,
        hosted: HostedFile,
        names: list[str],
        headers: Mapping[str, str],
        *,
        is_folder: bool,
    ) -> Content | web.StreamResponse:
        path = "/".join(names)
        if names[0] == hosted.manifest.name and hosted.manifest.folder is not None:
            inside = "/".join(names[1:])
            if is_folder or hosted.find(path) is None:
                listing = folder_listing(request, hosted, f"{inside}/" if inside else "")
                if listing is None:
                    raise FileNotFoundError
                if is_folder:
                    return listing
                place = request.raw_path.partition("?")[0].rpartition("/")[2]
                return web.Response(status=301, headers={hdrs.LOCATION: f"{place}/"})
        if is_folder:
            raise FileNotFoundError
        if (document := hosted.documents.get(path)) is not None:
            lasts = headers if document.lasting else self._by_name
            return Document(path, document.data, document.tag, lasts)
        part = hosted.find(path)
        if part is None:
            raise FileNotFoundError
        return self._content(request, hosted, part, headers)

    def _content(
        self,
        request: web.BaseRequest,
        hosted: HostedFile,
        part: Slice,
        headers: Mapping[str, str],
    ) -> Content | web.StreamResponse:
        if hosted.loops.is_loop(request):
            return problem(request, 508, "this gateway is a source of itself, by way of others")

        def explain(number: int, error: PieceUnavailable | None) -> web.Response:
            return why_not(request, hosted, number, error, self._seconds)

        try:
            return HostedContent(
                hosted,
                part,
                headers,
                explain=explain,
                seconds=self._seconds,
                client=request.remote or "",
            )
        except UsageError as error:
            raise OSError(errno.EIO, error.what) from None
