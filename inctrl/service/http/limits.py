"""What the service takes, and how long it waits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Every limit of the service; all hold for each request or connection on its own.

    file_bytes          bytes of one uploaded file
    request_bytes       bytes of a whole request body
    images              pictures in one request
    pixels              pixels of one picture
    queue               requests that wait for the model
    deadline            seconds until a request is answered, when it does not say
    longest_deadline    seconds that a request may ask for (header `Inctrl-Deadline`)
    head_seconds        seconds for a whole request head, from its first chance to arrive
    head_bytes          bytes of a request head
    body_seconds        seconds of waiting in which `body_step` bytes, or the end, must arrive
    body_step           bytes; with `body_seconds` the slowest body that is still read
    body_total_seconds  seconds of waiting for one body in all
    discard_bytes       bytes that are read and thrown away so that a refused client gets its reply
    discard_seconds     seconds for the same
    write_seconds       seconds in which a client must take `body_step` bytes of a waiting reply
    keep_alive_seconds  seconds that an idle connection stays open
    connections         open connections in all
    decode_seconds      seconds to decode one picture
    decode_bytes        bytes of address space of the process that decodes
    drain_seconds       seconds that work in flight gets after SIGTERM
    """

    file_bytes: int = 20_000_000
    request_bytes: int = 64_000_000
    images: int = 64
    pixels: int = 40_000_000
    queue: int = 32
    deadline: float = 10.0
    longest_deadline: float = 60.0
    head_seconds: float = 10.0
    head_bytes: int = 16_384
    body_seconds: float = 10.0
    body_step: int = 16_384
    body_total_seconds: float = 60.0
    discard_bytes: int = 8_000_000
    discard_seconds: float = 1.0
    write_seconds: float = 10.0
    keep_alive_seconds: int = 5
    connections: int = 512
    decode_seconds: float = 5.0
    decode_bytes: int = 1_500_000_000
    drain_seconds: float = 25.0
