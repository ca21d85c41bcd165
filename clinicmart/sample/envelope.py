"""X12 envelopes, and pieces of text that are put in order and joined.

A piece is one claim's or one line's segments; `Pieces` keeps them as columns until a file is cut from them.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample.clock import as_date


@dataclass(frozen=True)
class Pieces:
    """Texts in the order of their owners; `bounds[i]` to `bounds[i + 1]` belong to owner i; `segments` counts ends ("~")."""

    texts: pl.Series
    segments: np.ndarray
    bounds: np.ndarray

    @classmethod
    def of(cls, heads: pl.Series, lines: pl.Series, owner: np.ndarray) -> "Pieces":
        """One head an owner, its lines behind it; `owner` ascending."""
        size = len(heads)
        whose = np.concatenate([np.arange(size), owner])
        order = np.argsort(whose, kind="stable")
        texts = pl.concat([heads, lines]).gather(order)
        counts = texts.str.count_matches("~", literal=True).to_numpy().astype(np.int64)
        return cls(texts, np.append(0, np.cumsum(counts)), np.searchsorted(whose[order], np.arange(size + 1)))

    def cut(self, first: int, last: int) -> tuple[str, int]:
        """Text and number of segments of owners first to last - 1."""
        start, stop = int(self.bounds[first]), int(self.bounds[last])
        text = self.texts.slice(start, stop - start).str.join("").item() or ""
        return text, int(self.segments[stop] - self.segments[start])


def interchange(sender: str, receiver: str, day: int, control: int, kind: str, version: str, sets: list[str]) -> str:
    """ISA to IEA around transaction sets. `kind` is GS01 (HC for claims, HP for remittances)."""
    when = as_date(day)
    return (
        f"ISA*00*          *00*          *ZZ*{sender:<15}*ZZ*{receiver:<15}*{when:%y%m%d}*1800*^*00501*{control:09d}*0*T*:~"
        f"GS*{kind}*{sender}*{receiver}*{when:%Y%m%d}*1800*{control}*X*{version}~"
        f"{''.join(sets)}GE*{len(sets)}*{control}~IEA*1*{control:09d}~"
    )
