"""The benchmark for a GPU, tried on a CPU: every part, and what may go wrong in one."""

import importlib.metadata
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from scripts._gpu import (
    bench,
    host,
    main,
    meta,
    parts,
    runner,
    sizes,
    standins,
    summary,
)
from scripts._gpu.lines import Lines, read

ROOT = Path(__file__).resolve().parents[2]
# Parts of a few milliseconds: nothing that takes long to import.
STAGED = """
import os, subprocess, sys, time

def works(lines, job, ends):
    lines.write(side="jiaa", status="measured", value=1.0)

def hangs(lines, job, ends):
    lines.write(side="jiaa", status="measured", value=2.0)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    lines.write(side="jiaa", status="pids", pids=[os.getpid(), child.pid])
    time.sleep(600)

def raises(lines, job, ends):
    raise RuntimeError("out of memory\\nand a second line")

def dies(lines, job, ends):
    os._exit(3)
"""


@pytest.fixture
def staged(tmp_path):
    """Runs parts of STAGED, by name; gives the lines that close them."""
    (tmp_path / "staged.py").write_text(STAGED)
    env = runner.environment("cpu")
    env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{env['PYTHONPATH']}"

    def run(*names, limit_s=30.0, budget_s=60.0, together=False):
        closing = runner.run_parts(
            [runner.Part(name, f"staged:{name}", limit_s, name) for name in names],
            path=tmp_path / "figures.jsonl",
            common={"run": "r"},
            job={},
            budget_s=budget_s,
            env=env,
            together=together,
        )
        return {part.name: line for part, line in closing}

    return run


