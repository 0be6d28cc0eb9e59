"""What people do with command-line tools for S3: the same for each of them."""

import os
import time

import pytest
from conftest import bucket_name, digest
from tools import Failed, Rclone


def test_a_bucket_is_made_and_listed(tool, bucket):
    assert bucket in tool.buckets()


def test_a_small_file_comes_back_as_it_was(tool, bucket, tmp_path):
    (tmp_path / "up").write_text("hello")
    tool.put(tmp_path / "up", bucket, "a folder/ü & +.txt")
    tool.get(bucket, "a folder/ü & +.txt", tmp_path / "down")
    assert (tmp_path / "down").read_text() == "hello"


def test_an_empty_file_comes_back_as_it_was(tool, bucket, tmp_path):
    (tmp_path / "up").write_text("")
    tool.put(tmp_path / "up", bucket, "empty")
    tool.get(bucket, "empty", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b""


def test_a_large_file_is_sent_in_parts_and_comes_back_as_it_was(tool, bucket, large_file, tmp_path):
    tool.put(large_file, bucket, "large.bin")
    tool.get(bucket, "large.bin", tmp_path / "down")
    assert digest(tmp_path / "down") == digest(large_file)


def test_a_large_file_is_copied_in_parts(tool, bucket, large_file, tmp_path):
    tool.put(large_file, bucket, "large.bin")
    tool.copy(bucket, "large.bin", "copies/of it")
    tool.get(bucket, "copies/of it", tmp_path / "down")
    assert digest(tmp_path / "down") == digest(large_file)


def test_2500_keys_are_listed_page_by_page(tool, many):
    bucket, names = many
    assert sorted(tool.keys(bucket)) == names


def test_one_level_is_listed_by_delimiter(tool, many):
    bucket, names = many
    assert sorted(tool.level(bucket, "")) == [f"folder {number}/" for number in range(5)]
    inside = [name.removeprefix("folder 3/") for name in names if name.startswith("folder 3/")]
    assert sorted(tool.level(bucket, "folder 3/")) == inside


def test_a_copy_has_the_same_bytes_and_a_deleted_one_is_gone(tool, bucket, tmp_path):
    (tmp_path / "up").write_text("original")
    tool.put(tmp_path / "up", bucket, "one")
    tool.copy(bucket, "one", "two")
    tool.delete(bucket, "one")
    assert tool.keys(bucket) == ["two"]
    tool.get(bucket, "two", tmp_path / "down")
    assert (tmp_path / "down").read_text() == "original"


def test_many_are_deleted_at_once(tool, bucket, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(30):
        (source / f"{number} <&>.txt").write_text(str(number))
    tool.sync_up(source, bucket, "some/")
    (tmp_path / "kept").write_text("kept")
    tool.put(tmp_path / "kept", bucket, "other")
    tool.delete_below(bucket, "some/")
    assert tool.keys(bucket) == ["other"]


def test_a_second_sync_transfers_nothing(tool, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    for number in range(12):
        file = source / f"d{number % 3}" / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * (number * 3000))
        # Tools compare times by the second: what was changed just now would be sent again.
        os.utime(file, times=(time.time() - 3600, time.time() - 3600))
    assert len(tool.sync_up(source, bucket, "backup/")) == 12
    assert tool.sync_up(source, bucket, "backup/") == []
    back.mkdir()
    assert len(tool.sync_down(bucket, "backup/", back)) == 12
    assert tool.sync_down(bucket, "backup/", back) == []
    for file in source.rglob("*.bin"):
        assert (back / file.relative_to(source)).read_bytes() == file.read_bytes()
    (source / "d0" / "0.bin").write_bytes(b"changed")
    assert len(tool.sync_up(source, bucket, "backup/")) == 1
    if isinstance(tool, Rclone):
        tool.check(source, bucket, "backup/")


def test_what_is_missing_fails(tool, bucket, tmp_path):
    if isinstance(tool, Rclone):
        pytest.skip("takes a missing object for an empty folder, and makes a missing bucket")
    with pytest.raises(Failed):
        tool.get(bucket, "nothing", tmp_path / "down")
    with pytest.raises(Failed):
        tool.put(__file__, bucket_name(), "into nowhere")


def test_wrong_keys_are_refused(tool, bucket, tmp_path):
    home = tmp_path / "stranger"
    home.mkdir()
    stranger = type(tool)(home, tool.key, "wrong" * 8)
    (tmp_path / "up").write_text("hello")
    tool.put(tmp_path / "up", bucket, "mine")
    with pytest.raises(Failed):
        stranger.put(tmp_path / "up", bucket, "stolen")
    with pytest.raises(Failed):
        stranger.keys(bucket)
    assert tool.keys(bucket) == ["mine"]
