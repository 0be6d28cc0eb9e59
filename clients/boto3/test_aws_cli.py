"""The `aws` command line, as people type it."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from conftest import ENDPOINT


@pytest.fixture
def aws(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": os.environ["AEROSTORE_S3_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["AEROSTORE_S3_SECRET_ACCESS_KEY"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": ENDPOINT,
    }
    program = str(Path(sys.executable).parent / "aws")

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, program, "s3", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, f"aws s3 {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_a_second_sync_transfers_nothing_and_bytes_come_back(aws, tmp_path):
    bucket = f"cli-{uuid.uuid4().hex[:13]}"
    here, back = tmp_path / "here", tmp_path / "back"
    for name in ["a.txt", "sub/b c.bin", "sub/ü+&.txt"]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(os.urandom(100_000))
    aws("mb", f"s3://{bucket}")
    assert aws("sync", "here", f"s3://{bucket}/x").count("upload:") == 3
    assert aws("sync", "here", f"s3://{bucket}/x") == ""
    assert "PRE sub/" in aws("ls", f"s3://{bucket}/x/")
    aws("sync", f"s3://{bucket}/x", "back")
    for name in ["a.txt", "sub/b c.bin", "sub/ü+&.txt"]:
        assert (back / name).read_bytes() == (here / name).read_bytes()
    aws("mv", f"s3://{bucket}/x/a.txt", f"s3://{bucket}/y.txt")
    aws("rm", "--recursive", f"s3://{bucket}/x")
    assert aws("ls", "--recursive", f"s3://{bucket}").split()[-1] == "y.txt"
    aws("rb", "--force", f"s3://{bucket}")
