//! The word of a place about itself, in each store.

use futures_util::TryStreamExt;
use uuid::Uuid;

use super::super::RemotePlace as Word;
use super::place::{RemotePlace, aerostore, azure, gcs, quick, s3};
use crate::backend::place::Place;
use crate::body;
use crate::file::BlobKey;
use crate::resilience::Attempts;

async fn check(place: RemotePlace) {
    let attempts = Attempts::new("remote".into(), quick(), None);
    let word = Word::new(&place.options, attempts).unwrap();
    assert_eq!(word.identity().await.unwrap(), None);
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(word.identify(first).await.unwrap(), first);
    assert_eq!(word.identity().await.unwrap(), Some(first));
    word.identify_anew(second).await.unwrap();
    assert_eq!(word.identity().await.unwrap(), Some(second));

    let backend = place.get();
    let (there, missing) = (BlobKey::new(Uuid::now_v7()), BlobKey::new(Uuid::now_v7()));
    backend.write(&there, body::from_bytes(vec![1, 2, 3].into()), Some(3)).await.unwrap();
    let listed: Vec<_> = backend.list().try_collect().await.unwrap();
    let (said, since) = word.identified().await.unwrap().unwrap();
    assert_eq!(said, second);
    assert!(listed.iter().all(|blob| blob.modified.is_some_and(|came| came >= since)), "{since}: {listed:?}");
    assert_eq!(
        listed.into_iter().map(|blob| blob.key).collect::<Vec<_>>(),
        std::slice::from_ref(&there),
        "the word is no blob"
    );
    assert!(!word.has_any(std::slice::from_ref(&missing)).await.unwrap());
    assert!(word.has_any(&[missing, there.clone()]).await.unwrap());
    // More than are asked for at once, and the last one of them is it.
    let mut many: Vec<_> = (0..40).map(|_| BlobKey::new(Uuid::now_v7())).collect();
    assert!(!word.has_any(&many).await.unwrap());
    many.push(there.clone());
    assert!(word.has_any(&many).await.unwrap());
    backend.delete(&there).await.unwrap();
    word.probe().await.unwrap();
    assert_eq!(backend.list().try_collect::<Vec<_>>().await.unwrap(), [], "a probe leaves nothing");
    word.withdraw(first).await.unwrap();
    assert_eq!(word.identity().await.unwrap(), Some(second), "it says another one");
    word.withdraw(second).await.unwrap();
    assert_eq!(word.identity().await.unwrap(), None);
}

/// The first one to say it counts, where the store knows the condition.
async fn check_first(place: RemotePlace) {
    let attempts = Attempts::new("remote".into(), quick(), None);
    let word = Word::new(&place.options, attempts).unwrap();
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    assert_eq!(word.identify(first).await.unwrap(), first);
    assert_eq!(word.identify(second).await.unwrap(), first);
}

#[tokio::test]
async fn s3_says_which_place_it_is() {
    check(RemotePlace::bare(s3())).await;
}

#[tokio::test]
async fn aerostore_says_which_place_it_is() {
    check(RemotePlace::bare(aerostore())).await;
    check_first(RemotePlace::bare(aerostore())).await;
}

#[tokio::test]
async fn azure_says_which_place_it_is() {
    check(RemotePlace::bare(azure())).await;
    check_first(RemotePlace::bare(azure())).await;
}

#[tokio::test]
async fn google_says_which_place_it_is() {
    check(gcs().await).await;
}
