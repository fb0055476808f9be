"""Each wrong row is named with line, value and remedy; harmless forms just work."""

import unicodedata

import numpy as np
import pytest
from data.folders import write_folder

from jiaa.data.folder import ONLY_WORKER, read_folder
from jiaa.data.table import DataError

GOOD = "worker,image,score\nann,a.jpg,1\nann,b.jpg,5\nbob,a.jpg,2.5\n"


def rows(folder):
    ratings = folder.ratings
    return list(
        zip(
            ratings.worker.tolist(),
            ratings.image.tolist(),
            ratings.stars.tolist(),
            strict=True,
        )
    )


def refused(root, **options):
    """The message of the error that reading `root` raises."""
    with pytest.raises(DataError) as caught:
        read_folder(root, **options)
    return str(caught.value)


def test_plain_file_reads_as_written(tmp_path):
    folder = read_folder(write_folder(tmp_path, GOOD))
    assert rows(folder) == [
        ("ann", "a.jpg", 1.0),
        ("ann", "b.jpg", 5.0),
        ("bob", "a.jpg", 2.5),
    ]
    assert folder.image_names == ("a.jpg", "b.jpg"), "those that were rated"
    assert [path.name for path in folder.paths] == ["a.jpg", "b.jpg"]
    np.testing.assert_allclose(folder.ratings.unit_scores, [0.2, 1.0, 0.5])
    assert folder.missing == ()
    assert folder.image_split == {}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace(",", ", "),
        GOOD.replace(",", " ,\t"),
        "\n\n" + GOOD.replace("\n", "\n\n") + "\n  \n,,\n",
        GOOD.replace("a.jpg", '"a.jpg"'),
        GOOD.replace("worker,image,score", "Worker, Image ,SCORE"),
        GOOD.replace("\n", ",\n"),
        GOOD.removesuffix("\n"),
        GOOD.replace("a.jpg", "./a.jpg"),
        GOOD.replace(",1\n", ",1.0\n").replace(",5\n", ",+5e0\n"),
    ],
    ids=(
        "bom crlf cr spaces tabs blank quoted case trailing unterminated dot decimals"
    ).split(),
)
def test_harmless_forms_read_the_same(tmp_path, text):
    expected = read_folder(write_folder(tmp_path / "plain", GOOD))
    assert rows(read_folder(write_folder(tmp_path / "other", text))) == rows(expected)


def test_further_and_reordered_columns_are_ignored(tmp_path):
    text = "score,note,image,worker\n4,nice,a.jpg,ann\n"
    assert rows(read_folder(write_folder(tmp_path, text))) == [("ann", "a.jpg", 4.0)]


def test_without_worker_column_there_is_one_user(tmp_path):
    folder = read_folder(write_folder(tmp_path, "image,score\na.jpg,4\nb.jpg,2\n"))
    assert folder.ratings.worker.tolist() == [ONLY_WORKER] * 2


def test_quoted_unicode_and_nested_names_work(tmp_path):
    names = ["sea, at dusk.jpg", "Œuvre ☀.jpg", "holiday/ü.jpg"]
    text = (
        'worker,image,score\nzoë,"sea, at dusk.jpg",1\nzoë,Œuvre ☀.jpg,2\n'
        "zoë,holiday/ü.jpg,3\n"
    )
    folder = read_folder(write_folder(tmp_path, text, names=names))
    assert set(folder.image_names) == set(names)