def gone(pid):
    """Whether a process is no more, or only waits to be forgotten by its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def within(seconds, condition):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("together", [False, True])
def test_a_part_that_hangs_is_killed_and_the_next_ones_still_run(
    staged, tmp_path, together
):
    begun = time.monotonic()
    closed = staged("hangs", "works", limit_s=2.0, together=together)
    assert time.monotonic() - begun < 20
    assert closed["hangs"]["status"] == "killed"
    assert closed["hangs"]["note"] == "still running after its limit of 2 s"
    assert closed["hangs"]["figures"] == 1, "what it had measured stays"
    assert closed["works"]["status"] == "finished"
    lines = read(tmp_path / "figures.jsonl", run="r")
    (pids,) = (line["pids"] for line in lines if line["status"] == "pids")
    assert within(5, lambda: all(gone(pid) for pid in pids)), "nor what it had started"
    assert "in hangs" in (tmp_path / "log.txt").read_text(), (
        "the log says where it hung"
    )


@pytest.mark.parametrize("together", [False, True])
def test_a_part_that_raises_or_dies_is_reported_and_the_next_ones_still_run(
    staged, tmp_path, together
):
    closed = staged("raises", "dies", "works", together=together)
    assert closed["raises"]["status"] == "error"
    assert closed["raises"]["note"] == "RuntimeError: out of memory"
    assert closed["dies"]["status"] == "error"
    assert closed["dies"]["note"] == "its process ended with code 3; see log.txt"
    assert closed["works"]["figures"] == 1
    assert "and a second line" in (tmp_path / "log.txt").read_text()


def test_parts_that_the_budget_does_not_cover_are_skipped_with_a_line(staged):
    closed = staged("works", "raises", budget_s=runner.LEAST / 2)
    assert [line["status"] for line in closed.values()] == ["skipped"] * 2
    assert closed["raises"]["note"] == "5 s of 5 s left"


def test_no_process_outlives_a_benchmark_that_is_asked_to_end(tmp_path):
    (tmp_path / "staged.py").write_text(STAGED)
    path = tmp_path / "figures.jsonl"
    program = textwrap.dedent(f"""
        from pathlib import Path
        from scripts._gpu import runner
        part = runner.Part("hangs", "staged:hangs", 600, "")
        list(runner.run_parts([part], path=Path({str(path)!r}), common={{"run": "r"}},
             job={{}}, budget_s=600, env=runner.environment("cpu")))
    """)
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    process = subprocess.Popen([sys.executable, "-c", program], env=env)

    def pids():
        lines = read(path, run="r")
        return [pid for line in lines for pid in line.get("pids", [])]

    assert within(30, pids)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert within(5, lambda: all(gone(pid) for pid in pids()))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The lines of `scripts/bench_gpu --tiny`, and what it printed."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("bench_gpu")
    quick = {
        # One part compiles another one's program; and few operations compile fast.
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JIAA_CONVOLUTION": "patches",
        "PYTHON": sys.executable,
    }
    done = subprocess.run(
        ["bash", ROOT / "scripts" / "bench_gpu", "--tiny", "--out", folder],
        env={**os.environ, **quick},
        capture_output=True,
        text=True,
        check=False,
    )
    log = (folder / "log.txt").read_text()
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{log}"
    texts = (folder / main.FIGURES).read_text().splitlines()
    return [json.loads(text) for text in texts], done.stdout


def measured(lines):
    return [line for line in lines if line["status"] == "measured"]


@pytest.mark.slow
def test_a_tiny_run_has_finite_positive_figures_of_every_part_on_both_sides(tiny):
    lines, _ = tiny
    found = {(line["part"], line["side"]) for line in measured(lines)}
    both = {(name, side) for name in parts.NAMES for side in ("jiaa", "torch", "ratio")}
    assert found == both - {("rules", "torch"), ("rules", "ratio")}
    for line in measured(lines):
        assert math.isfinite(line["value"]), line
        assert line["value"] > 0, line
        assert line["unit"]
        seconds = [
            line.get("make_s", 0),
            line.get("first_s", 1),
            *line.get("runs_s", ()),
        ]
        assert min(seconds) >= 0, line
    others = [line["status"] for line in lines if line["status"] != "measured"]
    assert others == ["finished"] * len(parts.PARTS)


@pytest.mark.slow
def test_each_line_says_what_it_was_measured_on(tiny):
    for line in tiny[0]:
        assert {"jax", "flax", "torch", "python"} <= set(line["versions"])
        assert {"run", "part", "size", "gpu", "driver", "cores"} <= set(line)
        assert line["size"] == "tiny"
        assert "side" not in line or line["device"] == "cpu"


@pytest.mark.slow
def test_extrapolations_say_from_what_and_to_what(tiny):
    lines = [line for line in measured(tiny[0]) if line["extrapolated"]]
    assert {line["part"] for line in lines} == {"epochs", "evaluation"}
    for line in lines:
        assert line["measured"]
        assert line["stands_for"] in ("50 epochs x 165 users", "37 users x 50 splits")
        measured_on = next(
            other
            for other in measured(tiny[0])
            if other["part"] == line["part"]
            and (other["group"], other["contestant"], other["side"])
            == (line["group"], line["contestant"], line["side"])
        )
        work = {"epochs": 50 * 165, "evaluation": 37 * 50}[line["part"]]
        assert line["value"] == pytest.approx(work / measured_on["value"])


@pytest.mark.slow
def test_a_ratio_is_jiaas_speed_over_pytorchs(tiny):
    lines = [line for line in measured(tiny[0]) if not line["extrapolated"]]
    speed = {
        (line["part"], line["group"], f"{line['side']} {line['contestant']}"): line
        for line in lines
    }
    ratios = [line for line in lines if line["side"] == "ratio"]
    assert len(ratios) >= len(parts.PARTS) - 1
    for line in ratios:
        values = [
            speed[line["part"], line["group"], name]["value"]
            for name in line["contestant"].split(" / ")
        ]
        assert line["value"] == pytest.approx(values[0] / values[1])


@pytest.mark.slow
def test_both_sides_compute_the_same(tiny):
    gaps = [line for line in tiny[0] if line.get("gap") is not None]
    assert {line["part"] for line in gaps} >= {"meta", "evaluation", "encoding"}
    assert all(line.get("agrees", True) for line in gaps)


@pytest.mark.slow
def test_shares_are_of_a_roofline_that_was_measured_in_the_same_run(tiny):
    ceilings = bench.ceilings(tiny[0])
    assert set(ceilings) == {"bytes", "bfloat16", "float32"}
    lines = [line for line in measured(tiny[0]) if "roofline_share" in line]
    line = next(line for line in lines if line["group"].startswith("2 users, 6 px"))
    maps, taps, channels, users = 2 * 6 * 6 * 4, 9, 4, 2
    operations = users * 2 * maps * taps * channels
    moved = users * 2 * (2 * maps + taps * channels * 4)
    least = max(operations / ceilings["bfloat16"], moved / ceilings["bytes"])
    assert line["roofline_share"] == pytest.approx(least / line["median_s"])


@pytest.mark.slow
def test_the_summary_has_a_section_for_every_part_and_the_fastest_of_both_sides(tiny):
    lines, text = tiny
    for part in parts.PARTS:
        assert f"## {part.title} ({part.name})" in text
    assert "extrapolated to 50 epochs x 165 users from one iteration" in text
    group = "meta-iteration, 48 px, float32"
    speed = {
        (line["side"], line["contestant"]): line["value"]
        for line in measured(lines)
        if line["group"] == group
    }
    fastest = max(speed["torch", mode] for mode in ("eager", "vmap"))
    ratio = f"{speed['jiaa', 'vmap 2'] / fastest:.3g}"
    (row,) = (line for line in text.splitlines() if f"| {group} | vmap 2, " in line)
    assert row.split(" | ")[3] == ratio


def test_roofline_counts_are_those_of_the_page():
    page = (ROOT / "docs" / "speed_gpu.md").read_text()
    for size in (224, 256):
        products, numbers = meta.resnet18(size)
        assert f"{products / 1e9:.2f} G" in page
        assert f"{numbers / 1e6:.2f} M" in page
        operations, moved, _ = meta.floor("resnet18", size, 1, "bfloat16")
        assert f"{operations / 1e9:.1f} GFLOP" in page
        assert f"{moved / 1e6:.0f} MB" in page
    assert meta.floor("alexnet", 224, 1, "bfloat16") is None


def test_every_part_has_a_full_and_a_tiny_size():
    assert set(sizes.SIZES) == set(parts.NAMES)
    assert all(set(rows) == {"full", "tiny"} for rows in sizes.SIZES.values())
    assert main.BUDGET_S <= 8 * 60


ALLOWED = ("jax", "flax", "optax", "numpy", "jaxtyping")


def required(names):
    """Distributions that these need to be installed, themselves included."""
    found, waiting = set(), list(names)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        needs = [need for need in needs if "extra ==" not in need]
        waiting += [re.match(r"[\w.-]+", need)[0] for need in needs]
    return found


def test_nothing_is_imported_beyond_the_packages_that_the_page_names(tmp_path):
    allowed = required(ALLOWED)
    modules = importlib.metadata.packages_distributions()
    forbidden = {
        module
        for module, owners in modules.items()
        if not {re.sub(r"[-_.]+", "-", o).lower() for o in owners} & allowed
    } - {"jiaa"}
    assert {"PIL", "tqdm", "safetensors", "grain", "torch"} <= forbidden
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import importlib.abc, json, sys, time
        from pathlib import Path
        FORBIDDEN = set(json.loads(sys.argv[1]))

        class Hidden:
            # Every other finder, deaf to what is forbidden, as if it were not there.
            def __init__(self, finder):
                self.finder = finder
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in FORBIDDEN:
                    return None
                return self.finder.find_spec(name, path, target)
            def __getattr__(self, name):
                return getattr(self.finder, name)

        before = set(sys.modules)
        sys.meta_path[:] = [Hidden(finder) for finder in sys.meta_path]
        from scripts._gpu import standins, worker
        standins.install()
        for part, function in json.loads(sys.argv[2]):
            common = {"run": "r", "part": part}
            job = {"size": "tiny", "device": "cpu", "sides": ["jiaa", "torch"]}
            job |= {"path": sys.argv[3], "common": common, "limit_s": 300}
            print(worker.do({**job, "function": function}))
        import jiaa.evaluate.personalization, jiaa.models.trunk
        from scripts._gpu import device, evaluation, layers, meta, pictures
        real = [m for m in set(sys.modules) - before
                if m.partition(".")[0] in FORBIDDEN]
        assert all(type(sys.modules[m].__spec__.loader).__name__ == "StandIns"
                   for m in real), real
        """)
    )
    chosen = [
        (part.name, part.function)
        for part in parts.PARTS
        if part.name in ("crops", "rules")
    ]
    path = tmp_path / "figures.jsonl"
    arguments = [json.dumps(sorted(forbidden)), json.dumps(chosen), str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, program, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('finished', '')\n" * 2
    lines = read(path, run="r")
    assert {(x["part"], x["side"]) for x in measured(lines)} == {
        ("crops", "jiaa"),
        ("rules", "jiaa"),
    }
    absent = {line["note"] for line in lines if line["status"] == "absent"}
    expected = (
        "PyTorch cannot be imported: ModuleNotFoundError: No module named 'torch'"
    )
    assert absent == {expected}


def test_a_stand_in_has_names_and_no_use():
    module = type(sys)("PIL.Image")
    module.__name__ = "PIL.Image"
    standins.StandIns().exec_module(module)
    assert issubclass(module.Image, Exception), "so that `except` may name it"
    with pytest.raises(ImportError, match=r"PIL\.Image\.open was used"):
        module.open("photo.jpg")
    with pytest.raises(ImportError, match=r"PIL\.Image\.Image\.fromarray was used"):
        module.Image.fromarray(None)
    finder = standins.StandIns()
    assert finder.find_spec("PIL.Image", None)
    assert finder.find_spec("grain", None) is None
    with standins.Bar([1, 2], disable=True) as bar:
        assert list(bar) == [1, 2]
        bar.update()


@pytest.fixture
def one_part(tmp_path):
    """A `Bench` of the part "crops", on jiaa's side, and its lines."""
    path = tmp_path / "figures.jsonl"
    job = {"size": "tiny", "device": "cpu", "sides": ["jiaa"]}

    def make(seconds=60.0):
        lines = Lines(path, common={"run": "r", "part": "crops"})
        return bench.Bench(lines, job, time.monotonic() + seconds)

    return make, lambda: read(path, run="r")


def test_a_figure_that_fails_leaves_the_others(one_part):
    import jax.numpy as jnp

    make, lines = one_part
    bench_of_part = make()
    options = {"group": "g", "work": 2, "unit": "images/s"}

    def broken():
        raise MemoryError("no room")

    assert bench_of_part.measure("jiaa", "broken", broken, **options) is None
    assert bench_of_part.measure("torch", "other", broken, **options) is None
    good = bench_of_part.measure("jiaa", "good", lambda: lambda: jnp.ones(2), **options)
    error, line = lines()
    assert (error["status"], error["note"]) == ("error", "MemoryError: no room")
    assert line["contestant"] == "good"
    assert line["value"] == pytest.approx(2 / good.seconds)
    assert len(line["runs_s"]) == bench.REPEATS
    assert line["extrapolated"] is False


def test_near_its_limit_a_part_begins_nothing(one_part):
    make, lines = one_part
    options = {"group": "g", "work": 1, "unit": "images/s"}
    assert make(bench.RESERVE / 2).measure("jiaa", "a", None, **options) is None
    (line,) = lines()
    assert (line["status"], line["note"]) == ("skipped", "the part's time is spent")


def test_a_side_without_a_gpu_says_so(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    note = "JAX found no GPU (it runs on the cpu); install its CUDA build"
    assert bench.lacking_jax("cuda") == note
    assert bench.lacking_jax("cpu") is None

    def none():
        raise RuntimeError("Unable to initialize backend 'cuda'\nmore")

    monkeypatch.setattr(jax, "default_backend", none)
    assert "Unable to initialize backend 'cuda'" in bench.lacking_jax("cuda")
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert bench.lacking_torch("cuda") == "PyTorch found no GPU; install its CUDA build"


def test_a_line_that_a_kill_cut_in_half_costs_no_other(tmp_path):
    path = tmp_path / "figures.jsonl"
    lines = Lines(path, common={"run": "r"})
    lines.write(value=1)
    with path.open("a") as file:
        file.write('{"run": "r", "val')
    lines.write(value=2)
    Lines(path, common={"run": "another"}).write(value=3)
    assert [line["value"] for line in read(path, run="r")] == [1, 2]
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines.write(value=math.nan)
    assert len(read(path, run="r")) == 2


def test_a_machine_without_nvidia_smi_or_with_one_that_hangs_has_no_gpu(monkeypatch):
    def hangs(*_, **options):
        raise subprocess.TimeoutExpired("nvidia-smi", options["timeout"])

    monkeypatch.setattr(subprocess, "run", hangs)
    assert host.first_gpu() == (None, None)

    def answers(*_, **options):
        return subprocess.CompletedProcess([], 0, "NVIDIA H200, 580.1, 143771 MiB\n")

    monkeypatch.setattr(subprocess, "run", answers)
    assert host.first_gpu() == ("NVIDIA H200, 143771 MiB", "580.1")


def test_full_sizes_on_a_cpu_are_refused(capsys):
    with pytest.raises(SystemExit):
        main.parse(["--device", "cpu"])
    assert "the full sizes take days on a CPU" in capsys.readouterr().err
    assert main.parse(["--tiny"]).device == "cpu"
    assert main.parse([]).device == "gpu"


def test_the_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("OUT", str(tmp_path))
    assert main.parse([]).out == tmp_path
    monkeypatch.delenv("OUT")
    assert main.parse([]).out == Path("runs/bench_gpu")


def test_a_disagreement_of_the_sides_is_told_in_the_summary():
    line = {"status": "measured", "side": "jiaa", "value": 1.0, "unit": "users/s"}
    line |= {"extrapolated": False, "gap": 0.9, "agrees": False}
    assert "do not quote" in summary._row(line)[-1]
