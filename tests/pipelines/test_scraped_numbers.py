"""Numbers as people write them: read exactly or not at all."""

from contextlib import suppress
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.scraped.number_text import number_in
from pipelines.sources.scraped.outcomes import NoValueError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1234", "1234"),
        ("1234 readers", "1234"),
        ("Readers: 1234.", "1234"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("12,34,567", "1234567"),
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("12.5", "12.5"),
        ("12,5 %", "12.5"),
        ("0.123", "0.123"),
        ("0,123", "0.123"),
        ("1234,567", "1234.567"),
        ("1\u00a0234", "1234"),
        ("1\u202f234,5", "1234.5"),
        ("1'234'567", "1234567"),
        ("1\u2019234.50", "1234.5"),
        ("-5", "-5"),
        ("\u22125.5", "-5.5"),
        ("+7", "7"),
        ("COVID-19", "19"),
        ("€ 1.234,50", "1234.5"),
    ],
)
def test_what_can_be_read_in_one_way_is_read(text: str, value: str) -> None:
    assert number_in(text) == Decimal(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_number"),
        ("none", "no_number"),
        ("1,234", "ambiguous_number"),
        ("1.234", "ambiguous_number"),
        ("12 345", "ambiguous_number"),
        ("1 of 2", "several_numbers"),
        ("12:30", "several_numbers"),
        ("2026-03-02", "several_numbers"),
        ("1e6", "several_numbers"),
        ("1/2", "several_numbers"),
        ("1,23,45", "bad_number"),
        ("1.234,567.8", "bad_number"),
        ("1'23", "bad_number"),
        ("3½", "bad_number"),
        ("5²", "bad_number"),
        ("١٢٣", "bad_number"),
        ("12.3k", "inexact_number"),
        ("3 Mio.", "inexact_number"),
        ("2 million", "inexact_number"),
        ("1.2M", "inexact_number"),
        ("500+", "inexact_number"),
        ("~500", "inexact_number"),
        ("> 500", "inexact_number"),
        ("3 mil", "bad_number"),
        ("5万", "bad_number"),
        ("3 Milliarden", "bad_number"),
        ("1" * 30, "number_out_of_range"),
    ],
)
def test_what_could_mean_two_things_is_refused(text: str, code: str) -> None:
    with pytest.raises(NoValueError) as refused:
        number_in(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("1,234", ".", "1234"),
        ("1.234", ",", "1234"),
        ("1,234", ",", "1.234"),
        ("1.234", ".", "1.234"),
        ("12 345", ",", "12345"),
        ("12 345,6", ",", "12345.6"),
        ("1,234,567.891", ".", "1234567.891"),
    ],
)
def test_a_declared_decimal_mark_settles_it(text: str, decimal: Literal[".", ","], value: str) -> None:
    assert number_in(text, decimal) == Decimal(value)


@pytest.mark.parametrize(("text", "decimal"), [("12.5", ","), ("1,5", "."), ("1,234.5", ",")])
def test_text_that_contradicts_the_declaration_is_refused(text: str, decimal: Literal[".", ","]) -> None:
    with pytest.raises(NoValueError) as refused:
        number_in(text, decimal)
    assert refused.value.code == "bad_number"


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.3k", 12_300), ("1,5 Mio.", 1_500_000), ("500+", 500), ("2 bn", 2 * 10**9), ("~7", 7)],
)
def test_rounded_figures_are_read_where_declared(text: str, value: int) -> None:
    assert number_in(text, inexact=True) == value


@given(
    st.decimals(min_value=-(10**15), max_value=10**15, places=2),
    st.sampled_from([",.", ".,", "\u00a0,", "'."]),
)
def test_every_number_comes_back_from_its_written_form(number: Decimal, marks: str) -> None:
    group, decimal = marks[0], marks[1]
    written = f"{number:,.2f}".replace(",", "G").replace(".", decimal).replace("G", group)
    mark: Literal[".", ","] = "." if decimal == "." else ","
    assert number_in(f"about {written} people", mark) == number


@given(
    st.text(st.characters() | st.sampled_from("0123456789.,' kK+~\u00a0")), st.sampled_from([None, ".", ","])
)
def test_any_text_is_a_number_or_a_reason(text: str, decimal: Literal[".", ","] | None) -> None:
    with suppress(NoValueError):
        assert number_in(text, decimal).is_finite()