def test_decomposed_file_names_are_found(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Zürich.jpg")
    write_folder(tmp_path, "image,score\nZürich.jpg,3\n", names=[decomposed])
    folder = read_folder(tmp_path)
    assert folder.image_names == (unicodedata.normalize("NFC", "Zürich.jpg"),)
    assert folder.paths[0].exists()


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ("ann,a.jpg,good", "score 'good' is not a number; expected one from 1 to 5"),
        ("ann,a.jpg,", "score '' is not a number"),
        ("ann,a.jpg,nan", "score 'nan' is not a number"),
        ("ann,a.jpg,inf", "score 'inf' is not a number"),
        ("ann,a.jpg,1_0", "score '1_0' is not a number"),
        (
            "ann,a.jpg,5.5",
            "score 5.5 is off the scale 1 to 5; correct it, or pass scale",
        ),
        ("ann,a.jpg,0", "score 0 is off the scale"),
        ('ann,a.jpg,"2,5"', "score '2,5' is not a number"),
        ("ann,a.jpg,2,5", "4 values where the header has 3"),
        ("ann,a.jpg", "2 values where the header has 3"),
        (",a.jpg,3", "the worker's name is empty"),
        ("ann,,3", "the image's name is empty"),
        ("ann,../a.jpg,3", "image '../a.jpg' leaves the image folder"),
        ("ann,/etc/passwd,3", "image '/etc/passwd' leaves the image folder"),
        ("ann,..\\a.jpg,3", "leaves the image folder"),
        ("ann,C:a.jpg,3", "leaves the image folder"),
        ("bob,b.jpg,3", "worker 'bob' rated 'b.jpg' in line 2 already"),
    ],
)
def test_wrong_row_is_named_with_its_line_and_value(tmp_path, row, finding):
    text = f"worker,image,score\nbob,b.jpg,3\n\n{row}\nann,c.jpg,2\n"
    message = refused(write_folder(tmp_path, text))
    assert str(tmp_path / "ratings.csv") in message
    assert "line 4: " in message
    assert finding in message
    assert "1 wrong row" in message


def test_all_wrong_rows_are_counted_and_the_first_shown(tmp_path):
    wrong = "".join(f"u{i},a.jpg,{i}00\n" for i in range(1, 31))
    message = refused(write_folder(tmp_path, "worker,image,score\n" + wrong))
    assert "30 wrong rows" in message
    assert message.count("off the scale") == 10
    assert "line 2: " in message
    assert "line 11: " in message
    assert "and 20 more" in message


def test_line_numbers_count_lines_inside_quotes(tmp_path):
    text = 'worker,image,score,note\nann,a.jpg,3,"two\nlines"\nann,b.jpg,x,\n'
    assert "line 4: score 'x'" in refused(write_folder(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b"worker,image,score\n", "no rows after the header"),
        (
            b"worker,image\nann,a.jpg\n",
            "no column 'score'; the header is 'worker,image'",
        ),
        (b"ann,a.jpg,3\n", "no column 'image'"),
        (b"image,score,image\na.jpg,3,b.jpg\n", "column 'image' appears twice"),
        (b"worker;image;score\nann;a.jpg;3\n", "separated by ';'; expected commas"),
        (b"worker\timage\tscore\n", "separated by '\\t'; expected commas"),
        (
            "image,score\nZürich.jpg,3\n".encode("latin-1"),
            "line 2: byte 0xFC is not UTF",
        ),
        (GOOD.encode("utf-16"), "line 1: byte 0xFF is not UTF-8; save the file again"),
        (b"image,score\na\0.jpg,3\n", "line 2: a NUL character"),
        (
            b'image,score\n"a.jpg,3\nb.jpg,2\n',
            "line 2: unexpected end of data; check the",
        ),
    ],
)
def test_unusable_file_is_refused(tmp_path, text, finding):
    root = write_folder(tmp_path, GOOD)
    (root / "ratings.csv").write_bytes(text)
    message = refused(root)
    assert str(root / "ratings.csv") in message
    assert finding in message


def test_missing_parts_of_the_folder_are_named(tmp_path):
    assert "no such folder" in refused(tmp_path / "nothing")
    (tmp_path / "images").mkdir()
    assert "ratings.csv: No such file" in refused(tmp_path)
    (tmp_path / "images").rmdir()
    (tmp_path / "ratings.csv").write_text(GOOD)
    assert "images: no such folder" in refused(tmp_path)


