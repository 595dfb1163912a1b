"""Keeps requests to addresses that users name away from the networks around the server.

A name is resolved, each of its addresses is judged, and the connection is made to an address that was judged: a name
that means another address a moment later leads nowhere else. What is judged are numbers, so spellings of an address
(decimal, octal, hexadecimal, IPv4 within IPv6) make no difference. Facts: IANA's registries of special-purpose
addresses (RFC 6890), and the clouds' pages on their metadata services.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from lockstitch.core.errors import AccessError, SettingsError

if TYPE_CHECKING:
    from typing import Self

#: Networks that may be reached although they are not public, separated by commas: `10.0.0.0/8,fd00::/8`.
ENVIRONMENT = "LOCKSTITCH_ALLOW_NETWORKS"

#: Set in the processes of a server's jobs: there, HTTP clients connect to allowed addresses only.
CONFINED = "LOCKSTITCH_CONFINED"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host, behind a public number
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)
#: Of IPv6 only this is public, without what is cut out of it.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols; Teredo, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds any IPv4 address
        "3fff::/20",  # documentation
    )
)
#: Here the last 32 bits are an IPv4 address that the connection ends at.
_TRANSLATED = IPv6Network("64:ff9b::/96")


class AddressRefused(AccessError):
    """A host has no address that may be reached from here."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Judges addresses: public ones are allowed, and what lies in the operator's `networks`."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the operator's networks; raises SettingsError where one is none."""
        return cls(
            tuple(_network(text.strip()) for text in environment.get(ENVIRONMENT, "").split(",") if text.strip())
        )

    def allows(self, address: Address) -> bool:
        address = _innermost(address)
        return is_public(address) or any(address in network for network in self.networks)

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host and return those of its addresses that may be reached, in the resolver's order.

        Raises AddressRefused where there are only others, and OSError where the name does not resolve.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host} is no name of a host") from error
        texts = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        good = [text for text in texts if self.allows(ip_address(text))]
        if not good:
            raise AddressRefused(
                f"{host} is at {', '.join(texts)}, which is not a public address",
                hint=f"whoever runs this server can allow it: {ENVIRONMENT} lists networks, such as 10.0.0.0/8",
            )
        return good


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to a host on the internet, and to nothing near this one."""
    address = _innermost(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _REFUSED_V6)


def _innermost(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise SettingsError(
            f"{ENVIRONMENT}: {error}", hint="write networks as address/bits, separated by commas: 10.0.0.0/8,fd00::/8"
        ) from None
