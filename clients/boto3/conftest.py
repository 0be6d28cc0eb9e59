"""What every test needs: clients for the callers, buckets of one's own, one judge of refusals."""

import os
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = f"{os.environ['AEROSTORE_URL']}/storage/v1/s3"


def client(key, secret, token=None, **options):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **options)
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name="us-east-1",
        config=config,
    )


def user(name):
    """A user with nothing but their own token."""
    return client("project", os.environ["AEROSTORE_ANON_KEY"], os.environ[f"AEROSTORE_{name}_TOKEN"])


class refused:
    """`with refused("NoSuchKey"):` – the call within must fail with this code, or this status where there is no body."""

    def __init__(self, code):
        self.code = str(code)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert kind is not None, "was not refused"
        assert issubclass(kind, ClientError), f"{kind.__name__}: {error}"
        assert error.response["Error"]["Code"] == self.code, error
        return True


@pytest.fixture(scope="session")
def s3():
    return client(os.environ["AEROSTORE_S3_ACCESS_KEY_ID"], os.environ["AEROSTORE_S3_SECRET_ACCESS_KEY"])


@pytest.fixture(scope="session")
def alice():
    return user("ALICE")


@pytest.fixture(scope="session")
def bob():
    return user("BOB")


@pytest.fixture
def bucket(s3):
    name = f"boto-{uuid.uuid4().hex[:13]}"
    s3.create_bucket(Bucket=name)
    yield name
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    for page in pages:
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if keys:
            assert "Errors" not in s3.delete_objects(Bucket=name, Delete={"Objects": keys})
    s3.delete_bucket(Bucket=name)
