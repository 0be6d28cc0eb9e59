import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ENDPOINT, refused


def test_buckets_are_made_found_and_deleted(s3, bucket):
    assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=bucket)
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    with refused("BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="x", Body=b"1")
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket=bucket)
    with refused(404):
        s3.head_bucket(Bucket="nowhere-at-all")
    with refused("InvalidBucketName"):
        s3.create_bucket(Bucket="Not-A-Name")


def test_pages_of_2500_keys_with_and_without_delimiter(s3, bucket):
    keys = [f"{number % 5}/{number:05}" for number in range(2500)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"1"), keys))
    for name in ["list_objects", "list_objects_v2", "list_object_versions"]:
        pages = list(s3.get_paginator(name).paginate(Bucket=bucket))
        part = "Versions" if name == "list_object_versions" else "Contents"
        assert [entry["Key"] for page in pages for entry in page[part]] == sorted(keys), name
        assert len(pages) == 3
        folders = s3.get_paginator(name).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        found = [entry["Prefix"] for page in folders for entry in page.get("CommonPrefixes", [])]
        assert found == ["0/", "1/", "2/", "3/", "4/"], name
    below = s3.list_objects_v2(Bucket=bucket, Prefix="3/", StartAfter="3/00500", MaxKeys=2)
    assert [entry["Key"] for entry in below["Contents"]] == ["3/00503", "3/00508"]
    odd = s3.list_objects_v2(Bucket=bucket, Delimiter="/000")
    assert "0/000" in [entry["Prefix"] for entry in odd["CommonPrefixes"]]


def test_tags_and_cors_rules_of_buckets(s3, bucket):
    with refused("NoSuchTagSet"):
        s3.get_bucket_tagging(Bucket=bucket)
    tags = [{"Key": "a", "Value": "b"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    with refused("NoSuchCORSConfiguration"):
        s3.get_bucket_cors(Bucket=bucket)
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example"], "MaxAgeSeconds": 5}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_cors(Bucket=bucket)
    s3.delete_bucket_tagging(Bucket=bucket)


def test_canned_lists_are_the_buckets_policy(s3, bucket):
    s3.put_object(Bucket=bucket, Key="x", Body=b"public")
    url = f"{ENDPOINT}/{bucket}/x"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert urllib.request.urlopen(url).read() == b"public"
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    assert len(s3.get_bucket_acl(Bucket=bucket)["Grants"]) == 2
    assert len(s3.get_object_acl(Bucket=bucket, Key="x")["Grants"]) == 2
    s3.put_bucket_acl(Bucket=bucket, ACL="private")
    with refused("NotImplemented"):
        s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")


def test_what_is_not_supported_says_so(s3, bucket):
    denial = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    for ask in [
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": denial})),
        lambda: s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"}),
        lambda: s3.put_object(Bucket=bucket, Key="x", Body=b"1", ServerSideEncryption="AES256"),
    ]:
        with refused("NotImplemented"):
            ask()


def test_what_no_bucket_has_is_told_as_absent(s3, bucket):
    """Terraform and others read all that a bucket may have."""
    for read, code in [
        (s3.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError"),
        (s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError"),
        (s3.get_bucket_ownership_controls, "OwnershipControlsNotFoundError"),
        (s3.get_public_access_block, "NoSuchPublicAccessBlockConfiguration"),
        (s3.get_bucket_replication, "ReplicationConfigurationNotFoundError"),
        (s3.get_bucket_website, "NoSuchWebsiteConfiguration"),
    ]:
        with refused(code):
            read(Bucket=bucket)
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    assert set(s3.get_bucket_notification_configuration(Bucket=bucket)) == {"ResponseMetadata"}


def test_a_bucket_may_be_expected_to_be_somebodys(s3, bucket):
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    s3.put_object(Bucket=bucket, Key="x", Body=b"1", ExpectedBucketOwner=owner)
    with refused("AccessDenied"):
        s3.put_object(Bucket=bucket, Key="x", Body=b"2", ExpectedBucketOwner="123456789012")
    source = {"Bucket": bucket, "Key": "x"}
    s3.copy_object(Bucket=bucket, Key="y", CopySource=source, ExpectedSourceBucketOwner=owner)
    with refused("AccessDenied"):
        s3.copy_object(Bucket=bucket, Key="z", CopySource=source, ExpectedSourceBucketOwner="123456789012")
    assert s3.get_object(Bucket=bucket, Key="x", ExpectedBucketOwner=owner)["Body"].read() == b"1"
