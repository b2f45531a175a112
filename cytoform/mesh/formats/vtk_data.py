"""Arrays of VTK's XML files: text, base64 or raw bytes, compressed or not, in the file or appended to it.

Ref: VTK, "VTK XML Formats", https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html.
"""

from __future__ import annotations

import base64
import binascii
import lzma
import re
import zlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..._typing import Array
from ...errors import FileFormatError
from .parts import EXPORT_AGAIN
from .text import parse_number, to_utf8

__all__ = ["VtkFile", "encode_array"]

_TYPES = {f"{kind}Int{bits}": f"{kind[:1].lower() or 'i'}{bits // 8}" for kind in ("", "U") for bits in (8, 16, 32, 64)}
_TYPES |= {"Float32": "f4", "Float64": "f8"}
_APPENDED = re.compile(rb"<AppendedData\b[^>]*>")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"'](\w+)[\"']")
_DECLARED = re.compile(rb"^<\?xml[^>]*utf-(16|32)[^>]*\?>", re.IGNORECASE)  # no longer true
_BLOCK = 1 << 20  # bytes that are compressed together


class VtkFile:
    """An XML file of VTK and the decoding of its arrays.

    Parameters
    ----------
    data : bytes
        The whole file. Raw appended data make it invalid as XML; they are cut out first.

    Raises
    ------
    FileFormatError
        When it is no VTK file, or its compressor is not known.
    """

    def __init__(self, data: bytes) -> None:
        text, self.appended, self.encoding = _split_appended(to_utf8(data))
        self.root = ElementTree.fromstring(text)
        if self.root.tag != "VTKFile":
            raise FileFormatError(f"it is an XML file of {self.root.tag!r}; expected 'VTKFile'.")
        self.order = ">" if self.root.get("byte_order") == "BigEndian" else "<"
        self.header = np.dtype(self.order + _TYPES[self.root.get("header_type", "UInt32")])
        self.decompress = _decompressor(self.root.get("compressor", ""))
        if self.encoding == "base64" and self._offsets_count_bytes():
            self.appended, self.encoding = base64.b64decode(self.appended or b""), "raw"

    def array(self, element: ElementTree.Element) -> Array:
        """Return the numbers of a ``DataArray`` element, (n,), or (n, k) where it has k > 1 components.

        Raises
        ------
        FileFormatError
            When it is cut short or of an unknown type.
        """
        name, kind = element.get("Name", "?"), element.get("type", "?")
        if kind not in _TYPES:
            raise FileFormatError(f"its array {name!r} has the type {kind!r}; expected one of {', '.join(_TYPES)}.")
        try:
            values = self._decode_values(element, np.dtype(self.order + _TYPES[kind]))
        except (ValueError, IndexError, binascii.Error, zlib.error, lzma.LZMAError) as error:
            raise FileFormatError(
                f"its array {name!r} is damaged or cut short: {error}.", remedy=EXPORT_AGAIN
            ) from error
        components = int(element.get("NumberOfComponents", "1"))
        if components > 1:
            if len(values) % components:
                raise FileFormatError(
                    f"its array {name!r} has {len(values)} numbers; expected a multiple of {components}.",
                    remedy=EXPORT_AGAIN,
                )
            values = values.reshape(-1, components)
        return values

    def _decode_values(self, element: ElementTree.Element, dtype: np.dtype[Any]) -> Array:
        """Return an element's numbers as a flat array; dtype is their type in the file, with its byte order.

        Raise ValueError if the format is unknown or the data are damaged.
        """
        form = element.get("format", "ascii")
        if form == "ascii":
            words = (element.text or "").split()
            if dtype.kind == "f":
                return np.array([parse_number(word) for word in words], dtype=dtype.newbyteorder("="))
            return np.array([int(word) for word in words], dtype=dtype.newbyteorder("="))
        if form == "binary":
            source: _ByteReader = _Base64Reader("".join((element.text or "").split()).encode(), 0)
        elif form == "appended":
            source = self._appended_reader(int(element.get("offset", "0")))
        else:
            raise ValueError(f"its format is {form!r}; expected 'ascii', 'binary' or 'appended'")
        return np.frombuffer(self._payload(source), dtype).astype(dtype.newbyteorder("="))

    def _appended_reader(self, offset: int) -> _ByteReader:
        """Return a reader of the appended data from `offset` on; raise ValueError if there are none."""
        if self.appended is None:
            raise ValueError("the appended data are missing")
        return (_Base64Reader if self.encoding == "base64" else _ByteReader)(self.appended, offset)

    def _offsets_count_bytes(self) -> bool:
        """Tell whether base64 data were encoded all at once, so that offsets count bytes, not letters as VTK's do."""
        offsets = sorted({int(e.get("offset", "0")) for e in self.root.iter() if e.get("format") == "appended"})
        if len(offsets) < 2:
            return False
        first = self._appended_reader(offsets[0])
        try:
            self._payload(first)
        except (ValueError, binascii.Error, zlib.error, lzma.LZMAError):
            return False
        return first.position != offsets[1] == offsets[0] + first.taken

    def _payload(self, source: _ByteReader) -> bytes:
        """Return the bytes of the array that begins where the reader stands, decompressed if the file is compressed."""
        return self._uncompressed_bytes(source.take) if self.decompress is None else self._compressed_bytes(source.take)

    def _header_numbers(self, take: Callable[[int], bytes], count: int) -> list[int]:
        """Return `count` integers of the file's header type, read by `take`, a function that gives the next n bytes."""
        numbers: list[int] = np.frombuffer(_take_exactly(take, count * self.header.itemsize), self.header).tolist()
        return numbers

    def _uncompressed_bytes(self, take: Callable[[int], bytes]) -> bytes:
        """Return the bytes of an array that is not compressed: their number is read first, then the bytes."""
        (size,) = self._header_numbers(take, 1)
        return _take_exactly(take, size)

    def _compressed_bytes(self, take: Callable[[int], bytes]) -> bytes:
        """Return the decompressed bytes of an array that is stored in compressed blocks.

        Its header holds the number of blocks, the size of a block, that of the last one (0 if the same), and the
        compressed size of each. Raise ValueError if a block has another size.
        """
        (count,) = self._header_numbers(take, 1)
        if count == 0:
            return b""
        size, last, *packed = self._header_numbers(take, 2 + count)
        found = []
        for k, length in enumerate(packed):
            expected = last if k == count - 1 and last else size
            block = self.decompress(_take_exactly(take, length), expected)  # type: ignore[misc]
            if len(block) != expected:
                raise ValueError(f"a block has {len(block)} bytes; expected {expected}")
            found.append(block)
        return b"".join(found)


