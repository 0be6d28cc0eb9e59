"""Lifecycle configurations: given back as they were put, by whom may; what can't be followed is refused."""

import pytest
from conftest import refused


def rules(s3, bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


def put(s3, bucket, *given):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(given)})


def expires(**more):
    return {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}, **more}


def test_a_configuration_is_given_back_as_it_was_put(s3, bucket):
    tag = {"Key": "kind", "Value": "debug"}
    given = [
        expires(),
        expires(ID="all", Filter={"Prefix": ""}, Status="Disabled"),
        expires(ID="tag", Filter={"Tag": tag}),
        expires(ID="and", Filter={"And": {"Prefix": "a/", "Tags": [tag, {"Key": "x", "Value": ""}]}}),
        {
            "ID": "rest",
            "Status": "Enabled",
            "Filter": {"Prefix": "v/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7, "NewerNoncurrentVersions": 3},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
        },
    ]
    put(s3, bucket, *given)
    shown = {rule["ID"]: rule for rule in rules(s3, bucket)}
    assert shown == {rule["ID"]: rule for rule in given}
    put(s3, bucket, expires(ID="only"))
    assert [rule["ID"] for rule in rules(s3, bucket)] == ["only"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration"):
        rules(s3, bucket)
    s3.delete_bucket_lifecycle(Bucket=bucket)


def test_a_rule_without_a_name_is_given_one(s3, bucket):
    rule = expires()
    del rule["ID"]
    put(s3, bucket, rule, rule)
    names = {rule["ID"] for rule in rules(s3, bucket)}
    assert len(names) == 2 and all(names)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (expires(Transitions=[{"Days": 3, "StorageClass": "GLACIER"}]), "NotImplemented"),
        (expires(NoncurrentVersionTransitions=[{"NoncurrentDays": 3, "StorageClass": "GLACIER"}]), "NotImplemented"),
        (expires(Expiration={"Date": "2030-01-01T00:00:00Z"}), "NotImplemented"),
        (expires(Filter={"ObjectSizeGreaterThan": 5}), "NotImplemented"),
        (expires(Filter={"And": {"Prefix": "a", "ObjectSizeLessThan": 5}}), "NotImplemented"),
        (expires(Expiration={"Days": 0}), "InvalidArgument"),
        (expires(Expiration={"Days": -1}), "InvalidArgument"),
        (expires(Status="enabled"), "MalformedXML"),
        (expires(Expiration={"Days": 3, "ExpiredObjectDeleteMarker": True}), "MalformedXML"),
        ({"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}}, "InvalidRequest"),
        (expires(Filter={"Tag": {"Key": "a", "Value": "b"}}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 2}), "InvalidRequest"),
    ],
)
def test_what_would_not_be_followed_is_refused(s3, bucket, rule, code):
    with refused(code):
        put(s3, bucket, expires(ID="good"), rule)
    with refused("NoSuchLifecycleConfiguration"):
        rules(s3, bucket)


def test_rules_are_the_service_roles_to_put(s3, alice, bob, bucket):
    name = f"{bucket}-alice"
    alice.create_bucket(Bucket=name)
    for caller in (alice, bob):
        with refused("AccessDenied"):
            put(caller, name, expires())
        with refused("AccessDenied"):
            caller.delete_bucket_lifecycle(Bucket=name)
    put(s3, name, expires())
    assert len(rules(alice, name)) == 1
    with refused("AccessDenied"):
        rules(bob, name)
    alice.delete_bucket(Bucket=name)
