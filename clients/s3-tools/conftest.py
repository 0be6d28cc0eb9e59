"""What every test needs: each tool with the service's keys, files to send, a bucket of one's own."""

import hashlib
import os
import uuid

import pytest
from tools import TOOLS, S5cmd

KEYS = (os.environ["AEROSTORE_S3_ACCESS_KEY_ID"], os.environ["AEROSTORE_S3_SECRET_ACCESS_KEY"])


def bucket_name():
    return f"tool-{uuid.uuid4().hex[:13]}"


def digest(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@pytest.fixture(params=TOOLS, ids=lambda tool: tool.name)
def tool(request, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return request.param(home, *KEYS)


@pytest.fixture
def bucket(tool):
    name = bucket_name()
    tool.make_bucket(name)
    return name


@pytest.fixture(scope="session")
def large_file(tmp_path_factory):
    """100 MB that don't repeat: tools send them in parts."""
    file = tmp_path_factory.mktemp("large") / "large.bin"
    file.write_bytes(os.urandom(100_000_000))
    return file


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """A bucket of 2 500 keys in 5 folders, and their names."""
    home = tmp_path_factory.mktemp("many")
    source = home / "source"
    names = [f"folder {number % 5}/{number:05} ü+&.txt" for number in range(2500)]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    tool = S5cmd(home, *KEYS)
    bucket = bucket_name()
    tool.make_bucket(bucket)
    assert len(tool.sync_up(source, bucket, "")) == len(names)
    return bucket, sorted(names)
