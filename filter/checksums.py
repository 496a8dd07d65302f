"""Check digits, as the standards define them. Input is canonical: no separators, upper case."""

from __future__ import annotations


def mod97(iban: str) -> bool:
    """Whether an IBAN satisfies ISO/IEC 7064 MOD 97-10 as ISO 13616-1 applies it.

    The first four characters go to the end, letters count as two digits (A = 10 ... Z = 35), and
    the number leaves 1 when divided by 97. ``iban`` holds ``[0-9A-Z]`` only.
    """
    return int("".join(str(int(c, 36)) for c in iban[4:] + iban[:4])) % 97 == 1


def ean13(digits: str) -> bool:
    """Whether 13 ASCII digits satisfy GS1's mod-10 check (weights 1 and 3, from the left)."""
    return (sum(map(int, digits[::2])) + 3 * sum(map(int, digits[1::2]))) % 10 == 0


def luhn(digits: str) -> bool:
    """Whether ASCII digits satisfy the Luhn check (ISO/IEC 7812-1, annex B)."""
    doubled = (2 * int(d) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(d // 10 + d % 10 for d in doubled)) % 10 == 0
