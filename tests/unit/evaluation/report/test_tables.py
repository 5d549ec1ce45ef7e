"""Tables say what was measured, in Markdown and in LaTeX that compiles."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from evaluation.measures.statistics import Proportion
from evaluation.measures.summary import summarise
from evaluation.records import QueryRow
from evaluation.report.table import Column, Table, latex
from evaluation.report.tables import (
    Target,
    ablation,
    fusion,
    number,
    p_value,
    per_transform,
    share,
    targets,
)
from tests.support.evaluation_rows import found, row


def asked(hits: int, misses: int, **named: str) -> list[QueryRow]:
    """Closed-set rows, hits first."""
    return [
        row("all", found("self" if n < hits else "stranger", 0.9), video_id=str(n), **named)  # type: ignore[arg-type]
        for n in range(hits + misses)
    ]


def test_numbers_are_written_as_promised() -> None:
    assert share(Proportion(81, 263)) == "30.8 [25.5, 36.6]"
    assert share(Proportion(0, 0)) == "–"
    assert number(0.98765) == "0.988"
    assert number(math.nan) == "–"
    assert number(math.inf) == "∞"
    assert p_value(0.0001) == "< 0.001"
    assert p_value(0.0312) == "0.031"


def test_markdown_of_a_table() -> None:
    table = Table(
        "Odd | ends",
        (Column("name", code=True), Column("a|b", "left")),
        (("flip_h", "1"), ("x\ny", "–")),
    )
    assert table.to_markdown().splitlines() == [
        "| name | left: a\\|b |",
        "| --- | ---: |",
        "| `flip_h` | 1 |",
        "| `x y` | – |",
    ]


def test_latex_of_a_table() -> None:
    table = Table(
        "50 % & more",
        (Column("name", code=True), Column("a", "left"), Column("b", "left"), Column("c")),
        (("flip_h", "1", "≥ 2", "3"), ("", "[4]", "5", "6"), ("speed_0.9", "–", "< 1", "7")),
        breaks=frozenset({1}),
    )
    assert table.to_latex("tab:one").splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{50 \% \& more}",
        r"\label{tab:one}",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r" & \multicolumn{2}{c}{left} &  \\",
        r"\cmidrule(lr){2-3}",
        r"name & a & b & c \\",
        r"\midrule",
        r"\texttt{flip\_h} & 1 & $\ge$ 2 & 3 \\",
        r"\midrule",
        r" & [4] & 5 & 6 \\",
        r"\texttt{speed\_0.9} & -- & \textless{} 1 & 7 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_a_row_that_begins_with_a_bracket_is_no_argument_of_the_line_before() -> None:
    table = Table("", (Column("[unit]"),), (("*",),))
    assert r"{}[unit] \\" in table.to_latex()
    assert r"{}* \\" in table.to_latex()


def test_a_row_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 cells, got 2"):
        Table("", (Column("a"),), (("1", "2"),))


@settings(deadline=None)
@given(st.text(alphabet="ab\\&%$#_{}~^<>|\n", max_size=12))
def test_latex_leaves_nothing_special_unescaped(text: str) -> None:
    escaped = latex(text)
    assert "\n" not in escaped
    # Without what escaping put there, nothing of what LaTeX acts upon is left.
    for command in (
        "textbackslash",
        "textasciitilde",
        "textasciicircum",
        "textless",
        "textgreater",
    ):
        escaped = escaped.replace(rf"\{command}{{}}", "")
    escaped = escaped.replace(r"\textbar{}", "")
    for sign in "&%$#_{}":
        escaped = escaped.replace("\\" + sign, "")
    assert set(escaped) <= set("ab ")


def test_profiles_stand_beside_each_other() -> None:
    rows = [
        *asked(1, 1, transform="crop_10"),
        *asked(2, 0, transform="trim", group="temporal"),
        *asked(0, 2, transform="crop_10", profile="sscd-motion"),
    ]
    table = per_transform(summarise(rows, by=("transform",)), ["recall_at_1"])
    assert [(column.under, column.title) for column in table.columns[1:]] == [
        ("offline", "Recall@1, %"),
        ("sscd-motion", "Recall@1, %"),
    ]
    assert table.rows == (
        ("crop_10", "50.0 [9.5, 90.5]", "0.0 [0.0, 65.8]"),
        ("trim", "100.0 [34.2, 100.0]", "–"),
    )
    assert table.breaks == {1}


def test_groups_and_the_whole_make_rows_too() -> None:
    rows = asked(1, 1)
    assert per_transform(summarise(rows, by=("group",)), ["recall_at_1"]).rows[0][0] == "paper"
    assert per_transform(summarise(rows), ["recall_at_1"]).rows[0][0] == "all"


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(UsageError, match="no measure 'recal'; there are recall_at_1"):
        per_transform(summarise(asked(1, 1)), ["recal"])


def test_an_ablation_says_how_likely_chance_is() -> None:
    rows = [
        *asked(8, 0),
        *asked(2, 6, configuration="visual"),
        *asked(8, 0, configuration="the same"),
    ]
    assert ablation(rows).rows == (
        ("default", "100.0 [67.6, 100.0]", "–"),
        ("visual", "25.0 [7.1, 59.1]", "0.031"),  # six coins on one side: 2 / 64
        ("the same", "100.0 [67.6, 100.0]", "1.000"),
    )
    with pytest.raises(UsageError, match="no outcome 'speed'"):
        ablation(rows, "speed")


def test_an_ablation_without_queries_in_common_has_no_p() -> None:
    rows = [*asked(2, 0), *asked(2, 0, configuration="other", transform="trim")]
    assert [line[2] for line in ablation(rows).rows] == ["–", "–"]


def test_the_fusion_table_shows_strangers_beside_copies() -> None:
    rows = [row("all", found("self", 0.9, 0.97), found("stranger", 0.1, 0.95))]
    (line,) = fusion(summarise(rows)).rows
    assert line[:3] == ("offline", "0.970", "0.950")


def test_targets_say_whether_they_are_met() -> None:
    goals = [
        Target("Recall@1", "sscd-motion", Proportion(998, 1000), 0.998),
        Target("ECE", "sscd-motion", 0.031, 0.03, at_least=False),
        Target("Recall@1", "offline", Proportion(1, 2)),
        Target("never measured", "offline", Proportion(0, 0), 0.5),
    ]
    assert [goal.met for goal in goals] == [True, False, None, False]
    assert targets(goals).rows == (
        ("Recall@1", "99.8 [99.3, 99.9]", "≥ 99.8", "yes", "50.0 [9.5, 90.5]", "–", "–"),
        ("ECE", "0.031", "≤ 0.03", "no", "–", "–", "–"),
        ("never measured", "–", "–", "–", "–", "≥ 50", "no"),
    )
