import pytest
from conftest import bucket_name, new_bucket

PATHS = ["b.txt", "C.txt", "a.txt", "docs/one.md", "docs/two.md", "docs/old/three.md", "docs2/x.md", "Zoo/y.md"]


@pytest.fixture(scope="module")
def files():
    files = new_bucket().service
    for path in PATHS:
        files.upload(path, path.encode())
    return files


def names(entries):
    return [entry["name"] for entry in entries]


@pytest.mark.parametrize(
    ("folder", "options", "wanted"),
    [
        (None, {}, ["a.txt", "b.txt", "C.txt", "docs", "docs2", "Zoo"]),
        ("docs", {}, ["old", "one.md", "two.md"]),
        ("docs/", {}, ["old", "one.md", "two.md"]),
        ("docs/old", {}, ["three.md"]),
        ("nothing", {}, []),
        ("", {"search": "doc"}, ["docs", "docs2"]),
        ("docs", {"search": "TW"}, ["two.md"]),
        ("", {"limit": 2}, ["a.txt", "b.txt"]),
        ("", {"limit": 2, "offset": 2}, ["C.txt", "docs"]),
        ("", {"offset": 50}, []),
        ("", {"sortBy": {"column": "name", "order": "desc"}}, ["Zoo", "docs2", "docs", "C.txt", "b.txt", "a.txt"]),
    ],
)
def test_list(files, folder, options, wanted):
    assert names(files.list(folder, options)) == wanted


def test_list_sorts_by_time_folders_first(files):
    entries = names(files.list("", {"sortBy": {"column": "created_at", "order": "desc"}}))
    assert sorted(entries[:3]) == ["Zoo", "docs", "docs2"]
    assert entries[3:] == ["a.txt", "C.txt", "b.txt"]


def test_list_tells_folders_from_files(files):
    entries = {entry["name"]: entry for entry in files.list()}
    assert entries["a.txt"]["metadata"]["size"] == 5
    folder = entries["docs"]
    assert [folder[key] for key in ("id", "metadata", "created_at", "updated_at")] == [None] * 4


def test_list_of_a_bucket_that_is_not_there(callers):
    assert callers.service.from_(bucket_name()).list() == []


def test_list_v2_flat(files):
    page = files.list_v2({"prefix": ""})
    assert sorted(entry.name for entry in page.objects) == sorted(PATHS)
    assert (page.folders, page.hasNext) == ([], False)


def test_list_v2_prefix(files):
    assert [entry.name for entry in files.list_v2({"prefix": "docs/o"}).objects] == ["docs/old/three.md", "docs/one.md"]
    assert files.list_v2({"prefix": "Docs"}).objects == []


def test_list_v2_folders(files):
    page = files.list_v2({"prefix": "", "with_delimiter": True})
    assert sorted(entry.name for entry in page.folders) == ["Zoo/", "docs/", "docs2/"]
    assert sorted(entry.name for entry in page.objects) == ["C.txt", "a.txt", "b.txt"]


@pytest.mark.parametrize("with_delimiter", [False, True])
def test_list_v2_pages(files, with_delimiter):
    whole = files.list_v2({"prefix": "", "with_delimiter": with_delimiter})
    wanted = sorted(entry.name for entry in [*whole.folders, *whole.objects])
    seen, options = [], {"prefix": "", "with_delimiter": with_delimiter, "limit": 3}
    for _ in range(20):
        page = files.list_v2(options)
        seen += [entry.name for entry in [*page.folders, *page.objects]]
        if not page.hasNext:
            break
        options = {**options, "cursor": page.nextCursor}
    assert sorted(seen) == wanted
