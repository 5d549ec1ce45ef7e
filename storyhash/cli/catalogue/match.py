"""`storyhash match`: finds out whether a video, or a part of it, is a copy of an indexed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import VideoError
from common.probability_text import probability_text
from common.settings import load_settings
from common.uris import is_remote, public_uri
from ingest.exclusion import Exclusion
from ingest.frame_folders import frame_paths
from searcher.matching.report.match_json import error_to_json
from searcher.transform.edit_words import edit_words
from storyhash.cli.shared.console import check_interrupt, decision_style, notice, out, print_json
from storyhash.cli.shared.options import DataOption, ExcludeOption, JsonOption, ServerOption, one_of
from storyhash.cli.shared.progress import progress
from storyhash.cli.shared.run_summary import without_name
from storyhash.open_state import opened_rules
from storyhash.query.local import QueryOutcome, list_queries, run_queries
from storyhash.wiring import QueryServices, open_for_queries

VideosArgument = Annotated[
    list[str], typer.Argument(metavar="VIDEO", help="Files, folders or http(s) URIs.")
]
ThoroughOption = Annotated[
    bool,
    typer.Option(
        "--thorough",
        help="Run the second pass over the whole query, also where the first one finds a copy: "
        "it finds further videos in the picture.",
    ),
]
if TYPE_CHECKING:
    from searcher.curation.apply_rules import CurationRules
# Maximum number of candidates without a match that are printed.
_SHOWN = 3


def match(
    videos: VideosArgument,
    data: DataOption = None,
    server: ServerOption = None,
    thorough: ThoroughOption = False,
    exclude: ExcludeOption = None,
    json: JsonOption = False,
) -> None:
    """Match videos against the index. Prints one result per video, in the order given.

    Exit code 1 when a video could not be read; the others are still matched.
    """
    one_of(data, server)
    queries = list_queries(videos, Exclusion(exclude or ()))
    if queries.excluded:
        notice(f"{queries.excluded} files and folders are left out by --exclude")
    failed = False
    with _answers(queries.uris, data, server, thorough) as answers, progress() as bar:
        task = bar.task(
            "matching",
            len(queries.uris) + len(queries.refused),
            list(map(public_uri, queries.uris)),
        )
        unusable = (error_to_json(uri, error) for uri, error in queries.refused)
        for answer in chain(answers, unusable):
            check_interrupt()
            task.advance(name=answer["query"]["uri"])
            failed |= "error" in answer
            if json:
                print_json(answer)
            else:
                _show(answer)
    if failed:
        raise typer.Exit(1)


@contextmanager
def _answers(
    uris: Sequence[str], data: Path | None, server: str | None, thorough: bool
) -> Iterator[Iterator[dict[str, Any]]]:
    """One result per video, as for `--json`, from the data folder or from a running searcher."""
    if server is not None:
        from storyhash.cli.shared.remote_catalogue import remote_catalogue

        with remote_catalogue(server) as catalogue:
            yield (catalogue.match(uri, thorough=thorough) for uri in uris)
            for message in catalogue.notices:
                notice(message)
        return
    settings = load_settings(data_dir=data)
    with open_for_queries(settings) as opened, opened_rules(settings) as rules:
        services = replace(opened, matcher=rules.matcher(opened.matcher))
        for message in services.index.notices:
            notice(message)
        yield (
            to_json(outcome, services, rules)
            for outcome in run_queries(
                services.queries,
                services.matcher,
                uris,
                only=rules.filter(None),
                decided=rules.has_copy,
                thorough=thorough,
                compare=services.compare,
                second=services.second_opinion(rules),
            )
        )


def to_json(outcome: QueryOutcome, services: QueryServices, rules: CurationRules) -> dict[str, Any]:
    """One line of `match --json`: what a service answers, but nothing is stored."""
    if outcome.report is None:
        return error_to_json(outcome.uri, outcome.error or VideoError("there is no result"))
    from searcher.curation.match_detail import QueryIdentity

    uri, path = outcome.uri, Path(outcome.uri)
    try:
        if is_remote(uri):
            query = QueryIdentity.of_uri(uri)
        else:
            query = QueryIdentity.of_files(frame_paths(path) if path.is_dir() else [path])
    except OSError as error:
        return error_to_json(uri, VideoError(f"it cannot be read again: {error.strerror}"))
    uri_of = services.index.videos.uri_of
    return rules.apply(outcome.report, query, uri_of, services.matcher.policies).answer


def _show(answer: dict[str, Any]) -> None:
    uri = answer["query"]["uri"]
    if "error" in answer:
        reason = without_name(answer["error"]["message"], uri)
        out.print(f"{uri}: cannot be matched: {reason}", style="red", markup=False)
        return
    style = decision_style(answer["decision"])
    out.print(f"{uri}: {answer['decision']}", style=f"bold {style}", markup=False)
    if answer["query"].get("damaged"):
        # A copy may lie in the damaged part.
        out.print(f"    damaged: {answer['query']['damaged']}", style="yellow", markup=False)
    if answer.get("reason"):
        out.print(f"    {answer['reason']}", markup=False)
    for match in [*answer["matches"], *answer["candidates"][:_SHOWN]]:
        done = edit_words(match)
        out.print(
            f"    {match['decision']:8} {probability_text(match['probability']):>6}  {match['video_id']}"
            f"  {_span(match, 'query')} is {_span(match, 'ref')} of it{_doubt(match)}"
            + (f": {done}" if done else "")
            + _finder(match, answer),
            style=decision_style(match["decision"]),
            markup=False,
        )


def _finder(match: dict[str, Any], answer: dict[str, Any]) -> str:
    """Which model found the match, if it is not that of the answer."""
    model_id: str = match["evidence"].get("model_id", answer["model_id"])
    return "" if model_id == answer["model_id"] else f", found by the second opinion ({model_id})"


def _doubt(match: dict[str, Any]) -> str:
    """A word where the ranges are uncertain."""
    return "" if match.get("range_certain", True) else " (place uncertain)"


def _span(match: dict[str, Any], side: str) -> str:
    return f"{match[f'{side}_start_seconds']:.1f}-{match[f'{side}_end_seconds']:.1f} s"
