"""§1 of the reference: the rules that hold everywhere."""

import re

import pytest
from harness import (
    ALICE, ANON, BOB, DENIED, NO_BUCKET, NO_KEY, NO_TOKEN, SERVICE, TAKEN,
    bucket_name, call, new_bucket, new_object, ok, refused,
)  # fmt: skip


@pytest.fixture(scope="module")
def bucket():
    name = new_bucket(file_size_limit=1000, allowed_mime_types=["text/plain", "image/*"])
    new_object(name, "a.txt")
    return name


@pytest.fixture(scope="module")
def hers():
    name = new_bucket(ALICE)
    new_object(name, "a.txt", token=ALICE)
    return name


PLAIN = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}

# what, method, path, body, headers, the error
TABLE = [
    ("a bucket that is not there", "GET", "/bucket/no-such-bucket", None, {}, NO_BUCKET),
    ("upload to no bucket", "POST", "/object/no-such-bucket/a.txt", b"x", PLAIN, NO_BUCKET),
    ("download of nothing", "GET", "/object/authenticated/{b}/nothing", None, {}, NO_KEY),
    ("optional download of nothing", "GET", "/object/{b}/nothing", None, {}, NO_KEY),
    ("info of nothing", "GET", "/object/info/{b}/nothing", None, {}, NO_KEY),
    ("delete of nothing", "DELETE", "/object/{b}/nothing", None, {}, NO_KEY),
    ("sign nothing", "POST", "/object/sign/{b}/nothing", {"expiresIn": 60}, {}, NO_KEY),
    ("copy nothing", "POST", "/object/copy", {"bucketId": "{b}", "sourceKey": "no", "destinationKey": "x"}, {}, NO_KEY),
    ("move nothing", "POST", "/object/move", {"bucketId": "{b}", "sourceKey": "no", "destinationKey": "x"}, {}, NO_KEY),
    ("upload to a taken key", "POST", "/object/{b}/a.txt", b"x", PLAIN, TAKEN),
    ("create a taken bucket", "POST", "/bucket", {"name": "{b}"}, {},
     (409, "Duplicate", "The resource already exists", {"BucketAlreadyExists", "ResourceAlreadyExists"})),
    ("delete a bucket with objects", "DELETE", "/bucket/{b}", None, {},
     (409, "ResourceNotEmpty", "The bucket you tried to delete is not empty")),
    ("a body that is too large", "POST", "/object/{b}/big", b"x" * 1001, PLAIN,
     (413, "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")),
    ("a type that is not allowed", "POST", "/object/{b}/a.html", b"x", {"content-type": "text/html"},
     (415, "invalid_mime_type", "mime type text/html is not supported", "InvalidMimeType")),
    ("a bad key", "POST", "/object/{b}/a%23b", b"x", PLAIN, (400, "InvalidKey", "Invalid key: a#b")),
    ("a bad bucket name", "POST", "/bucket", {"name": "a/b"}, {},
     (400, "Invalid Input", "Bucket name invalid", "InvalidBucketName")),
    ("no name", "POST", "/bucket", {"public": True}, {},
     (400, "Error", "body must have required property 'name'", "InvalidRequest")),
    ("no prefix in a list", "POST", "/object/list/{b}", {}, {},
     (400, "Error", "body must have required property 'prefix'", "InvalidRequest")),
    ("no expiresIn", "POST", "/object/sign/{b}/a.txt", {}, {},
     (400, "Error", "body must have required property 'expiresIn'", "InvalidRequest")),
    ("no prefixes", "DELETE", "/object/{b}", {}, {},
     (400, "Error", "body must have required property 'prefixes'", "InvalidRequest")),
    ("no source", "POST", "/object/copy", {"bucketId": "{b}", "destinationKey": "x"}, {},
     (400, "Error", "body must have required property 'sourceKey'", "InvalidRequest")),
    ("no target", "POST", "/object/move", {"bucketId": "{b}", "sourceKey": "x"}, {},
     (400, "Error", "body must have required property 'destinationKey'", "InvalidRequest")),
    ("no token in a signed download", "GET", "/object/sign/{b}/a.txt", None, {},
     (400, "Error", "querystring must have required property 'token'", "InvalidRequest")),
    ("no token in a signed upload", "PUT", "/object/upload/sign/{b}/a.txt", b"x", PLAIN,
     (400, "Error", "querystring must have required property 'token'", "InvalidRequest")),
]  # fmt: skip


