import uuid

import pytest
from conftest import refused


@pytest.fixture
def kept(s3):
    """A bucket that keeps versions."""
    name = f"boto-{uuid.uuid4().hex[:13]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield name
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        found = page.get("Versions", []) + page.get("DeleteMarkers", [])
        doomed = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in found]
        if doomed:
            assert "Errors" not in s3.delete_objects(Bucket=name, Delete={"Objects": doomed})
    s3.delete_bucket(Bucket=name)


def versions(s3, bucket, **asked):
    found = s3.list_object_versions(Bucket=bucket, **asked)
    return found.get("Versions", []), found.get("DeleteMarkers", [])


def test_versioning_is_switched(s3, bucket, kept):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert s3.get_bucket_versioning(Bucket=kept)["Status"] == "Enabled"
    s3.put_bucket_versioning(Bucket=kept, VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(Bucket=kept)["Status"] == "Suspended"


def test_old_versions_are_read_and_deleted(s3, kept):
    ids = [s3.put_object(Bucket=kept, Key="x", Body=str(n).encode())["VersionId"] for n in range(5)]
    assert len(set(ids)) == 5
    for n, version in enumerate(ids):
        got = s3.get_object(Bucket=kept, Key="x", VersionId=version)
        assert got["Body"].read() == str(n).encode() and got["VersionId"] == version
        assert s3.head_object(Bucket=kept, Key="x", VersionId=version)["ContentLength"] == 1
    found, _ = versions(s3, kept)
    assert [entry["VersionId"] for entry in found] == ids[::-1]
    assert [entry["IsLatest"] for entry in found] == [True] + [False] * 4
    s3.delete_object(Bucket=kept, Key="x", VersionId=ids[4])
    assert s3.get_object(Bucket=kept, Key="x")["Body"].read() == b"3"
    with refused("NoSuchVersion"):
        s3.get_object(Bucket=kept, Key="x", VersionId=ids[4])


def test_delete_markers_hide_and_come_off(s3, kept):
    s3.put_object(Bucket=kept, Key="x", Body=b"1")
    gone = s3.delete_object(Bucket=kept, Key="x")
    assert gone["DeleteMarker"] and gone["VersionId"]
    with refused("NoSuchKey"):
        s3.get_object(Bucket=kept, Key="x")
    with refused("MethodNotAllowed"):
        s3.get_object(Bucket=kept, Key="x", VersionId=gone["VersionId"])
    assert s3.list_objects_v2(Bucket=kept)["KeyCount"] == 0
    found, markers = versions(s3, kept)
    assert len(found) == 1 and [entry["VersionId"] for entry in markers] == [gone["VersionId"]]
    off = s3.delete_object(Bucket=kept, Key="x", VersionId=gone["VersionId"])
    assert off["DeleteMarker"] and off["VersionId"] == gone["VersionId"]
    assert s3.get_object(Bucket=kept, Key="x")["Body"].read() == b"1"


def test_many_are_deleted_by_version(s3, kept):
    ids = [s3.put_object(Bucket=kept, Key="x", Body=b"1")["VersionId"] for _ in range(3)]
    doomed = [{"Key": "x", "VersionId": version} for version in ids[:2]] + [{"Key": "x"}, {"Key": "nothing"}]
    deleted = s3.delete_objects(Bucket=kept, Delete={"Objects": doomed})["Deleted"]
    assert sum(entry.get("DeleteMarker", False) for entry in deleted) == 2
    found, markers = versions(s3, kept)
    assert [entry["VersionId"] for entry in found] == [ids[2]] and len(markers) == 2


def test_null_versions(s3, bucket, kept):
    s3.put_bucket_versioning(Bucket=kept, VersioningConfiguration={"Status": "Suspended"})
    for body in [b"1", b"2"]:
        s3.put_object(Bucket=kept, Key="x", Body=body)
    found, _ = versions(s3, kept)
    assert [entry["VersionId"] for entry in found] == ["null"]
    s3.put_bucket_versioning(Bucket=kept, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=kept, Key="x", Body=b"3")
    assert s3.get_object(Bucket=kept, Key="x", VersionId="null")["Body"].read() == b"2"


def test_versions_are_copied_and_tagged(s3, kept):
    first = s3.put_object(Bucket=kept, Key="a b", Body=b"1", Tagging="k=1")["VersionId"]
    s3.put_object(Bucket=kept, Key="a b", Body=b"2")
    source = {"Bucket": kept, "Key": "a b", "VersionId": first}
    copied = s3.copy_object(Bucket=kept, Key="c", CopySource=source)
    assert copied["CopySourceVersionId"] == first and copied["VersionId"]
    assert s3.get_object(Bucket=kept, Key="c")["Body"].read() == b"1"
    s3.copy_object(Bucket=kept, Key="a b", CopySource=source)
    assert s3.get_object(Bucket=kept, Key="a b")["Body"].read() == b"1"
    tags = [{"Key": "k", "Value": "2"}]
    s3.put_object_tagging(Bucket=kept, Key="a b", VersionId=first, Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=kept, Key="a b", VersionId=first)["TagSet"] == tags
    assert s3.get_object_tagging(Bucket=kept, Key="a b")["TagSet"] == [{"Key": "k", "Value": "1"}]
    s3.delete_object_tagging(Bucket=kept, Key="a b", VersionId=first)
    assert s3.get_object_tagging(Bucket=kept, Key="a b", VersionId=first)["TagSet"] == []


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_versions_are_listed_in_pages(s3, kept, size):
    for key in ["a", "a", "f/x", "f/y", "f/y", "z ü"]:
        s3.put_object(Bucket=kept, Key=key, Body=b"1")
    s3.delete_object(Bucket=kept, Key="a")

    def walk(**asked):
        keys, folders, markers = [], [], 0
        pages = s3.get_paginator("list_object_versions").paginate(
            Bucket=kept, PaginationConfig={"PageSize": size}, **asked
        )
        for page in pages:
            keys += [entry["Key"] for entry in page.get("Versions", [])]
            folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            markers += len(page.get("DeleteMarkers", []))
        return keys, folders, markers

    assert walk() == (["a", "a", "f/x", "f/y", "f/y", "z ü"], [], 1)
    assert walk(Delimiter="/") == (["a", "a", "z ü"], ["f/"], 1)
    assert walk(Prefix="f/") == (["f/x", "f/y", "f/y"], [], 0)


def test_somebody_elses_versions_are_theirs(alice, bob):
    name = f"alice-{uuid.uuid4().hex[:13]}"
    alice.create_bucket(Bucket=name)
    alice.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = alice.put_object(Bucket=name, Key="x", Body=b"1")["VersionId"]
    second = alice.put_object(Bucket=name, Key="x", Body=b"2")["VersionId"]
    for ask in [
        lambda: bob.get_object(Bucket=name, Key="x", VersionId=first),
        lambda: bob.delete_object(Bucket=name, Key="x", VersionId=first),
        lambda: bob.list_object_versions(Bucket=name),
        lambda: bob.get_bucket_versioning(Bucket=name),
        lambda: bob.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"}),
    ]:
        with refused("AccessDenied"):
            ask()
    for version in [first, second]:
        alice.delete_object(Bucket=name, Key="x", VersionId=version)
    alice.delete_bucket(Bucket=name)
