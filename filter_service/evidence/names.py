"""Asking the domain name system: addresses of a host, text records of a name.

The name servers are asked directly, not through the operating system: its files of hosts and its search
lists say what a name means on this machine, which is not what is to be known. Signatures (DNSSEC) are left to
the name server; nothing is cached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from filter.errors import LetheError
from filter.hosts import Host
from filter_service.errors import UnsafeSettings


class NoSuchRecord(LetheError):
    """The name, or what is asked of it, does not exist."""


class NoAnswer(LetheError):
    """The name servers fail, contradict themselves or are silent; it may be there or not."""


class Names:
    """The domain name system, through some name servers."""

    def __init__(
        self, servers: Sequence[str] = (), *, port: int = 53, deadline_s: float = 5.0
    ) -> None:
        """``servers`` are IP addresses, by default those of the system.

        Raises:
            UnsafeSettings: the system has none, or one that is given is no address.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
            if servers:
                self._resolver.nameservers = list(servers)
        except (dns.resolver.NoResolverConfiguration, ValueError):
            raise UnsafeSettings(
                "There are no name servers to ask: give their IP addresses."
            ) from None
        self._resolver.port = port
        self._deadline_s = deadline_s

    async def addresses(self, host: Host) -> list[str]:
        """All IPv4 addresses of a host, then all IPv6 addresses; each kind is asked for once.

        Raises:
            NoSuchRecord: it has none.
            NoAnswer: one kind could not be asked for, and the other has none.
        """
        found = await asyncio.gather(
            self._records(host, dns.rdatatype.A),
            self._records(host, dns.rdatatype.AAAA),
            return_exceptions=True,
        )
        addresses: list[str] = []
        problems: list[BaseException] = []
        for result in found:
            if isinstance(result, BaseException):
                problems.append(result)
            else:
                addresses += [record.to_text() for record in result]
        if not addresses:
            # What could not be asked for may exist.
            raise max(problems, key=lambda problem: not isinstance(problem, NoSuchRecord))
        return addresses

    async def texts(self, name: str) -> list[bytes]:
        """The TXT records of a name, the strings of each joined without anything between.

        (RFC 1035, section 3.3.14; how to join them is the habit of RFC 7208, section 3.3.)

        Raises:
            NoSuchRecord: there are none.
            NoAnswer: it could not be found out.
        """
        records = await self._records(name, dns.rdatatype.TXT)
        return [b"".join(record.strings) for record in records if isinstance(record, TXT)]

    async def _records(self, name: str, kind: dns.rdatatype.RdataType) -> list[dns.rdata.Rdata]:
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(name), kind, search=False, lifetime=self._deadline_s
            )
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise NoSuchRecord("There is no such record.") from None
        except (dns.exception.DNSException, OSError):
            raise NoAnswer("The name servers give no answer.") from None
        return list(answer)
