"""What a spider's own code says of a page -> a page that the rest of the system can take."""

from dataclasses import replace

from lcl_spiders.extraction.markup import canonical_or_none, outlinks
from lcl_spiders.extraction.page import ExtractedPage, normalised, one_line


def checked(page: object, url: str) -> ExtractedPage:
    """Return a page that was found at `url` with its texts normalised and its links absolute and canonical.

    Raises `TypeError` for anything else than an `ExtractedPage` with texts in it.
    """
    if not isinstance(page, ExtractedPage):
        msg = f"it returned {type(page).__name__} where an ExtractedPage is wanted"
        raise TypeError(msg)
    return replace(
        page,
        title=None if page.title is None else one_line(page.title),
        content=normalised(page.content),
        canonical=canonical_or_none(url, page.canonical),
        outlinks=outlinks(url, page.outlinks),
    )
