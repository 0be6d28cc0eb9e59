"""§3 of the reference: signed downloads and uploads."""

import base64
import json
import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from harness import ALICE, ALICE_ID, NO_KEY, TAKEN, call, form, new_bucket, new_object, ok, refused

JWT = r"[\w-]+\.[\w-]+\.[\w-]+"
PLAIN = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def bucket():
    name = new_bucket()
    for key in ("a.txt", "b.txt", "dir/c d.txt"):
        new_object(name, key, key.encode(), cache_control="max-age=60")
    return name


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(bucket, key="a.txt", expires=60):
    return ok(call("POST", f"/object/sign/{bucket}/{key}", body={"expiresIn": expires})).json["signedURL"]


def upload_token(bucket, key, token=ALICE, **headers):
    return ok(call("POST", f"/object/upload/sign/{bucket}/{key}", token, {}, headers)).json["token"]


def token_of(url):
    return parse_qs(urlsplit(url).query)["token"][0]


def test_sign(bucket):
    answer = ok(call("POST", f"/object/sign/{bucket}/a.txt", body={"expiresIn": 60})).json
    assert answer.keys() == {"signedURL"}
    assert re.fullmatch(rf"/object/sign/{bucket}/a\.txt\?token={JWT}", answer["signedURL"])
    told = claims(token_of(answer["signedURL"]))
    assert (told["url"], told["scope"], told["exp"] - told["iat"]) == (f"{bucket}/a.txt", "download", 60)


def test_expiry_may_be_text(bucket):
    told = claims(token_of(signed(bucket, expires="90")))
    assert told["exp"] - told["iat"] == 90


@pytest.mark.parametrize("expiry", [0, -1, "soon", None])
def test_bad_expiry(bucket, expiry):
    answer = call("POST", f"/object/sign/{bucket}/a.txt", body={"expiresIn": expiry})
    assert answer.status == 400
    assert (answer.json["error"], answer.json["code"]) == ("Error", "InvalidRequest")


def test_signed_download(bucket):
    url = signed(bucket)
    answer = ok(call("GET", url, None))
    assert answer.body == b"a.txt"
    assert answer.headers["expires"] and answer.headers["cache-control"] is None
    part = ok(call("GET", url, None, headers={"range": "bytes=2-"}), 206)
    assert (part.body, part.headers["content-range"]) == (b"txt", "bytes 2-4/5")
    saved = ok(call("GET", f"{url}&download=x.txt", None))
    assert saved.headers["content-disposition"].startswith("attachment; filename=x.txt; filename*=UTF-8''x.txt")


def test_sign_many(bucket):
    answer = ok(
        call("POST", f"/object/sign/{bucket}", body={"expiresIn": 60, "paths": ["a.txt", "nothing", "b.txt"]})
    ).json
    assert all(entry.keys() == {"error", "path", "signedURL"} for entry in answer)
    assert [entry["path"] for entry in answer] == ["a.txt", "nothing", "b.txt"]
    assert [entry["error"] is None for entry in answer] == [True, False, True]
    assert isinstance(answer[1]["error"], str) and answer[1]["signedURL"] is None
    assert call("GET", answer[2]["signedURL"], None).body == b"b.txt"


@pytest.mark.parametrize("count", [0, 1001])
def test_sign_many_takes_1_to_1000(bucket, count):
    answer = call("POST", f"/object/sign/{bucket}", body={"expiresIn": 60, "paths": [f"k{n}" for n in range(count)]})
    assert (answer.status, answer.json["code"]) == (400, "InvalidRequest")


def test_another_path(bucket):
    url = signed(bucket).replace("a.txt", "b.txt")
    refused(call("GET", url, None), 400, "InvalidSignature", "Invalid signature")


@pytest.mark.parametrize("method, path", [("GET", "/object/sign/{b}/a.txt"), ("PUT", "/object/upload/sign/{b}/a.txt")])
def test_rubbish_for_a_token(bucket, method, path):
    answer = call(method, f"{path.replace('{b}', bucket)}?token=rubbish", None, b"x" if method == "PUT" else None)
    refused(answer, 400, "InvalidJWT", "Invalid Compact JWS")


