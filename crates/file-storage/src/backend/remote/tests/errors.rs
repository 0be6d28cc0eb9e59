//! What a provider's errors say, and that they never say a secret.

use std::error::Error;

use super::super::{AzureCredentials, Store};
use super::fault_proxy::{Fault, FaultProxy};
use super::place::{AZURITE_KEY, RemotePlace, azure_at, emulator, s3_at};
use crate::backend::BackendError;
use crate::backend::conformance::{bytes, chunked, key};

/// An error and all its causes, as a log would have them, and as a debugger would.
fn all_text(error: &BackendError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text} {source} {source:?}");
        cause = source.source();
    }
    text
}

async fn write(place: &RemotePlace) -> BackendError {
    place.get().write(&key(), chunked(&bytes(1000, 1), 100), None).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_says_why() {
    let proxy = FaultProxy::before(&emulator("AEROSTORE_TEST_S3")).await;
    let place = RemotePlace::guarded(s3_at(proxy.address()));
    for status in [400, 401, 403, 405, 501] {
        proxy.forget_requests();
        proxy.plan("PUT", [Fault::Answer(status)]);
        let refused = write(&place).await;
        assert!(matches!(refused, BackendError::Refused { .. }), "{status}: {refused:?}");
        assert!(refused.to_string().contains(&status.to_string()), "{refused}");
        assert_eq!(proxy.count("PUT"), 1, "{status}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_refusal_and_no_missing_blob() {
    let Store::S3(store) = s3_at(&emulator("AEROSTORE_TEST_S3")) else { unreachable!() };
    let place = RemotePlace::guarded(Store::S3(super::super::S3Store { bucket: "nowhere".into(), ..store }));
    let refused = place.get().read(&key(), None).await.err().unwrap();
    assert!(matches!(refused, BackendError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("NoSuchBucket"), "{refused}");
    assert!(matches!(place.get().probe().await, Err(BackendError::Refused { .. })));
}

#[tokio::test]
async fn no_error_has_a_secret_or_a_signed_address_in_it() {
    let azure = emulator("AEROSTORE_TEST_AZURE");
    let proxy = FaultProxy::before(&azure).await;
    let Store::Azure(store) = azure_at(proxy.address()) else { unreachable!() };
    let signed = "sv=2023-11-03&sp=rwdl&sig=topsecretsignature";
    let stores = [
        (s3_at(proxy.address()), "a-secret-of-tests"),
        (Store::Azure(store.clone()), AZURITE_KEY),
        (
            Store::Azure(super::super::AzureStore {
                credentials: Some(AzureCredentials::Sas(signed.into())),
                ..store
            }),
            "topsecretsignature",
        ),
    ];
    for (store, secret) in stores {
        let shown = format!("{store:?}");
        assert!(!shown.contains(secret), "{shown}");
        let place = RemotePlace::guarded(store);
        for fault in
            [Fault::Drop, Fault::Answer(500), Fault::Answer(403), Fault::TruncateAfter(0), Fault::Pass]
        {
            proxy.otherwise(fault);
            let mut errors = vec![place.get().read(&key(), None).await.err()];
            errors.push(place.get().write(&key(), chunked(&bytes(10, 1), 5), None).await.err());
            errors.push(place.get().copy(&key(), &key()).await.err());
            for text in errors.iter().flatten().map(all_text) {
                for hidden in [secret, "sig=", "AWS4-HMAC", "SharedKey", "AKIDTEST", "://"] {
                    assert!(!text.contains(hidden), "{hidden} in {text}");
                }
            }
        }
    }
}
