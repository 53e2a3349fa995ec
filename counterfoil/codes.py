"""Voucher codes: sixteen characters that nobody can guess, the last of which proves the others.

Here: making and checking. Not here: which order a code is for, or how it is kept (``vault``).

The first fifteen are drawn by the system's generator from 32 characters that are not taken for one another; the last
makes the whole valid by ISO 7064 MOD 37,36, which finds every wrong character and every two that changed places. Codes
whose check character would be one of those left out are drawn again: 74 bits remain.
"""

import secrets
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, 1, I and O."""

LENGTH: Final = 16

_VALUES: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def new_code() -> str:
    """A code that nobody can guess."""
    while True:
        body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
        last = check_character(body)
        if last in ALPHABET:
            return body + last


def check_character(body: str) -> str:
    """The character that makes ``body`` valid by ISO 7064 MOD 37,36."""
    return _VALUES[(37 - _carried(body)) % 36]


def is_valid(code: str) -> bool:
    """Whether the last character of a code is the one that the others ask for."""
    return len(code) > 1 and all(one in _VALUES for one in code) and check_character(code[:-1]) == code[-1]


def grouped(code: str) -> str:
    """A code as people read it: ``ABCD-EFGH-JKLM-NPQR``."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def _carried(body: str) -> int:
    carried = 36
    for character in body:
        carried = (carried + _VALUES.index(character)) % 36 or 36
        carried = carried * 2 % 37
    return carried