def test_a_forged_token(bucket):
    url = signed(bucket)
    answer = call("GET", url[:-4] + ("AAAA" if url[-4:] != "AAAA" else "BBBB"), None)
    assert answer.status == 400
    assert (answer.json["statusCode"], answer.json["error"], answer.json["code"]) == ("400", "InvalidJWT", "InvalidJWT")


def test_an_expired_token(bucket):
    url = signed(bucket, expires=1)
    deadline = time.monotonic() + 10
    while (answer := call("GET", url, None)).status == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    refused(answer, 400, "InvalidJWT", '"exp" claim timestamp check failed')


def test_scopes(bucket):
    download, upload = token_of(signed(bucket)), upload_token(bucket, "scoped.txt")
    answer = call("GET", f"/object/sign/{bucket}/scoped.txt?token={upload}", None)
    refused(answer, 400, "InvalidSignature", "Token is not scoped for download")
    answer = call("PUT", f"/object/upload/sign/{bucket}/a.txt?token={download}", None, b"x", PLAIN)
    refused(answer, 400, "InvalidSignature", "Token is not scoped for upload")


def test_sign_an_upload(bucket):
    answer = ok(call("POST", f"/object/upload/sign/{bucket}/new.txt", ALICE, {})).json
    assert answer.keys() == {"url", "token"}
    assert answer["url"] == f"/object/upload/sign/{bucket}/new.txt?token={answer['token']}"
    told = claims(answer["token"])
    assert (told["owner"], told["url"], told["scope"], told["upsert"]) == (
        ALICE_ID,
        f"{bucket}/new.txt",
        "upload",
        False,
    )
    assert told["exp"] - told["iat"] == 7200


def test_signed_upload_belongs_to_the_signer(bucket):
    path = f"/object/upload/sign/{bucket}/hers.txt?token={upload_token(bucket, 'hers.txt')}"
    assert ok(call("PUT", path, None, b"hers", PLAIN)).json == {"Key": f"{bucket}/hers.txt"}
    assert ok(call("GET", f"/object/{bucket}/hers.txt", ALICE)).body == b"hers"
    refused(call("PUT", path, None, b"again", PLAIN), *TAKEN)
    refused(call("PUT", path, None, b"again", PLAIN | {"x-upsert": "true"}), *TAKEN)


def test_signed_upload_of_a_form(bucket):
    body, headers = form({"cacheControl": "70"}, b"formed", content_type="text/css")
    path = f"/object/upload/sign/{bucket}/formed.css?token={upload_token(bucket, 'formed.css')}"
    ok(call("PUT", path, None, body, headers))
    told = ok(call("GET", f"/object/info/{bucket}/formed.css", ALICE)).json
    assert (told["content_type"], told["cache_control"], told["size"]) == ("text/css", "max-age=70", 6)


def test_signed_upload_with_upsert(bucket):
    token = upload_token(bucket, "over.txt", **{"x-upsert": "true"})
    assert claims(token)["upsert"] is True
    for body in (b"one", b"two"):
        ok(call("PUT", f"/object/upload/sign/{bucket}/over.txt?token={token}", None, body, PLAIN))
    assert call("GET", f"/object/{bucket}/over.txt", ALICE).body == b"two"


def test_signed_upload_to_another_path(bucket):
    token = upload_token(bucket, "mine.txt")
    answer = call("PUT", f"/object/upload/sign/{bucket}/yours.txt?token={token}", None, b"x", PLAIN)
    refused(answer, 400, "InvalidSignature", "Invalid signature")
    refused(call("GET", f"/object/{bucket}/yours.txt"), *NO_KEY)


def test_a_signed_token_is_no_bearer(bucket):
    for token in (token_of(signed(bucket)), upload_token(bucket, "bearer.txt")):
        answer = call("GET", f"/object/authenticated/{bucket}/a.txt", token)
        assert answer.status == 400 and answer.json["statusCode"] in ("400", "403"), answer
