import pytest

from forestall.adapters.capacity import LEAST, MOST, most_series


@pytest.mark.parametrize(
    ("says", "count"), [("max\n", MOST), (f"{512 << 20}\n", 6007), ("1000\n", LEAST), (f"{1 << 62}\n", MOST)]
)
def test_memory_limit_of_the_container_bounds_the_series(tmp_path, says, count):
    path = tmp_path / "memory.max"
    path.write_text(says)
    assert most_series((path, tmp_path / "missing")) == count