def _split_appended(data: bytes) -> tuple[bytes, bytes | None, str]:
    """Return the XML without the appended data, these from their first byte on, and their encoding.

    The encoding is "raw" or "base64"; without appended data the last two are None and "". Raise FileFormatError if the
    end is missing or the encoding is another one.
    """
    data = _DECLARED.sub(b"", data.lstrip())
    found = _APPENDED.search(data)
    if found is None:
        return data, None, ""
    start, end = data.find(b"_", found.end()), data.rfind(b"</AppendedData")
    if start < 0 or end < start:
        raise FileFormatError("it is cut short: its appended data have no end.", remedy=EXPORT_AGAIN)
    encoding = _ENCODING.search(found[0])
    name = "base64" if encoding is None else encoding[1].decode().lower()
    if name not in ("raw", "base64"):
        raise FileFormatError(f"its appended data have the encoding {name!r}; expected 'raw' or 'base64'.")
    return data[: found.start()] + b"</VTKFile>", data[start + 1 : end], name


def _take_exactly(take: Callable[[int], bytes], count: int) -> bytes:
    """Return the next `count` bytes that `take` gives; raise ValueError if fewer remain."""
    found = take(count)
    if len(found) < count:
        raise ValueError(f"{count} bytes are promised and {len(found)} are there")
    return found


class _ByteReader:
    """A reader of bytes from a position on."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data, self.position, self.taken = data, start, 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer at the end of the data."""
        found = self.data[self.position : self.position + count]
        self.position, self.taken = self.position + count, self.taken + count
        return found


class _Base64Reader(_ByteReader):
    """A reader of base64 text that returns bytes; a header may be encoded with the data after it, or on its own."""

    decoded = b""

    def take(self, count: int) -> bytes:
        """Return the next `count` decoded bytes, fewer at the end of the data."""
        while len(self.decoded) < count:
            piece = self.data[self.position : self.position + 4 * -(-(count - len(self.decoded)) // 3)]
            padding = piece.find(b"=")
            if padding >= 0:
                piece = piece[: padding - padding % 4 + 4]
            if not piece:
                break
            self.decoded += base64.b64decode(piece, validate=True)
            self.position += len(piece)
        found, self.decoded = self.decoded[:count], self.decoded[count:]
        self.taken += count
        return found


# ---------------------------------------------------------------------------------------------------------------------
# Compression


def _decompressor(name: str) -> Callable[[bytes, int], bytes] | None:
    """Return the function that decompresses a block, given the size to expect; None for "", no compression.

    `name` is the compressor in VTK's words; raise FileFormatError if it is unknown.
    """
    known: dict[str, Callable[[bytes, int], bytes] | None] = {
        "": None,
        "vtkZLibDataCompressor": lambda data, size: zlib.decompress(data),
        "vtkLZMADataCompressor": lambda data, size: lzma.decompress(data),
        "vtkLZ4DataCompressor": _unpack_lz4,
    }
    if name not in known:
        raise FileFormatError(
            f"its compressor is {name!r}; expected one of {', '.join(filter(None, known))}.",
            remedy="Write it again with one of these, or without compression.",
        )
    return known[name]


def _unpack_lz4(data: bytes, size: int) -> bytes:
    """Return a decompressed block of LZ4, of at most `size` bytes.

    The block holds runs of literal bytes, each followed by a copy of earlier output. Raise ValueError if it is damaged.
    Ref: Y. Collet, "LZ4 Block Format Description", https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md.
    """
    out, position = bytearray(), 0

    def extended(length: int) -> int:
        nonlocal position
        if length == 15:
            while True:
                byte = data[position]
                position += 1
                length += byte
                if byte != 255:
                    break
        return length

    while position < len(data):
        token = data[position]
        position += 1
        literal = extended(token >> 4)
        out += data[position : position + literal]
        position += literal
        if position >= len(data):
            break  # the last run has no copy after it
        back = data[position] | data[position + 1] << 8
        position += 2
        length = extended(token & 15) + 4
        start = len(out) - back
        if back == 0 or start < 0 or len(out) + length > size:
            raise ValueError("its LZ4 block is damaged")
        if back >= length:
            out += out[start : start + length]
        else:  # the copy runs into what it writes
            out += (bytes(out[start:]) * (length // back + 1))[:length]
    return bytes(out)


def encode_array(values: Array) -> str:
    """Return an array's bytes as ``format="binary"`` stores them: zlib, base64, uint64 counts, little endian."""
    data = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
    blocks = [zlib.compress(data[k : k + _BLOCK]) for k in range(0, len(data), _BLOCK)]
    head = np.array([len(blocks), _BLOCK, len(data) % _BLOCK, *map(len, blocks)], dtype="<u8").tobytes()
    return (base64.b64encode(head) + base64.b64encode(b"".join(blocks))).decode()
