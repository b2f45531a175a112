"""Text of mesh files: its encoding, its lines, and numbers as other programs and languages write them."""

from __future__ import annotations

import re

from ...errors import FileFormatError

__all__ = ["decode_text", "is_binary", "parse_number", "split_lines", "to_utf8"]

# UTF-32 first: its mark for little endian begins with that of UTF-16.
_BYTE_ORDER_MARKS = ((b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"), (b"\xef\xbb\xbf", "utf-8"),
          (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))  # fmt: skip
_HEAD_BYTES = 1024  # bytes that are inspected to distinguish text from binary data
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_NOT_A_NUMBER = re.compile(r"([+-]?)(nan|inf)(\(.*\))?")  # Microsoft's C library writes -nan(ind)


def to_utf8(data: bytes) -> bytes:
    """Return the bytes of a UTF-8, UTF-16 or UTF-32 text as UTF-8 without a byte order mark; other bytes as they are.

    UTF-16 without a mark is recognised by zeros at every other byte.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            rest = data[len(mark) :]
            return rest if encoding == "utf-8" else rest.decode(encoding, errors="replace").encode()
    even, odd = data[0:_HEAD_BYTES:2], data[1:_HEAD_BYTES:2]
    if len(odd) > 4:  # UTF-16 without a mark: every other byte of a text of numbers is zero
        for zeros, other, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
            if zeros.count(0) > 0.9 * len(zeros) and other.count(0) == 0:
                return data.decode(encoding, errors="replace").encode()
    return data


def is_binary(data: bytes) -> bool:
    """Tell whether bytes are binary data: the first 1024 hold a zero or another control character that no text has.

    A byte order mark must have been taken off by :func:`to_utf8`.
    """
    return b"\0" in data[:_HEAD_BYTES] or any(c < 9 or 14 <= c < 32 for c in data[:_HEAD_BYTES])


def decode_text(data: bytes) -> str:
    """Return a file's bytes as text: UTF-8, UTF-16 or UTF-32 by its mark; invalid bytes become U+FFFD.

    Raises
    ------
    FileFormatError
        When the bytes are binary data.
    """
    data = to_utf8(data)
    if is_binary(data):
        raise FileFormatError("it holds binary data; expected text.", remedy="Is it of another kind?")
    return data.decode("utf-8", errors="replace")


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, whose ends are those of Unix, Windows or the old Macintosh."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_number(word: str) -> float:
    """Return the number that a word of a text file stands for, "nan" and "inf" in other programs' spelling included.

    Raises
    ------
    ValueError
        When it is no number; the message names a decimal comma.
    """
    try:
        return float(word)
    except ValueError:
        found = _NOT_A_NUMBER.fullmatch(word.lower())
        if found:
            return float(found[1] + found[2])
        if _COMMA.fullmatch(word):
            raise ValueError(f"{word!r} has a decimal comma; expected a decimal point") from None
        raise ValueError(f"{word!r} is no number") from None
