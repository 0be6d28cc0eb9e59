"""§3 of the reference: uploads, deletes, copies and moves."""

import base64
import json
import re

import pytest
from harness import (
    ALICE, ALICE_ID, BOB, DENIED, INFO_KEYS, METADATA_KEYS, NO_KEY, OBJECT_KEYS, TAKEN, TIME, UUID,
    call, form, new_bucket, new_object, ok, refused,
)  # fmt: skip

PLAIN = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def bucket():
    return new_bucket()


def info(bucket, key):
    return ok(call("GET", f"/object/info/{bucket}/{key}")).json


def encoded(value):
    return base64.b64encode(json.dumps(value).encode()).decode()


# Uploads


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_upload_answers_key_and_id(bucket, method):
    answer = ok(call(method, f"/object/{bucket}/dir/{method}.txt", body=b"x", headers=PLAIN)).json
    assert answer.keys() == {"Key", "Id"}
    assert answer["Key"] == f"{bucket}/dir/{method}.txt"
    assert re.fullmatch(UUID, answer["Id"])


def test_post_replaces_only_with_upsert(bucket):
    new_object(bucket, "upsert.txt", b"one")
    for value in (None, "false"):
        headers = PLAIN if value is None else PLAIN | {"x-upsert": value}
        refused(call("POST", f"/object/{bucket}/upsert.txt", body=b"two", headers=headers), *TAKEN)
    ok(call("POST", f"/object/{bucket}/upsert.txt", body=b"two", headers=PLAIN | {"x-upsert": "true"}))
    assert call("GET", f"/object/{bucket}/upsert.txt").body == b"two"


def test_put_always_replaces_and_keeps_the_id(bucket):
    first = new_object(bucket, "put.txt", b"one")["Id"]
    assert ok(call("PUT", f"/object/{bucket}/put.txt", body=b"two", headers=PLAIN)).json["Id"] == first
    assert call("GET", f"/object/{bucket}/put.txt").body == b"two"


def test_raw_body_defaults(bucket):
    ok(call("POST", f"/object/{bucket}/raw", body=b"x"))
    told = info(bucket, "raw")
    assert (told["content_type"], told["cache_control"], told["metadata"]) == (
        "application/octet-stream",
        "no-cache",
        {},
    )


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_raw_bodies_are_bytes(bucket, kind):
    key = kind.replace("/", "-")
    ok(call("POST", f"/object/{bucket}/{key}", body=b"{not json", headers={"content-type": kind}))
    answer = ok(call("GET", f"/object/{bucket}/{key}"))
    assert (answer.body, answer.headers["content-type"]) == (b"{not json", kind)


def test_raw_headers_are_kept(bucket):
    headers = {"content-type": "image/png", "cache-control": "max-age=60, private", "x-metadata": encoded({"k": [1]})}
    ok(call("POST", f"/object/{bucket}/raw.png", body=b"x", headers=headers))
    told = info(bucket, "raw.png")
    assert (told["content_type"], told["cache_control"]) == ("image/png", "max-age=60, private")
    assert told["metadata"] == {"k": [1]}


def test_bad_base64_is_ignored(bucket):
    ok(call("POST", f"/object/{bucket}/bad64", body=b"x", headers={"x-metadata": "!!"}))
    assert info(bucket, "bad64")["metadata"] == {}


def test_chunked_upload_without_a_length(bucket):
    parts = (part for part in (b"one ", b"two ", b"three"))
    ok(call("POST", f"/object/{bucket}/chunked", body=parts))
    assert call("GET", f"/object/{bucket}/chunked").body == b"one two three"


@pytest.mark.parametrize("name", ["", "file"], ids=["empty field name", "named field"])
def test_form(bucket, name):
    body, headers = form({}, b"in a form", name=name, content_type="text/css")
    ok(call("POST", f"/object/{bucket}/form-{name}", body=body, headers=headers))
    answer = ok(call("GET", f"/object/{bucket}/form-{name}"))
    assert (answer.body, answer.headers["content-type"], answer.headers["cache-control"]) == (
        b"in a form",
        "text/css",
        "no-cache",
    )


@pytest.mark.parametrize("field", ["metadata", "userMetadata"])
def test_form_fields(bucket, field):
    fields = {"cacheControl": "90", field: json.dumps({"k": "ä"}), "contentType": "text/x-mine"}
    body, headers = form(fields, b"x", content_type="text/css")
    ok(call("POST", f"/object/{bucket}/form-{field}", body=body, headers=headers))
    told = info(bucket, f"form-{field}")
    assert (told["cache_control"], told["content_type"], told["metadata"]) == ("max-age=90", "text/x-mine", {"k": "ä"})


def test_form_has_at_most_ten_fields(bucket):
    body, headers = form({f"f{number}": "x" for number in range(11)}, b"x")
    assert call("POST", f"/object/{bucket}/form-many", body=body, headers=headers).status >= 400
    refused(call("GET", f"/object/{bucket}/form-many"), *NO_KEY)


