"""Forms: in memory where they hold images, and in UTF-8 alone.

Starlette would write every part over 1 MB to the temporary folder, so that a query stays on a disk,
and decode names in any character set that Python knows, `unicode_escape` among them.
"""

import codecs
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from inctrl.errors import OutputError
from inctrl.files.whole import writing
from inctrl.service.http.strict import Handler, Known, StrictRoute, has_body, known

IN_MEMORY = sys.maxsize
"""Bytes of a part that are held in memory: all, for a whole request is bounded (`Limits`)."""
ON_DISK = 1_000_000
"""The same for an archive, which may be larger than memory."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class FormRequest(Request):
    """A request whose form is read as above, and holds the fields that its route knows.

    413 for a file over the limit as soon as that much has come, whether it is a part or the whole
    body; 415 for another character set or kind of body, 507 for a full disk.
    """

    holds_archive = False
    known: Known

    async def form(self, **limits: Any) -> FormData:  # type: ignore[override]  # it is awaited alone
        if self._form is None:
            form = await self._read(limits)
            try:
                self.known.refuse(form.multi_items())
            except RequestValidationError as error:
                await form.close()
                raise HTTPException(422) from error  # FastAPI lets no other kind through
            self._form = form
        return self._form

    async def _read(self, limits: dict[str, Any]) -> FormData:
        kind, options = parse_options_header(self.headers.get("content-type"))
        if kind == b"multipart/form-data":
            _check_charset(options.get(b"charset", b"utf-8"))
            if not options.get(b"boundary"):
                raise HTTPException(
                    400,
                    "the Content-Type of the form has no boundary; leave that header to what makes "
                    f"the form, and set none of your own: {self.known.example()}",
                )
            return await _chosen(await self._parsed(limits))
        if not self.holds_archive:
            await self._read_body()
        # What curl calls so where a file is sent by --data-binary.
        is_file = not self.holds_archive and b"\0" in self._body
        if is_file or (has_body(self.headers) and kind != b"application/x-www-form-urlencoded"):
            raise HTTPException(
                415,
                f"a body of kind {one_line(kind.decode('latin-1')) or 'none'!r} is not read here; "
                f"send a form (multipart/form-data): {self.known.example()}",
            )
        return await super().form(**limits)

    async def _parsed(self, limits: dict[str, Any]) -> FormData:
        largest = sys.maxsize if self.holds_archive else self._largest
        parser = BoundedParser(self.headers, self.stream(), largest, **limits)
        parser.spool_max_size = ON_DISK if self.holds_archive else IN_MEMORY
        try:
            with writing(Path("temporary folder")):
                return await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, error.message) from None
        except OutputError as error:  # FastAPI lets no other kind of exception through
            raise HTTPException(507) from error

    async def _read_body(self) -> None:
        """Read a body that is no form of parts."""
        body = bytearray()
        async for data in self.stream():
            body += data
            if len(body) > self._largest:
                raise too_large("the body", self._largest)
        self._body = bytes(body)

    @property
    def _largest(self) -> int:
        largest: int = self.app.state.limits.file_bytes
        return largest


class ArchiveRequest(FormRequest):
    """One whose file may be larger than memory; only the whole request is bounded."""

    holds_archive = True


class BoundedParser(MultiPartParser):
    """Refuses a file with more than `largest` bytes while it comes in."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], largest: int, **limits: Any
    ) -> None:
        super().__init__(headers, stream, **limits)
        self._largest = largest
        self._size = 0

    def on_part_begin(self) -> None:
        self._size = 0
        super().on_part_begin()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        file = self._current_part.file
        if file is not None and self._size > self._largest:
            raise too_large(repr(one_line(file.filename or "image")), self._largest)
        super().on_part_data(data, start, end)


class FormRoute(StrictRoute):
    """The `route_class` of routers whose routes read forms."""

    made: type[FormRequest] = FormRequest

    def get_route_handler(self) -> Handler:
        handle, fields = super().get_route_handler(), known(self.dependant, "body")

        async def handler(request: Request) -> Response:
            made = self.made(request.scope, request.receive)
            made.known = fields
            return await handle(made)

        return handler


class ArchiveRoute(FormRoute):
    """The same for archives."""

    made = ArchiveRequest


def one_line(text: str) -> str:
    """Without control characters, and encodable."""
    return CONTROL.sub(" ", text)


def too_large(what: str, largest: int) -> HTTPException:
    return HTTPException(
        413, f"{what} has more than {largest / 1e6:g} MB, the limit: scale it down"
    )


async def _chosen(form: FormData) -> FormData:
    """Without the empty parts that a browser sends where no file was chosen."""
    kept = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile) and not value.filename and not value.size:
            await value.close()
        else:
            kept.append((name, value))
    return FormData(kept)


def _check_charset(name: bytes) -> None:
    try:
        known = codecs.lookup(name.decode("ascii")).name
    except (LookupError, ValueError):
        known = ""
    if known != "utf-8":
        raise HTTPException(415, "forms are read as UTF-8; leave the charset out")
