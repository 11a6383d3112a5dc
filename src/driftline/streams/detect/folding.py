"""How far back panes are kept one by one. What is older stands in their windows, which are their exact sums. Pure.

Two readers look back pane by pane: ADWIN, over the last ``LONGEST`` panes, and the effect of an episode since its onset. Both ask for no more
than ``reach`` allows, which depends on the pane that closes and on nothing else: so what they find is the same whether older panes have been
let go of already, or not yet.
"""

from __future__ import annotations

from driftline.streams.detect.series import LONGEST


def reach(start: int, pane: int, window: int) -> int:
    """Return the start of the first window whose panes may still be asked for one by one when the pane at ``start`` closes.

    >>> hour, day = 3_600_000, 86_400_000
    >>> (100 * day - reach(100 * day, hour, day)) // hour
    2016
    """
    return max(0, (start - LONGEST * pane) // window * window)


def horizon(watermark: int, wait: int, pane: int, window: int) -> int:
    """Return the event time before which no pane will be asked for any more, once everything due at a watermark has closed.

    A pane closes when the watermark has passed its end by ``wait``; so the next ones to close begin after ``watermark - wait - pane``.
    """
    return reach(max(0, watermark - wait - pane - window), pane, window)
