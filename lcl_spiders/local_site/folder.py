"""Pages out of the files of a folder, and content types by the ends of their names."""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from lcl_spiders.local_site.page import Page

HTML = "text/html; charset=utf-8"

# The standard library's own table, and not the machine's, so that a site is the same everywhere.
_TYPES = mimetypes.MimeTypes()
for _suffix, _type in {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".gz": "application/gzip",
    ".ics": "text/calendar",
    ".md": "text/markdown",
}.items():
    _TYPES.add_type(_type, _suffix)
_TYPES.encodings_map.clear()


def content_type(path: str, body: bytes | None = None) -> str:
    """Return the content type for the end of ``path``; HTML where it says nothing.

    Text is said to be UTF-8, unless ``body`` shows that it is not.
    """
    found, _ = _TYPES.guess_type(path.partition("?")[0].rpartition("/")[2])
    if found is None:
        return HTML
    if not (found.startswith("text/") or found.endswith(("/json", "/xml", "+xml"))):
        return found
    return f"{found}; charset=utf-8" if body is None or _is_utf8(body) else found


def load(folder: Path) -> dict[str, Page]:
    """Return a page for each file below ``folder``, and each ``index.html`` also as the path of its folder.

    Everything is read into memory. ``Last-Modified`` is the file's time of change.

    Raises:
        NotADirectoryError: There is no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"not a folder: {folder}")
    pages: dict[str, Page] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        body = file.read_bytes()
        modified = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        path = "/" + quote(file.relative_to(folder).as_posix())
        page = Page(body, content_type=content_type(file.name, body), last_modified=modified)
        pages[path] = page
        if file.name == "index.html":
            pages[path.removesuffix("index.html")] = page
    return pages


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
