"""An evidence pack as one self-contained HTML page: no script, no other file, no network."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from common.printable import printable, printable_json
from searcher.evidence.words import VERDICTS, clock, percent, query_name, reference_name

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --text: #1c1c1e; --quiet: #5a5f63; --page: #f6f6f7; --card: #fff;
  --line: #d8d8dc; }
@media (prefers-color-scheme: dark) { :root { --text: #ececee; --quiet: #a8adb2; --page: #161618;
  --card: #232326; --line: #3a3a3e; } }
@media print { section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 1rem 0; }
p, dl, table { margin: .2rem 0; } .quiet { color: var(--quiet); font-size: .875rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; font-weight: 400;
  border-top: 1px solid var(--line); }
thead th { font-weight: 600; border: 0; }
th, td:first-child, td:last-child { overflow-wrap: normal; white-space: nowrap; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem; }
figure { margin: 0; } .two { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; }
img, .none { width: 100%; aspect-ratio: 16 / 9; object-fit: contain; background: #000; }
.none { display: grid; place-items: center; padding: .4rem; color: #ccc; font-size: .8rem; }
code, pre { font: .8rem/1.4 ui-monospace, monospace; } pre { white-space: pre-wrap; margin: 0; }
"""


def evidence_page(pack: Mapping[str, Any]) -> str:
    """The page of a pack as JSON values."""
    match = pack["match"]
    title = f"Match {match['id']}: {query_name(match)} and {reference_name(match)}"
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">\n'
            f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>\n",
            f"<h1>{_text(title)}</h1>\n",
            f'<p class="quiet">{_text(pack["made_by"])}, {_text(pack["made_at"])}</p>\n',
            _section("In words", (f"<p>{_text(line)}</p>" for line in pack["words"])),
            _section("Pairs that decided", [_pairs(pack)]),
            _section("Files", [_table(("Side", "File", "SHA-256", "Bytes"), _files(pack))]),
            _section("Verdicts", [_verdicts(match)]),
            _section("Exceptions", [_exceptions(pack)]),
            _section("Model", (f"<p>{_text(line)}</p>" for line in _model(pack))),
            _section("Everything as JSON", [_json(pack)]),
            "</body></html>\n",
        )
    )


def _section(title: str, lines: Iterable[str]) -> str:
    return f"<section><h2>{_text(title)}</h2>\n" + "\n".join(lines) + "\n</section>\n"


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _pairs(pack: Mapping[str, Any]) -> str:
    figures = []
    for pair in pack["pairs"]:
        pictures = "".join(map(_picture, pair["pictures"]))
        captions = "".join(map(_caption, pair["pictures"]))
        figures.append(
            f'<figure><div class="two">{pictures}</div><figcaption>'
            f"<p>Range {pair['range'] + 1}, similarity {pair['similarity']:.2f}</p>{captions}"
            "</figcaption></figure>"
        )
    return f'<div class="pairs">{"".join(figures)}</div>'


def _picture(picture: Mapping[str, Any]) -> str:
    if picture["picture"] is None:
        return '<div class="none">no thumbnail is kept</div>'
    alt = f"The {picture['side']} at {clock(picture['picture_seconds'])}"
    return f'<img alt="{_text(alt)}" src="data:image/webp;base64,{_text(picture["picture"])}">'


def _caption(picture: Mapping[str, Any]) -> str:
    line = f"{picture['side']} at {clock(picture['seconds'])}"
    if picture["sha256"] is not None:
        line += f", picture of {clock(picture['picture_seconds'])}, SHA-256 {picture['sha256']}"
    return f'<p class="quiet">{_text(line)}</p>'


def _files(pack: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for one in pack["files"]:
        size = "" if one["bytes"] is None else f"{one['bytes']:,}"
        known = one["sha256"] or "unknown"
        yield one["side"], one["uri"], f"{known} ({one['note']})" if one["note"] else known, size


def _verdicts(match: Mapping[str, Any]) -> str:
    if not match["verdicts"]:
        return "<p>No person has judged this match.</p>"
    rows = (
        (
            VERDICTS[one["verdict"]],
            one["reason"],
            one["note"],
            one["author"] or "without a key",
            one["created_at"],
        )
        for one in match["verdicts"]
    )
    return _table(("Verdict", "Reason", "Note", "By", "Time"), rows)


def _exceptions(pack: Mapping[str, Any]) -> str:
    if not pack["exceptions"]:
        return "<p>No exception applies.</p>"
    rows = (
        (
            "this pair"
            if one["kind"] == "pair"
            else f"{clock(one['start_seconds'])} to {clock(one['end_seconds'])} of the reference",
            one["reason"],
            one["author"] or "without a key",
            one["created_at"],
        )
        for one in pack["exceptions"]
    )
    return _table(("Excepted", "Reason", "By", "Time"), rows)


def _model(pack: Mapping[str, Any]) -> Iterator[str]:
    match = pack["match"]
    yield f"Vectors: {pack['model']['model_id']}. Calibration: {pack['model']['calibration']}."
    probability = percent(match["probability"])
    yield f"Score {match['score']:.4f}, probability {probability}, view {match['view']}."
    yield f"First found {match['first_found_at']}, last found {match['found_at']}."


def _json(pack: Mapping[str, Any]) -> str:
    """The pack without its pictures, whose hashes stay."""
    pairs = [
        {**pair, "pictures": [{**one, "picture": None} for one in pair["pictures"]]}
        for pair in pack["pairs"]
    ]
    text = json.dumps({**pack, "pairs": pairs}, ensure_ascii=False, indent=1)
    lines = "\n".join(printable_json(line) for line in text.split("\n"))
    return f"<pre>{html.escape(lines)}</pre>"


def _text(text: str) -> str:
    """Untrusted text, escaped for HTML."""
    return html.escape(printable(str(text)))