def test_metadata_over_a_megabyte(bucket):
    body, headers = form({"metadata": json.dumps({"k": "x" * 1_100_000})}, b"x")
    answer = call("POST", f"/object/{bucket}/form-large", body=body, headers=headers)
    assert (answer.status, answer.json["statusCode"]) in ((400, "413"), (413, "413")), answer


def test_mime_check_in_a_form():
    bucket = new_bucket(allowed_mime_types=["image/*"])
    body, headers = form({}, b"x", content_type="text/css")
    refusal = (415, "invalid_mime_type", "mime type text/css is not supported", "InvalidMimeType")
    refused(call("POST", f"/object/{bucket}/a", body=body, headers=headers), *refusal)
    body, headers = form({"contentType": "image/png"}, b"x", content_type="text/css")
    ok(call("POST", f"/object/{bucket}/a", body=body, headers=headers))


def test_folder_placeholder_is_empty_and_of_any_type():
    bucket = new_bucket(allowed_mime_types=["image/*"])
    ok(call("POST", f"/object/{bucket}/dir/.emptyFolderPlaceholder", body=b"", headers=PLAIN))
    assert call("POST", f"/object/{bucket}/dir2/.emptyFolderPlaceholder", body=b"x", headers=PLAIN).status == 400


def test_size_limit_holds_for_every_kind_of_body():
    bucket = new_bucket(file_size_limit=100)
    large = (413, "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")
    body, headers = form({}, b"x" * 101)
    refused(call("POST", f"/object/{bucket}/a", body=body, headers=headers), *large)
    refused(call("PUT", f"/object/{bucket}/a", body=b"x" * 101, headers=PLAIN), *large)
    parts = (b"x" * 60 for _ in range(2))
    refused(call("POST", f"/object/{bucket}/a", body=parts), *large)
    ok(call("POST", f"/object/{bucket}/a", body=b"x" * 100, headers=PLAIN))


# Deletes


def test_delete_one(bucket):
    new_object(bucket, "gone.txt")
    assert ok(call("DELETE", f"/object/{bucket}/gone.txt")).json == {"message": "Successfully deleted"}
    refused(call("DELETE", f"/object/{bucket}/gone.txt"), *NO_KEY)


def test_delete_of_a_row_that_is_visible_and_not_ones_own():
    open_ = new_bucket(ALICE, public=True)
    new_object(open_, "a.txt", token=ALICE)
    answer = call("DELETE", f"/object/{open_}/a.txt", BOB)
    assert (answer.status, answer.json["statusCode"]) == (400, "403"), answer
    ok(call("GET", f"/object/{open_}/a.txt", ALICE))


def test_delete_many_answers_the_rows():
    bucket = new_bucket(ALICE)
    for key in ("a.txt", "dir/b.txt", "dir/c.txt"):
        new_object(bucket, key, b"hello", ALICE)
    rows = ok(call("DELETE", f"/object/{bucket}", ALICE, {"prefixes": ["a.txt", "dir/b.txt", "dir", "nothing"]})).json
    assert sorted(row["name"] for row in rows) == ["a.txt", "dir/b.txt"]
    for row in rows:
        assert row.keys() == OBJECT_KEYS, row.keys() ^ OBJECT_KEYS
        assert (row["bucket_id"], row["owner"], row["owner_id"]) == (bucket, ALICE_ID, ALICE_ID)
        assert re.fullmatch(UUID, row["id"]) and re.fullmatch(UUID, row["version"])
        assert all(re.fullmatch(TIME, row[time]) for time in ("created_at", "updated_at", "last_accessed_at"))
        metadata = row["metadata"]
        assert metadata.keys() == METADATA_KEYS, metadata.keys() ^ METADATA_KEYS
        assert re.fullmatch(r'".+"', metadata["eTag"])
        assert (metadata["size"], metadata["contentLength"], metadata["httpStatusCode"]) == (5, 5, 200)
        assert (metadata["mimetype"], metadata["cacheControl"]) == ("text/plain", "no-cache")
        assert re.fullmatch(TIME, metadata["lastModified"])
    left = ok(call("POST", f"/object/list/{bucket}", ALICE, {"prefix": "dir"})).json
    assert [row["name"] for row in left] == ["c.txt"]


@pytest.mark.parametrize("count", [0, 1001])
def test_delete_many_takes_1_to_1000(bucket, count):
    answer = call("DELETE", f"/object/{bucket}", body={"prefixes": [f"k{n}" for n in range(count)]})
    assert answer.status == 400
    assert (answer.json["error"], answer.json["code"]) == ("Error", "InvalidRequest")


# Copies and moves