def filled(value, bucket):
    if isinstance(value, str):
        return value.replace("{b}", bucket)
    return {key: filled(inner, bucket) for key, inner in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "error"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_error(bucket, method, path, body, headers, error):
    refused(call(method, filled(path, bucket), body=filled(body, bucket), headers=headers), *error)


def test_bad_json():
    answer = call("POST", "/bucket", body=b"{nonsense", headers=JSON)
    assert answer.status == 400
    body = answer.json
    assert body.keys() == {"statusCode", "error", "message", "code"}
    assert (body["statusCode"], body["error"], body["code"]) == ("400", "FastifyError", "InvalidRequest")


def test_range_outside_keeps_its_status(bucket):
    answer = call("GET", f"/object/{bucket}/a.txt", headers={"range": "bytes=100-"})
    refused(answer, 416, "invalid_range", "invalid range provided", "InvalidRange", wire=416)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/bucket/a/b/c"), ("PATCH", "/object/list/x"), ("GET", "/objects")]
)
def test_unknown_route_keeps_its_status(method, path):
    refused(call(method, path), 404, "Not Found", f"Route {method}:{path} not found", "InvalidRequest", wire=404)


PROTECTED = [
    ("POST", "/bucket"), ("GET", "/bucket"), ("GET", "/bucket/{b}"), ("PUT", "/bucket/{b}"), ("DELETE", "/bucket/{b}"),
    ("POST", "/object/{b}/a.txt"), ("PUT", "/object/{b}/a.txt"), ("GET", "/object/authenticated/{b}/a.txt"),
    ("GET", "/object/info/authenticated/{b}/a.txt"), ("DELETE", "/object/{b}/a.txt"), ("DELETE", "/object/{b}"),
    ("POST", "/object/copy"), ("POST", "/object/move"), ("POST", "/object/list/{b}"), ("POST", "/object/list-v2/{b}"),
    ("POST", "/object/sign/{b}/a.txt"), ("POST", "/object/sign/{b}"), ("POST", "/object/upload/sign/{b}/a.txt"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=[f"{method} {path}" for method, path in PROTECTED])
def test_a_protected_route_needs_a_token(bucket, method, path):
    refused(call(method, filled(path, bucket), token=None), *NO_TOKEN)


@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=[f"{method} {path}" for method, path in PROTECTED])
def test_a_protected_route_refuses_a_bad_token_in_the_verifiers_words(bucket, method, path):
    refused(
        call(method, filled(path, bucket), token="rubbish"), 403, "Unauthorized", "Invalid Compact JWS", "AccessDenied"
    )


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_the_word_bearer_has_no_case(bucket, word):
    ok(call("GET", f"/bucket/{bucket}", token=None, headers={"authorization": f"{word} {SERVICE}"}))


def test_only_the_service_role_empties(hers):
    for token in (ALICE, BOB, ANON):
        answer = call("POST", f"/bucket/{hers}/empty", token)
        refused(answer, 403, "Unauthorized", "Access denied: Invalid role", "AccessDenied", wire=403)
    assert len(ok(call("POST", f"/object/list/{hers}", ALICE, {"prefix": ""})).json) == 1


