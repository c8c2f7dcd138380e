"""Whether a site does not answer, or this machine is cut off."""

import socket
from collections.abc import Sequence

import pytest

from lcl_spiders.network import ELSEWHERE, Address, Network, has_route_to, look_up

SITE: Address = (socket.AF_INET, "203.0.113.7")
OTHER: Address = (socket.AF_INET, "203.0.113.8")


def network(names: dict[str, Sequence[Address] | None], routes: Sequence[Address], *heard: str) -> Network:
    """A machine whose resolver knows these names (None: it gives no answer), and which has these routes."""

    async def lookup(host: str) -> Sequence[Address] | None:
        return names[host]

    made = Network(lookup, routes.__contains__)
    for host in heard:
        made.heard(host)
    return made


@pytest.mark.parametrize(
    ("names", "routes", "heard", "is_cut_off"),
    [
        # The site has an address: is there a way to it?
        ({"site": [SITE]}, [SITE], (), False),
        ({"site": [SITE]}, [], (), True),
        ({"site": [OTHER, SITE]}, [SITE], (), False),
        ({"site": [SITE]}, ELSEWHERE, (), True),
        # There is no such host, or the resolver cannot tell.
        ({"site": ()}, ELSEWHERE, (), False),
        ({"site": ()}, [], (), True),
        ({"site": None}, ELSEWHERE, (), True),
        ({"site": None}, [], (), True),
        # Another host answered in this process: has it still an address?
        ({"site": None, "other": [OTHER]}, ELSEWHERE, ("other",), False),
        ({"site": None, "other": None}, ELSEWHERE, ("other",), True),
        ({"site": (), "other": [OTHER]}, ELSEWHERE, ("other",), False),
        ({"site": (), "other": ()}, ELSEWHERE, ("other",), True),
        # The site itself, and hosts that are named by their address, prove nothing.
        ({"site": None}, ELSEWHERE, ("site",), True),
        ({"site": None, "other": [OTHER]}, ELSEWHERE, ("other", "site"), False),
        ({"site": None}, ELSEWHERE, ("127.0.0.1", "::1"), True),
    ],
)
async def test_a_machine_is_cut_off_when_it_has_no_way_or_no_resolver(
    names: dict[str, Sequence[Address] | None], routes: Sequence[Address], heard: Sequence[str], is_cut_off: bool
) -> None:
    assert await network(names, routes, *heard).is_cut_off("site") is is_cut_off


async def test_this_machine_is_never_cut_off_from_itself() -> None:
    assert not await Network().is_cut_off("127.0.0.1")
    assert has_route_to((socket.AF_INET, "127.0.0.1"))


async def test_what_is_no_name_has_no_address() -> None:
    assert await look_up("a" * 70 + ".example") == ()


@pytest.mark.parametrize(
    ("error", "found"), [(socket.EAI_NONAME, ()), (socket.EAI_AGAIN, None), (socket.EAI_FAIL, None)]
)
async def test_no_such_host_is_an_answer_and_a_resolver_in_trouble_gives_none(
    monkeypatch: pytest.MonkeyPatch, error: int, found: Sequence[Address] | None
) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(error, "")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    assert await look_up("example.org") == found
