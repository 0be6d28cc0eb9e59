from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import NATIVE, URL, new_bucket, refused


def test_create_signed_url(http):
    bucket = new_bucket()
    bucket.service.upload("dir/a b.txt", b"secret")
    url = bucket.service.create_signed_url("dir/a b.txt", 600)["signedURL"]
    assert url.startswith(f"{URL}/object/sign/{bucket.name}/dir/")
    answer = http.get(url)
    assert (answer.status_code, answer.content) == (200, b"secret")


def test_create_signed_url_with_download(http):
    files = new_bucket().service
    files.upload("a.txt", b"x")
    named = http.get(files.create_signed_url("a.txt", 60, {"download": "report.txt"})["signedURL"])
    assert "report.txt" in named.headers["content-disposition"]
    bare = http.get(files.create_signed_url("a.txt", 60, {"download": True})["signedURL"])
    assert bare.headers["content-disposition"].startswith("attachment")


def test_create_signed_url_of_what_is_not_there():
    with refused(404, "Object not found"):
        new_bucket().service.create_signed_url("nothing.txt", 60)


def test_a_signed_url_opens_nothing_else(http):
    files = new_bucket().service
    for path in ("a.txt", "b.txt"):
        files.upload(path, path.encode())
    url = files.create_signed_url("a.txt", 60)["signedURL"]
    assert http.get(url.replace("a.txt", "b.txt")).status_code == (403 if NATIVE else 400)
    assert http.get(url[:-2]).status_code == (403 if NATIVE else 400)


def test_create_signed_urls(http):
    files = new_bucket().service
    for path in ("a.txt", "dir/b.txt"):
        files.upload(path, path.encode())
    signed = files.create_signed_urls(["a.txt", "nothing.txt", "dir/b.txt"], 60)
    assert [entry["path"] for entry in signed] == ["a.txt", "nothing.txt", "dir/b.txt"]
    for entry in (signed[0], signed[2]):
        assert entry["error"] is None
        assert http.get(entry["signedURL"]).text == entry["path"]
    assert isinstance(signed[1]["error"], str) and signed[1]["signedURL"] is None


def test_upload_to_signed_url():
    bucket = new_bucket()
    signed = bucket.service.create_signed_upload_url("in/a.txt")
    address = urlsplit(signed["signed_url"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{URL}/object/upload/sign/{bucket.name}/in/a.txt"
    assert parse_qs(address.query)["token"] == [signed["token"]]
    answer = bucket.anon.upload_to_signed_url("in/a.txt", signed["token"], b"one", {"content-type": "text/css"})
    assert answer.full_path == f"{bucket.name}/in/a.txt"
    assert bucket.service.download("in/a.txt") == b"one"
    with refused(409, "The resource already exists"):
        bucket.anon.upload_to_signed_url("in/a.txt", signed["token"], b"two")


def test_upload_to_signed_url_of_a_file(tmp_path):
    files = new_bucket().service
    (tmp_path / "a.txt").write_bytes(b"from a file")
    token = files.create_signed_upload_url("a.txt")["token"]
    files.upload_to_signed_url("a.txt", token, tmp_path / "a.txt")
    assert files.download("a.txt") == b"from a file"


def test_upload_to_signed_url_with_upsert():
    from storage3.types import CreateSignedUploadUrlOptions

    files = new_bucket().service
    files.upload("a.txt", b"zero")
    token = files.create_signed_upload_url("a.txt", CreateSignedUploadUrlOptions(upsert="true"))["token"]
    for body in (b"one", b"two"):
        files.upload_to_signed_url("a.txt", token, body)
    assert files.download("a.txt") == b"two"


@pytest.mark.parametrize("path", ["b.txt", "a.txt/b"])
def test_an_upload_token_opens_no_other_path(path):
    files = new_bucket().service
    token = files.create_signed_upload_url("a.txt")["token"]
    with refused(403 if NATIVE else 400):
        files.upload_to_signed_url(path, token, b"x")


def test_a_user_signs_only_what_the_user_may_read_and_write():
    bucket = new_bucket("alice")
    bucket.alice.upload("a.txt", b"x")
    with refused(403 if NATIVE else 404):
        bucket.bob.create_signed_url("a.txt", 60)
    with refused(403, "new row violates row-level security policy"):
        bucket.bob.create_signed_upload_url("b.txt")
