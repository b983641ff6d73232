import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forestall.errors import InvalidInput
from forestall.inputs import tables
from forestall.inputs.tables import Column
from forestall.ports import RangeSeries


def test_a_wide_file_has_a_column_for_each_indicator(write):
    path = write("a.csv", "time,busy,shop/memory\n2026-03-01T00:00:00Z,1,5\n2026-03-01T00:01:00Z,2,\n")
    busy, memory = tables.read(path)
    assert busy == Column(
        "", "busy", (RangeSeries((), (1772323200.0, 1772323260.0), (1.0, 2.0)),), f"{path}, column busy"
    )
    assert (memory.objective, memory.indicator) == ("shop", "memory")
    assert memory.series[0].times == (1772323200.0,)


def test_a_long_file_has_labels(write):
    path = write(
        "a.csv",
        "time,objective,indicator,value,pod,node\n60,shop,memory,1,a,n1\n0,shop,memory,3,a,n1\n0,shop,memory,2,b,\n0,,sli,0,,\n",
    )
    memory, sli = tables.read(path)
    assert (memory.objective, memory.indicator) == ("shop", "memory")
    assert memory.series == (
        RangeSeries((("node", "n1"), ("pod", "a")), (0.0, 60.0), (3.0, 1.0)),
        RangeSeries((("pod", "b"),), (0.0,), (2.0,)),
    )
    assert sli == Column("", "sli", (RangeSeries((), (0.0,), (0.0,)),), str(path))


@pytest.mark.parametrize(
    "text",
    [
        "1772323200",
        "1772323200.0",
        "1772323200000",
        "1772323200000000",
        "1772323200000000000",
        "1.7723232e18",
        "2026-03-01",
        "2026-03-01 00:00",
        "2026-03-01T01:00:00+01:00",
    ],
)
def test_times_have_several_formats(write, text):
    (column,) = tables.read(write("a.csv", f"timestamp,value\n{text},1\n"))
    assert column.series[0].times == (1772323200.0,)
    assert column.indicator == ""


@pytest.mark.parametrize("cell", ["", "  ", "NaN", "inf", "-Inf", "null", "undefined", "N/A", "-", '"null"'])
def test_gaps_have_no_values(write, cell):
    (column,) = tables.read(write("a.csv", f"time,busy\n0,1\n60,{cell}\n120,3\n"))
    assert column.series[0].times == (0.0, 120.0)


def test_the_last_of_several_samples_at_a_time_wins(write):
    (column,) = tables.read(write("a.csv", "time,busy\n60,1\n0,2\n60,3\n\n"))
    assert (column.series[0].times, column.series[0].values) == ((0.0, 60.0), (2.0, 3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column `time`; its columns are none: it is empty"),
        ("when,busy\n1,2\n", "no column `time`; its columns are when, busy"),
        ("time\n1\n", "no column beside `time`"),
        ("time,busy,busy\n1,2,3\n", "line 1: two columns have the same name"),
        ("time,busy\n0,1\n60,much\n", "line 3: 'much' is not a number (column busy)"),
        ("time,busy\nyesterday,1\n", "line 2: 'yesterday' is not a time: write 2026-01-31T12:00:00Z"),
        ("time,busy\nnan,1\n", "line 2: 'nan' is not a time"),
        ("time,busy\n0,1,2\n", "line 2: 3 cells for 2 columns"),
        ("time,busy\n0,\n", "the file has no values"),
        ("time,value\n0,x\n", "line 2: 'x' is not a number (column value)"),
        ("time,value\n1e22,1\n", "line 2: '1e22' is not a time between 1970 and 9999, counted in s, ms, µs or ns"),
        ("time,value\n-60,1\n", "line 2: '-60' is not a time between 1970 and 9999"),
        ("sep=;\ntime;value\n0;x\n", "line 3: 'x' is not a number"),
        ("time,value\n0,12.3 ms\n", "line 2: '12.3 ms' has a unit: export plain numbers (in Grafana,"),
        ("time,value\n0,45%\n", "line 2: '45%' has a unit"),
        ('time,value\n0,"1,234.5"\n', "line 2: '1,234.5' has thousands separators"),
        ('time;value\n0;"1.5 Mio"\n', "line 2: '1.5 Mio' has a unit"),
    ],
)
def test_invalid_files_are_refused_with_file_and_line(write, text, message):
    path = write("a.csv", text)
    with pytest.raises(InvalidInput) as error:
        tables.read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_missing_or_binary_history_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.csv can't be read: No such file"):
        tables.read(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"time,busy\n\xff\xfe\x00\n")
    with pytest.raises(InvalidInput, match=r"b\.csv can't be read"):
        tables.read(tmp_path / "b.csv")


@given(text=st.text(max_size=80), head=st.sampled_from(["", "time,busy\n", "time,value,pod\n"]))
def test_any_content_is_read_or_refused(tmp_path_factory, text, head):
    path = tmp_path_factory.mktemp("any") / "a.csv"
    path.write_bytes((head + text).encode("utf-8", "surrogatepass"))
    with suppress(InvalidInput):
        assert all(
            list(series.times) == sorted(series.times) for column in tables.read(path) for series in column.series
        )


