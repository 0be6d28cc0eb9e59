from conftest import ALICE_ID, NATIVE, bucket_name, new_bucket, refused


def test_create_and_get(callers):
    name = bucket_name()
    options = {"public": True, "file_size_limit": 1048576, "allowed_mime_types": ["image/*", "text/plain"]}
    assert callers.service.create_bucket(name, options=options)["name"] == name
    bucket = callers.service.get_bucket(name)
    assert (bucket.id, bucket.name, bucket.public, bucket.file_size_limit) == (name, name, True, 1048576)
    assert bucket.allowed_mime_types == ["image/*", "text/plain"]
    assert bucket.owner == ""
    assert bucket.created_at <= bucket.updated_at


def test_create_by_a_user(callers):
    name = bucket_name()
    callers.alice.create_bucket(name)
    bucket = callers.alice.get_bucket(name)
    assert (bucket.owner, bucket.public) == (ALICE_ID, False)


def test_create_refuses_a_taken_name(callers):
    name = new_bucket().name
    with refused(409, "The resource already exists"):
        callers.service.create_bucket(name)


def test_create_by_anon_is_refused(callers):
    with refused(401 if NATIVE else 403):
        callers.anon.create_bucket(bucket_name())


def test_get_what_is_not_there(callers):
    with refused(404, "Bucket not found"):
        callers.service.get_bucket(bucket_name())


def test_list(callers):
    hers, his, open_ = new_bucket("alice"), new_bucket("bob"), new_bucket("bob", public=True)
    everything = {bucket.name for bucket in callers.service.list_buckets()}
    assert {hers.name, his.name, open_.name} <= everything
    seen = {bucket.name for bucket in callers.alice.list_buckets()}
    assert {hers.name, open_.name} <= seen and his.name not in seen


def test_update(callers):
    name = new_bucket(file_size_limit=1000).name
    assert callers.service.update_bucket(name, {"public": True})["message"] == "Successfully updated"
    bucket = callers.service.get_bucket(name)
    assert (bucket.public, bucket.file_size_limit) == (True, 1000)
    callers.service.update_bucket(name, {"file_size_limit": 2000, "allowed_mime_types": ["text/css"]})
    bucket = callers.service.get_bucket(name)
    assert (bucket.public, bucket.file_size_limit, bucket.allowed_mime_types) == (True, 2000, ["text/css"])


def test_empty_and_delete(callers):
    bucket = new_bucket()
    for path in ("a.txt", "deep/er/b.txt"):
        bucket.service.upload(path, b"x")
    with refused(409, "The bucket you tried to delete is not empty"):
        callers.service.delete_bucket(bucket.name)
    assert isinstance(callers.service.empty_bucket(bucket.name)["message"], str)
    assert bucket.service.list() == []
    assert callers.service.delete_bucket(bucket.name)["message"] == "Successfully deleted"
    with refused(404, "Bucket not found"):
        callers.service.get_bucket(bucket.name)


def test_another_users_bucket_cannot_be_emptied_deleted_or_changed(callers):
    bucket = new_bucket("alice")
    bucket.alice.upload("a.txt", b"x")
    with refused(403):
        callers.bob.empty_bucket(bucket.name)
    for attempt in (
        lambda: callers.bob.delete_bucket(bucket.name),
        lambda: callers.bob.update_bucket(bucket.name, {"public": True}),
    ):
        with refused(403 if NATIVE else 404):
            attempt()
    assert len(bucket.alice.list()) == 1
    assert callers.alice.get_bucket(bucket.name).public is False
