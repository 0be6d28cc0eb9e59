import os

import pytest
from conftest import NATIVE, URL, bucket_name, new_bucket, refused

DATA = os.urandom(300_000)
EXISTS = "The resource already exists"


@pytest.fixture(params=["bytes", "open file", "unbuffered file", "path", "path as text"])
def body(request, tmp_path):
    file = tmp_path / "given.bin"
    file.write_bytes(DATA)
    if request.param == "bytes":
        yield DATA
    elif request.param == "open file":
        with file.open("rb") as handle:
            yield handle
    elif request.param == "unbuffered file":
        with file.open("rb", buffering=0) as handle:
            yield handle
    else:
        yield file if request.param == "path" else str(file)


def test_upload_keeps_every_byte(body):
    bucket = new_bucket()
    answer = bucket.service.upload("folder/data.bin", body, {"content-type": "application/x-data"})
    assert (answer.path, answer.full_path) == ("folder/data.bin", f"{bucket.name}/folder/data.bin")
    assert bucket.service.download("folder/data.bin") == DATA


def test_upload_of_nothing():
    files = new_bucket().service
    files.upload("empty.txt", b"")
    assert files.download("empty.txt") == b""


def test_upload_keeps_type_cache_control_and_metadata():
    files = new_bucket().service
    files.upload(
        "a.svg",
        b"<svg/>",
        {"content-type": "image/svg+xml", "cache-control": "7200", "metadata": {"album": "späte", "n": 3}},
    )
    info = files.info("a.svg")
    assert info["content_type"] == "image/svg+xml"
    assert info["cache_control"] == "max-age=7200"
    assert info["metadata"] == {"album": "späte", "n": 3}


def test_upload_to_a_taken_path():
    files = new_bucket().service
    files.upload("a.txt", b"one")
    with refused(409, EXISTS):
        files.upload("a.txt", b"two")
    assert files.download("a.txt") == b"one"


@pytest.mark.parametrize("option", ["upsert", "x-upsert"])
def test_upload_with_upsert(option):
    files = new_bucket().service
    for body in (b"one", b"two"):
        files.upload("a.txt", body, {option: "true"})
    assert files.download("a.txt") == b"two"


def test_update():
    files = new_bucket().service
    files.upload("a.txt", b"one")
    files.update("a.txt", b"{}", {"content-type": "application/json"})
    assert files.download("a.txt") == b"{}"
    assert files.info("a.txt")["content_type"] == "application/json"


def test_upload_to_a_bucket_that_is_not_there(callers):
    with refused(404, "Bucket not found"):
        callers.service.from_(bucket_name()).upload("a.txt", b"x")


def test_limits_of_the_bucket():
    files = new_bucket(file_size_limit=1000, allowed_mime_types=["image/*"]).service
    files.upload("fits.png", bytes(1000), {"content-type": "image/png"})
    with refused(413, "The object exceeded the maximum allowed size"):
        files.upload("large.png", bytes(1001), {"content-type": "image/png"})
    with refused(415, "mime type text/css is not supported"):
        files.upload("a.css", b"x", {"content-type": "text/css"})


def test_names_with_spaces_and_signs():
    files = new_bucket().service
    path = "a b/c (1)'s & d=e@f;g,h!i$j*k.txt"
    files.upload(path, b"x")
    assert files.download(path) == b"x"
    assert files.list("a b")[0]["name"] == path[4:]


def test_download_what_is_not_there():
    with refused(404, "Object not found"):
        new_bucket().service.download("nothing.txt")


def test_info():
    bucket = new_bucket()
    bucket.service.upload("folder/a.txt", b"hello", {"content-type": "text/plain"})
    info = bucket.service.info("folder/a.txt")
    assert (info["name"], info["bucket_id"], info["size"]) == ("folder/a.txt", bucket.name, 5)
    assert {"id", "version", "etag", "created_at", "last_modified"} <= info.keys()
    with refused(404, "Object not found"):
        bucket.service.info("nothing.txt")


