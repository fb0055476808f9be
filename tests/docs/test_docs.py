"""Every code block of the docs runs, on small stand-ins for what it names.

A fenced block is run unless the line before it is a comment `<!-- not run: WHY -->`.
Commands are called in this process; those of experiments with their configs shrunk.
"""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import experiments
import pytest
from experiments import finished_run, glancing, tiny_world

import jiaa
from jiaa.cli import photos, reports, run
from jiaa.cli.settings import assign
from jiaa.serve.ratings import write_ratings
from jiaa.serve.server import Server

__all__ = ["finished_run", "tiny_world"]

ROOT = Path(jiaa.__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<kind>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
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
    """A folder with what the pages name: photos, FOLDER, ratings.csv and runs."""
    root = tmp_path_factory.mktemp("sandbox")
    shutil.copytree(tiny_world, root / "FOLDER")
    (root / "photos").mkdir()
    for letter, path in zip(
        "abcdefghijkl", sorted((tiny_world / "images").iterdir()), strict=False
    ):
        shutil.copy(path, root / "photos" / f"{letter}.jpg")
    given = {f"{letter}.jpg": 1.0 + i % 5 for i, letter in enumerate("abcdefghijkl")}
    write_ratings(root / "ratings.csv", given)
    shutil.copytree(finished_run, root / "runs" / "ba")
    with glancing():
        config = small("blg_piaa/oasis_squeezenet", root / "FOLDER")
        config.prior = str(root / "runs" / "ba")
        run.train(config, root / "runs" / "blg", progress=False)
        quickstart = root / "runs" / "quickstart" / "blg_piaa"
        shutil.copytree(root / "runs" / "blg", quickstart)
        yield root


def small(name, folder):
    """An experiment shrunk to what `finished_run` can be the prior of."""
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
    assign(config, [x for x in settings if x.startswith(("data.root=", "prior="))])
    workdir = Path(values["--workdir"])
    if Path(script).stem == "train":
        workdir = workdir.with_name(f"{workdir.name}_again")  # the other is finished
    getattr(run, Path(script).stem)(config, workdir, progress=False)


def call(line):
    """Runs one command line."""
    words = shlex.split(line, comments=True)
    if words[0] == "jiaa":
        quiet = [] if words[1] == "report" else ["--quiet", "--cache", "cache"]
        assert COMMANDS[words[1]]([*words[2:], *quiet]) == 0
    elif words[0] == "python":
        experiment(words[1:])
    else:
        pytest.fail(f"no way to run {line!r}; say why: <!-- not run: WHY -->")


def run_block(kind, code, names):
    if kind == "python":
        exec(compile(code, "docs", "exec"), names)
    elif kind == "bash":
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                call(line)
    else:
        pytest.fail(f"a block of kind {kind!r}; expected python or bash")


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_runs(page, sandbox, monkeypatch):
    monkeypatch.chdir(sandbox)
    monkeypatch.setattr(Server, "run", Server.close)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    names = {"__name__": "__main__"}
    for kind, code in blocks(page):
        run_block(kind, code, names)


def test_the_readmes_blocks_run(sandbox, monkeypatch):
    """But those for several devices and hosts, whose commands are none of `jiaa`'s.

    A first-time user's path: the quickstart's run (here: a small stand-in), a folder,
    and the commands in the order of the page.
    """
    monkeypatch.chdir(sandbox)
    monkeypatch.setattr(Server, "run", Server.close)
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    ran = []
    for kind, code in blocks(ROOT / "README.md"):
        if kind == "bash" and not code.startswith("jiaa"):
            continue
        # The small stand-in's users have rated few photographs.
        run_block(kind, code.replace("(10, 100)", "(2,)"), {"__name__": "__main__"})
        ran.append(kind)
    assert "python" in ran


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_other_pages_have_no_block_that_is_not_run(page):
    if page not in TUTORIALS:
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
