"""MLLP frames (HL7 v2 Transport Specification: Minimal Lower Layer Protocol): bytes of a connection into messages.

A message is between 0x0B and 0x1C 0x0D. Also accepted: a frame without its last 0x0D, one without its 0x0B, line ends or zeros
between frames, several frames in one read, a frame in many. A frame that begins before the end of the previous frame replaces
it: its sender gave up and never got an acknowledgement.
"""

from dataclasses import dataclass, field

START, END, CARRIAGE_RETURN = b"\x0b", b"\x1c", b"\x0d"
_BETWEEN = b"\r\n\x00 \t"


class FrameTooLarge(Exception):
    """More bytes than a message may have, without an end. `head` are the first bytes."""

    def __init__(self, head: bytes) -> None:
        super().__init__("a frame is larger than allowed")
        self.head = head


@dataclass
class Frames:
    """Bytes of a connection that are not a whole message yet. `broken_off` counts messages that another one cut short."""

    limit_bytes: int
    broken_off: int = 0
    _rest: bytearray = field(default_factory=bytearray, repr=False)
    _searched: int = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of an unfinished message."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Adds bytes; gives the messages that are now whole, without their frames, in order. Raises FrameTooLarge."""
        self._rest += data
        frames = []
        while (end := self._rest.find(END, self._searched)) >= 0:
            content = self._content(bytes(self._rest[:end]))
            del self._rest[: end + 1]
            self._searched = 0
            if content:
                frames.append(content)
        self._drop_idle_bytes()
        self._searched = len(self._rest)
        if len(self._rest) > self.limit_bytes:
            raise FrameTooLarge(bytes(self._rest[:65_536]).lstrip(_BETWEEN + START))
        return frames

    def _content(self, frame: bytes) -> bytes:
        before, started, content = frame.rpartition(START)
        if started and before.strip(_BETWEEN + START):
            self.broken_off += 1
        if len(content) > self.limit_bytes:
            raise FrameTooLarge(content[:65_536])
        return content.strip(b"\r\n\x00")

    def _drop_idle_bytes(self) -> None:
        """Line ends and zeros between frames are no beginning of a message."""
        if self._rest and not self._rest.strip(_BETWEEN):
            self._rest.clear()


def framed(message: bytes) -> bytes:
    """A message in its frame."""
    return START + message + END + CARRIAGE_RETURN
