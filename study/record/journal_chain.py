"""The lines of a journal as a chain: each says what it and the line before it were when it was written.

A line ends with ``"check"``, 12 hex digits of a SHA-256 over the line before it and over itself without them. So a line
that is changed, removed, added or moved afterwards is found when the journal is read; of the last lines a removal alone
is not. Lines without a check, of earlier versions or written by hand, are taken as they are.
"""

import hashlib
import re

CHECK = re.compile(rb', "check": "([0-9a-f]{12})"\}$')
CHECK_LENGTH = len(', "check": "0123456789ab"}')


def sealed(body: bytes, before: bytes) -> bytes:
    """The line that holds the JSON object ``body`` and follows the line ``before`` (without its end; empty: none).

    Example:
        >>> sealed(b'{"event": "ended"}', b"")
        b'{"event": "ended", "check": "e62f067d658d"}'
    """
    return body[:-1] + b', "check": "%s"}' % _digest(body, before)


def is_sound(line: bytes, before: bytes) -> bool:
    """Whether ``line`` and ``before`` are as they were when it was written; True if it has no check."""
    found = CHECK.search(line, max(0, len(line) - CHECK_LENGTH))
    return found is None or found[1] == _digest(line[: found.start()] + b"}", before)


def _digest(body: bytes, before: bytes) -> bytes:
    digest = hashlib.sha256(before)
    digest.update(b"\n")
    digest.update(body)
    return digest.hexdigest()[:12].encode()
