import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.core.quantity import to_milli
from forestall.errors import InvalidInput


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("250m", 250),
        ("1", 1000),
        (2, 2000),
        (0.5, 500),
        ("0.1", 100),
        (".5", 500),
        ("1Ki", 1_024_000),
        ("1.5Gi", 1_610_612_736_000),
        ("2k", 2_000_000),
        ("1e3", 1_000_000),
        ("1E3", 1_000_000),
        ("1E", 10**21),
        ("1Ei", 1024**6 * 1000),
        ("100n", 1),
        ("1500u", 2),
        ("0", 0),
        ("-1", -1000),
    ],
)
def test_quantities_as_kubernetes_writes_them(quantity, expected):
    assert to_milli(quantity) == expected


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1GiB", "one", "1e", "1e999", "nan", "--1", "1K"])
def test_an_invalid_quantity_is_rejected(text):
    with pytest.raises(InvalidInput, match="is not a quantity"):
        to_milli(text)


@given(st.integers(0, 10**15))
def test_milli_units_are_exact(number):
    assert to_milli(f"{number}m") == number
    assert to_milli(str(number)) == number * 1000
