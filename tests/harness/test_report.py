"""The report: complete, self-contained, safe to open."""

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.harness import figures, report, strict_json, strips, table
from experiments.harness.metrics import Shown

VOID = {"meta", "link", "br", "wbr", "hr", "img", "input"}


class Page(html.parser.HTMLParser):
    """The elements of a page, their ids, what they refer to, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        if identifier := named.get("id"):
            self.ids.append(identifier)
        for name in ("href", "src", "xlink:href"):
            if reference := named.get(name):
                self.references.append(reference)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words += data


@pytest.fixture
def text(finished: Path) -> str:
    return (finished / "report.html").read_text()


@pytest.fixture
def page(text: str) -> Page:
    return Page(text)


def words(page: Page) -> str:
    return " ".join(page.words.split())


def rule(**fields: object) -> dict:
    empty = dict.fromkeys(("per_seed", "mean", "ci_low", "ci_high", "center"))
    return {**empty, "relation": "<", "threshold": 1.0, "rule": "< 1", **fields}


def test_it_needs_no_script_and_nothing_from_elsewhere(page: Page, text: str):
    assert "script" not in page.tags
    assert not re.search(r"\son\w+=", text)
    outside = [each for each in page.references if not each.startswith(("#", "data:"))]
    assert outside == []
    assert "@import" not in text
    assert "url(http" not in text


def test_every_reference_has_its_target_and_every_id_is_one(page: Page, text: str):
    targets = {each[1:] for each in page.references if each.startswith("#")}
    targets |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert targets <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_it_opens_with_the_counts_and_what_surprises(page: Page):
    said = words(page)
    top = said[: said.index("Verdicts")]
    assert "Does a toy do what toys do?" in top
    assert "Of 5 claims, 2 are supported, 1 is refuted, 1 is inconclusive" in top
    assert "and 1 is not measured. 1 of 1 control holds." in top
    assert "Otherwise than expected: toy-helps (supported)." in top
    assert page.tags.index("figure") < page.tags.index("table")


def test_every_claim_is_told_with_all_it_rests_on(page: Page):
    said = words(page)
    for claim in ("toy-law/holds", "toy-law/breaks", "toy-helps", "toy-both"):
        assert claim in page.ids
        assert said.count(claim) >= 1
    assert "A toy never breaks. T1 1.2" in said
    assert "gain > 0.5 points" in said
    assert "smallest counterexample" in said
    assert "Nothing moves when nothing is moved. still < 1e-06" in said
    assert "Holm's correction" in said
    assert "needs --extra" in said


def test_per_seed_values_stand_in_the_report(page: Page, finished: Path):
    result = json.loads((finished / "result.json").read_text())
    for value in result["claims"][2]["per_seed"]:
        assert table.short(value) in page.words


def test_what_was_shown_and_how_to_repeat_it_stand_in_the_report(
    page: Page, finished: Path
):
    said = words(page)
    assert "the numbers behind it, by seed" in said
    assert "python launch.py --exp=toy --seed=0 --num_seeds=5" in said
    assert "python launch.py --replay=" in said
    assert json.loads((finished / "result.json").read_text())["metrics_digest"] in said
    assert "PJRT_NPROC" in said


def test_markup_in_a_statement_is_text(text: str):
    assert "A toy &lt;obeys&gt; &amp; plays." in text
    assert "<obeys>" not in text


def test_verdicts_are_told_by_mark_and_word_too(text: str):
    for mark, verdict in (("✓", "supported"), ("✗", "refuted"), ("?", "inconclusive")):
        assert f'aria-hidden="true">{mark}</span>{verdict}</span>' in text


def test_a_failing_control_is_told_on_top():
    claim = {"id": "a", "verdict": "invalid", "expected": "yes", "controls": ["a:b"]}
    for verdict in ("refuted", "invalid", "not measured"):
        control = {"id": "a:b", "verdict": verdict}
        told = report.answer({"claims": [claim], "controls": [control]})
        assert [each["id"] for each in told["failed"]] == ["a:b"]
        assert told["controls"] == "0 of 1 control holds"


def test_controls_of_arms_that_were_left_out_are_not_told_on_top():
    claims = [
        {"id": "a/x", "verdict": "supported", "expected": "yes", "controls": ["a:x"]},
        {"id": "a/y", "verdict": "not measured", "expected": "yes", "controls": []},
    ]
    claims[1]["controls"] = ["a:x", "a:y"]
    controls = [
        {"id": "a:x", "verdict": "supported"},
        {"id": "a:y", "verdict": "not measured"},
    ]
    told = report.answer({"claims": claims, "controls": controls})
    assert told["failed"] == []
    assert told["controls"] == "1 of 1 control holds"


def test_errors_are_drawn_over_losses_up_to_the_last_look():
    axes = Figure().subplots()
    histories = np.full((2, 2, 3, 3), np.nan)
    histories[..., :2, :] = [[0.5, 9.0, 30.0], [0.1, 1.0, 20.0]]
    histories[1, :, 2] = [0.05, 0.0, 10.0]
    figures.losses_and_errors(axes, histories, ["a", "b"], 0.2)
    points = [np.asarray(line.get_xydata()).reshape(-1, 2) for line in axes.lines]
    ends = [tuple(each[0].tolist()) for each in points if len(each) == 1]
    assert ends == [(0.1, 20.0)] * 2 + [(0.05, 10.0)] * 2
    labels = [str(line.get_label()) for line in axes.lines]
    assert [label for label in labels if label in ("a", "b")] == ["a", "b"]
    assert axes.xaxis_inverted()


def test_arms_of_one_statement_are_one_statement():
    claims = [
        {"statement": "A pool forgets (max, 2x2)."},
        {"statement": "A pool forgets (average)."},
        {"statement": "A pool forgets (entries N(0, 2²/n))."},
    ]
    assert table.statements(claims) == ["A pool forgets."]
    formula = {"statement": "The share is (k-1)/(k+1)."}
    assert table.statements([formula]) == ["The share is (k-1)/(k+1)."]


def test_numbers_are_short_and_large_ones_whole():
    told = [table.short(value) for value in (0.123456, 136586, 136586.4, None)]
    assert told == ["0.1235", "136,586", "136,586", "-"]


def test_a_large_array_is_told_by_shape_and_range():
    told = report._shown("big", Shown(np.arange(1000.0).reshape(10, 10, 10), "big"))
    assert told["rows"] == []
    assert told["text"] == "10 × 10 × 10 values from 0 to 999"


def test_figures_on_one_page_keep_their_ids_apart():
    svg = (
        '<?xml?><svg width="72pt" height="9pt"><g id="a"/><use xlink:href="#a"/></svg>'
    )
    inline = figures.inline("first", svg)
    assert inline.startswith('<svg style="max-width:96px"')
    assert 'id="first-a"' in inline
    assert 'href="#first-a"' in inline


def test_dots_lie_around_their_place_with_a_bar_at_the_mean():
    axes: Any = Figure().subplots()
    figures.dots(axes, 2, np.array([3.0, 9.0, 5.0]), 5.5, "red", "5.5 %")
    seeds, bar = (line.get_xydata() for line in axes.lines)
    np.testing.assert_allclose(seeds, [[1.9, 3], [2, 9], [2.1, 5]])
    np.testing.assert_allclose(bar, [[1.7, 5.5], [2.3, 5.5]])
    (words,) = axes.texts
    assert (words.get_text(), words.xy) == ("5.5 %", (2, 9))


def test_a_strip_shows_seeds_interval_and_rule():
    told = str(
        strips.draw(rule(per_seed=[0.1, 0.2], mean=0.15, ci_low=0.0, ci_high=0.3))
    )
    assert told.count("<circle") == 2
    assert told.count('class="interval"') == 2
    assert told.count('class="holds"') == 1


def test_the_shaded_range_is_where_the_rule_holds():
    places = {
        relation: re.search(
            r'class="holds" x="([-\d.]+)" y="6" width="([-\d.]+)"',
            str(strips.draw(rule(relation=relation, per_seed=[0.0, 4.0], center=2.0))),
        )
        for relation in ("<", ">", "within")
    }
    spans = {
        relation: (float(each[1]), float(each[1]) + float(each[2]))
        for relation, each in places.items()
        if each
    }
    assert spans["<"] == (0, pytest.approx(85))
    assert spans[">"] == (pytest.approx(85), 320)
    assert spans["within"] == (pytest.approx(85), pytest.approx(235))


def test_a_strip_over_decades_is_logarithmic():
    told = str(strips.draw(rule(per_seed=[1e-6], threshold=1e-2, relation="<")))
    assert 'cx="10.0"' in told
    told = str(strips.draw(rule(per_seed=[1e-6, 1e-4, 1e-2], threshold=1e-4)))
    assert 'cx="160.0"' in told


def test_what_was_not_measured_has_no_strip():
    assert strips.draw(rule()) is None
    assert strips.draw(rule(per_seed=[None])) is None


def test_json_is_strict():
    text = strict_json.dumps({"a": np.float32("nan"), "b": (np.int64(1), Path("p"))})
    assert json.loads(text) == {"a": None, "b": [1, "p"]}


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_a_browser_opens_it_without_a_complaint(finished: Path, tmp_path: Path):
    done = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--screenshot={tmp_path / 'page.png'}",
            f"file://{finished / 'report.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (tmp_path / "page.png").stat().st_size > 10_000
    assert "CONSOLE" not in done.stderr
