"""Parses an HTML page into its elements and texts."""

from collections import Counter
from html.parser import HTMLParser

HOSTILE = "</title></style><script>alert('\"1\"')</script><img src=x onerror=alert(1)>&amp;"
"""A text that becomes markup where a page does not escape it."""


class Page(HTMLParser):
    """A page as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element and its attributes."""
        self.elements[tag] += 1
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)

    def says(self, text: str) -> int:
        """Return how many texts of the page contain this one."""
        return sum(text in each for each in self.texts)