def test_exists():
    files = new_bucket().service
    files.upload("a.txt", b"x")
    assert files.exists("a.txt") is True
    assert files.exists("b.txt") is False


def test_copy():
    bucket = new_bucket()
    files = bucket.service
    files.upload("a.txt", b"one", {"content-type": "text/css"})
    assert files.copy("a.txt", "sub/b.txt")["Key"] == f"{bucket.name}/sub/b.txt"
    assert files.download("a.txt") == files.download("sub/b.txt") == b"one"
    assert files.info("sub/b.txt")["content_type"] == "text/css"
    with refused(404, "Object not found"):
        files.copy("nothing.txt", "c.txt")
    with refused(409, EXISTS):
        files.copy("a.txt", "sub/b.txt")


def test_move():
    files = new_bucket().service
    files.upload("a.txt", b"one")
    files.upload("taken.txt", b"two")
    assert files.move("a.txt", "sub/b.txt")["message"] == "Successfully moved"
    assert files.download("sub/b.txt") == b"one"
    with refused(404, "Object not found"):
        files.download("a.txt")
    with refused(404, "Object not found"):
        files.move("nothing.txt", "c.txt")
    with refused(409, EXISTS):
        files.move("sub/b.txt", "taken.txt")


def test_remove():
    bucket = new_bucket()
    files = bucket.service
    for path in ("a.txt", "sub/b.txt", "keep.txt"):
        files.upload(path, b"x")
    removed = files.remove(["a.txt", "sub/b.txt", "nothing.txt", "sub"])
    assert sorted(row["name"] for row in removed) == ["a.txt", "sub/b.txt"]
    assert {row["bucket_id"] for row in removed} == {bucket.name}
    assert [entry["name"] for entry in files.list()] == ["keep.txt"]


def test_get_public_url(http):
    open_, closed = new_bucket(public=True), new_bucket()
    for bucket in (open_, closed):
        bucket.service.upload("dir/a b.txt", b"hello")
    url = open_.anon.get_public_url("dir/a b.txt")
    assert url.startswith(f"{URL}/object/public/{open_.name}/dir/")
    assert http.get(url).content == b"hello"
    saved = http.get(open_.anon.get_public_url("dir/a b.txt", {"download": "my file.txt"}))
    assert saved.headers["content-disposition"].startswith("attachment")
    assert "my%20file.txt" in saved.headers["content-disposition"]
    refusal = http.get(closed.anon.get_public_url("dir/a b.txt"))
    assert 400 <= refusal.status_code < 500 and b"hello" not in refusal.content


def test_a_private_bucket_of_another_user():
    bucket = new_bucket("alice")
    bucket.alice.upload("a.txt", b"hers")
    hidden = 403 if NATIVE else 404
    for path in ("a.txt", "nothing.txt"):
        with refused(hidden):
            bucket.bob.download(path)
    for attempt in (
        lambda: bucket.bob.upload("b.txt", b"his"),
        lambda: bucket.bob.upload("a.txt", b"his", {"upsert": "true"}),
        lambda: bucket.bob.update("a.txt", b"his"),
    ):
        with refused(403, "new row violates row-level security policy"):
            attempt()
    with refused(401 if NATIVE else 403):
        bucket.anon.upload("b.txt", b"x")
    with refused(401 if NATIVE else 404):
        bucket.anon.download("a.txt")
    assert bucket.bob.list() == bucket.anon.list() == []
    assert bucket.bob.remove(["a.txt"]) == []
    assert bucket.alice.download("a.txt") == b"hers"


def test_a_system_bucket_keeps_users_apart():
    bucket = new_bucket()
    bucket.alice.upload("alice/a.txt", b"hers")
    bucket.bob.upload("bob/b.txt", b"his")
    with refused(404, "Object not found"):
        bucket.bob.download("alice/a.txt")
    assert [entry["name"] for entry in bucket.bob.list()] == ["bob"]
    assert [entry["name"] for entry in bucket.service.list()] == ["alice", "bob"]
    assert bucket.bob.remove(["alice/a.txt"]) == []
    assert len(bucket.alice.remove(["alice/a.txt"])) == 1
