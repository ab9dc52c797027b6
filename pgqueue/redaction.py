"""What must not be shown: which names stand for secrets, and how their values are kept out of texts.

A name counts as a whole or by its last words: `password`, `db_password`, `apiKey`, `X-Api-Key`, `refresh_token2`. Not
by its first: `token_count` and `password_length` are numbers that somebody wants to see, and `tokenizer` is another
word. Only the plural `tokens` is left out: it counts them more often than it holds them.

The view pgqueue.jobs hides by the same names: sql/functions/redact.sql.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pgqueue.secret import HIDDEN, KEY, Secret, is_hidden

NAMES: Final = (
    *("password", "passwords", "passwd", "passphrase", "passcode", "passwordhash", "passwordconfirmation", "pwd"),
    *("secret", "secrets", "credential", "credentials", "token", "jwt", "bearer", "authorization", "cookie", "cookies"),
    *("otp", "cvv", "cvc", "ssn", "pincode", "creditcard", "cardnumber", "cardno"),
    *("apikey", "apikeys", "accesskey", "accesskeys", "secretkey", "secretkeys", "privatekey", "privatekeys"),
    *("signingkey", "encryptionkey", "masterkey", "authkey"),
)
"""What a name of a secret ends with, in small letters, without ' ', '_', '-' and a number at its end."""
DEEPEST: Final = 32
"""Levels that are looked through; what lies deeper is hidden altogether."""
SHORTEST: Final = 4
"""Characters. A shorter secret is left in texts: taking it out would take out half of the words as well."""

_SEPARATORS: Final = str.maketrans("", "", " _-")


def is_secret_name(name: object) -> bool:
    """Whether what goes by this name is taken for a secret."""
    if not isinstance(name, str):
        return False
    return name.lower().translate(_SEPARATORS).rstrip("0123456789").endswith(NAMES)


def hides(name: object, value: object) -> bool:
    """Whether this is shown as ***. True, False and None tell nothing, so `has_password` stays."""
    return value is not None and not isinstance(value, bool) and is_secret_name(name)


def redact(value: Any, depth: int = 0) -> Any:
    """The same arguments, with *** for each secret."""
    if is_hidden(value) or (depth > DEEPEST and isinstance(value, Mapping | list | tuple)):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: HIDDEN if hides(name, one) else redact(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [redact(one, depth + 1) for one in value]
    return value


def secrets(value: Any) -> Iterator[str]:
    """Every secret in these arguments, as a text might show it."""
    waiting = [(value, False)]  # no recursion: arguments may be thousands of levels deep
    while waiting:
        one, hidden = waiting.pop()
        if isinstance(one, Secret):
            waiting.append((one.reveal(), True))
        elif isinstance(one, Mapping):
            waiting += [(each, hidden or name == KEY or hides(name, each)) for name, each in one.items()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += [(each, hidden) for each in one]
        elif hidden and one is not None and not isinstance(one, bool):
            yield from _spellings(one)


def scrub(text: str, found: Iterable[str]) -> str:
    """The text with *** in place of each of these secrets."""
    for secret in sorted(found, key=len, reverse=True):  # the longest first: another may be a part of it
        text = text.replace(secret, HIDDEN)
    return text


def _spellings(value: object) -> Iterator[str]:
    """How a message may show a value: bare, in one line, in a URL, in JSON; quoted, or quoted within a quotation."""
    bare = value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
    found = {bare, " ".join(bare.split()), quote(bare, safe="", errors="replace")}
    found |= {json.dumps(bare)[1:-1], json.dumps(bare, ensure_ascii=False)[1:-1]}
    if isinstance(value, bytes):
        found.add(repr(value)[2:-1])
    for _ in range(2):
        # With both quotes in front of it, repr must escape one of them.
        found |= {form for one in found for form in (repr(one)[1:-1], repr("\"'" + one)[4:-1])}
    yield from (one for one in found if len(one) >= SHORTEST)
