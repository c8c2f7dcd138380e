"""Whether it is this machine that is cut off when a site gives no answer: found out without asking anybody else."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

LOOKUP_TIMEOUT = 10.0  # seconds

Address = tuple[socket.AddressFamily, str]

ELSEWHERE: Sequence[Address] = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses that are nobody's (RFC 5737, RFC 3849): where there is a route to one, there is a route to the world."""

_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class Network:
    """What a process knows of its machine's network. `heard` is told of hosts that answered.

    The kernel is asked for a route, and the machine's own resolver for an address; nothing is sent to a site. A network
    that leads nowhere, with a resolver that remembers what it was asked before, cannot be told from a dead site.

    Args:
        lookup: returns a host's addresses, none when it has none, None when the resolver cannot tell.
        has_route: returns whether there is a way to an address.
    """

    def __init__(
        self,
        lookup: Callable[[str], Awaitable[Sequence[Address] | None]] | None = None,
        has_route: Callable[[Address], bool] | None = None,
    ) -> None:
        self._lookup = lookup or look_up
        self._has_route = has_route or has_route_to
        self._heard: deque[str] = deque(maxlen=2)

    def heard(self, host: str) -> None:
        """Note that a host has answered; one that is named by its address says nothing of the resolver."""
        if host not in self._heard and not _is_address(host):
            self._heard.append(host)

    async def is_cut_off(self, host: str) -> bool:
        """Return whether no host like this can be reached from here. Takes seconds where a resolver is silent."""
        addresses = await self._lookup(host)
        if addresses:
            return not any(map(self._has_route, addresses))
        if not any(map(self._has_route, ELSEWHERE)):
            return True
        others = [each for each in self._heard if each != host]
        if others:  # it had an address a while ago
            return not await self._lookup(others[-1])
        return addresses is None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def look_up(host: str) -> Sequence[Address] | None:
    """Return a host's addresses, none when there is no such host, None when the resolver gives no answer."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        return () if error.errno in _NO_SUCH_HOST else None
    except TimeoutError:
        return None
    except UnicodeError:  # no name at all
        return ()
    return [(family, str(address[0])) for family, _, _, _, address in found]


def has_route_to(address: Address) -> bool:
    """Return whether there is a way from this machine to an address. Nothing is sent: UDP has no handshake."""
    family, host = address
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
    except OSError:
        return False
    return True


NETWORK = Network()
"""The network of this process's machine: one for all crawls."""
