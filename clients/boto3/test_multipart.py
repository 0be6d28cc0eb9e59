"""Uploads in parts: as boto3's transfers make them, and by hand."""

import hashlib
import io
import os

import pytest
from boto3.s3.transfer import TransferConfig
from conftest import refused

MIB = 1024 * 1024
PART = 5 * MIB


def begin(s3, bucket, key="x", **more):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def send(s3, bucket, upload, bodies, key="x", checksum=None):
    """Uploads parts, and gives them as a completion lists them."""
    parts = []
    for number, body in enumerate(bodies, 1):
        more = {"ChecksumAlgorithm": checksum} if checksum else {}
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **more)
        known = {name: value for name, value in part.items() if name == "ETag" or name == f"Checksum{checksum}"}
        parts.append({"PartNumber": number, **known})
    return parts


def finish(s3, bucket, upload, parts, key="x", **more):
    listed = {"Parts": parts}
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=listed, **more)


def uploads(s3, bucket, **more):
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, **more)
    return [upload for page in pages for upload in page.get("Uploads", [])]


def digest(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@pytest.mark.parametrize("chunk", [5, 16])
def test_100_mb_come_back_as_they_went(s3, bucket, tmp_path, chunk):
    file = tmp_path / "large"
    file.write_bytes(os.urandom(100_000_000))
    config = TransferConfig(multipart_chunksize=chunk * MIB, multipart_threshold=PART, max_concurrency=8)
    said = {"ContentType": "text/x", "Metadata": {"k": "v"}}
    s3.upload_file(str(file), bucket, "large", Config=config, ExtraArgs=said)
    head = s3.head_object(Bucket=bucket, Key="large")
    assert {name: head[name] for name in said} == said and head["ContentLength"] == 100_000_000
    assert head["ETag"].endswith(f'-{-(-100_000_000 // (chunk * MIB))}"')
    s3.download_file(bucket, "large", str(tmp_path / "back"), Config=config)
    assert digest(tmp_path / "back") == digest(file)
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copy", Config=config)
    s3.download_file(bucket, "copy", str(tmp_path / "back"), Config=config)
    assert digest(tmp_path / "back") == digest(file)
    assert uploads(s3, bucket) == []


def test_a_stream_goes_in_parts(s3, bucket):
    body = os.urandom(12_000_000)
    s3.upload_fileobj(io.BytesIO(body), bucket, "x", Config=TransferConfig(multipart_chunksize=PART))
    back = io.BytesIO()
    s3.download_fileobj(bucket, "x", back)
    assert back.getvalue() == body


@pytest.mark.parametrize(
    "algorithm, kind",
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ],
)
def test_checksums_of_objects_in_parts(s3, bucket, algorithm, kind):
    bodies = [os.urandom(PART), os.urandom(PART), b"end"]
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    if algorithm in ("CRC32C", "CRC64NVME"):
        # boto3 computes these with a further package alone; of what is copied the server does it by itself.
        parts = []
        for number, body in enumerate(bodies, 1):
            s3.put_object(Bucket=bucket, Key="source", Body=body)
            copied = s3.upload_part_copy(
                Bucket=bucket, Key="x", UploadId=upload, PartNumber=number, CopySource=f"{bucket}/source"
            )["CopyPartResult"]
            assert copied[f"Checksum{algorithm}"]
            parts.append({"PartNumber": number, "ETag": copied["ETag"]})
    else:
        parts = send(s3, bucket, upload, bodies, checksum=algorithm)
        assert all(part[f"Checksum{algorithm}"] for part in parts)
    done = finish(s3, bucket, upload, parts)
    told = done[f"Checksum{algorithm}"]
    assert told.endswith("-3") == (kind == "COMPOSITE") and done["ChecksumType"] == kind
    head = s3.head_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (told, kind)
    # boto3 compares what it reads with a checksum of the whole.
    assert s3.get_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")["Body"].read() == b"".join(bodies)
    known = s3.get_object_attributes(Bucket=bucket, Key="x", ObjectAttributes=["Checksum", "ObjectParts"])
    assert known["Checksum"][f"Checksum{algorithm}"] == told
    assert known["ObjectParts"]["TotalPartsCount"] == 3
    assert [part["Size"] for part in known["ObjectParts"]["Parts"]] == [PART, PART, 3]


