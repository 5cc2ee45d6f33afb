"""Numbers as a reader meets them: three significant digits, real minus signs, thin spaces."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

THIN = "\u202f"
FIXED = "\u00a0"
MISSING = "–"
BOUNDED = (
    "pearson",
    "spearman",
    "kendall",
    "r2_identity",
    "sign_agreement",
    "within_sign",
    "cosine",
    "top_k_precision",
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Returns the value with three significant digits, a dash where there is none.

    Integers stay whole; magnitudes below 1e-3 or from 1e5 on are powers of ten.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    sign = "−" if value < 0 else ""
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e5:
        mantissa, exponent = f"{size:.2e}".split("e")
        return f"{sign}{mantissa}{THIN}×{THIN}10{superscript(int(exponent))}"
    if isinstance(value, int) or size >= 99.95:
        return sign + count(round(size))
    return sign + f"{size:#.3g}".rstrip(".")


def superscript(power: int) -> str:
    """Returns an exponent in raised digits."""
    return str(power).translate(_SUPERSCRIPT)


def whole(value: float | None) -> str:
    """Returns a count or a median of counts: whole where it is."""
    if value is not None and float(value).is_integer():
        return ("−" if value < 0 else "") + count(abs(value))
    return number(value)


def count(value: int | float) -> str:
    """Returns a whole number with thin spaces between groups of three digits."""
    return f"{int(value):,}".replace(",", THIN)


def plural(value: int, noun: str, many: str | None = None) -> str:
    """Returns `1 cell` or `16 cells`."""
    return f"{count(value)} {noun if value == 1 else many or noun + 's'}"


def interval(low: float | None, high: float | None) -> str:
    """Returns `[low, high]`, or nothing when there is no interval."""
    return "" if low is None or high is None else f"[{number(low)},{FIXED}{number(high)}]"


def metric_value(metric: str, value: float | None) -> str:
    """Returns a metric's value; bounded metrics have three decimals, or what their nines need."""
    return _metric(metric, value, _decimals(value))


def metric_interval(metric: str, value: float | None, low: float | None, high: float | None) -> str:
    """Returns `[low, high]` with as many decimals as any of the three needs."""
    if low is None or high is None:
        return ""
    decimals = _decimals(value, low, high)
    return f"[{_metric(metric, low, decimals)},{FIXED}{_metric(metric, high, decimals)}]"


def estimate(metric: str, value: float | None, low: float | None, high: float | None) -> str:
    """Returns `value [low, high]`, all with as many decimals as any of them needs."""
    decimals = _decimals(value, low, high)
    return f"{_metric(metric, value, decimals)} {metric_interval(metric, value, low, high)}".strip()


def _decimals(*values: float | None) -> int:
    """Enough decimals that nothing below one is printed as one, at least three."""
    missing = [1 - abs(value) for value in values if value is not None]
    near = min((gap for gap in missing if gap >= 1e-6), default=1.0)
    return 3 if near >= 1e-3 else math.floor(-math.log10(near)) + 1


def _metric(metric: str, value: float | None, decimals: int) -> str:
    if metric.strip("|") not in BOUNDED or value is None or not abs(value) <= 1:
        return number(value)
    rounded = round(value, decimals) + 0.0
    return ("−" if rounded < 0 else "") + f"{abs(rounded):.{decimals}f}"


def percent(share: float | None) -> str:
    """Returns a share as a percentage; only exactly one is 100 %, only exactly zero is 0 %."""
    if share is None:
        return MISSING
    if 0.9995 <= share < 1:
        return f"> 99.9{THIN}%"
    if 0 < share < 0.0005:
        return f"< 0.1{THIN}%"
    digits = 0 if share in (0.0, 1.0) or 0.1 <= share <= 0.99 or share > 1 else 1
    return f"{100 * share:.{digits}f}{THIN}%"


def ratio(value: float) -> str:
    """Returns one size as a percentage of another; it may exceed 100 % and rounds as numbers do."""
    return percent(value) if value < 0.1 else f"{count(round(100 * value))}{THIN}%"


def p_value(p: float | None) -> str:
    """Returns `p = 0.032`, or an upper bound where the value is below what doubles resolve."""
    if p is None or not math.isfinite(p):
        return f"p {MISSING}"
    return "p < 10⁻¹⁶" if p < 1e-16 else f"p = {number(p)}"


def duration(seconds: float | None) -> str:
    """Returns `0.41 s`, `29 s`, `4 min 12 s` or `2 h 03 min`."""
    if seconds is None:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.2g}{THIN}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60:02d}{THIN}min"


def memory(size: float | None) -> str:
    """Returns bytes as `0.91 GB` or `640 MB` (powers of ten)."""
    if size is None or size <= 0:
        return MISSING
    return f"{size / 1e9:.2g}{THIN}GB" if size >= 5e8 else f"{size / 1e6:.0f}{THIN}MB"


def moment(when: dt.datetime | None) -> str:
    """Returns `2026-01-05 14:03 UTC`."""
    return MISSING if when is None else f"{when:%Y-%m-%d %H:%M} UTC"


def listing(words: Sequence[str], most: int = 6) -> str:
    """Returns `a, b and c`, the tail counted when there are more than `most`."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {count(len(words) - most)} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plain(value: object) -> str:
    """Returns a cell of a data table: ASCII digits that can be copied, four significant ones."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
