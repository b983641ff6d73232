"""A report as one HTML file that needs nothing else: no network, no script, and no style outside its one sheet."""

import html
from collections.abc import Iterable, Sequence

from forestall import __version__
from forestall.backtest.draw import PALETTE, SHAPES

_STYLE = (
    PALETTE
    + SHAPES
    + """
*{box-sizing:border-box}body{font:16px/1.55 system-ui,sans-serif;margin:0 auto;max-width:1000px;padding:1.2rem;
color:var(--ink);background:var(--paper);overflow-wrap:break-word}h1{font-size:1.7rem;margin:.4rem 0}
h2{font-size:1.3rem;margin:2.4rem 0 .4rem;border-top:1px solid var(--grid);padding-top:1.2rem}
p{max-width:46rem;margin:.5rem 0}.soft{color:var(--soft)}.problem{color:var(--limit);font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1rem 0}
.tile{border:1px solid var(--grid);border-radius:.6rem;padding:.7rem .8rem}.tile b{display:block;font-size:1.5rem}
.tile span{color:var(--soft);font-size:.85rem}.wide{overflow-x:auto;margin:.8rem 0}.wide>svg{min-width:740px;width:100%}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1rem}
.pair svg:not(.sign){width:100%}
figure{margin:0}figcaption{color:var(--soft);font-size:.88rem}pre{overflow-x:auto;font-size:.85rem}
footer{margin-top:2.4rem;border-top:1px solid var(--grid);padding-top:.8rem;font-size:.88rem;color:var(--soft)}
footer code,.query{overflow-wrap:anywhere}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;width:100%}
th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--grid)}td{white-space:nowrap}
th{color:var(--soft);font-weight:500;font-size:.85rem;vertical-align:bottom}td:first-child,th:first-child{text-align:left}
td.left,th.left{text-align:left;white-space:normal;min-width:16rem}tr.mine td{font-weight:600}
td:first-child{white-space:normal;min-width:9rem}
.sign{display:inline-block;vertical-align:-1px}.key span{display:inline-block;margin-right:1rem}
@media(max-width:760px){table,tbody,tr,td{display:block}tr:first-child{display:none}
tr{border-bottom:1px solid var(--grid);padding:.5rem 0}
td,td.left{border:0;padding:.1rem 0;white-space:normal;min-width:0;text-align:right;display:flex;gap:1rem;
justify-content:space-between}td.left{text-align:left}td:first-child{font-weight:600}
td[data-of]::before{content:attr(data-of);color:var(--soft);font-weight:400;text-align:left}td:empty{display:none}}
"""
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, body: str, command: str) -> str:
    """Return the file. `body` is HTML; `command` is the command line that made it."""
    by = f"Made by forestall {__version__}"
    how = f"{by}: <code>{html.escape(command)}</code>" if command else f"{by}."
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}<footer>{how}</footer></body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], *, prose: int | None = None) -> str:
    """Return a table that becomes a list of its rows where the page is narrow.

    `head` and the cells are text. A row is its cells, and whether it stands out; `prose` is the column with sentences.
    """

    def cells(row: Sequence[str]) -> str:
        parts = []
        for n, (name, text) in enumerate(zip(head, row, strict=True)):
            of = f' data-of="{html.escape(name, quote=True)}"' if name and n else ""
            left = ' class="left"' if n == prose else ""
            parts.append(f"<td{of}{left}>{html.escape(text)}</td>")
        return "".join(parts)

    titles = "".join(
        f"<th{' class=left' if n == prose else ''}>{html.escape(name)}</th>" for n, name in enumerate(head)
    )
    body = "".join(f"<tr{' class=mine' if mine else ''}>{cells(row)}</tr>" for row, mine in rows)
    return f'<div class="wide" tabindex="0"><table><tr>{titles}</tr>{body}</table></div>'


def chart(drawing: str) -> str:
    """Return a wide drawing in a frame in which it can be moved where the page is narrow."""
    return f'<div class="wide" tabindex="0">{drawing}</div>'


def key(signs: Iterable[tuple[str, str]]) -> str:
    """Return a legend: signs, and what each means."""
    return f'<p class="soft key">{" ".join(f"<span>{drawn} {html.escape(words)}</span>" for drawn, words in signs)}</p>'
