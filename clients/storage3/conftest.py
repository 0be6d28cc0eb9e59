"""What every test needs: clients for the four callers, buckets of one's own, one judge of refusals."""

import os
import uuid
from types import SimpleNamespace

import httpx
import pytest
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

URL = f"{os.environ['AEROSTORE_URL']}/storage/v1"
NATIVE = os.environ["AEROSTORE_DIALECT"] == "native"
ALICE_ID = os.environ["AEROSTORE_ALICE_ID"]
RLS = "new row violates row-level security policy"


def client(token):
    headers = {"Authorization": f"Bearer {token}", "apikey": os.environ["AEROSTORE_ANON_KEY"]}
    return SyncStorageClient(f"{URL}/", headers)


CALLERS = {
    "service": client(os.environ["AEROSTORE_SERVICE_KEY"]),
    "anon": client(os.environ["AEROSTORE_ANON_KEY"]),
    "alice": client(os.environ["AEROSTORE_ALICE_TOKEN"]),
    "bob": client(os.environ["AEROSTORE_BOB_TOKEN"]),
}


def bucket_name():
    return f"py-{uuid.uuid4().hex[:13]}"


def new_bucket(owner="service", **options):
    """A new bucket (of the service role: one without an owner) and its file API for each caller."""
    name = bucket_name()
    CALLERS[owner].create_bucket(name, options={"public": False, **options})
    return SimpleNamespace(name=name, **{caller: client.from_(name) for caller, client in CALLERS.items()})


class refused:
    """`with refused(404, "Object not found"):` – the call within must fail with this true status and these words."""

    def __init__(self, status, message=None):
        self.status, self.message = status, message

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert kind is not None, "was not refused"
        assert issubclass(kind, StorageApiError), f"{kind.__name__}: {error}"
        assert str(error.status) == str(self.status), error
        if self.message is not None:
            assert error.message == self.message
        return True


@pytest.fixture
def callers():
    return SimpleNamespace(**CALLERS)


@pytest.fixture
def http():
    with httpx.Client() as bare:
        yield bare
