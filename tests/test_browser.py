"""A real browser on a finished study: the report from disk, and MLflow's pages on loopback."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from study_runs import TABLE, mlflow_server, of_kind, run_here, study_run

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no chromium is installed: `apt-get install chromium`"
)
HOSTILE = "<script>alert(1)</script>"
STUDY = """
# Is a report drawn where it is read? Under a minute.
target: TenYearCHD
categories: [education]
configurations: 3
seeds: 2
space: {regularizer: [group_lasso], lambda_group: [0.001, 0.01, 0.05]}
network: {hidden_layer_sizes: [6], genetic_dimensions: 4}
training: {epochs: 3}
"""
SHOWN_SECONDS = 30


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study of a table that has a hostile column."""
    folder = tmp_path_factory.mktemp("browsed")
    (folder / "browsed.yaml").write_text(STUDY)
    table = pd.read_csv(TABLE).head(900).rename(columns={"glucose": HOSTILE})
    table.to_csv(folder / "people.csv", index=False)
    run_here(folder, "browsed.yaml", data=str(folder / "people.csv"))
    return folder


@pytest.fixture(scope="module")
def server(finished: Path) -> Iterator[str]:
    """`mlflow server` of that folder, on loopback."""
    with mlflow_server(finished) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """Debian's browser; the library's own is never downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Heard:
    """What a page did besides showing itself."""

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def listened(browser, **options):
    """A new page, and what it does."""
    page, heard = browser.new_page(**options), Heard()
    page.on("console", lambda m: heard.errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("request", lambda request: heard.requests.append(request.url))

    def dismissed(dialog):
        heard.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismissed)
    return page, heard


DRAWN = """() => {
  const canvases = (root) => [...root.querySelectorAll('*')].flatMap(
    (e) => (e.tagName === 'CANVAS' ? [e] : []).concat(e.shadowRoot ? canvases(e.shadowRoot) : []));
  const painted = (c) => c.width > 50 && c.getContext('2d')
    .getImageData(0, 0, c.width, c.height).data.some((v, i) => i % 4 === 3 && v > 0);
  return {
    images: [...document.images].map((i) => i.complete && i.naturalWidth > 100),
    plots: [...document.querySelectorAll('.plot')].map((p) => canvases(p).some(painted)),
    overflow: document.scrollingElement.scrollWidth - window.innerWidth,
    shown: [...document.querySelectorAll('figure')].map((f) => f.offsetHeight > 100),
  };
}"""


def drawn(frame) -> dict:
    """What `DRAWN` finds once all plots are painted."""
    frame.wait_for_function(f"() => ({DRAWN})().plots.every(Boolean)", timeout=SHOWN_SECONDS * 1000)
    return frame.evaluate(DRAWN)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 700)])
def test_the_report_is_drawn_from_disk_and_nothing_leaves_the_machine(
    finished, browser, scheme, width
):
    page, heard = listened(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto((finished / "reports/browsed/report.html").as_uri())
    found = drawn(page)
    assert len(found["images"]) >= 5 and all(found["images"]) and all(found["shown"])
    assert len(found["plots"]) >= 3 and all(found["plots"])
    assert found["overflow"] <= 0
    assert heard.errors == [] and heard.dialogs == []
    assert {url.partition(":")[0] for url in heard.requests} <= {"file", "data", "blob"}
    page.locator("summary", has_text="When each variable died").first.click()
    assert page.get_by_text(HOSTILE, exact=True).first.is_visible()
    page.close()


CUT = """() => [...document.querySelectorAll('.scroll, figure, details')]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.innerText.slice(0, 60))"""


def test_no_table_is_cut_from_800_pixels_up_nor_on_paper(finished, browser):
    page, _ = listened(browser)
    page.goto((finished / "reports/browsed/report.html").as_uri())
    drawn(page)
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    for media, width in (("screen", 800), ("screen", 1300), ("screen", 1900), ("print", 696)):
        page.set_viewport_size({"width": width, "height": 900})  # 696: A4 within its margins
        page.emulate_media(media=media)
        page.wait_for_timeout(200)
        assert page.evaluate(CUT) == [], (media, width)
    page.close()


def test_without_scripts_and_in_print_the_pictures_stand_in(finished, browser):
    address = (finished / "reports/browsed/report.html").as_uri()
    still = browser.new_page(java_script_enabled=False)
    still.goto(address)
    assert still.locator("figure.pointed > img").first.is_visible()
    assert not still.locator(".plot").first.is_visible()
    still.close()
    page, _ = listened(browser)
    page.goto(address)
    drawn(page)
    assert not page.locator("figure.pointed > img").first.is_visible()
    page.emulate_media(media="print")
    assert page.locator("figure.pointed > img").first.is_visible()
    assert not page.locator(".plot").first.is_visible()
    page.close()


def test_a_script_that_is_not_the_reports_own_is_not_run(finished, browser, tmp_path):
    page, heard = listened(browser)
    html = (finished / "reports/browsed/report.html").read_text()
    (tmp_path / "torn.html").write_text(html.replace("<h1>", f"<h1>{HOSTILE}", 1))
    page.goto((tmp_path / "torn.html").as_uri())
    drawn(page)
    assert heard.dialogs == [] and any("Content Security Policy" in e for e in heard.errors)
    page.close()


def test_the_experiments_page_lists_the_networks_by_configuration(finished, server, browser):
    page, heard = listened(browser, viewport={"width": 1800, "height": 900})
    study = study_run(finished)
    key = f"{study.tags['study_id']}-by-configuration"
    page.goto(f"{server}/#/experiments/1/runs?viewStateShareKey={key}")
    page.get_by_text("group_lasso c0 s0").first.wait_for(timeout=SHOWN_SECONDS * 1000)
    page.get_by_text("Group: 1").first.wait_for(timeout=SHOWN_SECONDS * 1000)
    assert page.get_by_text("val_auroc").first.is_visible()
    page.goto(f"{server}/#/experiments/1/runs/{study.run_id}")
    page.get_by_text("Is a report drawn where it is read?").first.wait_for(
        timeout=SHOWN_SECONDS * 1000
    )
    assert_inert_and_local(heard, server)
    page.close()


def assert_inert_and_local(heard: Heard, server: str) -> None:
    assert heard.dialogs == []
    elsewhere = [url for url in heard.requests if not url.startswith((server, "data:", "blob:"))]
    assert elsewhere == []


def test_a_networks_heat_map_is_shown_in_its_run(finished, server, browser):
    page, heard = listened(browser, viewport={"width": 1500, "height": 900})
    network = of_kind(finished, "network")[0]
    address = f"{server}/#/experiments/1/runs/{network.run_id}"
    page.goto(f"{address}/artifacts/heatmaps/first_layer.png")
    page.wait_for_function(
        "() => [...document.images].some((i) => i.naturalWidth > 300 && i.naturalHeight > 300)",
        timeout=SHOWN_SECONDS * 1000,
    )
    assert_inert_and_local(heard, server)
    page.close()


def test_the_report_is_drawn_in_mlflows_artifact_viewer(finished, server, browser):
    page, heard = listened(browser, viewport={"width": 1500, "height": 900})
    page.goto(f"{server}/#/experiments/1/runs/{study_run(finished).run_id}"
              "/artifacts/report/report.html")  # fmt: skip
    until, frame = time.monotonic() + SHOWN_SECONDS, None
    while frame is None and time.monotonic() < until:
        page.wait_for_timeout(300)
        frame = next((f for f in page.frames[1:] if "Lariat" in _title(f)), None)
    assert frame is not None
    found = drawn(frame)
    assert all(found["images"]) and all(found["plots"]) and len(found["plots"]) >= 3
    assert_inert_and_local(heard, server)
    page.close()


def _title(frame) -> str:
    with suppress(Exception):  # a frame that is being replaced
        return frame.title()
    return ""
