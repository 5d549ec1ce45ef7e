"""Groups of duplicates as one self-contained HTML page: no script, no other file, no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Iterator, Sequence

from common.printable import printable
from common.uris import public_uri
from storyhash.duplicates.file_reading import Thumbnail
from storyhash.duplicates.moments import Moment
from storyhash.duplicates.report import GroupReport, GroupRow, bytes_text, part_text, picture_text

_STYLE = """
:root { color-scheme: light dark; --text: #1c1c1e; --quiet: #5f6368; --page: #f6f6f7; --card: #fff;
  --line: #d8d8dc; --best: #1a6b37; }
@media (prefers-color-scheme: dark) { :root { --text: #ececee; --quiet: #a3a3a9; --page: #161618;
  --card: #232326; --line: #3a3a3e; --best: #7ed59a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; background: var(--page); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; } h3 { font-size: 1rem; margin: 0; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 1rem 0; }
article { border-top: 1px solid var(--line); padding: .7rem 0; }
p { margin: .15rem 0; } .quiet { color: var(--quiet); font-size: .9rem; }
.best { color: var(--best); font-weight: 600; }
.moments { display: flex; flex-wrap: wrap; gap: .6rem; margin-top: .5rem; }
figure { margin: 0; flex: 1 1 16rem; max-width: 27rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; }
img, .none { width: 100%; height: 9rem; object-fit: contain; background: #000; border-radius: .2rem; }
.none { display: grid; place-items: center; padding: .4rem; color: #ccc; font-size: .8rem;
  overflow: hidden; text-align: center; }
figcaption { color: var(--quiet); font-size: .8rem; }
"""
_HEAD = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Duplicate videos</title><style>{_STYLE}</style></head><body>
<h1>Duplicate videos</h1>
<p class="quiet">The copy with the best picture comes first: more pixels, then more bits per second, then
 longer. Excerpts come after the copies.</p>
"""


def page(
    reports: Iterable[GroupReport],
    moments_of: Callable[[GroupRow], Sequence[Moment]],
    closing: Callable[[], Sequence[str]],
) -> Iterator[str]:
    """The page piece by piece, so that memory never contains all of it. closing: returns the lines for
    its end; called when all groups are written."""
    yield _HEAD
    empty = True
    for report in reports:
        empty = False
        yield from _section(report, moments_of)
    if empty:
        yield "<p>No duplicates were found.</p>\n"
    for line in closing():
        yield f"<p>{_text(line)}</p>\n"
    yield "</body></html>\n"


def _section(
    report: GroupReport, moments_of: Callable[[GroupRow], Sequence[Moment]]
) -> Iterator[str]:
    yield f"<section><h2>{_text(report.heading)}</h2>\n"
    for row in report.rows:
        yield _article(row, moments_of(row))
    if report.shown_parts:
        yield "<article><h3>Shared parts</h3>\n"
        yield from (
            f'<p class="quiet">{_text(part_text(part))}</p>\n' for part in report.shown_parts
        )
        yield "</article>\n"
    yield "</section>\n"


def _article(row: GroupRow, moments: Sequence[Moment]) -> str:
    video, size = row.video, row.ranked.size
    facts = [picture_text(row.ranked), f"{video.duration_seconds:.1f} s"]
    if size is not None:
        facts.append(bytes_text(size.bytes))
    best = ' <span class="best">best picture</span>' if row.is_best else ""
    lines = [
        f"<article><h3>{row.rank}. {_text(video.title or video.video_id)}{row.note}{best}</h3>",
        f'<p class="quiet">{_text(public_uri(video.uri))}</p>',
        f"<p>{_text(', '.join(facts))}</p>",
    ]
    if row.partner is not None:
        lines.append(f"<p>{_text(', '.join(row.shared_text))}</p>")
        if moments:
            figures = "".join(_figure(moment, row, row.partner) for moment in moments)
            lines.append(f'<div class="moments">{figures}</div>')
    return "\n".join((*lines, "</article>\n"))


def _figure(moment: Moment, row: GroupRow, partner: GroupRow) -> str:
    return (
        f'<figure><div class="two">{_image(moment.own)}{_image(moment.partner)}</div><figcaption>'
        f"{row.rank} at {moment.own_seconds:.1f} s, {partner.rank} at {moment.partner_seconds:.1f} s"
        "</figcaption></figure>"
    )


def _image(picture: Thumbnail | str) -> str:
    if isinstance(picture, str):
        return f'<div class="none">{_text(picture)}</div>'
    data = base64.b64encode(picture.jpeg).decode("ascii")
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'


def _text(text: str) -> str:
    """Untrusted text, escaped for HTML."""
    return html.escape(printable(text))
