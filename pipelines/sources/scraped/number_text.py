"""A number as people write it, read exactly or not at all.

Without a declaration only what can be read in one way is read:

    1234        1.234.567      1,234.56      1.234,56      12.5      0,123      1'234      1 234 (no-break space)

`1,234` and `1.234` are a thousand and something in one country and one and something in another: they
are refused until the target declares its decimal mark. With it, blanks between digits group too.
`12.3k`, `3 Mio.`, `500+` and `~500` are rounded by the page: refused until the target declares
`inexact = true`. Text with two numbers in it is refused.
"""

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from itertools import pairwise
from typing import Literal

from pipelines.sources.scraped.outcomes import NoValueError

DecimalMark = Literal[".", ","]

SCALE = 9
_QUANTUM = Decimal(1).scaleb(-SCALE)
_LIMIT = Decimal(10) ** 29

# No-break, figure, thin and narrow no-break space: nobody puts these between two separate numbers.
_GROUPING_BLANKS = "\u00a0\u2007\u2009\u202f"
_APOSTROPHES = "'\u2019"
_MARKS = f".,{_GROUPING_BLANKS}{_APOSTROPHES}"

_NUMBER = re.compile(rf"[0-9]+(?:[{_MARKS}][0-9]+)*")
_NUMBER_WITH_BLANKS = re.compile(rf"[0-9]+(?:[{_MARKS} ][0-9]+)*")

_MULTIPLIERS = {
    "k": 10**3,
    "thousand": 10**3,
    "tsd": 10**3,
    "m": 10**6,
    "mn": 10**6,
    "mio": 10**6,
    "million": 10**6,
    "millions": 10**6,
    "b": 10**9,
    "bn": 10**9,
    "mrd": 10**9,
    "billion": 10**9,
    "lakh": 10**5,
    "crore": 10**7,
}
# Words for large numbers that mean different things in different languages, or that are not listed above.
_UNKNOWN_MULTIPLIERS = {"mil", "mila", "tys", "tis", "tn", "t", "milliard", "milliards", "millionen", "milliarden",
                        "billionen", "trillion", "mill", "mld", "tusen", "duizend", "mille", "mrd", "тыс", "млн",
                        "млрд", "万", "亿", "億", "千", "만", "억", "천"}  # fmt: skip
_FOLLOWING_WORD = re.compile(r"[ \u00a0\u202f\u2009]?([^\W\d_]+)")
_INEXACT_BEFORE = re.compile(r"[~≈<>≤≥±][ \u00a0]?$")
_INEXACT_AFTER = re.compile(r"[ \u00a0]?\+")
_SIGN_BEFORE = re.compile(r"(?:^|[\s(])([-\u2212+])$")


def number_in(text: str, decimal: DecimalMark | None = None, inexact: bool = False) -> Decimal:
    """Read the one number in a text, exactly.

    Raises NoValueError where there is none, more than one, or one that could mean two things.
    """
    blanks_group = decimal is not None
    matches = list((_NUMBER_WITH_BLANKS if blanks_group else _NUMBER).finditer(text))
    if not matches:
        raise NoValueError("bad_number" if any(character.isnumeric() for character in text) else "no_number")
    if len(matches) > 1:
        raise NoValueError(_reason_for_several(text, matches))
    match = matches[0]
    before, after = text[: match.start()], text[match.end() :]
    # Other scripts' digits, fractions and superscripts are numeric too, and are part of no number here.
    if any(character.isnumeric() and character not in _UNKNOWN_MULTIPLIERS for character in before + after):
        raise NoValueError("bad_number")
    value = _plain(match[0], decimal) * _multiplier(before, after, inexact)
    sign = _SIGN_BEFORE.search(before)
    return exact(-value if sign and sign[1] != "+" else value)


def exact(value: Decimal) -> Decimal:
    """Fit a number into the raw column: 29 digits before the decimal mark, 9 behind it (half to even)."""
    if not value.is_finite() or abs(value) >= _LIMIT:
        raise NoValueError("number_out_of_range")
    with localcontext() as context:
        context.prec = 60
        try:
            return value.quantize(_QUANTUM, rounding=ROUND_HALF_EVEN)
        except InvalidOperation as error:
            raise NoValueError("number_out_of_range") from error


def _reason_for_several(text: str, matches: list[re.Match[str]]) -> str:
    gaps = {text[left.end() : right.start()] for left, right in pairwise(matches)}
    threes = all(len(match[0]) == 3 for match in matches[1:])
    return "ambiguous_number" if gaps == {" "} and threes else "several_numbers"


def _plain(digits: str, decimal: DecimalMark | None) -> Decimal:
    """Read digits with marks between them."""
    marks = re.findall(r"[^0-9]", digits)
    grouping, fraction = digits, ""
    mark = decimal if decimal is not None else _decimal_mark(digits, marks)
    if mark is not None and mark in marks:
        grouping, _, fraction = digits.rpartition(mark)
    groups = re.split(r"[^0-9]", grouping)
    one_mark = len({character for character in grouping if not character.isdigit()}) <= 1
    if not one_mark or not _well_grouped(groups) or not (fraction or "0").isdigit():
        raise NoValueError("bad_number")
    return Decimal(f"{''.join(groups)}.{fraction or 0}")


def _decimal_mark(digits: str, marks: list[str]) -> str | None:
    """Tell which mark is the decimal one, where that follows from the digits alone."""
    last = marks[-1] if marks else ""
    if last not in {".", ","}:
        return None
    if len(set(marks)) > 1:
        return last
    if len(marks) > 1:
        return None
    whole, _, rest = digits.partition(last)
    if len(rest) == 3 and len(whole) <= 3 and not whole.startswith("0"):
        raise NoValueError("ambiguous_number")
    return last


def _well_grouped(groups: list[str]) -> bool:
    """Hold groups against thousands (1,234,567) and lakhs (12,34,567)."""
    if len(groups) == 1:
        return True
    lengths = [len(group) for group in groups]
    thousands = lengths[0] <= 3 and all(length == 3 for length in lengths[1:])
    lakhs = lengths[0] <= 2 and lengths[-1] == 3 and all(length == 2 for length in lengths[1:-1])
    return thousands or lakhs


def _multiplier(before: str, after: str, inexact: bool) -> int:
    word = _FOLLOWING_WORD.match(after)
    letters = word[1].lower() if word else ""
    first = letters[:1]
    if letters in _UNKNOWN_MULTIPLIERS - _MULTIPLIERS.keys() or first in _UNKNOWN_MULTIPLIERS - {"t"}:
        raise NoValueError("bad_number")
    multiplier = _MULTIPLIERS.get(letters, 1)
    rounded = multiplier != 1 or _INEXACT_BEFORE.search(before) or _INEXACT_AFTER.match(after)
    if rounded and not inexact:
        raise NoValueError("inexact_number")
    return multiplier
