"""Estimates what inquiries to a teacher cost, before any of them is sent."""

from __future__ import annotations

from collections.abc import Iterable

from o3gym.geometry import fit, snap
from o3gym.media.images import shared_store
from o3gym.synthesis.asking import LEAST_PIXELS, AskedPolicy, Inquiry, Shown
from o3gym.synthesis.traces.pricing import MESSAGE_TOKENS, Price, picture_tokens, text_tokens


def asking_price(inquiries: Iterable[Inquiry], teacher: AskedPolicy, reply_tokens: int) -> tuple[Price, Price]:
    """Estimates what inquiries cost, as (expected, at most).

    Args:
        inquiries: what is asked.
        teacher: who is asked, with the token limit of a reply.
        reply_tokens: expected number of tokens of a reply.
    """
    expected, most = Price(), Price()
    for inquiry in inquiries:
        text = text_tokens(inquiry.system) + text_tokens(inquiry.text) + MESSAGE_TOKENS
        shown = _picture_tokens(inquiry.look, teacher.max_pixels) if inquiry.look else 0
        limit = teacher.sampling.max_tokens
        expected += Price(1, int(inquiry.look is not None), text + shown, min(reply_tokens, limit))
        most += Price(1, int(inquiry.look is not None), text + shown, limit)
    return expected, most


def _picture_tokens(look: Shown, max_pixels: int) -> int:
    x0, y0, x1, y1 = snap(look.box, shared_store().size(look.source))
    return picture_tokens(fit((x1 - x0, y1 - y0), min(LEAST_PIXELS, max_pixels // 4), max_pixels))
