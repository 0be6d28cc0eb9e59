"""§2 of the reference: buckets."""

import re

import pytest
from harness import (
    ALICE,
    ALICE_ID,
    ANON,
    BOB,
    BUCKET_KEYS,
    NO_BUCKET,
    TIME,
    bucket_name,
    call,
    new_bucket,
    new_object,
    ok,
    refused,
)


def shown(name):
    return ok(call("GET", f"/bucket/{name}")).json


def test_create_answers_the_name():
    name = bucket_name()
    assert ok(call("POST", "/bucket", body={"name": name})).json == {"name": name}


def test_the_id_defaults_to_the_name_and_may_be_given():
    name = new_bucket()
    assert shown(name)["id"] == name
    other = bucket_name()
    ok(call("POST", "/bucket", body={"id": other, "name": other}))
    assert shown(other)["name"] == other


def test_row():
    name = new_bucket()
    row = shown(name)
    assert row.keys() == BUCKET_KEYS
    times = {"created_at": row.pop("created_at"), "updated_at": row.pop("updated_at")}
    assert all(re.fullmatch(TIME, time) for time in times.values()), times
    assert row == {
        "id": name, "name": name, "owner": "", "public": False, "file_size_limit": None, "allowed_mime_types": None,
    }  # fmt: skip


def test_the_creator_is_the_owner():
    assert ok(call("GET", f"/bucket/{new_bucket(ALICE)}", ALICE)).json["owner"] == ALICE_ID


@pytest.mark.parametrize(
    "given, kept", [(5000, 5000), ("20MB", 20_000_000), ("20mb", 20_000_000), ("1kb", 1000), (None, None)]
)
def test_file_size_limit(given, kept):
    assert shown(new_bucket(file_size_limit=given))["file_size_limit"] == kept


def test_a_limit_above_the_servers_own():
    answer = call("POST", "/bucket", body={"name": bucket_name(), "file_size_limit": "90000GB"})
    refused(answer, 413, "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")


def test_options_are_kept():
    row = shown(new_bucket(public=True, allowed_mime_types=["image/png", "text/*"]))
    assert (row["public"], row["allowed_mime_types"]) == (True, ["image/png", "text/*"])


def test_list():
    stem = bucket_name()
    for end in "bac":
        ok(call("POST", "/bucket", body={"name": stem + end}))

    def names(query):
        return [row["name"][-1] for row in ok(call("GET", f"/bucket?search={stem}&{query}")).json]

    rows = ok(call("GET", f"/bucket?search={stem}")).json
    assert all(row.keys() == BUCKET_KEYS | {"type"} and row["type"] == "STANDARD" for row in rows)
    for column, upwards in (("name", "abc"), ("id", "abc"), ("created_at", "bac"), ("updated_at", "bac")):
        assert names(f"sortColumn={column}&sortOrder=asc") == list(upwards), column
        assert names(f"sortColumn={column}&sortOrder=desc") == list(upwards[::-1]), column
    assert names("sortColumn=name&sortOrder=asc&limit=1&offset=1") == ["b"]


def test_list_shows_nothing_to_anon_but_public_buckets():
    name = new_bucket(ALICE)
    assert ok(call("GET", f"/bucket?search={name}", ANON)).json == []
    assert ok(call("GET", f"/bucket?search={name}", BOB)).json == []
    assert [row["name"] for row in ok(call("GET", f"/bucket?search={name}", ALICE)).json] == [name]


def test_get_of_a_hidden_bucket():
    refused(call("GET", f"/bucket/{new_bucket(ALICE)}", BOB), *NO_BUCKET)


def test_update():
    name = new_bucket(public=True, file_size_limit=10, allowed_mime_types=["text/plain"])
    for change, wanted in (
        ({"public": False}, (False, 10, ["text/plain"])),
        ({"file_size_limit": "1MB"}, (False, 1_000_000, ["text/plain"])),
        ({"file_size_limit": None}, (False, None, ["text/plain"])),
        ({"allowed_mime_types": None, "public": True}, (True, None, None)),
    ):
        assert ok(call("PUT", f"/bucket/{name}", body=change)).json == {"message": "Successfully updated"}
        row = shown(name)
        assert (row["public"], row["file_size_limit"], row["allowed_mime_types"]) == wanted


def test_update_needs_a_change():
    answer = call("PUT", f"/bucket/{new_bucket()}", body={})
    assert answer.status == 400
    assert (answer.json["error"], answer.json["code"]) == ("Error", "InvalidRequest")


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "", {"public": True}), ("DELETE", "", None), ("POST", "/empty", None),
])  # fmt: skip
def test_what_is_not_there(method, path, body):
    refused(call(method, f"/bucket/{bucket_name()}{path}", body=body), *NO_BUCKET)


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}], ids=["no type", "json type"])
def test_empty_and_delete_without_a_body(headers):
    name = new_bucket()
    for key in ("a.txt", "b/c.txt"):
        new_object(name, key)
    words = "Empty bucket has been queued. Completion may take up to an hour."
    assert ok(call("POST", f"/bucket/{name}/empty", headers=headers)).json == {"message": words}
    assert ok(call("POST", f"/object/list/{name}", body={"prefix": ""})).json == []
    assert ok(call("DELETE", f"/bucket/{name}", headers=headers)).json == {"message": "Successfully deleted"}
    refused(call("GET", f"/bucket/{name}"), *NO_BUCKET)
