"""Aerostore driven by tuspy."""

import hashlib
import io
import os
import uuid

import pytest
import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

URL = f"{os.environ['AEROSTORE_URL']}/storage/v1"
NATIVE = os.environ["AEROSTORE_DIALECT"] == "native"
ALICE = os.environ["AEROSTORE_ALICE_TOKEN"]
BOB = os.environ["AEROSTORE_BOB_TOKEN"]


def rest(method, path, token=ALICE, **more):
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return requests.request(method, f"{URL}{path}", headers=headers, timeout=30, **more)


@pytest.fixture(scope="module")
def bucket():
    name = f"tuspy-{uuid.uuid4().hex[:13]}"
    made = rest("POST", "/bucket", json={"name": name, "id": name, "public": False})
    assert made.ok, made.text
    return name


def client(token=ALICE, **headers):
    return TusClient(f"{URL}/upload/resumable", headers={"Authorization": f"Bearer {token}", **headers})


def uploader(bucket, name, data, token=ALICE, **options):
    metadata = {"bucketName": bucket, "objectName": name, "contentType": "text/plain"}
    headers = options.pop("headers", {})
    return client(token, **headers).uploader(
        file_stream=io.BytesIO(data), metadata=metadata, retries=0, **options
    )


def content(bucket, name):
    answer = rest("GET", f"/object/{bucket}/{name}")
    return answer.content if answer.ok else None


def pattern(size):
    return bytes((at * 31 + at // 251) % 256 for at in range(size))


@pytest.mark.parametrize("chunk", [1_000, 100_000, 6 * 1024 * 1024])
def test_a_file_goes_in_chunks(bucket, chunk):
    data = pattern(min(7_000_000, chunk * 40 + 3))
    uploader(bucket, f"{chunk}.bin", data, chunk_size=chunk).upload()
    assert hashlib.sha256(content(bucket, f"{chunk}.bin")).digest() == hashlib.sha256(data).digest()


def test_an_upload_goes_on_where_it_was(bucket):
    data = pattern(1_000_000)
    first = uploader(bucket, "resumed.bin", data, chunk_size=300_000)
    first.upload_chunk()
    assert content(bucket, "resumed.bin") is None
    again = uploader(bucket, "resumed.bin", data, chunk_size=300_000, url=first.url)
    assert again.offset == 300_000
    again.upload()
    assert content(bucket, "resumed.bin") == data


def test_chunks_with_their_checksums(bucket):
    data = pattern(700_000)
    uploader(bucket, "checked.bin", data, chunk_size=200_000, upload_checksum=True).upload()
    assert content(bucket, "checked.bin") == data


def test_what_is_there_is_replaced_only_when_asked_to(bucket):
    uploader(bucket, "taken.txt", b"first").upload()
    with pytest.raises(TusCommunicationError) as refused:
        uploader(bucket, "taken.txt", b"second").upload()
    assert refused.value.status_code == 409
    uploader(bucket, "taken.txt", b"third", headers={"x-upsert": "true"}).upload()
    assert content(bucket, "taken.txt") == b"third"


def test_nobody_else_goes_on_with_an_upload(bucket):
    mine = uploader(bucket, "mine.bin", pattern(500_000), chunk_size=300_000)
    mine.upload_chunk()
    with pytest.raises(TusCommunicationError) as refused:
        uploader(bucket, "mine.bin", pattern(500_000), token=BOB, url=mine.url, chunk_size=300_000).upload()
    assert refused.value.status_code in (404, None)
    with pytest.raises(TusCommunicationError) as refused:
        uploader(bucket, "other.bin", b"x", token=BOB).upload()
    assert refused.value.status_code == 403
