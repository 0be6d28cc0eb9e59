"""§3 of the reference: downloads and their headers."""

import re

import pytest
from harness import ALICE, ANON, NO_BUCKET, call, new_bucket, new_object, ok, refused

WHOLE = b"0123456789"
ROUTES = ["/object/{b}/{k}", "/object/authenticated/{b}/{k}", "/object/public/{b}/{k}"]


@pytest.fixture(scope="module")
def bucket():
    name = new_bucket(public=True)
    new_object(name, "a.txt", WHOLE, cache_control="max-age=60")
    new_object(name, "page.html", b"<b>", content_type="text/html; charset=utf-8")
    new_object(name, "robots.txt", b"x", x_robots_tag="noindex, nofollow")
    return name


def get(bucket, key="a.txt", query="", method="GET", token=ALICE, route=ROUTES[0], **headers):
    path = route.replace("{b}", bucket).replace("{k}", key) + query
    return call(method, path, token, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("route", ROUTES)
def test_headers(bucket, method, route):
    answer = ok(get(bucket, method=method, route=route))
    assert answer.body == (WHOLE if method == "GET" else b"")
    headers = answer.headers
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-type"] == "text/plain"
    assert re.fullmatch(r'".+"', headers["etag"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["last-modified"])
    assert headers["content-length"] == "10"
    assert headers["cache-control"] == "max-age=60"
    assert headers["x-robots-tag"] == "none"
    assert headers["content-disposition"] is None
    assert headers["content-range"] is None


def test_a_public_bucket_needs_no_token(bucket):
    for token in (None, ANON):
        for route in (ROUTES[0], ROUTES[2]):
            assert ok(get(bucket, token=token, route=route)).body == WHOLE


def test_the_public_route_hides_a_private_bucket():
    name = new_bucket()
    new_object(name, "a.txt")
    for key in ("a.txt", "nothing"):
        refused(get(name, key, token=None, route=ROUTES[2]), *NO_BUCKET)
        refused(get(name, key, token=None), *NO_BUCKET)


def test_html_is_served_as_text(bucket):
    assert ok(get(bucket, "page.html")).headers["content-type"].startswith("text/plain")


def test_robots_tag_is_kept(bucket):
    assert ok(get(bucket, "robots.txt")).headers["x-robots-tag"] == "noindex, nofollow"


@pytest.mark.parametrize("asked, part", [("0-3", b"0123"), ("4-", b"456789"), ("-2", b"89"), ("5-99", b"56789")])
def test_ranges(bucket, asked, part):
    answer = ok(get(bucket, range=f"bytes={asked}"), 206)
    start = WHOLE.index(part)
    assert answer.body == part
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/10"
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize("asked", ["10-", "99-100", "-0"])
def test_ranges_outside(bucket, asked):
    answer = get(bucket, range=f"bytes={asked}")
    refused(answer, 416, "invalid_range", "invalid range provided", "InvalidRange", wire=416)


def test_conditions(bucket):
    told = get(bucket).headers
    same = get(bucket, if_none_match=told["etag"])
    assert (same.status, same.body) == (304, b"")
    assert get(bucket, if_modified_since=told["last-modified"]).status == 304
    assert get(bucket, if_modified_since="Mon, 01 Jan 2001 00:00:00 GMT").status == 200
    other = ok(get(bucket, if_none_match='"other"'))
    assert other.headers["cache-control"] == "max-age=60, stale-while-revalidate=30"


@pytest.mark.parametrize("query, disposition", [
    ("?download", "attachment;"),
    ("?download=", "attachment;"),
    ("?download=my%20file%20%C3%A4.txt", "attachment; filename=my%20file%20%C3%A4.txt; filename*=UTF-8''my%20file%20%C3%A4.txt;"),
])  # fmt: skip
def test_disposition(bucket, query, disposition):
    told = ok(get(bucket, query=query)).headers["content-disposition"]
    assert told.rstrip(";") == disposition.rstrip(";")


@pytest.mark.parametrize("token", [ALICE, None])
def test_head_of_what_is_not_there_has_no_body(bucket, token):
    answer = get(bucket, "nothing", method="HEAD", token=token)
    assert (answer.status, answer.body) == (400, b"")
