import json
import math

from jiaa.train.metrics_writer import FILE, MetricsWriter, read_metrics


def test_each_row_is_a_line_that_is_there_at_once(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write(1, {"loss": 0.5, "rate": 1e-3})
    assert read_metrics(tmp_path) == [{"step": 1, "loss": 0.5, "rate": 1e-3}]
    writer.close()


def test_what_is_not_finite_is_null_so_that_the_lines_are_json(tmp_path):
    writer = MetricsWriter(tmp_path)
    writer.write(1, {"srocc": math.nan, "best": math.inf})
    writer.close()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    line = (tmp_path / FILE).read_text()
    assert json.loads(line, parse_constant=refuse)["srocc"] is None


def test_resuming_drops_later_rows_and_torn_lines_and_keeps_the_rest(tmp_path):
    writer = MetricsWriter(tmp_path)
    for step in range(1, 9):
        writer.write(step, {"loss": 1 / step})
    writer.close()
    whole = (tmp_path / FILE).read_text()
    with (tmp_path / FILE).open("a") as rows:
        rows.write('{"step": 9, "lo')
    writer = MetricsWriter(tmp_path, resume_at=5)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]
    for step in range(6, 9):
        writer.write(step, {"loss": 1 / step})
    writer.close()
    assert (tmp_path / FILE).read_text() == whole


def test_a_new_run_starts_with_an_empty_record(tmp_path):
    (tmp_path / FILE).write_text('{"step": 1, "loss": 3.0}\n')
    MetricsWriter(tmp_path).close()
    assert read_metrics(tmp_path) == []


def test_tensorboard_gets_the_scalars_and_is_told_what_to_purge(tmp_path):
    for resume_at in (0, 2):
        writer = MetricsWriter(tmp_path, resume_at=resume_at)
        writer.write(resume_at + 1, {"loss": 0.25})
        writer.close()
    events = sorted((tmp_path / "tensorboard").iterdir())
    assert all(b"loss" in file.read_bytes() for file in events)
    assert len(events) >= 1
