"""Dates as HTTP writes them (RFC 9110 section 5.6.7)."""

from __future__ import annotations

import calendar
import re
import time
from datetime import datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
)
_FAR = 50
"""Years: a date of two digits that lies further ahead means the century before."""


def parse_http_date(text: str, *, now: float | None = None) -> int | None:
    """Seconds since 1970 of a date in any of the three forms; None where it is none."""
    text = text.strip(" \t")
    match = next((m for form in _FORMS if (m := form.fullmatch(text))), None)
    if match is None:
        return None
    day, hour, minute, second = (int(match[n]) for n in ("day", "hour", "minute", "second"))
    year, month = int(match["year"]), _MONTHS.index(match["month"]) + 1
    if len(match["year"]) == 2:
        today = time.gmtime(now)[:6]
        year += today[0] - today[0] % 100
        if (year - _FAR, month, day, hour, minute, second) > today:
            year -= 100
    leap = second == 60  # the last second that Python knows, and one more
    try:
        when = datetime(year, month, day, hour, minute, second - leap)
    except ValueError:
        return None
    return calendar.timegm(when.timetuple()) + leap
