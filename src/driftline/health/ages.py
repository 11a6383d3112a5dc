"""How old the event time is that has been reached, in seconds of the wall clock."""

from __future__ import annotations

import time
from collections.abc import Iterable

from driftline.health.samples import Samples


def show_age(samples: Samples, source: str, watermarks: Iterable[int]) -> None:
    """Put the age of the least watermark (epoch ms) into the samples; one that is 0 has not begun and is left out."""
    begun = [mark for mark in watermarks if mark > 0]
    if begun:
        samples.add("driftline_watermark_age_seconds", time.time() - min(begun) / 1000, source)
