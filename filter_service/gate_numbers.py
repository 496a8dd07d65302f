"""The compile gate for numbers: telephones, accounts, insurance, cards, addresses on the Internet.

Whose a number is, is told by the ranges of `phonenumbers` and of IANA. Not covered: switchboards of firms
within ordinary ranges, accounts of charities, addresses that a provider hands to one customer after the other.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address

from filter.canonical import canonicalize
from filter.identifiers import IdentifierKind
from filter.nv1 import fold
from filter_service.judgement import ALLOWED, Judgement, Reason, needs, refused

_SHORT_REGIONS = ("CH", "LI", "DE", "AT", "FR", "IT", "GB", "US")
"""Where short numbers are looked up, beside the regions that are given (ISO 3166-1)."""
_LONGEST_SHORT = 6
"""Digits of a short number at most."""

_EXAMPLES = frozenset(
    map(
        fold,
        (
            # IBANs of SWIFT's registry and of the authorities' leaflets
            "CH9300762011623852957",
            "CH5604835012345678009",
            "LI21088100002324013AA",
            "DE89370400440532013000",
            "AT611904300234573201",
            "FR1420041010050500013M02606",
            "IT60X0542811101000000123456",
            "GB29NWBK60161331926819",
            "GB82WEST12345698765432",
            "GB33BUKB20201555555555",
            "NL91ABNA0417164300",
            "BE68539007547034",
            "ES9121000418450200051332",
            "LU280019400644750000",
            # AHV numbers of leaflets
            "756.9217.0769.85",
            "756.1234.5678.97",
            # cards for tests, of payment providers' manuals
            "4242424242424242",
            "4111111111111111",
            "4012888888881881",
            "4000056655665556",
            "5555555555554444",
            "5105105105105100",
            "2223003122003222",
            "378282246310005",
            "371449635398431",
            "6011111111111117",
            "3056930009020004",
            "3566002020360505",
        ),
    )
)

_RESOLVERS = frozenset(
    map(
        ip_address,
        """
        8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 1.1.1.2 1.0.0.2 1.1.1.3 1.0.0.3 9.9.9.9 9.9.9.10 9.9.9.11
        149.112.112.112 149.112.112.10 149.112.112.11 208.67.222.222 208.67.220.220 208.67.222.123
        208.67.220.123 94.140.14.14 94.140.15.15 185.228.168.9 185.228.169.9 77.88.8.8 77.88.8.1
        114.114.114.114 223.5.5.5 223.6.6.6 119.29.29.29 101.101.101.101 4.2.2.1 4.2.2.2 4.2.2.3 4.2.2.4
        64.6.64.6 64.6.65.6 76.76.2.0 76.76.10.0 84.200.69.80 84.200.70.40 193.110.81.0 185.253.5.0
        2001:4860:4860::8888 2001:4860:4860::8844 2606:4700:4700::1111 2606:4700:4700::1001
        2606:4700:4700::1112 2606:4700:4700::1002 2620:fe::fe 2620:fe::9 2620:fe::10 2620:fe::11
        2620:119:35::35 2620:119:53::53 2a10:50c0::ad1:ff 2a10:50c0::ad2:ff
        """.split(),
    )
)
"""Name servers that manuals tell everybody to use."""
_SMALL = 29
"""Four numbers up to this are a version or a section more often than an address: `filter.recognisers.ip`."""


def judge_phone(text: str, regions: Collection[str]) -> Judgement:
    """Whether a telephone number may be listed; ``regions`` as in `filter.canonical.canonicalize`.

    Raises:
        MalformedIdentifier: it is none.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberType as Type

    if _is_short(text, regions):
        return refused(Reason.SHORT_NUMBER)
    number = phonenumbers.parse(canonicalize(IdentifierKind.PHONE, text, regions), None)
    kind = phonenumbers.number_type(number)
    if kind in (Type.TOLL_FREE, Type.SHARED_COST, Type.PREMIUM_RATE, Type.VOICEMAIL):
        return refused(Reason.SHARED_NUMBER)
    return needs(Reason.COMPANY_NUMBER) if kind in (Type.UAN, Type.UNKNOWN) else ALLOWED


def _is_short(text: str, regions: Collection[str]) -> bool:
    """Whether the digits are dialled as they are, for help or for a service."""
    from phonenumbers import NumberParseException, parse, shortnumberinfo

    digits = "".join(re.findall("[0-9]", text))
    if not digits or len(digits) > _LONGEST_SHORT or re.search(r"[^-0-9./() \u00a0\u202f]", text):
        return False
    for region in {*regions, *_SHORT_REGIONS}:
        try:
            number = parse(digits, region)
        except NumberParseException:
            continue
        if shortnumberinfo.is_valid_short_number_for_region(number, region):
            return True
    return False


def judge_example(kind: IdentifierKind, text: str) -> Judgement:
    """Whether an IBAN, an AHV number or a card may be listed: any but those that manuals print.

    Raises:
        MalformedIdentifier: it is none of its kind.
    """
    known = fold(canonicalize(kind, text)) in _EXAMPLES
    return needs(Reason.EXAMPLE_NUMBER) if known else ALLOWED


def judge_ip(text: str) -> Judgement:
    """Whether an IP address may be listed.

    Raises:
        MalformedIdentifier: it is none.
    """
    try:
        address = ip_address(text.strip())
    except ValueError:
        address = None
    if address is not None and (not address.is_global or address.is_multicast):
        return refused(Reason.PRIVATE_IP)
    address = ip_address(canonicalize(IdentifierKind.IP, text))
    if address in _RESOLVERS:
        return refused(Reason.PUBLIC_RESOLVER)
    small = address.version == 4 and all(octet <= _SMALL for octet in address.packed)
    return needs(Reason.LIKE_A_VERSION) if small else ALLOWED
