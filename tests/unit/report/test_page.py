"""The parts of report pages, and the page around them."""

import re
from xml.etree import ElementTree as ET

import pytest
from jinja2 import UndefinedError
from tests.support.pages import HOSTILE

from forestall import __version__
from forestall.report.chart import Axis, Plot, legend_sign, standalone, svg
from forestall.report.page import Table, render, template_environment
from forestall.report.style import PALETTE


def part(name, value):
    source = "{% import 'parts.html' as parts %}{{ parts." + name + "(value) }}"
    return template_environment().from_string(source).render(value=value)


def test_a_legend_has_the_style_of_its_curves():
    text = part("key", [(legend_sign("line", "needed"), "needed <now>")])
    assert text.count('class="needed"') == 1
    assert "needed &lt;now&gt;" in text


def test_table_cells_name_their_column_on_narrow_pages():
    text = part("table", Table(["", "bad minutes", "why"], [(["HPA", "8", "<b>"], True)], prose=2))
    row = ET.fromstring(text)
    cells = [(cell.get("data-of"), cell.text, cell.get("class")) for cell in row.iter("td")]
    assert cells == [(None, "HPA", None), ("bad minutes", "8", None), ("why", "<b>", "left")]
    assert [line.get("class") for line in row.iter("tr")] == [None, "mine"]


def test_a_table_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="zip"):
        part("table", Table(["", "why"], [(["HPA"], False)]))


def test_a_report_has_version_command_and_content_security_policy():
    text = render("page.html", title="<x>", command="forestall backtest -f 'a&b'")
    assert f"Made by forestall {__version__}: <code>forestall backtest -f &#39;a&amp;b&#39;</code>" in text
    assert "default-src 'none'" in text
    assert "<title>&lt;x&gt;</title>" in text
    assert 'style="' not in text
    assert "(max-width:760px)" in text
    assert f"Made by forestall {__version__}.</footer>" in render("page.html", title="x")


def test_an_undefined_template_value_is_an_error():
    """The kind: a template and its values differ, with nothing where a figure should be."""
    with pytest.raises(UndefinedError, match="intro"):
        render("simulate.html", title="x")


def test_chart_text_is_escaped():
    """The kind: a name from a cluster becomes markup in a file that people open."""
    plot = Plot(Axis(0, 1, 0, 100), Axis(0, 1, 100, 0))
    plot.text(1, 1, HOSTILE)
    plot.horizontal_line(0.5, "limit", HOSTILE)
    plot.vertical_line(0.5, "now", HOSTILE)
    plot.tooltip(0, 1, HOSTILE)
    plot.triangle(0.5, 1, "good", HOSTILE, down=True)
    plot.dot(0.5, 0.5, 2, "dot", HOSTILE)
    plot.tick_x(0.5, HOSTILE)
    plot.tick_y(0.5, HOSTILE)
    plot.legend(0, 10, [("line", "value", HOSTILE)])
    drawing = svg(100, 100, [plot], HOSTILE)
    root = ET.fromstring(drawing)
    assert root.get("aria-label") == HOSTILE
    assert [element.text for element in root.iter() if element.text] == [HOSTILE] * 9
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    assert ET.fromstring(standalone(drawing)).get("aria-label") == HOSTILE
    assert "<script" not in part("chart", drawing)


def test_a_chart_that_is_not_markup_is_escaped():
    assert part("chart", "<svg/>").strip() == '<div class="wide" tabindex="0">&lt;svg/&gt;</div>'


def test_light_and_dark_have_the_same_colors():
    light, dark = PALETTE.split("@media")
    assert set(re.findall(r"--\w+", dark)) == set(re.findall(r"--\w+", light))
