import hashlib
import os

import pytest
from conftest import refused

NAMES = ["a b/ü+%25.txt", "a//b", "folder/", "x?y=1&z#", "日本/語", "~!*'()"]


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 1_000_000, 7_000_001])
def test_bytes_come_back_as_they_went(s3, bucket, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="x", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="x")
    assert got["Body"].read() == body and got["ContentLength"] == size
    assert s3.head_object(Bucket=bucket, Key="x")["ETag"] == put["ETag"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept(s3, bucket, name):
    s3.put_object(Bucket=bucket, Key=name, Body=b"1")
    assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == b"1"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [name]
    s3.delete_object(Bucket=bucket, Key=name)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_headers_metadata_and_tags_are_kept(s3, bucket):
    said = {
        "ContentType": "text/x; charset=utf-8",
        "CacheControl": "max-age=5",
        "ContentDisposition": 'attachment; filename="f"',
        "ContentEncoding": "x-own",
        "ContentLanguage": "de",
        "Metadata": {"one": "1", "two": "x y"},
    }
    s3.put_object(Bucket=bucket, Key="x", Body=b"1", Tagging="a=b&c=d%20e", **said)
    head = s3.head_object(Bucket=bucket, Key="x")
    assert {name: head[name] for name in said} == said
    tags = s3.get_object_tagging(Bucket=bucket, Key="x")["TagSet"]
    assert tags == [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d e"}]
    s3.put_object_tagging(Bucket=bucket, Key="x", Tagging={"TagSet": [{"Key": "n", "Value": "m"}]})
    assert s3.get_object(Bucket=bucket, Key="x")["TagCount"] == 1
    s3.delete_object_tagging(Bucket=bucket, Key="x")
    assert s3.get_object_tagging(Bucket=bucket, Key="x")["TagSet"] == []
    assert s3.head_object(Bucket=bucket, Key="x")["LastModified"] == head["LastModified"]


def test_ranges(s3, bucket):
    body = os.urandom(100_000)
    s3.put_object(Bucket=bucket, Key="x", Body=body)
    for asked, wanted in [("bytes=0-0", body[:1]), ("bytes=5-", body[5:]), ("bytes=-7", body[-7:])]:
        got = s3.get_object(Bucket=bucket, Key="x", Range=asked)
        assert got["Body"].read() == wanted and got["ResponseMetadata"]["HTTPStatusCode"] == 206
    with refused("InvalidRange"):
        s3.get_object(Bucket=bucket, Key="x", Range="bytes=100000-")


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_compared_kept_and_told(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="x", Body=b"hello", ChecksumAlgorithm=algorithm)
    name = f"Checksum{algorithm}"
    assert s3.head_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")[name] == put[name]
    told = s3.get_object_attributes(Bucket=bucket, Key="x", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert told["Checksum"][name] == put[name] and told["ObjectSize"] == 5
    with refused("BadDigest"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"other", **{name: put[name]})


def test_conditions(s3, bucket):
    tag = s3.put_object(Bucket=bucket, Key="x", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"2", IfMatch='"other"')
    s3.put_object(Bucket=bucket, Key="x", Body=b"2", IfMatch=tag)
    with refused("PreconditionFailed"):
        s3.get_object(Bucket=bucket, Key="x", IfMatch=tag)
    with refused(304):
        s3.get_object(Bucket=bucket, Key="x", IfNoneMatch=s3.head_object(Bucket=bucket, Key="x")["ETag"])


def test_copies_keep_or_replace_what_is_said(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a ü", Body=b"1", ContentType="text/x", Metadata={"k": "v"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "a ü"}
    s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)
    head = s3.head_object(Bucket=bucket, Key="kept")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"k": "v"})
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == [{"Key": "t", "Value": "1"}]
    s3.copy_object(Bucket=bucket, Key="new", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "w"})
    assert s3.head_object(Bucket=bucket, Key="new")["Metadata"] == {"n": "w"}
    with refused("InvalidRequest"):
        s3.copy_object(Bucket=bucket, Key="a ü", CopySource=source)
    with refused("NoSuchKey"):
        s3.copy_object(Bucket=bucket, Key="y", CopySource={"Bucket": bucket, "Key": "nothing"})


def test_many_are_deleted_and_missing_ones_count_as_deleted(s3, bucket):
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=str(number), Body=b"1")
    asked = [{"Key": key} for key in ["0", "1", "2", "nothing"]]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": asked})["Deleted"]
    assert sorted(entry["Key"] for entry in deleted) == ["0", "1", "2", "nothing"]
    assert [entry["Key"] for entry in s3.list_objects(Bucket=bucket)["Contents"]] == ["3", "4"]
    with refused("NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="0")
