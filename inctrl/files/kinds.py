"""What a file is by its first bytes, in words, where it is not what was asked for.

What is saved or copied as weights is often something else: the page around the file, the pointer
that a version control keeps in its place, the half of it that came.
"""

import re
import zipfile
from pathlib import Path

HEAD = 4096
TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Of a torch file from before they were zip archives, behind the number of the pickle protocol."""
OTHER = "give weights of torch or safetensors"
LONGEST_HEADER = 100_000_000
"""Bytes of the header of a safetensors file."""
SIGNATURES = (
    (b"version https://git-lfs", "the pointer of git-lfs, not the file itself; run `git lfs pull`"),
    (b"/annex/objects/", "the pointer of git-annex, not the file itself; run `git annex get`"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"BZh", "a bzip2 archive; unpack it"),
    (b"\xfd7zXZ", "an xz archive; unpack it"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (b"Rar!", "a rar archive; unpack it"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive; unpack it"),
    (b"%PDF", "a PDF document; give another file"),
    (b"\x89PNG", "a PNG image; give another file"),
    (b"\xff\xd8\xff", "a JPEG image; give another file"),
    (b"GIF8", "a GIF image; give another file"),
    (b"II*\0", "a TIFF image; give another file"),
    (b"MM\0*", "a TIFF image; give another file"),
    (b"\x89HDF", f"an HDF5 file, as Keras writes them; {OTHER}"),
    (b"\x93NUMPY", f"an array of NumPy; {OTHER}"),
    (b"GGUF", f"a GGUF file; {OTHER}"),
)
PAGE = re.compile(r"(<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(!doctype html|html|head|body|script|title)")


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like one of safetensors, whatever it is called."""
    head = _head(path)
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= LONGEST_HEADER


def told(path: Path, wanted: str = "") -> str | None:
    """'a web page (HTML); download the file itself', and the like.

    wanted   a beginning of such words that is right here, as 'JSON'
    None where the file begins like one of tensors.
    """
    found = _told(path)
    return None if found is None or (wanted and found.startswith(wanted)) else found


def _told(path: Path) -> str | None:
    if path.is_dir():
        return "a folder; give the file in it"
    head = _head(path)
    if not head:
        return "empty (0 bytes); copy or download it again"
    for start, words in SIGNATURES:
        if head.startswith(start):
            return words
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(path)
    if head[2:].startswith(TORCH) or is_safetensors(path):
        return None
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return f"a plain pickle, which could run code; {OTHER}"
    return _text(head)


def _archive(path: Path) -> str | None:
    """Of a zip archive; one of torch has a pickle in it, which is read for its tensors alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "cut off or damaged; copy or download it again"
    if any(name.endswith("/constants.pkl") for name in names):
        return "a program of TorchScript; give its state dict"
    if any(name.endswith("data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return f"an archive of NumPy arrays; {OTHER}"
    return f"a zip archive (of {names[0]!a:.60}); unpack it" if names else "an empty zip archive"


def _text(head: bytes) -> str:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8-sig", "replace").strip()
    if PAGE.match(text.lower()):
        return "a web page (HTML); download the file itself"
    if "\0" in text or text.count("\ufffd") > 1:  # one may be the letter at which the head ends
        return f"of no kind that is known; {OTHER}"
    if text.startswith("<?xml"):
        return "an XML document, as servers send with an error; download the file itself"
    if text.startswith(("{", "[")):
        return "JSON text, as servers send with an error; download the file itself"
    line = text.splitlines()[0] if text else ""
    return f"text ({line[:40]!a}); download the file itself"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)
