"""How a rebased frame spends its bits: the quantizer policy.

libvpx puts over half of a chunk's bits into the key frame that a chain throws away, and plans on finding that quality
in its references. The policy puts it back where it lasts longest: into the first frame of a chunk, where that is
encoded anew in the key frame's place, or into the last, which becomes last, golden and altref for the next chunk; and
into libvpx's own golden frames. docs/decisions/0005 and 0009 tell how the numbers were found.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields, replace
from functools import cache, partial

from codec.quantization import AC_FACTORS, MAX_INDEX

TYPE_CHECKING = False  # as in frame.py
if TYPE_CHECKING:
    from codec.header import Header

__all__ = ["LIBVPX", "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What ``rebase`` may change about a frame's quantisation and filter.

    Shares are of the AC factor that the frame's own quantizer index stands for: of an ordinary frame, a golden one, a
    key frame, the last of a chunk, and a chunk's first where that is not rebased but encoded. Rates scale, for the
    same, the price of a bit, which is 0.028 times the square of the luma DC factor in squared pixel errors; intra
    macroblocks pay ``intra_rate`` of that. ``chroma`` is how much dearer a bit is for chroma than libvpx's trellis has
    it, where 2 is as dear as for luma. ``trellis`` False quantises by libvpx's dead zone, with more of it for calm
    macroblocks if ``mode_boosts``. ``filter_steps`` is how far the loop-filter level may move in search of a better
    one; 0 keeps the frame's own. ``redecide`` is how often a vector may move by the slopes of its prediction (see
    ``redecide.py``); 0 keeps all vectors. A share between two quantizers takes the coarser one when it is nearer to it
    than ``rounding``, of the way from one to the other.
    """

    share: float = 1.0
    golden_share: float = 1.1
    key_share: float = 3.0
    last_share: float = 0.48
    first_share: float = 0.45
    rate: float = 0.75
    last_rate: float = 0.8
    golden_rate: float = 1.0
    key_rate: float = 1.0
    intra_rate: float = 1.0
    chroma: float = 1.7
    trellis: bool = True
    mode_boosts: bool = True
    filter_steps: int = 0
    redecide: int = 2
    rounding: float = 0.5

    def _share(self, header: Header, last: bool) -> float:
        if header.key_frame:
            return self.key_share
        if header.refresh_golden:
            return self.golden_share
        return self.last_share if last else self.share

    def coarser(self, factor: float, rounding: float = 0.5) -> Policy:
        """Return the policy with all its shares times ``factor``: above 1 for fewer bits, below for more.

        Frames whose ``rounding`` varies from 0 to 1 have quantizers that are ``factor`` times as coarse on average.
        """
        shares = {field.name: getattr(self, field.name) for field in fields(self) if field.name.endswith("share")}
        return replace(self, rounding=rounding, **{name: share * factor for name, share in shares.items()})

    def first(self, index: int, frames: int) -> int:
        """Return the quantizer index for the first of so many ``frames`` of a chunk whose others have this one.

        The fewer frames a chunk has, the less a fine first one pays: alone it is an ordinary frame.
        """
        return _scaled(index, self.share * (self.first_share / self.share) ** min(1, (frames - 1) / 5), self.rounding)

    def quantizers(self, header: Header, last: bool) -> Header:
        """Return the header with the quantizer indices that the frame shall have, those of its segments too."""
        share = self._share(header, last)
        if share == 1:
            return header
        scaled = partial(_scaled, share=share, rounding=self.rounding)
        segmentation = header.segmentation
        base = scaled(header.quantizer_index)
        if header.segmentation_enabled:
            own = segmentation.quantizers
            if segmentation.absolute:
                new = [scaled(index) for index in own]
            else:
                new = [scaled(min(max(header.quantizer_index + delta, 0), MAX_INDEX)) - base for delta in own]
            segmentation = replace(segmentation, quantizers=(new[0], new[1], new[2], new[3]))
        return replace(header, quantizer_index=base, segmentation=segmentation)

    def bit_price(self, header: Header, last: bool, factor: int) -> float:
        """Return how much squared pixel error one bit is worth to an inter macroblock with this luma DC factor."""
        rate = self.rate
        if header.key_frame:
            rate = self.key_rate
        elif last:
            rate = self.last_rate
        elif header.refresh_golden:
            rate = self.golden_rate
        return 0.028 * factor**2 * rate


LIBVPX = Policy(share=1, golden_share=1, key_share=1, last_share=1, trellis=False, redecide=0)
"""What libvpx does at cpu-used above 0: its own quantizers and filter, and its dead zone."""


@cache
def _scaled(index: int, share: float, rounding: float) -> int:
    """Return the quantizer index whose AC factor is ``share`` of that of ``index``, or next to that."""
    wanted = AC_FACTORS[index] * share
    below = max(bisect_right(AC_FACTORS, wanted) - 1, 0)
    if below == MAX_INDEX:
        return below
    part = (wanted - AC_FACTORS[below]) / (AC_FACTORS[below + 1] - AC_FACTORS[below])
    return below + (part > 1 - rounding)