def test_parts_are_listed_replaced_and_read_one_by_one(s3, bucket):
    upload = begin(s3, bucket)
    bodies = [os.urandom(PART), os.urandom(PART + 1), os.urandom(10)]
    send(s3, bucket, upload, [b"replaced", b"too"])
    parts = send(s3, bucket, upload, bodies)
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="x", UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    listed = [part for page in pages for part in page["Parts"]]
    assert [(part["PartNumber"], part["ETag"]) for part in listed] == [
        (part["PartNumber"], part["ETag"]) for part in parts
    ]
    assert [part["Size"] for part in listed] == [len(body) for body in bodies]
    for body, part in zip(bodies, parts):
        assert part["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    done = finish(s3, bucket, upload, parts, MpuObjectSize=sum(map(len, bodies)))
    md5s = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-3"'
    # A client that lost the answer asks again.
    assert finish(s3, bucket, upload, parts)["ETag"] == done["ETag"]
    for number, body in enumerate(bodies, 1):
        got = s3.get_object(Bucket=bucket, Key="x", PartNumber=number)
        assert got["Body"].read() == body and got["PartsCount"] == 3
        head = s3.head_object(Bucket=bucket, Key="x", PartNumber=number)
        assert head["ContentLength"] == len(body) and head["PartsCount"] == 3


def test_uploads_are_listed_and_given_up(s3, bucket):
    begun = [(key, begin(s3, bucket, key)) for key in ["a/1", "a/2", "b", "b", "c ü"]]
    found = uploads(s3, bucket, PaginationConfig={"PageSize": 2})
    assert sorted((upload["Key"], upload["UploadId"]) for upload in found) == sorted(begun)
    level = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in level["CommonPrefixes"]] == ["a/"]
    assert [upload["Key"] for upload in uploads(s3, bucket, Prefix="b")] == ["b", "b"]
    for key, upload in begun:
        send(s3, bucket, upload, [b"part"], key)
        s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        with refused("NoSuchUpload"):
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        with refused("NoSuchUpload"):
            send(s3, bucket, upload, [b"part"], key)
    assert uploads(s3, bucket) == []


def test_parts_are_copied(s3, bucket):
    body = os.urandom(2 * PART)
    s3.put_object(Bucket=bucket, Key="a ü", Body=body)
    upload = begin(s3, bucket)
    parts = []
    for number, range in enumerate([f"bytes=0-{PART - 1}", "bytes=7-9"], 1):
        source = {"Bucket": bucket, "Key": "a ü"}
        copied = s3.upload_part_copy(
            Bucket=bucket, Key="x", UploadId=upload, PartNumber=number, CopySource=source, CopySourceRange=range
        )
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    finish(s3, bucket, upload, parts)
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == body[:PART] + body[7:10]


def test_what_can_not_be_put_together_is_refused(s3, bucket):
    upload = begin(s3, bucket)
    parts = send(s3, bucket, upload, [b"small", b"last"])
    with refused("EntityTooSmall"):
        finish(s3, bucket, upload, parts)
    with refused("InvalidPartOrder"):
        finish(s3, bucket, upload, parts[::-1])
    with refused("InvalidPart"):
        finish(s3, bucket, upload, [{"PartNumber": 1, "ETag": '"other"'}])
    with refused("MalformedXML"):
        finish(s3, bucket, upload, [])
    with refused("NoSuchKey"):  # there is no object yet that could be another
        finish(s3, bucket, upload, parts[:1], IfMatch='"other"')
    finish(s3, bucket, upload, parts[:1], IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="x")["Body"].read() == b"small"


def test_nobody_else_goes_on_with_an_upload(alice, bob, s3):
    bucket = f"mine-{os.urandom(6).hex()}"
    alice.create_bucket(Bucket=bucket)
    upload = begin(alice, bucket)
    parts = send(alice, bucket, upload, [b"mine"])
    for ask in [
        lambda: send(bob, bucket, upload, [b"his"]),
        lambda: finish(bob, bucket, upload, parts),
        lambda: bob.list_parts(Bucket=bucket, Key="x", UploadId=upload),
        lambda: bob.abort_multipart_upload(Bucket=bucket, Key="x", UploadId=upload),
    ]:
        with refused("NoSuchUpload"):
            ask()
    with refused("AccessDenied"):
        begin(bob, bucket)
    with refused("AccessDenied"):
        uploads(bob, bucket)
    finish(alice, bucket, upload, parts)
    assert alice.get_object(Bucket=bucket, Key="x")["Body"].read() == b"mine"
    alice.delete_object(Bucket=bucket, Key="x")
    alice.delete_bucket(Bucket=bucket)
