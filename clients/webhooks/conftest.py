"""A receiver of webhooks, and the service role that makes them."""

import http.server
import os
import queue
import threading
import uuid
from types import SimpleNamespace

import httpx
import pytest

URL = os.environ["AEROSTORE_URL"]
PATIENCE = 20


class Receiver:
    """Keeps what it is sent, as it came: headers and bytes."""

    def __init__(self):
        self.messages = queue.Queue()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.messages.put(SimpleNamespace(headers=dict(self.headers.items()), body=body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.messages.get(timeout=PATIENCE)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def service():
    headers = {"Authorization": f"Bearer {os.environ['AEROSTORE_SERVICE_KEY']}"}
    with httpx.Client(base_url=URL, headers=headers) as client:
        yield client


@pytest.fixture
def webhook(service, receiver):
    """A webhook of a bucket of its own: its id, its secret, the bucket."""
    bucket = f"hook-{uuid.uuid4().hex[:12]}"
    service.post("/storage/v1/bucket", json={"name": bucket, "policy": "private"}).raise_for_status()
    asked = {"url": receiver.url, "bucket": bucket, "events": ["storage.object.created"]}
    made = service.post("/api/v1/storage/webhooks", json=asked)
    made.raise_for_status()
    yield SimpleNamespace(id=made.json()["id"], secret=made.json()["secret"], bucket=bucket)
    service.delete(f"/api/v1/storage/webhooks/{made.json()['id']}").raise_for_status()