# Row security: rows that are not visible do not exist, refused inserts are 403, refused bulk deletes are empty.
@pytest.mark.parametrize("token", [BOB, ANON], ids=["bob", "anon"])
class TestRowSecurity:
    @pytest.mark.parametrize("key", ["a.txt", "nothing"])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/object/{b}/{k}"), ("GET", "/object/authenticated/{b}/{k}"), ("GET", "/object/public/{b}/{k}"),
            ("GET", "/object/info/{b}/{k}"), ("GET", "/object/info/authenticated/{b}/{k}"),
            ("GET", "/object/info/public/{b}/{k}"), ("POST", "/object/sign/{b}/{k}"),
        ],
    )  # fmt: skip
    def test_hidden_rows_do_not_exist(self, hers, token, method, path, key):
        body = {"expiresIn": 60} if method == "POST" else None
        answer = call(method, path.replace("{b}", hers).replace("{k}", key), token, body)
        assert answer.status == 400
        refused(answer, *(NO_BUCKET if answer.json["code"] == "NoSuchBucket" else NO_KEY))

    def test_list_shows_nothing(self, hers, token):
        assert ok(call("POST", f"/object/list/{hers}", token, {"prefix": ""})).json == []

    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_insert_is_refused(self, hers, token, method):
        refused(call(method, f"/object/{hers}/new.txt", token, b"x", PLAIN), *DENIED)

    def test_upsert_is_refused(self, hers, token):
        refused(call("POST", f"/object/{hers}/a.txt", token, b"x", PLAIN | {"x-upsert": "true"}), *DENIED)

    def test_signed_upload_is_refused(self, hers, token):
        refused(call("POST", f"/object/upload/sign/{hers}/new.txt", token, {}), *DENIED)

    def test_bulk_delete_is_empty(self, hers, token):
        assert ok(call("DELETE", f"/object/{hers}", token, {"prefixes": ["a.txt"]})).json == []
        ok(call("GET", f"/object/{hers}/a.txt", ALICE))

    def test_copy_and_move_do_not_see_the_source(self, hers, token):
        for what in ("copy", "move"):
            body = {"bucketId": hers, "sourceKey": "a.txt", "destinationKey": "b.txt"}
            answer = call("POST", f"/object/{what}", token, body)
            # Anon may neither read the source nor write the target; which of the two is told is not said.
            denied = token == ANON and answer.json["code"] == "AccessDenied"
            refused(answer, *(DENIED if denied else NO_BUCKET if answer.json["code"] == "NoSuchBucket" else NO_KEY))


def test_anon_creates_no_bucket():
    refused(call("POST", "/bucket", ANON, {"name": bucket_name()}), *DENIED)


def test_optional_routes_take_a_bad_token_for_anon(bucket):
    open_ = new_bucket(public=True)
    new_object(open_, "a.txt")
    for token in (None, "rubbish", ANON):
        assert ok(call("GET", f"/object/{open_}/a.txt", token)).body == b"hello"
        refused(call("GET", f"/object/{open_}/nothing", token), *NO_KEY)
    refused(call("GET", f"/object/{bucket}/a.txt", None), *NO_BUCKET)


# Names
KEYS = "AZaz09_/!.*'() &$=@;:+,?-"


def test_every_allowed_character_of_a_key(bucket):
    from urllib.parse import quote

    path = f"/object/{bucket}/{quote(KEYS)}"
    assert ok(call("POST", path, body=b"x", headers=PLAIN)).json["Key"] == f"{bucket}/{KEYS}"
    assert ok(call("GET", path)).body == b"x"


@pytest.mark.parametrize("sent, key", [
    ("a%25b", "a%b"), ("a%23b", "a#b"), ("a%5Cb", "a\\b"), ("%C3%A4", "ä"), ("a%7Bb", "a{b"), ("a%22b", 'a"b'), ("a%7Eb", "a~b"),
])  # fmt: skip
def test_characters_that_no_key_has(bucket, sent, key):
    refused(
        call("POST", f"/object/{bucket}/{sent}", body=b"x", headers=PLAIN), 400, "InvalidKey", f"Invalid key: {key}"
    )


@pytest.mark.parametrize("name", ["ab", "UPPER-a 1", "a!b.c*d'e(f)g&h$i=j@k;l:m+n,o?p", "x" * 100, "1.2.3.4"])
def test_bucket_names_are_wide(name):
    from urllib.parse import quote

    ok(call("POST", "/bucket", body={"name": name}))
    assert ok(call("GET", f"/bucket/{quote(name)}")).json["name"] == name
    ok(call("DELETE", f"/bucket/{quote(name)}"))


@pytest.mark.parametrize("name", ["x" * 101, " a", "a ", "a/b", "a%b", "ä", "files--table-s3"])
def test_bad_bucket_names(name):
    answer = call("POST", "/bucket", body={"name": name})
    refused(answer, 400, "Invalid Input", "Bucket name invalid", "InvalidBucketName")
    assert not re.search("request_id|retryable", answer.body.decode())