def test_parquet_is_read_like_csv(tmp_path, write):
    arrow = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    times = arrow.array([0, 60_000_000, 120_000_000], arrow.timestamp("us", tz="UTC"))
    parquet.write_table(arrow.table({"time": times, "busy": [1.0, None, 3.0]}), tmp_path / "a.parquet")
    (column,) = tables.read(tmp_path / "a.parquet")
    (csv_column,) = tables.read(write("a.csv", "time,busy\n0,1\n60,\n120,3\n"))
    assert column.series == csv_column.series
    parquet.write_table(arrow.table({"time": times, "busy": ["1", "x", "3"]}), tmp_path / "b.parquet")
    with pytest.raises(InvalidInput, match=r"b\.parquet, row 2: 'x' is not a number"):
        tables.read(tmp_path / "b.parquet")
    write("c.parquet", "this is none")
    with pytest.raises(InvalidInput, match=r"c\.parquet can't be read"):
        tables.read(tmp_path / "c.parquet")


def test_without_pyarrow_parquet_is_refused_with_advice(write, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InvalidInput, match=r"pip install 'forestall\[parquet\]'"):
        tables.read(write("a.parquet", "any"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('"Time","requests"\n2026-03-01 00:00:00,1.5\n2026-03-01 00:01:00,null\n2026-03-01 00:02:00,3\n', "utf-8"),
        ('sep=,\n"Time","requests"\n1772323200000,1.5\n1772323260000,undefined\n1772323320000,3\n', "utf-8-sig"),
        ('"Time";"requests"\n1772323200000;1,5\n1772323320000;3\n', "utf-8"),
        ("sep=;\nTime;requests\n1772323200;1,5\n1772323320;3,0\n", "utf-16"),
        ('sep=\t\n"Time"\t"requests"\n1772323200000\t1.5\n\n1772323320000\t3\n', "utf-8"),
        ('Time,"requests"\r\n1772323200000000000,1.5\r\n1772323320000000000,3\r\n', "utf-8"),
    ],
)
def test_csv_exports_of_tools_are_read(tmp_path, text, encoding):
    """The kind: a file in the format of a single program."""
    path = tmp_path / "export.csv"
    path.write_bytes(text.encode(encoding))
    (column,) = tables.read(path)
    assert (column.objective, column.indicator) == ("", "requests")
    assert column.series == (RangeSeries((), (1772323200.0, 1772323320.0), (1.5, 3.0)),)


def test_columns_named_like_series_have_labels(write):
    head = r'''"Time","memory{pod=""a"", node=""n1""}","memory{pod=""b\""c""}","{pod=""d(""}"'''
    memory, nameless = tables.read(write("a.csv", f"{head}\n0,1,2,3\n60,,4,5\n"))
    assert memory.indicator == "memory"
    assert memory.series == (
        RangeSeries((("node", "n1"), ("pod", "a")), (0.0,), (1.0,)),
        RangeSeries((("pod", 'b"c'),), (0.0, 60.0), (2.0, 4.0)),
    )
    assert (nameless.indicator, nameless.series[0].labels) == ("", (("pod", "d("),))


@pytest.mark.parametrize(
    "name", ["Value", "Value #A", "A-series", "sum(rate(x[5m]))", 'max by (pod) (memory{a=""b""})']
)
def test_a_query_as_column_name_counts_as_no_name(write, name):
    (column,) = tables.read(write("a.csv", f'"Time","{name}"\n0,1\n'))
    assert (column.indicator, column.series[0].labels) == ("", ())


MATRIX = '[{"metric":{"__name__":"x","pod":"a"},"values":[[1772323200,"1.5"],[1772323260.5,"NaN"],[1772323320,"3"]]}]'


@pytest.mark.parametrize(
    "text",
    [
        f'{{"status":"success","data":{{"resultType":"matrix","result":{MATRIX}}}}}',
        f'{{"resultType":"matrix","result":{MATRIX}}}',
        MATRIX,
    ],
)
def test_a_prometheus_response_belongs_to_the_indicator_in_its_file_name(write, text):
    (column,) = tables.read(write("memory.json", text))
    assert column.indicator == "memory"
    assert column.series == (RangeSeries((("pod", "a"),), (1772323200.0, 1772323320.0), (1.5, 3.0)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "can't be read"),
        ('{"status":"error","errorType":"bad_data","error":"parse error"}', "the response is an error: parse error"),
        ('{"status":"success","data":{"resultType":"vector","result":[]}}', "it is an instant query (vector)"),
        ('{"a":1}', "it is not a response of Prometheus"),
        ("[1]", "series 1: it is not a response"),
        ('[{"metric":{},"values":[[1]]}]', "series 1: [1] is not a time and a number"),
        ('[{"metric":{},"values":[["x","1"]]}]', "series 1: 'x' is not a time"),
        ('[{"metric":{},"histograms":[]}]', "series 1: it has native histograms"),
        ("[]", "the file has no values"),
    ],
)
def test_other_json_is_refused(write, text, message):
    path = write("memory.json", text)
    with pytest.raises(InvalidInput) as error:
        tables.read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_series_of_several_metrics_keep_their_names(write):
    body = [{"metric": {"__name__": name, "pod": "a"}, "values": [[1772323200, "1"]]} for name in ("x", "y")]
    (column,) = tables.read(write("memory.json", json.dumps(body)))
    assert [series.labels for series in column.series] == [
        (("__name__", "x"), ("pod", "a")),
        (("__name__", "y"), ("pod", "a")),
    ]
