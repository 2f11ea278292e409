"""What a job costs: what it took, by prices that the machine was told when it was deployed (deploy/cost.py)."""

from __future__ import annotations

import msgspec

from mu.errors import BackendError
from mu.service.status import Status

__all__ = ["Prices"]


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars for one of each: fields are those of `Status` that cost something."""

    worker_s: float
    launched: float
    wall_s: float
    objects: float
    message_bytes: float

    @classmethod
    def read(cls, text: str) -> Prices | None:
        """From `worker_s=0.00002,launched=...`; None from nothing. Raises BackendError."""
        if not text:
            return None
        try:
            pairs = dict(pair.split("=", 1) for pair in text.split(","))
            return msgspec.convert(pairs, cls, strict=False)
        except (ValueError, msgspec.ValidationError) as error:
            raise BackendError(f"FASTSLOW_PRICES, {text[:200]!r}, are no prices: {error}") from error

    def of(self, status: Status) -> float:
        """Dollars so far."""
        return float(sum(getattr(self, field) * getattr(status, field) for field in self.__struct_fields__))
