"""What the database layer raises. Each message is for a person: what failed, and what to do next."""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """Return an error's message on one line, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


class DatabaseProblem(Exception):
    """The database cannot serve: base of the errors that are never a source's fault."""

    reason = "database_unavailable"


class DatabaseUnavailable(DatabaseProblem):
    """No connection, or none that can be used. Raised by `db.connection`."""


class SchemaOutdated(DatabaseProblem):
    """The schema is not at the version that this code needs. Raised by `db.schema.check` and `db.connection`."""

    reason = "schema_outdated"


class MigrationFailed(DatabaseProblem):
    """A migration, or its way back, was refused by the database and left nothing behind. Raised by `db.schema`."""

    reason = "migration_failed"


class ModelMismatch(DatabaseProblem):
    """A stored embedding model cannot be used as it is. Raised by `db.models` and `pipelines.index_model`."""

    reason = "model_mismatch"


class FenceLost(Exception):
    """Another run holds the domain by now: this one may not write. Raised inside a write transaction."""


class ModelChanged(Exception):
    """Another model is active by now, for which a run has no vectors. Raised inside a write transaction."""


class IncompleteWrite(Exception):
    """A page's embeddings would not equal its chunks; the transaction must roll back (A16)."""


class SourceNotFound(LookupError):
    """No source has this id, slug or domain."""


class AmbiguousSource(LookupError):
    """A domain names several sources."""


class InvalidSource(ValueError):
    """A source cannot be stored as asked: reserved or taken slug, bad URL."""


class DomainBusy(Exception):
    """A run holds the domain, so that what was asked for cannot be done now. Raised by `db.source_edits.remove`."""
