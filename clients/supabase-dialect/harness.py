"""A bare HTTP caller: what is sent and what comes back, without a client library's opinion of either."""

import http.client
import json
import os
import uuid
from urllib.parse import quote, urlsplit

URL = urlsplit(f"{os.environ['AEROSTORE_URL']}/storage/v1")
SERVICE = os.environ["AEROSTORE_SERVICE_KEY"]
ANON = os.environ["AEROSTORE_ANON_KEY"]
ALICE, ALICE_ID = os.environ["AEROSTORE_ALICE_TOKEN"], os.environ["AEROSTORE_ALICE_ID"]
BOB = os.environ["AEROSTORE_BOB_TOKEN"]

BUCKET_KEYS = {
    "id", "name", "owner", "public", "file_size_limit", "allowed_mime_types", "created_at", "updated_at",
}  # fmt: skip
OBJECT_KEYS = {
    "id", "name", "bucket_id", "owner", "owner_id", "version", "created_at", "updated_at", "last_accessed_at",
    "metadata", "user_metadata",
}  # fmt: skip
METADATA_KEYS = {"eTag", "size", "mimetype", "cacheControl", "lastModified", "contentLength", "httpStatusCode"}
INFO_KEYS = {
    "id", "name", "version", "bucket_id", "size", "content_type", "cache_control", "etag", "metadata",
    "last_modified", "created_at",
}  # fmt: skip
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


def call(method, path, token=SERVICE, body=None, headers=None):
    """One request to the path below /storage/v1. A dict or list is sent as JSON, an iterator in chunks.

    A token of None sends none.
    """
    sent = {} if token is None else {"authorization": f"Bearer {token}"}
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        sent["content-type"] = "application/json"
    sent |= headers or {}
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=30)
    try:
        connection.request(method, URL.path + path, body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def ok(answer, status=200):
    assert answer.status == status, answer
    return answer


def refused(answer, true_status, error, message, code=None, wire=400):
    """The error of the reference, to the letter: status on the wire, exactly four string keys, their words.

    `code` defaults to the label; one of several is given as a set.
    """
    assert answer.status == wire, answer
    assert answer.headers["content-type"].startswith("application/json"), answer.headers["content-type"]
    body = answer.json
    assert body.keys() == {"statusCode", "error", "message", "code"}, body
    assert all(isinstance(value, str) for value in body.values()), body
    codes = code if isinstance(code, set) else {code or error}
    assert body["code"] in codes, body
    assert body == {"statusCode": str(true_status), "error": error, "message": message, "code": body["code"]}


NO_BUCKET = (404, "Bucket not found", "Bucket not found", "NoSuchBucket")
NO_KEY = (404, "not_found", "Object not found", "NoSuchKey")
TAKEN = (409, "Duplicate", "The resource already exists", {"KeyAlreadyExists", "ResourceAlreadyExists"})
DENIED = (403, "Unauthorized", "new row violates row-level security policy", "AccessDenied")
NO_TOKEN = (400, "Error", "headers must have required property 'authorization'", "InvalidRequest")


def bucket_name():
    return f"dialect-{uuid.uuid4().hex[:12]}"


def new_bucket(token=SERVICE, **options):
    name = bucket_name()
    ok(call("POST", "/bucket", token, {"name": name, **options}))
    return name


def new_object(bucket, key="a.txt", body=b"hello", token=SERVICE, **headers):
    sent = {"content-type": "text/plain"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return ok(call("POST", f"/object/{bucket}/{quote(key)}", token, body, sent)).json


def form(fields, file, name="", filename="given.bin", content_type="application/octet-stream"):
    """A multipart body in the order given, and its header."""
    boundary = "aerostore-boundary"
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    parts += [f"{head}content-type: {content_type}\r\n\r\n".encode(), file, f"\r\n--{boundary}--\r\n".encode()]
    return b"".join(parts), {"content-type": f"multipart/form-data; boundary={boundary}"}
