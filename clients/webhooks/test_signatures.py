"""The library that receivers use takes what we sign, and nothing else."""

import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError


def put(service, bucket, path, body=b"bytes"):
    service.put(f"/storage/v1/object/{bucket}/{path}", content=body).raise_for_status()


def verified(message, secret):
    return Webhook(secret).verify(message.body, message.headers)


def refused(message, secret, **headers):
    message.headers.update(headers)
    with pytest.raises(WebhookVerificationError):
        verified(message, secret)


def test_a_message_is_verified(service, receiver, webhook):
    put(service, webhook.bucket, "2026/ä b.txt")
    message = receiver.next()
    event = verified(message, webhook.secret)
    assert event["type"] == "storage.object.created"
    assert (event["data"]["bucket"], event["data"]["path"]) == (webhook.bucket, "2026/ä b.txt")


def test_each_message_has_its_own_signature_and_id(service, receiver, webhook):
    for number in range(5):
        put(service, webhook.bucket, f"{number}")
    messages = [receiver.next() for _ in range(5)]
    assert [verified(message, webhook.secret)["data"]["path"] for message in messages] == list("01234")
    assert len({message.headers["webhook-id"] for message in messages}) == 5
    # One's signature is not good for another one's body.
    messages[0].body = messages[1].body
    refused(messages[0], webhook.secret)


def test_what_was_changed_on_the_way_is_refused(service, receiver, webhook):
    put(service, webhook.bucket, "a")
    message = receiver.next()
    verified(message, webhook.secret)
    refused(message, webhook.secret, **{"webhook-id": "msg_other"})
    put(service, webhook.bucket, "b")
    message = receiver.next()
    message.body = message.body.replace(b'"b"', b'"c"')
    refused(message, webhook.secret)


def test_another_secret_and_another_time_are_refused(service, receiver, webhook):
    put(service, webhook.bucket, "a")
    message = receiver.next()
    refused(message, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert abs(time.time() - int(message.headers["webhook-timestamp"])) < 60
    refused(message, webhook.secret, **{"webhook-timestamp": str(int(time.time()) - 3600)})


def test_a_rotated_secret_and_the_one_before_are_both_good(service, receiver, webhook):
    rotated = service.post(f"/api/v1/storage/webhooks/{webhook.id}/rotate")
    rotated.raise_for_status()
    put(service, webhook.bucket, "a")
    message = receiver.next()
    for secret in (webhook.secret, rotated.json()["secret"]):
        assert verified(message, secret)["data"]["path"] == "a"


def test_a_message_for_trial_is_verified(service, receiver, webhook):
    told = service.post(f"/api/v1/storage/webhooks/{webhook.id}/test")
    told.raise_for_status()
    assert told.json()["delivered"] is True
    assert verified(receiver.next(), webhook.secret)["type"] == "storage.test"
