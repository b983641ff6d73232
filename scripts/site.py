"""The hooks of mkdocs.yml: the pages outside docs/ get into the site, and links lead to them there as on GitHub.

The Markdown files link to each other by their paths in the repository. The site has README.md as its first page, and
other files that a page links to, such as examples, as they are.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = "docs"
OUTSIDE: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "benchmarks/README.md": "benchmarks.md",
    "charts/forestall/README.md": "chart.md",
}
"""The pages outside docs/, by path in the repository: their paths in the site."""
_LINK: Final = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
_EXTERNAL: Final = re.compile(r"[a-z]+:|/")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the anchors of headings as GitHub does."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": anchor}
    return config


def anchor(heading: str, separator: str = "-") -> str:
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", separator)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, and every other file that a page links to."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    linked = {target for file in files.documentation_pages() for target in _linked(file)}
    for target in sorted(target for target in linked if (ROOT / target).is_file()):
        if files.get_file_from_path(_in_site(target)) is None:
            files.append(File.generated(config, _in_site(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 -- MkDocs names them
    """Rewrite links between files of the repository to links between files of the site."""
    source, here = _in_repository(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def rewrite(link: re.Match[str]) -> str:
        path, fragment = link[1], link[2] or ""
        if _EXTERNAL.match(path):
            return link[0]
        return posixpath.relpath(_in_site(_resolved(source, path)), here or ".") + fragment

    return _LINK.sub(rewrite, markdown)


def _linked(file: File) -> Iterator[str]:
    """Yield the paths in the repository that a page links to."""
    source = _in_repository(file.src_uri)
    for link in _LINK.finditer(file.content_string):
        if not _EXTERNAL.match(link[1]):
            yield _resolved(source, link[1])


def _resolved(source: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path))


def _in_repository(page: str) -> str:
    """Return the path in the repository of a page of the site."""
    outside = {inside: source for source, inside in OUTSIDE.items()}
    return outside.get(page, posixpath.join(DOCS, page))


def _in_site(path: str) -> str:
    """Return the path in the site of a file of the repository."""
    return OUTSIDE.get(path) or path.removeprefix(f"{DOCS}/")
