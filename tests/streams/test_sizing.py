from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.summaries import BlockSummary, PanePart, SampleRow, decode_summary, encode_summary
from driftline.streams.sizing import LEFT_OUT, encode_sized

rows = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 400)), max_size=40, unique_by=lambda row: row[0])


@given(st.lists(rows, min_size=1, max_size=4), st.integers(800, 6_000))
def test_a_summary_fits_and_loses_nothing_but_the_sample_rows_of_the_greatest_places(samples: list[list[tuple[int, int]]], most: int) -> None:
    panes = [
        PanePart(
            "", "features", i, False, len(sample), b"", b"", b"", 1, 2, {"1": len(sample)},
            [SampleRow(place, f"e{place}", 1, "1", {"x": "y" * size}) for place, size in sample], {},
        )
        for i, sample in enumerate(samples)
    ]  # fmt: skip
    summary = BlockSummary("m", 0, 0, 0, 9, True, panes)
    raw = encode_sized(summary, most)
    if len(encode_summary(summary)) <= most:
        assert raw == encode_summary(summary)
        return
    assert len(raw) <= most
    found = decode_summary(raw)
    assert isinstance(found, BlockSummary)
    lost = []
    for before, after in zip(panes, found.panes, strict=True):
        assert (after.n, after.versions) == (before.n, before.versions)
        assert len(before.sample) == len(after.sample) + after.quality.get(LEFT_OUT, 0)
        lost += [row.place for row in before.sample if row not in after.sample]
    assert lost
    assert all(row.place <= min(lost) for part in found.panes for row in part.sample)
