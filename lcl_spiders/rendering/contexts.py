"""Which browser context a page opens in: a new one after so many pages, so that the browser's memory is bounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Context:
    name: str
    opened: int = 0
    inside: int = 0


class Contexts:
    """Gives out the names of contexts. One that had its pages gets no more, and is closed when the last has left."""

    def __init__(self, pages_per_context: int) -> None:
        self._most = pages_per_context
        self._contexts: dict[str, _Context] = {}
        self._numbers = 0
        self._current = self._next()

    def enter(self) -> str:
        """Return the context of one more page."""
        if self._current.opened >= self._most:
            self._current = self._next()
        self._current.opened += 1
        self._current.inside += 1
        return self._current.name

    def leave(self, name: str) -> bool:
        """Note that a page was closed; return whether its context is to be closed, too."""
        context = self._contexts[name]
        context.inside -= 1
        if context.inside or context.opened < self._most:
            return False
        del self._contexts[name]
        return True

    def _next(self) -> _Context:
        self._numbers += 1
        context = _Context(f"context-{self._numbers}")
        self._contexts[context.name] = context
        return context
