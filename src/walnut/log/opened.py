"""An opened frame: where each of its events lies is known, so that one is read without decoding the others."""

from __future__ import annotations

import msgspec

from walnut.log import frame
from walnut.model.event import Event

_envelopes = msgspec.msgpack.Decoder(list[msgspec.Raw])
_envelope = msgspec.msgpack.Decoder(frame.Envelope)


class Opened(msgspec.Struct, frozen=True):
    """A checked frame, its envelopes not decoded yet, and from where to where each salt and content lie."""

    header: frame.Header
    body: bytes
    envelopes: list[msgspec.Raw]
    spans: list[tuple[int, int] | None]

    def event(self, lsn: int) -> Event:
        """An event of this frame, decoded afresh: a caller may change what it was given. ValueError, FormatTooNew."""
        number = lsn - self.header.first_lsn
        envelope = frame.decoded("an envelope does", _envelope, self.envelopes[number])
        frame.check_envelope(envelope, lsn)
        return frame.event(self.header, lsn, envelope, self.body, self.spans[number])


def open_frame(header: frame.Header, body: bytes) -> Opened:
    """Find the events of a checked frame; ValueError when they are not those of the header, FormatTooNew."""
    frame.check_type(header)
    envelopes = frame.decoded("envelopes do", _envelopes, frame.envelope_section(body))
    if len(envelopes) != header.count:
        raise ValueError("number of envelopes is not the header's")
    return Opened(header, body, envelopes, frame.spans(header, body))
