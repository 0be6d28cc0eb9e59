"""§3 of the reference: the two lists."""

import re

import pytest
from harness import ALICE, METADATA_KEYS, TIME, UUID, bucket_name, call, new_bucket, new_object, ok

PATHS = [
    "b.txt",
    "C.txt",
    "a.txt",
    "docs/one.md",
    "docs/two.md",
    "docs/old/three.md",
    "docs2/x.md",
    "Zoo/y.md",
    "a_b.txt",
]


@pytest.fixture(scope="module")
def bucket():
    name = new_bucket()
    for path in PATHS:
        new_object(name, path)
    return name


def v1(bucket, **body):
    return ok(call("POST", f"/object/list/{bucket}", body={"prefix": "", **body})).json


def v2(bucket, **body):
    return ok(call("POST", f"/object/list-v2/{bucket}", body=body)).json


TOP = ["a.txt", "a_b.txt", "b.txt", "C.txt", "docs", "docs2", "Zoo"]


@pytest.mark.parametrize("body, wanted", [
    ({}, TOP),
    ({"prefix": "docs"}, ["old", "one.md", "two.md"]),
    ({"prefix": "docs/"}, ["old", "one.md", "two.md"]),
    ({"prefix": "DOCS"}, ["old", "one.md", "two.md"]),
    ({"prefix": "doc"}, []),
    ({"prefix": "docs/old"}, ["three.md"]),
    ({"search": "DOC"}, ["docs", "docs2"]),
    ({"search": "c"}, ["C.txt"]),
    ({"search": "txt"}, []),
    ({"search": "%"}, []),
    ({"search": "a_"}, ["a_b.txt"]),
    ({"prefix": "docs", "search": "t"}, ["two.md"]),
    ({"limit": 2}, TOP[:2]),
    ({"limit": 2, "offset": 3}, TOP[3:5]),
    ({"sortBy": {"column": "name", "order": "desc"}}, TOP[::-1]),
])  # fmt: skip
def test_v1(bucket, body, wanted):
    assert [row["name"] for row in v1(bucket, **body)] == wanted


@pytest.mark.parametrize("column", ["updated_at", "created_at", "last_accessed_at"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_v1_by_time_has_folders_first(bucket, column, order):
    names = [row["name"] for row in v1(bucket, sortBy={"column": column, "order": order})]
    assert set(names[:3]) == {"Zoo", "docs", "docs2"}
    files = ["b.txt", "C.txt", "a.txt", "a_b.txt"]
    assert names[3:] == (files if order == "asc" else files[::-1])


def test_v1_rows(bucket):
    rows = {row["name"]: row for row in v1(bucket)}
    file = rows["a.txt"]
    assert re.fullmatch(UUID, file["id"])
    assert all(re.fullmatch(TIME, file[key]) for key in ("created_at", "updated_at", "last_accessed_at"))
    assert file["metadata"].keys() == METADATA_KEYS
    folder = rows["docs"]
    assert folder.keys() == file.keys()
    assert [value for key, value in folder.items() if key != "name"] == [None] * (len(folder) - 1)


def test_v1_has_a_default_and_a_cap():
    bucket = new_bucket()
    for number in range(105):
        new_object(bucket, f"{number:04}.txt", b"")
    assert len(v1(bucket)) == 100
    assert len(v1(bucket, limit=104)) == 104
    assert len(v1(bucket, limit=100_000)) == 105


def test_no_bucket_lists_nothing():
    assert v1(bucket_name()) == []


def test_v2_is_flat(bucket):
    page = v2(bucket, prefix="")
    assert page["hasNext"] is False and page["folders"] == []
    assert [row["name"] for row in page["objects"]] == sorted(PATHS)
    row = page["objects"][0]
    assert row.keys() >= {"id", "name", "created_at", "updated_at", "metadata"}
    assert re.fullmatch(UUID, row["id"]) and re.fullmatch(TIME, row["created_at"])


@pytest.mark.parametrize("prefix, wanted", [
    ("docs/o", ["docs/old/three.md", "docs/one.md"]), ("Docs", []), ("%", []), ("a_", ["a_b.txt"]), ("a", ["a.txt", "a_b.txt"]),
])  # fmt: skip
def test_v2_prefix_is_plain(bucket, prefix, wanted):
    assert [row["name"] for row in v2(bucket, prefix=prefix)["objects"]] == wanted


def test_v2_with_a_delimiter(bucket):
    page = v2(bucket, prefix="", with_delimiter=True)
    assert [(row["key"], row["name"]) for row in page["folders"]] == [
        ("Zoo", "Zoo/"),
        ("docs", "docs/"),
        ("docs2", "docs2/"),
    ]
    assert [(row["key"], row["name"]) for row in page["objects"]] == [
        (name, name) for name in sorted(PATHS) if "/" not in name
    ]
    inner = v2(bucket, prefix="docs/", with_delimiter=True)
    assert [(row["key"], row["name"]) for row in inner["folders"]] == [("docs/old", "docs/old/")]
    assert [row["name"] for row in inner["objects"]] == ["docs/one.md", "docs/two.md"]


@pytest.mark.parametrize("with_delimiter", [False, True])
@pytest.mark.parametrize("sort", [
    None, {"column": "name", "order": "desc"}, {"column": "created_at", "order": "asc"}, {"column": "updated_at", "order": "desc"},
])  # fmt: skip
@pytest.mark.parametrize("limit", [1, 3])
def test_v2_pages_lose_nothing_and_repeat_nothing(bucket, with_delimiter, sort, limit):
    asked = {"prefix": "", "with_delimiter": with_delimiter, **({"sortBy": sort} if sort else {})}
    whole = v2(bucket, **asked)
    wanted = sorted(row["name"] for row in whole["folders"] + whole["objects"])
    seen, cursor = [], None
    for _ in range(30):
        page = v2(bucket, **asked, limit=limit, **({"cursor": cursor} if cursor else {}))
        rows = page["folders"] + page["objects"]
        assert len(rows) <= limit
        seen += [row["name"] for row in rows]
        if not page["hasNext"]:
            break
        assert page["nextCursorKey"]
        cursor = page["nextCursor"]
    assert sorted(seen) == wanted


def test_v2_sorts(bucket):
    names = [row["name"] for row in v2(bucket, prefix="docs/", sortBy={"column": "name", "order": "desc"})["objects"]]
    assert names == ["docs/two.md", "docs/one.md", "docs/old/three.md"]
    names = [row["name"] for row in v2(bucket, prefix="", sortBy={"column": "created_at", "order": "asc"})["objects"]]
    assert names == PATHS


def test_lists_show_own_rows_only():
    bucket = new_bucket()
    new_object(bucket, "service.txt")
    new_object(bucket, "alice/a.txt", token=ALICE)
    body = {"prefix": ""}
    assert [row["name"] for row in ok(call("POST", f"/object/list/{bucket}", ALICE, body)).json] == ["alice"]
    page = ok(call("POST", f"/object/list-v2/{bucket}", ALICE, body)).json
    assert [row["name"] for row in page["objects"]] == ["alice/a.txt"]
