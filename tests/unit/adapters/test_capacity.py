import pytest

from forestall.adapters.capacity import LEAST, MOST, most_series


@pytest.mark.parametrize(
    ("says", "count"), [("max\n", MOST), (f"{512 << 20}\n", 6007), ("1000\n", LEAST), (f"{1 << 62}\n", MOST)]
)
def test_a_container_s_memory_limit_bounds_the_series_that_are_kept(tmp_path, says, count):
    path = tmp_path / "memory.max"
    path.write_text(says)
    assert most_series((path, tmp_path / "missing")) == count
