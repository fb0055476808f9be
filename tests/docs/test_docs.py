"""Every code block of the docs runs, on small stand-ins for what it names.

A fenced block is run unless the line before it is a comment `<!-- not run: WHY -->`.
Commands are called in this process; those of experiments with their configs shrunk.
"""

import contextlib
import csv
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import experiments
import numpy as np
import pytest
from experiments import finished_run, glancing, tiny_world
from PIL import Image
from scipy.stats import spearmanr

import jiaa
from jiaa.cli import photos, reports, run
from jiaa.cli.settings import assign
from jiaa.serve.server import Server

__all__ = ["finished_run", "tiny_world"]

ROOT = Path(jiaa.__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
START = (ROOT / "README.md", ROOT / "docs" / "index.md")
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
TRAINING = ROOT / "docs" / "tutorials" / "training.md"
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<kind>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LETTERS = "abcdefghijklmnop"
COMMANDS = {
    "score": photos.score,
    "personalize": photos.personalize,
    "rate": photos.rate,
    "report": reports.report,
}


def blocks(page):
    """(kind, code) of each block that runs."""
    found = BLOCK.finditer(page.read_text())
    return [(x["kind"], x["code"]) for x in found if x["why"] is None]


@pytest.fixture(scope="module")
def sandbox(tiny_world, finished_run, tmp_path_factory):
    """A folder with what the pages name: photos, FOLDER, and the tutorial's runs."""
    root = tmp_path_factory.mktemp("sandbox")
    shutil.copytree(tiny_world, root / "FOLDER")
    (root / "photos").mkdir()
    paths = sorted((tiny_world / "images").iterdir())[: len(LETTERS)]
    for letter, path in zip(LETTERS, paths, strict=True):
        shutil.copy(path, root / "photos" / f"{letter}.jpg")
    shutil.copytree(finished_run, root / "runs" / "ba")
    with glancing(), contextlib.chdir(root), pytest.MonkeyPatch.context() as patch:
        # Its figures are slow to draw; tests/report has them.
        patch.setattr(run, "write_report", lambda *arguments: None)
        run_page(TRAINING, sandbox=root)
        yield root


def small(name, folder):
    """An experiment shrunk to what `finished_run` can be the prior of.

    One on features from elsewhere has no network that could be shared.
    """
    if experiments.load(name).data.features:
        return experiments.shrink(experiments.load(name), Path(folder)).unlock()
    seen = experiments.load("ba_piaa/oasis_squeezenet_one_view")
    fields = {f"trunk.{x}": seen.trunk[x] for x in ("five_crops", "flip")}
    fields |= {"trunk.sizes": ((40, 48),), "data.image_size": 40}
    return experiments.glance_at(name, folder, **fields).unlock()


def experiment(words):
    """Calls scripts/train.py or evaluate.py's function with the config shrunk."""
    script, rest = words[0], words[1:]
    assert (ROOT / script).is_file(), script
    values, settings = {}, []
    for word in rest:
        if word.startswith("--config."):
            settings.append(word.removeprefix("--config."))
        elif word.startswith("--"):
            key = word
        else:
            values[key] = word
    name = values["--config"].removeprefix("configs/").removesuffix(".py")
    assign(experiments.load(name).unlock(), settings)  # every flag is known
    config = small(name, "FOLDER")
    files = ("data.root=", "data.features=", "prior=")
    assign(config, [x for x in settings if x.startswith(files)])
    getattr(run, Path(script).stem)(config, values["--workdir"], progress=False)


def quickstart(sandbox):
    """Leaves what scripts/quickstart does: the sandbox's small run."""
    text = (ROOT / "scripts" / "quickstart").read_text()
    assert 'runs="${1:-runs/quickstart}"' in text
    assert '--workdir "$runs/blg_piaa"' in text
    shutil.copytree(sandbox / "runs/blg", "runs/quickstart/blg_piaa")


def brightness(path):
    return float(np.asarray(Image.open(path).convert("L")).mean())


class Person:
    """Sits before `jiaa rate` in place of a server: likes bright photographs."""

    answers = len(LETTERS)

    def __call__(self, server):
        session = server.session
        levels = sorted(map(brightness, session.album.paths))
        for _ in range(self.answers):
            image = session.view()["question"]["image"]
            place = levels.index(brightness(session.album.paths[image]))
            session.rate(image, 1 + place * 5 // len(levels))
        server.close()


@pytest.fixture
def person(monkeypatch):
    """Answers each `jiaa rate`."""
    found = Person()
    monkeypatch.setattr(Server, "run", lambda server: found(server))
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    return found


def call(line, sandbox):
    """Runs one command line."""
    words = shlex.split(line, comments=True)
    if words == ["bash", "scripts/quickstart"]:
        quickstart(sandbox)
    elif words == ["source", ".venv/bin/activate"]:
        assert "export PATH=" in (ROOT / "scripts" / "_venv").read_text()
    elif words[0] == "jiaa":
        quiet = ["--quiet", "--cache", "cache"]
        if words[1] == "report":
            quiet = ["--maps", "0"]  # slow to compile; tests/cli/test_reports has them
        assert COMMANDS[words[1]]([*words[2:], *quiet]) == 0
    elif words[0] == "python":
        experiment(words[1:])
    else:
        pytest.fail(f"no way to run {line!r}; say why: <!-- not run: WHY -->")


def run_block(kind, code, *, page, names, sandbox):
    if kind == "python":
        # The small stand-in's users have rated few photographs.
        code = code.replace("(10, 100)", "(2,)")
        exec(compile(code, page.name, "exec"), names)
    else:
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                call(line, sandbox)


def run_page(page, *, sandbox, kinds=("python", "bash")):
    """Runs a page's blocks of these kinds, in order."""
    names = {"__name__": "__main__"}
    for kind, code in blocks(page):
        if kind in kinds:
            run_block(kind, code, page=page, names=names, sandbox=sandbox)


@pytest.mark.usefixtures("person")
def test_every_block_of_the_tutorials_runs(sandbox, monkeypatch):
    """In one test, so that the sandbox trains the runs that pages name once."""
    monkeypatch.chdir(sandbox)
    quickstart(sandbox)
    for page in TUTORIALS:
        if page != TRAINING:
            run_page(page, sandbox=sandbox)
    # The README's other commands are for several devices and hosts.
    run_page(ROOT / "README.md", sandbox=sandbox, kinds=("python",))


def first_path(page):
    """The block of a page that leads from a clone to a ranking, if it has one."""
    found = (code for kind, code in blocks(page) if kind == "bash")
    return next((x for x in found if x.startswith("bash scripts/quickstart")), None)


@pytest.mark.usefixtures("person")
@pytest.mark.parametrize("page", list(filter(first_path, START)), ids=lambda x: x.stem)
def test_a_first_user_gets_from_a_clone_to_their_own_ranking(
    page, sandbox, monkeypatch, tmp_path
):
    """Nothing is there but photographs and what the page's commands make."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sandbox / "photos", "photos")
    run_block("bash", first_path(page), page=page, names={}, sandbox=sandbox)
    call("jiaa score photos --prior runs/quickstart/blg_piaa -o crowd.csv", sandbox)
    agree = {}
    for name in ("crowd.csv", "mine.csv"):
        with open(name, newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(LETTERS)
        liked = [brightness(row["image"]) for row in rows]
        agree[name] = spearmanr(liked, [float(x["score"]) for x in rows]).statistic
    assert agree["mine.csv"] > agree["crowd.csv"]


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_blocks_are_python_or_bash(page):
    assert {kind for kind, _ in blocks(page)} <= {"python", "bash"}


def test_the_site_begins_with_the_first_users_path():
    assert first_path(ROOT / "docs" / "index.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_other_pages_have_no_block_that_is_not_run(page):
    if page not in (*TUTORIALS, *START):
        assert not blocks(page), (
            "move the block to a tutorial, or say why it is not run"
        )


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda x: x.stem)
def test_what_a_page_names_is_there(page):
    text = page.read_text()
    named = re.findall(r"\b(?:configs|scripts|notebooks)/[\w/]+\.(?:py|ipynb)\b", text)
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    missing = [x for x in named if not (ROOT / x).exists()]
    missing += [x for x in links if not (page.parent / x).exists()]
    assert not missing


def test_the_reference_names_modules_that_exist():
    text = "\n".join(x.read_text() for x in (ROOT / "docs/reference").glob("*.md"))
    modules = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    assert len(modules) > 10
    missing = [x for x in modules if importlib.util.find_spec(x) is None]
    assert not missing


def test_the_site_shows_every_page():
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {x.relative_to(ROOT / "docs").as_posix() for x in PAGES}
