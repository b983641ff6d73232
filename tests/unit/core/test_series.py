"""Laws of the matrix of recent points."""

import numpy as np
import pytest

from forestall.core.series import SeriesMatrix

START = 1_700_000_000.0


def column(matrix, key, length):
    assert matrix.head is not None
    return matrix.window(matrix.head, length, slice(0, matrix.height))[:, matrix.rows[key]].tolist()


def assert_same(actual, expected):
    np.testing.assert_array_equal(actual, expected)


def test_a_ring_keeps_the_newest_columns():
    matrix = SeriesMatrix(10, 4)
    for index in range(7):
        matrix.push(START + 10 * index, {"a": index})
    assert_same(column(matrix, "a", 4), [3, 4, 5, 6])
    assert_same(column(matrix, "a", 5), [np.nan, 3, 4, 5, 6])


def test_absent_and_non_finite_values_are_gaps_and_never_zero():
    matrix = SeriesMatrix(10, 8)
    for index, value in enumerate([1.0, np.nan, np.inf, -np.inf, 1e39, 2.0]):
        matrix.push(START + 10 * index, {"a": value, "b": 1.0})
    matrix.push(START + 60, {"b": 1.0})
    assert_same(column(matrix, "a", 7), [1, np.nan, np.nan, np.nan, np.nan, 2, np.nan])
    assert matrix.age(START + 60)[matrix.rows["a"]] == 10
    assert matrix.latest()[matrix.rows["a"]] == 2


def test_a_series_without_any_point_is_infinitely_old():
    matrix = SeriesMatrix(10, 8)
    matrix.row("a")
    assert matrix.age(START).tolist() == [np.inf]


def test_a_jump_of_the_clock_ahead_leaves_gaps():
    matrix = SeriesMatrix(10, 5)
    matrix.push(START, {"a": 1})
    matrix.push(START + 30, {"a": 2})
    assert_same(column(matrix, "a", 5), [np.nan, 1, np.nan, np.nan, 2])
    matrix.push(START + 10_000, {"a": 3})
    assert_same(column(matrix, "a", 5), [np.nan, np.nan, np.nan, np.nan, 3])


def test_a_clock_that_is_turned_back_does_not_hide_what_comes():
    matrix = SeriesMatrix(10, 5)
    matrix.push(START, {"a": 1})
    matrix.push(START + 10, {"a": 2})
    matrix.push(START - 3600, {"a": 3})
    matrix.push(START - 3590, {"a": 4})
    assert_same(column(matrix, "a", 5), [np.nan, 1, 2, 3, 4])
    assert matrix.age(START - 3590).tolist() == [0]
    assert matrix.age(START - 3550).tolist() == [40]


def test_points_of_one_cycle_meet_in_one_column_in_spite_of_jitter():
    matrix = SeriesMatrix(10, 5)
    matrix.push(START + 2, {"a": 1})
    matrix.push(START + 3, {"b": 2})
    assert_same(column(matrix, "a", 1), [1])
    assert_same(column(matrix, "b", 1), [2])


def test_backfill_writes_the_past_in_any_order():
    matrix = SeriesMatrix(10, 4)
    matrix.push(START, {"a": 9})
    version = matrix.versions[0]
    matrix.backfill("a", [START - 10, START - 30, START - 20, START - 900], [3, 1, np.nan, 7])
    assert_same(column(matrix, "a", 4), [1, np.nan, 3, 9])
    assert matrix.age(START).tolist() == [0]
    assert matrix.versions[0] != version


def test_backfill_of_a_new_matrix_starts_it():
    matrix = SeriesMatrix(10, 4)
    matrix.backfill("a", [START, START + 10], [1, 2])
    assert_same(column(matrix, "a", 2), [1, 2])
    matrix.push(START + 20, {"a": 3})
    assert_same(column(matrix, "a", 3), [1, 2, 3])


def test_the_rows_of_forgotten_series_are_used_again_without_their_past():
    matrix = SeriesMatrix(10, 4)
    for index in range(3):
        matrix.push(START + 10 * index, {f"{name}": index for name in range(200)})
    matrix.retain({"0", "7"})
    assert set(matrix.rows) == {"0", "7"}
    assert matrix.height == 200
    matrix.row("new")
    assert matrix.height == 200
    assert_same(column(matrix, "new", 3), [np.nan] * 3)
    assert_same(column(matrix, "7", 3), [0, 1, 2])


@pytest.mark.parametrize(("step", "capacity"), [(0, 10), (-1, 10), (float("nan"), 10), (1, 1)])
def test_an_invalid_grid_is_rejected(step, capacity):
    with pytest.raises(ValueError, match="must be"):
        SeriesMatrix(step, capacity)


def test_times_and_values_must_match():
    with pytest.raises(ValueError, match="2 times for 1 values"):
        SeriesMatrix(10, 4).backfill("a", [START, START + 10], [1])
