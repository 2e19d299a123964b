import pytest

from reference.texts import Number, UnusableError, canonical, code, digits, flag, key, strict_object


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[]",
        b"7",
        b"null",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"b": {"a": 1, "a": 1}}',
        b'{"a": 01}',
        b'{"a": 1.}',
        b'{"a": +1}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"a": 1}',
        b'{"a": "\t"}',
        b'{"a": "\xff"}',
        b'\xc2\xa0{"a": 1}',
        b'{"a": "\\ud83d"}',
    ],
)
def test_what_is_not_one_json_object_is_refused(raw: bytes) -> None:
    assert strict_object(raw) is None


def test_numbers_keep_their_digits() -> None:
    assert strict_object(b'\t{"a": 12345678901234567890.5e-1, "b": {"c": true}} \r') == {
        "a": Number("12345678901234567890.5e-1"),
        "b": {"c": True},
    }


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("7e0", "7"),
        ("70e-1", "7"),
        ("0.7E+1", "7"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e5", "0"),
        ("-7.50", "-7.5"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12e-2", "0.12"),
        # The nearest double of this one ends in 7,616.
        ("12345678901234567890123", "12345678901234567890123"),
        # More digits than a decimal context of 28 keeps.
        ("0.12345678901234567890123456789012345", "0.12345678901234567890123456789012345"),
    ],
)
def test_a_number_is_written_in_digits_and_never_goes_through_a_double(number: str, expected: str) -> None:
    assert digits(number) == expected


def test_ids_are_trimmed_composed_and_blank_is_absent() -> None:
    assert canonical(" e-1\t") == "e-1"
    assert canonical("cafe\u0301") == canonical("caf\u00e9") == "caf\u00e9"
    assert canonical("\u00a0\u3000") is canonical("") is canonical(None) is None
    assert canonical("Ada") != canonical("ada")
    assert canonical(Number("7.0")) == canonical("7") == "7"
    assert canonical("7.0") == "7.0"


@pytest.mark.parametrize("value", [True, False, [], {}, ["7"]])
def test_a_boolean_a_list_or_an_object_is_no_id(value: object) -> None:
    with pytest.raises(UnusableError):
        canonical(value)


def test_odd_keys_and_codes_are_not_kept() -> None:
    assert key("a" * 128) == "a" * 128
    assert key("a" * 129) == key("ada@example.org") == key("a\x07b") == "(unprintable)"
    assert code("E_1.a-2") == "E_1.a-2"
    assert code(Number("404")) == "404"
    assert code("a" * 65) == code("no light") == code("\u00e9") == "(unprintable)"
    assert code(True) == code([]) == code({"code": 1}) == "(unprintable)"
    assert code(" ") is None


@pytest.mark.parametrize("value", [True, Number("1"), Number("1.0"), "1", "true", "TRUE", "Yes", " yes "])
def test_these_flag_test_traffic(value: object) -> None:
    assert flag(value)


@pytest.mark.parametrize("value", [False, None, Number("0"), "0", "", "  ", "False", "NO"])
def test_these_do_not_flag_test_traffic(value: object) -> None:
    assert not flag(value)


@pytest.mark.parametrize("value", ["maybe", "y", "on", Number("2"), [], {}, "null"])
def test_any_other_flag_cannot_be_read(value: object) -> None:
    with pytest.raises(UnusableError):
        flag(value)
