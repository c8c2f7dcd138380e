"""How a URL ends a run, and the fields of an item that the pipelines know.

An item of any class will do, as long as ItemAdapter can read and set these fields. One with the outcome `LISTED` has
`url`, `outcome` and `listed` only: the `Standing`s of the pages that a sitemap vouches for.

| field | set by | meaning |
|---|---|---|
| `url` | spider | canonical URL: the page's identity within its source |
| `outcome` | spider, pipelines | an `Outcome` |
| `title`, `language`, `content` | spider | of a present page; `content` is Markdown, the others None when unknown |
| `body_hash`, `etag`, `last_modified`, `outlinks`, `structured` | spider | of a page that was downloaded |
| `http_status`, `reason`, `message` | spider, pipelines | why a page is gone, unknown or failed |
| `seen_at` | spider | when the page was last seen, of one that comes from the index; None: now |
| `known` | spider, unchanged | the page's `KnownPage`, None for one that is new |
| `fetch` | spider | a `Fetch`: what to remember of the download, None when there was none |
| `claims` | spider | the `Signal`s that said "unchanged" of a page that was downloaded all the same |
| `signal` | spider | the `Signal` on whose word a page that was not downloaded is unchanged |
| `canonical` | spider | the URL that the page itself names as its own, when it is another page of the source |
| `duplicate_of` | dedup | id of the page under which a duplicate's text is indexed |
| `target` | spider | where a page that is gone has moved to |
| `retry_after` | spider | seconds that the site asks to wait before a page is asked for again |
| `content_hash` | unchanged | sha256 of the normalised title and content |
| `chunks` | chunking | the page's chunks in order |
| `vectors` | embedding | `{chunk hash: (vector, token count)}` of the chunks that the page does not have yet |
| `awaits` | embedding | `{chunk hash: text}` of the chunks that a batch is to embed |
| `covers` | covering | the page under each model that is being built and has vectors for it |
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What is known of a page at the end of a run."""

    PRESENT = "present"
    """Downloaded and read: new or changed, unless the unchanged pipeline finds it `UNCHANGED`."""

    PENDING = "pending"
    """Downloaded and read, and not indexed before a batch has embedded the texts in `awaits`."""

    UNCHANGED = "unchanged"
    """There, with the content that the index has."""

    DUPLICATE = "duplicate"
    """There, and the same page as another one, under which it is indexed."""

    LISTED = "listed"
    """Many known pages that a believed sitemap says did not change."""

    GONE = "gone"
    """Clear evidence that it is no longer there."""

    UNKNOWN = "unknown"
    """No clear answer: kept as it is, and tried again."""

    FAILED = "failed"
    """There, but could not be read, chunked, embedded or written: kept as it was, and tried again."""
