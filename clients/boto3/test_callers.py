import json
import os
import urllib.error
import urllib.request
import uuid

import pytest
import requests
from conftest import client, refused


@pytest.fixture
def hers(alice):
    name = f"alice-{uuid.uuid4().hex[:13]}"
    alice.create_bucket(Bucket=name)
    alice.put_object(Bucket=name, Key="x", Body=b"hers")
    yield name
    for entry in alice.list_objects_v2(Bucket=name).get("Contents", []):
        alice.delete_object(Bucket=name, Key=entry["Key"])
    alice.delete_bucket(Bucket=name)


def http(method, url, body=None, headers={}):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, method=method, data=body, headers=headers))
        return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_users_token_is_enough_and_opens_what_is_theirs(s3, alice, bob, hers):
    assert alice.get_object(Bucket=hers, Key="x")["Body"].read() == b"hers"
    assert s3.get_object(Bucket=hers, Key="x")["Body"].read() == b"hers"
    assert hers not in [entry["Name"] for entry in bob.list_buckets()["Buckets"]]
    for ask in [
        lambda: bob.get_object(Bucket=hers, Key="x"),
        lambda: bob.get_object(Bucket=hers, Key="nothing"),
        lambda: bob.put_object(Bucket=hers, Key="y", Body=b"1"),
        lambda: bob.delete_object(Bucket=hers, Key="x"),
        lambda: bob.list_objects_v2(Bucket=hers),
        lambda: bob.delete_objects(Bucket=hers, Delete={"Objects": [{"Key": "x"}]}),
        lambda: bob.get_bucket_acl(Bucket=hers),
        lambda: bob.put_object_tagging(Bucket=hers, Key="x", Tagging={"TagSet": []}),
    ]:
        with refused("AccessDenied"):
            ask()


def test_wrong_keys_and_tokens_are_refused(hers):
    key, secret = os.environ["AEROSTORE_S3_ACCESS_KEY_ID"], os.environ["AEROSTORE_S3_SECRET_ACCESS_KEY"]
    anon, token = os.environ["AEROSTORE_ANON_KEY"], os.environ["AEROSTORE_ALICE_TOKEN"]
    for caller, code in [
        (client(key, "wrong"), "SignatureDoesNotMatch"),
        (client("nobody", secret), "InvalidAccessKeyId"),
        (client("project", anon), "InvalidAccessKeyId"),
        (client("project", anon, "no.good.token"), "InvalidToken"),
        (client("project", "wrong", token), "SignatureDoesNotMatch"),
    ]:
        with refused(code):
            caller.list_objects_v2(Bucket=hers)


def test_credentials_act_as_their_user(hers, alice):
    headers = {"Authorization": f"Bearer {os.environ['AEROSTORE_SERVICE_KEY']}", "Content-Type": "application/json"}
    base = f"{os.environ['AEROSTORE_URL']}/api/v1/storage/credentials"
    for user, reads in [("ALICE", True), ("BOB", False)]:
        body = json.dumps({"name": "test", "user_id": os.environ[f"AEROSTORE_{user}_ID"]}).encode()
        status, made = http("POST", base, body, headers)
        assert status == 201
        made = json.loads(made)
        caller = client(made["access_key_id"], made["secret_access_key"])
        if reads:
            assert caller.get_object(Bucket=hers, Key="x")["Body"].read() == b"hers"
        else:
            with refused("AccessDenied"):
                caller.get_object(Bucket=hers, Key="x")
        assert http("DELETE", f"{base}/{made['access_key_id']}", None, headers)[0] == 200
        with refused("InvalidAccessKeyId"):
            caller.get_object(Bucket=hers, Key="x")


def test_presigned_urls_do_what_they_were_made_for(alice, bob, hers):
    get = alice.generate_presigned_url("get_object", Params={"Bucket": hers, "Key": "x", "ResponseContentType": "a/b"})
    assert http("GET", get) == (200, b"hers")
    assert http("GET", get.replace("a%2Fb", "a%2Fc"))[0] == 403
    put = alice.generate_presigned_url("put_object", Params={"Bucket": hers, "Key": "put"})
    assert http("PUT", put, b"data")[0] == 200
    assert http("PUT", put, b"", {"x-amz-copy-source": f"{hers}/x"})[0] == 403
    assert http("DELETE", put)[0] == 403
    assert alice.get_object(Bucket=hers, Key="put")["Body"].read() == b"data"
    with refused("AccessDenied"):
        bob.get_object(Bucket=hers, Key="put")


def test_presigned_forms_hold_their_conditions(alice, hers):
    form = alice.generate_presigned_post(hers, "up/${filename}", Conditions=[["content-length-range", 1, 5]])
    send = lambda body, **more: requests.post(form["url"], data={**form["fields"], **more}, files={"file": ("f", body)})
    assert send(b"12345").status_code == 204
    assert alice.get_object(Bucket=hers, Key="up/f")["Body"].read() == b"12345"
    assert "EntityTooLarge" in send(b"123456").text
    assert "AccessDenied" in send(b"1", **{"x-amz-meta-more": "1"}).text
