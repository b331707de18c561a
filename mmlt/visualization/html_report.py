"""A page of tables and pictures in one file, which asks nothing of the network."""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape as escape_html
from typing import NamedTuple

_CSS = """
:root { color-scheme: light dark; --line: #ccc; --soft: #666; --stripe: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --soft: #aaa; --stripe: #222; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child { text-align: left; }
td { white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--stripe); }
figure { margin: 1.5rem 0; break-inside: avoid; }
figure img { max-width: min(100%, 46rem); background: white; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 46rem; }
@media print { body { margin: 0; max-width: none; } .wide { overflow: visible; } }
"""


class Table(NamedTuple):
    """Cells below a line of headings; the first cell of a row is its name.

    Attributes:
        columns (sequence): headings, that of the first column too.
        rows (sequence): of each row the cells, as text.
        caption (str): what is shown, with its unit.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ''


class Picture(NamedTuple):
    """A picture and what is seen in it.

    Attributes:
        png (bytes): as ``render(fig, 'png')`` returns them.
        caption (str): a sentence or two, also the text for those who do not see the picture.
    """

    png: bytes
    caption: str


def escape(text: str) -> str:
    """HTML's escapes; characters that turn or hide text become visible.

    Example:
        >>> escape('<b>\\x1b[1m')
        '&lt;b&gt;\\\\x1b[1m'
    """
    kept = (c if c.isprintable() or c in '\n\t' else ascii(c)[1:-1] for c in text)
    return escape_html(''.join(kept))


def html_page(title: str, sections: Mapping[str, Sequence[str | Table | Picture]]) -> str:
    """Lay out a page with everything in it: styles and pictures too, and no script.

    Args:
        title: Of the page and its first heading.
        sections: Heading -> paragraphs, tables and pictures in their order; '' has no heading.

    Raises:
        ValueError: A row of a table with another number of cells than there are columns.
        TypeError: A part that is none of the three.

    Example:
        >>> table = Table(['model', 'few'], [['CE', '41.20']], 'accuracy (%)')
        >>> page = html_page('CIFAR-10-LT', {'Accuracy': ['Of the last epoch.', table]})
        >>> '<th scope="row">CE</th><td>41.20</td>' in page
        True
    """
    body = []
    for heading, parts in sections.items():
        if heading:
            body.append(f'<h2>{escape(heading)}</h2>')
        body += map(_part, parts)
    return '\n'.join(
        [
            '<!DOCTYPE html>',
            '<html lang="en">',
            '<head>',
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<title>{escape(title)}</title>',
            f'<style>{_CSS}</style>',
            '</head>',
            '<body>',
            f'<h1>{escape(title)}</h1>',
            *body,
            '</body>',
            '</html>\n',
        ]
    )


def sortable_page(title: str, table: Table) -> str:
    """Lay out one table whose columns sort when their headings are clicked.

    The one page with a script: thirty lines that stand in it, and ask nothing of the network.
    Cells that are no numbers sort as text, empty ones last.

    Example:
        >>> page = sortable_page('Classes', Table(['class', 'accuracy'], [['cat', '50.0']]))
        >>> '<button>accuracy</button>' in page, page.count('<script>')
        (True, 1)
    """
    page = html_page(title, {'': [table]})
    page = re.sub(r'<th scope="col">(.*?)</th>', r'<th scope="col"><button>\1</button></th>', page)
    page = page.replace('</style>', f'{_SORT_CSS}</style>')
    return page.replace('</body>', f'<script>{_SORT}</script>\n</body>')


_SORT_CSS = """
thead button { font: inherit; font-weight: bold; background: none; border: 0; padding: 0; }
thead button { cursor: pointer; color: inherit; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
"""
_SORT = """
const heads = [...document.querySelectorAll('thead th')];
const body = document.querySelector('tbody');
heads.forEach((head, column) => head.firstChild.addEventListener('click', () => {
  const down = head.getAttribute('aria-sort') === 'ascending';
  heads.forEach(other => other.removeAttribute('aria-sort'));
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const text = row => row.children[column].textContent.trim();
  const rows = [...body.rows];
  const number = rows.every(row => !isNaN(text(row).replace(/^-$/, '')));
  rows.sort((a, b) => {
    const [x, y] = [text(a), text(b)];
    const missing = (x === '' || x === '-') - (y === '' || y === '-');
    if (missing) return missing;
    return (number ? x - y : x.localeCompare(y)) * (down ? -1 : 1);
  });
  body.append(...rows);
}));
"""


def _part(part: str | Table | Picture) -> str:
    if isinstance(part, str):
        return f'<p>{escape(part)}</p>'
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Picture):
        text, data = escape(part.caption), base64.b64encode(part.png).decode()
        image = f'<img alt="{text}" src="data:image/png;base64,{data}">'
        return f'<figure>{image}<figcaption>{text}</figcaption></figure>'
    raise TypeError(f'a part must be a str, a Table or a Picture, got {type(part).__name__}')


def _table(table: Table) -> str:
    rows = []
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(
                f'a row must have a cell for each of {len(table.columns)} columns, got {list(row)}'
            )
        name, *cells = (escape(cell) for cell in row)
        cells = ''.join(f'<td>{cell}</td>' for cell in cells)
        rows.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    head = ''.join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    caption = f'<caption>{escape(table.caption)}</caption>' if table.caption else ''
    return (
        f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div>'
    )