def test_copy_answers_key_id_and_row(bucket):
    new_object(bucket, "copy.txt", b"hello", x_metadata=encoded({"k": 1}))
    body = {"bucketId": bucket, "sourceKey": "copy.txt", "destinationKey": "dir/copied.txt"}
    answer = ok(call("POST", "/object/copy", body=body)).json
    assert (answer["Key"], answer["name"], answer["bucket_id"]) == (
        f"{bucket}/dir/copied.txt",
        "dir/copied.txt",
        bucket,
    )
    assert re.fullmatch(UUID, answer["Id"])
    assert answer["Id"] != info(bucket, "copy.txt")["id"]
    told = info(bucket, "dir/copied.txt")
    assert (told["content_type"], told["metadata"], told["size"]) == ("text/plain", {"k": 1}, 5)


def test_copy_to_another_bucket(bucket):
    new_object(bucket, "far.txt", b"far")
    target = new_bucket()
    body = {"bucketId": bucket, "sourceKey": "far.txt", "destinationBucket": target, "destinationKey": "x.txt"}
    assert ok(call("POST", "/object/copy", body=body)).json["Key"] == f"{target}/x.txt"
    assert call("GET", f"/object/{target}/x.txt").body == b"far"


def test_copy_to_a_taken_key(bucket):
    for key, content in (("from.txt", b"from"), ("taken.txt", b"taken")):
        new_object(bucket, key, content)
    body = {"bucketId": bucket, "sourceKey": "from.txt", "destinationKey": "taken.txt"}
    refused(call("POST", "/object/copy", body=body), *TAKEN)
    ok(call("POST", "/object/copy", body=body, headers={"x-upsert": "true"}))
    assert call("GET", f"/object/{bucket}/taken.txt").body == b"from"


def test_copy_with_metadata_of_its_own(bucket):
    new_object(bucket, "plain.txt", b"x", x_metadata=encoded({"old": 1}))
    body = {
        "bucketId": bucket, "sourceKey": "plain.txt", "destinationKey": "own.txt", "copyMetadata": False,
        "metadata": {"cacheControl": "max-age=5", "mimetype": "text/x-own"},
    }  # fmt: skip
    ok(call("POST", "/object/copy", body=body, headers={"x-metadata": encoded({"new": 2})}))
    told = info(bucket, "own.txt")
    assert (told["cache_control"], told["content_type"], told["metadata"]) == ("max-age=5", "text/x-own", {"new": 2})


def test_move_keeps_the_id_and_renews_the_version(bucket):
    new_object(bucket, "move.txt", b"moving")
    before = info(bucket, "move.txt")
    body = {"bucketId": bucket, "sourceKey": "move.txt", "destinationKey": "moved/to.txt"}
    assert ok(call("POST", "/object/move", body=body)).json == {"message": "Successfully moved"}
    after = info(bucket, "moved/to.txt")
    assert after["id"] == before["id"] and after["version"] != before["version"]
    refused(call("GET", f"/object/{bucket}/move.txt"), *NO_KEY)


def test_move_to_another_bucket(bucket):
    new_object(bucket, "leave.txt", b"left")
    target = new_bucket()
    body = {"bucketId": bucket, "sourceKey": "leave.txt", "destinationBucket": target, "destinationKey": "in.txt"}
    assert ok(call("POST", "/object/move", body=body)).json == {"message": "Successfully moved"}
    assert call("GET", f"/object/{target}/in.txt").body == b"left"


def test_move_to_a_taken_key(bucket):
    for key in ("m1.txt", "m2.txt"):
        new_object(bucket, key, key.encode())
    body = {"bucketId": bucket, "sourceKey": "m1.txt", "destinationKey": "m2.txt"}
    refused(call("POST", "/object/move", body=body), *TAKEN)
    assert call("GET", f"/object/{bucket}/m2.txt").body == b"m2.txt"


def test_copy_needs_insert_at_its_target():
    hers = new_bucket(ALICE)
    system = new_bucket()
    new_object(system, "his.txt", token=BOB)
    body = {"bucketId": system, "sourceKey": "his.txt", "destinationBucket": hers, "destinationKey": "x.txt"}
    refused(call("POST", "/object/copy", BOB, body), *DENIED)


# Info


@pytest.mark.parametrize("route", ["info", "info/authenticated", "info/public"])
def test_info(route):
    bucket = new_bucket(public=True)
    new_object(bucket, "dir/a.txt", b"hello")
    answer = ok(call("GET", f"/object/{route}/{bucket}/dir/a.txt", None if route == "info/public" else ALICE)).json
    assert answer.keys() == INFO_KEYS, answer.keys() ^ INFO_KEYS
    assert (answer["name"], answer["bucket_id"], answer["size"]) == ("dir/a.txt", bucket, 5)
    assert (answer["content_type"], answer["cache_control"], answer["metadata"]) == ("text/plain", "no-cache", {})
    assert re.fullmatch(r'".+"', answer["etag"])
    assert re.fullmatch(UUID, answer["id"]) and re.fullmatch(UUID, answer["version"])
    assert re.fullmatch(TIME, answer["last_modified"]) and re.fullmatch(TIME, answer["created_at"])
