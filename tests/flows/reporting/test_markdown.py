"""Text within Markdown: shown as it is, whatever it holds."""

from __future__ import annotations

import html
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from catalog.errors import Reason
from catalog.products import LeftOut
from catalog.scores import Score
from flows.reporting import artifacts
from flows.reporting.artifacts import Artifacts, left_out_rows, summary
from flows.reporting.delivery import Delivery
from flows.reporting.markdown import markdown_text
from flows.web_folder import web_folder

RENDER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render

NASTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/a.png)",
    "https://evil.example/?a=1&b=2",
    "<https://evil.example>",
    "a | b\n| c |",
    "# heading",
    "- item",
    "+ item",
    "12. item",
    "12) item",
    "---",
    "> quote",
    "    code",
    "`code` ```",
    "**bold** _it_ ~~gone~~",
    "&lt;b&gt; &#60;",
    "back\\slash \\",
    "S2A_MSIL2A_20230815T095031_N0509_R079_T33TWM_20230815T155057",
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_in_a_text_is_markup(text: str) -> None:
    assert RENDER(markdown_text(text)) == f"<p>{html.escape(' '.join(text.split()))}</p>\n"


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"), max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    shown = " ".join(text.split())
    expected = f"<p>{html.escape(shown, quote=False)}</p>\n" if shown else ""
    assert RENDER(markdown_text(text)).replace("&quot;", '"') == expected


def test_a_cell_of_a_table_stays_one_cell() -> None:
    rows = [f"| {markdown_text(text)} | b |" for text in NASTY]
    table = RENDER("\n".join(["| a | b |", "|---|---|", *rows]))
    assert table.count("<td>") == 2 * len(NASTY)
    assert not any(tag in table for tag in ("<script", "<img", "<a ", "<strong", "<em", "<code", "<li"))


def test_a_summary_holds_no_markup_but_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "<b>](javascript:x) (1)"
    delivery = Delivery(
        delivery=str(folder),
        files=(str(folder / "[a](b).tif"),),
        scores=(Score(split="truth", oa=0.5, miou=0.25, dice=0.4, n_pixels=10, note="classes <i>maize</i> | wheat"),),
        acquisitions=(),
        seconds={},
        notes=("labels <b>x</b>.gpkg: 2 rows",),
        model="*model*",
    )
    page = RENDER(summary(delivery, "Contains <u>data</u>"))
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>", "<em>", "<a "))
    page = RENDER(summary(delivery, "Contains <u>data</u>", web_folder(f"{tmp_path}=https://maps.example.org")))
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>", "<em>"))
    assert page.count("<a ") == page.count('href="https://maps.example.org/') == 2


def test_tables_and_their_descriptions_are_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    class _Outbox:
        def put(self, _name: str, send: object) -> None:
            send()  # type: ignore[operator]

    monkeypatch.setattr(artifacts, "get_run_logger", lambda: artifacts)
    monkeypatch.setattr(artifacts, "info", print, raising=False)
    monkeypatch.setattr(artifacts, "Outbox", _Outbox)
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda rows, **more: told.update(rows=rows, **more))
    left = LeftOut(product="<b>a</b>", reason="not understood: [x](y)", kind=Reason.NOT_UNDERSTOOD)
    Artifacts({"order": 100}).table("left-out", left_out_rows([left]), "Found <b>")
    assert told["rows"] == [
        {"product": "\\<b\\>a\\</b\\>", "kind": "not understood", "reason": "not understood: \\[x\\](y)"}
    ]
    assert told["description"] == "Found \\<b\\>"
