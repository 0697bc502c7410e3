"""The pages as a browser shows them: complete, in place at any width, in both themes, and without a request."""

import json
import re
import shutil
import subprocess
from html import unescape

import numpy as np
import pytest
from matplotlib.image import imread

from sdrm_core.storage import write_text
from tasks.release.report import render_operator_report, render_report
from tests.unit.tasks.example_release import render_inputs

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
)
DARK = "--blink-settings=preferredColorScheme=0"

# The page itself may run no script: this one stands around it and measures what it looks like.
RULER = """<!doctype html><body><iframe id="frame" src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<script>
frame.onload = () => {{
  const page = frame.contentDocument, sizes = (selector) => [...page.querySelectorAll(selector)].map((element) => {{
    const box = element.getBoundingClientRect();
    return {{width: box.width, height: box.height, right: box.right, scrolls: !!element.closest(".scroll")}};
  }});
  page.querySelectorAll("details").forEach((details) => details.open = true);
  const measured = {{
    width: page.documentElement.scrollWidth, headings: [...page.querySelectorAll("h1, h2")].map((h) => h.innerText),
    plots: sizes("figure svg"), curves: sizes("figure svg path[clip-path]"), tables: sizes("table"),
    badges: sizes(".badge"), requests: frame.contentWindow.performance.getEntriesByType("resource").map((r) => r.name),
    family: getComputedStyle(page.querySelector("svg text")).fontFamily,
  }};
  document.title = JSON.stringify(measured);
}};
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"needs a browser on PATH: one of {', '.join(BROWSERS)}")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return a folder with ``report.html`` and ``privacy.html``."""
    folder = tmp_path_factory.mktemp("pages")
    inputs = render_inputs(folder / "run")
    write_text(folder / "report.html", render_report(**inputs))
    write_text(
        folder / "privacy.html",
        render_operator_report(inputs["privacy"], dataset="demo", run="0" * 64, attempt=0, report_only=()),
    )
    return folder


def browse(page, profile, *options):
    """Open a page and return the finished process; its standard error holds the console."""
    command = [BROWSER, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)


def measure(page, folder, *, width):
    """Return sizes of the page's parts, laid out ``width`` pixels wide."""
    ruler = folder / "ruler.html"
    ruler.write_text(RULER.format(page=page.as_uri(), width=width), encoding="utf-8")
    options = ("--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom")
    dom = browse(ruler, folder / "profile", *options).stdout
    return json.loads(unescape(re.search("<title>(.*?)</title>", dom, re.DOTALL)[1]))


def screenshot(page, folder, *options, width=1180):
    """Return the page's first screens as (height, width, 3) floats."""
    image = folder / "screenshot.png"
    browse(page, folder / "profile", *options, f"--screenshot={image}", f"--window-size={width},2400")
    return imread(image)[:, :, :3]


@pytest.mark.parametrize("width", [390, 1180])
def test_every_part_of_the_report_has_its_place(pages, tmp_path, width):
    found = measure(pages / "report.html", tmp_path, width=width)
    assert found["headings"] == [
        "demo",
        "Does it look like its source?",
        "Does a recommender learn from it?",
        "Does it give anyone away?",
        "Quality gates",
        "Training",
        "How it was made",
    ]
    assert found["width"] == width, "the page must not scroll sideways"
    assert len(found["plots"]) == 6
    assert all(plot["width"] > 300 and plot["height"] > 150 for plot in found["plots"])
    assert sum(curve["width"] > 50 for curve in found["curves"]) >= 6
    assert all(table["height"] > 50 for table in found["tables"])
    assert all(table["scrolls"] or table["right"] <= width for table in found["tables"])
    assert len(found["badges"]) == 1 + 9 + 4 + 2 * 4  # the release, the privacy gates, the gates, their expectations
    assert "DejaVu" not in found["family"], "plots use the page's typeface"


@pytest.mark.parametrize("width", [390, 1180])
def test_every_part_of_the_operators_page_has_its_place(pages, tmp_path, width):
    found = measure(pages / "privacy.html", tmp_path, width=width)
    assert found["headings"] == ["Privacy figures of demo", "Gates"]
    assert found["width"] == width
    assert len(found["plots"]) == 1
    assert len(found["tables"]) >= 6


@pytest.mark.parametrize(("options", "paper"), [((), 1.0), ((DARK,), 0.1)])
def test_the_page_follows_the_readers_theme(pages, tmp_path, options, paper):
    pixels = screenshot(pages / "report.html", tmp_path, *options)
    assert np.median(pixels) == pytest.approx(paper, abs=0.06)
    contrast = np.abs(pixels - np.median(pixels)).max(axis=2) > 0.5
    assert contrast.mean() > 0.01, "text and curves stand out from the paper"


@pytest.mark.parametrize("name", ["report.html", "privacy.html"])
def test_the_browser_has_no_complaint_and_nothing_to_fetch(pages, tmp_path, name):
    assert "CONSOLE" not in browse(pages / name, tmp_path / "profile", "--dump-dom").stderr
    assert measure(pages / name, tmp_path, width=1180)["requests"] == []


def test_a_planted_request_is_refused_by_the_page_and_seen_by_this_test(pages, tmp_path):
    planted = (pages / "report.html").read_text(encoding="utf-8").replace("<main>", '<main><img src="http://a.test/b">')
    page = tmp_path / "planted.html"
    page.write_text(planted, encoding="utf-8")
    complaint = browse(page, tmp_path / "profile", "--dump-dom").stderr
    assert "CONSOLE" in complaint
    assert "Content Security Policy" in complaint
