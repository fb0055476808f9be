"""Meta-training and evaluation on eight fake devices, on meshes of several shapes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hlo import collectives, collectives_in_loops

SCRIPT = Path(__file__).with_name("mesh_run.py")


@pytest.mark.longest
def test_any_mesh_gives_one_devices_numbers_and_users_learn_without_talking():
    tests = SCRIPT.parents[1]
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "all well\n"


PROGRAM = """HloModule jit_f

%add (x: f32[], y: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%x, %y)
}

%fused (p: f32[4]) -> f32[4] {
  ROOT %all-reduce.1 = f32[4]{0} all-reduce(%p), to_apply=%add
}

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  ROOT %call = f32[4]{0} call(%p), to_apply=%fused
}

%condition (p: (s32[], f32[4])) -> pred[] {
  ROOT %less = pred[] compare(%p, %p), direction=LT
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %loop = (s32[], f32[4]) while(%p), condition=%condition, body=%body
  ROOT %all-gather-start = f32[4]{0} all-gather-start(%loop)
}
"""


def test_a_collective_in_a_loop_is_found_at_any_depth():
    assert sorted(collectives(PROGRAM)) == ["all-gather", "all-reduce"]
    assert collectives_in_loops(PROGRAM) == ["all-reduce"]
