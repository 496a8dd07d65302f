"""Argon2id in memory that is used again.

Left to itself Argon2 allocates its memory for each hash. Of that glibc keeps what an arena once had,
and each thread may have another arena, so a server would come to keep 19 MiB for each of them, after
hours; and where it does not keep it, new pages cost half of a hash's time again.

To be given memory Argon2 calls back. Where a process may not make functions (systemd's
MemoryDenyWriteExecute), it allocates for itself after all.
"""

from __future__ import annotations

import mmap
import os
from collections import defaultdict
from typing import Any

from argon2.exceptions import HashingError
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi, hash_secret_raw

_NO_MEMORY = -22
"""ARGON2_MEMORY_ALLOCATION_ERROR."""


class _Block:
    """Memory for one hash at a time.

    Raises:
        OSError: there is not that much.
        MemoryError: this process may not make functions.
    """

    def __init__(self, octets: int) -> None:
        # Private: a process that forks must not hash in the memory of its parent.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        memory = ffi.from_buffer("uint8_t[]", mmap.mmap(-1, octets, flags=flags))
        self.interrupted: list[BaseException] = []
        interrupted = self.interrupted

        def give(place: Any, wanted: int) -> int:
            if wanted > octets:
                return _NO_MEMORY
            place[0] = memory
            return 0

        def failed(_: object, error: BaseException, __: object) -> None:
            interrupted.append(error)

        def keep(_: object, __: int) -> None:
            """It is no longer used; Argon2 has wiped it."""

        self.give = ffi.callback("int(uint8_t **, size_t)", give, error=_NO_MEMORY, onerror=failed)
        self.keep = ffi.callback("void(uint8_t *, size_t)", keep, onerror=failed)


_free: defaultdict[int, list[_Block]] = defaultdict(list)
"""Blocks that nobody uses, by their octets."""


def _taken(octets: int) -> _Block:
    try:
        return _free[octets].pop()
    except IndexError:
        return _Block(octets)


def argon2id(
    secret: bytes, salt: bytes, *, passes: int, memory_kib: int, lanes: int, length: int
) -> bytes:
    """Argon2id (RFC 9106), version 1.3, without a key; releases the interpreter's lock meanwhile.

    Of the memory that hashes took at once, as many blocks stay as there are processors. For any
    number of threads.

    Args:
        secret: any octets.
        salt: at least 8.
        passes: at least 1.
        memory_kib: at least 8 for each lane.
        lanes: each has a thread of its own while it lasts.
        length: octets of the hash, at least 4.

    Raises:
        HashingError: what it cannot do, or there is no memory for it.
    """
    octets = 1024 * memory_kib
    try:
        block = _taken(octets)
    except OSError:
        raise HashingError(error_to_str(_NO_MEMORY)) from None
    except MemoryError:
        return hash_secret_raw(secret, salt, passes, memory_kib, lanes, length, Type.ID)
    found = ffi.new("uint8_t[]", length)
    password, salted = ffi.new("uint8_t[]", secret), ffi.new("uint8_t[]", salt)
    context = ffi.new(
        "argon2_context *",
        {
            "out": found,
            "outlen": length,
            "pwd": password,
            "pwdlen": len(secret),
            "salt": salted,
            "saltlen": len(salt),
            "t_cost": passes,
            "m_cost": memory_kib,
            "lanes": lanes,
            "threads": lanes,
            "version": ARGON2_VERSION,
            "allocate_cbk": block.give,
            "free_cbk": block.keep,
        },
    )
    code = core(context, Type.ID.value)
    if block.interrupted:
        raise block.interrupted[0]
    if len(_free[octets]) < (os.cpu_count() or 1):
        _free[octets].append(block)
    if code:
        raise HashingError(error_to_str(code))
    return bytes(ffi.buffer(found))
