"""The page stands alone: all its figures are inside, and nothing in it can run."""

import base64
import html.parser
import json
import re

import pytest
from matplotlib.figure import Figure

from jiaa.report.page import write_page


class Parsed(html.parser.HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes no such tag"

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(make_run_in, tmp_path_factory):
    """The page of two runs on one dataset and one on another, parsed."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        make_run_in(folder, "ba_piaa", "tiny"),
        make_run_in(folder, "blg_piaa", "tiny", lift=0.1),
        make_run_in(folder, "ridge", "synthetic"),
    ]
    config = {"config": {"method": "<script>alert(1)</script>"}, "git": "abc"}
    (runs[0] / "config.json").write_text(json.dumps(config))
    path = write_page(runs, folder / "report.html", notes=["No maps: <none>"])
    return Parsed(path.read_text())


def test_every_picture_is_inside_and_no_tag_is_left_open(page):
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 2 * 2 + 3 * 2  # curves a metric and dataset; bars a run
    for source in sources:
        kind, _, body = source.partition(";base64,")
        assert kind in ("data:image/svg+xml", "data:image/png")
        assert base64.b64decode(body, validate=True)
    assert page.open == []


def test_nothing_in_it_runs_or_is_loaded(page):
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "link"}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    policies = [x["content"] for _, x in page.tags if "http-equiv" in x]
    assert policies[0].startswith("default-src 'none'")
    assert "<script>alert(1)" in page.text  # shown, as text


def test_runs_stand_side_by_side_with_paired_tests(page):
    assert "Paired tests over users" in page.text
    assert re.search(r"BA-PIAABLG-PIAA22\+0\.1000 ± 0\.0000100%", page.text)


def test_generated_data_is_called_synthetic(page):
    assert "These numbers are synthetic." in page.text
    assert "**" not in page.text


def test_the_same_run_gives_the_same_bytes_and_has_no_pair(make_run, tmp_path):
    run = make_run("ridge", "tiny")
    paths = [write_page([run], tmp_path / f"{name}.html") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "Paired" not in paths[0].read_text()


def test_pictures_and_their_captions_are_shown(make_run, tmp_path):
    figure = Figure(figsize=(1, 1))
    figure.subplots().imshow([[0, 1]])
    path = write_page(
        [make_run()], tmp_path / "x.html", pictures={"maps of <me>": figure}
    )
    page = Parsed(path.read_text())
    (shown,) = [x for _, x in page.tags if x.get("alt") == "maps of <me>"]
    assert shown["src"].startswith("data:image/png")


def test_no_runs_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="name at least one evaluated run"):
        write_page([], tmp_path / "x.html")
