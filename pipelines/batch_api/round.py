"""One round of all three steps: submit what waits, take what is done, write what is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import ModelMismatch
from pipelines.batch_api.apply import Applied, apply
from pipelines.batch_api.poll import Polled, poll
from pipelines.batch_api.submit import MAX_TEXTS, Submitted, submit
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from pipelines.batch_api.apis import Apis
    from pipelines.runtime import Runtime


@dataclass(frozen=True)
class Round:
    """What each step did."""

    submitted: Submitted
    polled: Polled
    applied: Applied

    @property
    def problems(self) -> list[str]:
        """What an operator should hear."""
        return [*self.submitted.problems, *self.polled.problems]

    def __str__(self) -> str:
        """Return what was done, in a line; nothing when there was nothing to do."""
        figures = {
            "texts submitted": self.submitted.texts,
            "results taken": self.polled.results,
            "pages indexed": self.applied.pages["indexed"],
            "pages failed": self.applied.pages["failed"],
        }
        return ", ".join(f"{figure:,} {name}" for name, figure in figures.items() if figure)


async def go_round(runtime: Runtime, apis: Apis, *, max_texts: int = MAX_TEXTS) -> Round:
    """Make each step once. Raises `ProviderError` or `DatabaseProblem`; what was done by then stays.

    What a provider has answered before is polled and written, also when it takes no more at this moment.
    """
    away: list[ProviderError | ModelMismatch] = []
    submitted, polled = Submitted(), Polled()
    try:
        submitted = await submit(runtime, apis, max_texts=max_texts)
    except (ProviderError, ModelMismatch) as error:
        away.append(error)
    try:
        polled = await poll(runtime, apis)
    except (ProviderError, ModelMismatch) as error:
        away.append(error)
    applied = await apply(runtime)
    if away:
        raise away[0]
    return Round(submitted, polled, applied)