def test_scale_is_an_option(tmp_path):
    root = write_folder(tmp_path, GOOD.replace(",5", ",7"))
    assert "pass scale=(low, high)" in refused(root)
    folder = read_folder(root, scale=(1, 7))
    np.testing.assert_allclose(folder.ratings.unit_scores[1], 1.0)


@pytest.mark.parametrize("scale", [(5, 1), (-1, 1), (0, 0), (1, float("inf"))])
def test_impossible_scale_is_refused(tmp_path, scale):
    assert "expected 0 <= low < high" in refused(
        write_folder(tmp_path, GOOD), scale=scale
    )


def test_missing_images_are_listed_and_tolerated_up_to_the_limit(tmp_path, caplog):
    text = GOOD + "ann,A.JPG,3\nbob,lost.jpg,4\n"
    root = write_folder(tmp_path, text)
    message = refused(root, max_missing=1)
    assert "2 of 4 images have no file; max_missing=1" in message
    assert "'A.JPG' (there is 'a.jpg')" in message
    assert "'lost.jpg'" in message
    assert "pass max_missing=2" in message
    folder = read_folder(root, max_missing=2)
    assert folder.missing == ("A.JPG", "lost.jpg")
    assert rows(folder) == rows(read_folder(write_folder(tmp_path / "good", GOOD)))
    assert "2 of 4 images have no file" in caplog.text


def test_no_image_at_all_is_never_tolerated(tmp_path):
    root = write_folder(tmp_path, "image,score\nx.jpg,3\n")
    message = refused(root, max_missing=9)
    assert "1 of 1 images have no file" in message
    assert "max_missing" not in message


IMAGES = "image,Split,theme\nb.jpg,train,sea\na.jpg, Test,\nc.jpg,val,sky\n"


def test_images_csv_gives_split_and_metadata(tmp_path):
    folder = read_folder(write_folder(tmp_path, GOOD, images=IMAGES))
    assert folder.image_names == ("a.jpg", "b.jpg", "c.jpg"), "unrated ones too"
    assert folder.image_split == {"a.jpg": "test", "b.jpg": "train", "c.jpg": "val"}
    assert list(folder.metadata) == ["theme"]
    assert folder.metadata["theme"].tolist() == ["", "sea", "sky"]


def test_images_csv_without_split_is_metadata_only(tmp_path):
    folder = read_folder(write_folder(tmp_path, GOOD, images="image\na.jpg\nb.jpg\n"))
    assert folder.image_split == {}
    assert folder.metadata == {}


@pytest.mark.parametrize(
    ("images", "file", "finding"),
    [
        (
            IMAGES + "a.jpg,train,",
            "images.csv",
            "line 5: image 'a.jpg' stands in line 3",
        ),
        (
            IMAGES + "d.jpg,dev,",
            "images.csv",
            "line 5: split 'dev' is unknown; expected",
        ),
        (IMAGES + "d.jpg,,", "images.csv", "line 5: split '' is unknown"),
        (IMAGES + "../d.jpg,val,", "images.csv", "line 5: image '../d.jpg' leaves"),
        (
            "image\na.jpg\n",
            "ratings.csv",
            "line 3: image 'b.jpg' is not listed in images",
        ),
        ("name\na.jpg\n", "images.csv", "no column 'image'"),
    ],
)
def test_inconsistent_images_csv_is_refused(tmp_path, images, file, finding):
    message = refused(write_folder(tmp_path, GOOD, images=images))
    assert str(tmp_path / file) in message
    assert finding in message


def test_described_image_without_file_counts_as_missing(tmp_path):
    root = write_folder(tmp_path, GOOD, images=IMAGES, names=["a.jpg", "b.jpg"])
    folder = read_folder(root, max_missing=1)
    assert folder.missing == ("c.jpg",)
    assert folder.image_names == ("a.jpg", "b.jpg")
    assert set(folder.image_split) == {"a.jpg", "b.jpg"}
    assert folder.metadata["theme"].tolist() == ["", "sea"]
