//! Signed URLs as the domain has them: in whose name they work, and how often (SPEC 3.4).

use crate::support::{Fixture, bucket, chunked, collect, path, service, user};
use file_storage::errors::{StorageError, UrlEnd};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::signed_url::{SignedDownload, SignedUpload};
use file_storage::storage::{PendingUpload, SignOptions};
use file_storage::{BucketName, BucketPolicy, BucketUpdate, ObjectPath, RlsContext};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

const LARGE: &[u8] = &[7; 1000];
const ONCE: SignOptions = SignOptions { expires_in: None, single_use: true };

impl Fixture {
    async fn upload_token(
        &self,
        signer: &RlsContext,
        at: (&BucketName, &ObjectPath),
        upsert: bool,
        options: SignOptions,
    ) -> SignedUpload {
        let token = self.storage.sign_upload(signer, at.0, at.1, upsert, options).await.unwrap().token;
        self.storage.verify_upload(&token, at.0, at.1).unwrap()
    }

    async fn download_token(&self, at: (&BucketName, &ObjectPath), options: SignOptions) -> SignedDownload {
        let token = self.storage.sign_download(&service(), at.0, at.1, options).await.unwrap().token;
        self.storage.verify_download(&token, at.0, at.1, None).unwrap()
    }

    async fn upload_by(&self, signed: &SignedUpload, bytes: &[u8]) -> Result<(), StorageError> {
        store(self.storage.admit_signed_upload(signed, &RlsContext::anon("test")).await?, bytes).await
    }

    async fn download_by(&self, signed: &SignedDownload) -> Result<Vec<u8>, StorageError> {
        collect(self.storage.download_signed(signed, &RlsContext::anon("test")).await?.body(None).await?)
            .await
    }
}

async fn store(pending: PendingUpload, bytes: &[u8]) -> Result<(), StorageError> {
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    pending.store(attributes, Some(bytes.len() as u64), chunked(bytes)).await.map(drop)
}

/// A system bucket, where everybody's files are their own.
async fn system_bucket() -> (Fixture, BucketName) {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&service(), "docs", BucketPolicy::Private).await;
    (fixture, docs)
}

#[tokio::test]
async fn fs_i3_an_upload_url_writes_what_its_signer_may_and_nothing_else() {
    let (fixture, docs) = system_bucket().await;
    let at = (&docs, &path("a"));
    // Signed while somebody else's file is there, and while it is not: the same.
    let before = fixture.upload_token(&user(1), at, true, SignOptions::default()).await;
    fixture.put(&user(2), at, PutMode::Create, LARGE).await.unwrap();
    let after = fixture.upload_token(&user(1), at, true, SignOptions::default()).await;
    for signed in [before, after] {
        let refused = fixture.upload_by(&signed, b"evil").await;
        assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    }
    let create = fixture.upload_token(&user(1), at, false, SignOptions::default()).await;
    let refused = fixture.upload_by(&create, b"evil").await;
    assert!(matches!(refused, Err(StorageError::ObjectExists { .. })), "{refused:?}");
    assert_eq!(fixture.get(&user(2), at).await.unwrap(), LARGE);
    // Its owner and the service role may.
    for signer in [user(2), service()] {
        let signed = fixture.upload_token(&signer, at, true, SignOptions::default()).await;
        fixture.upload_by(&signed, b"good").await.unwrap();
        assert_eq!(fixture.storage.info(&user(2), at.0, at.1).await.unwrap().owner_id, user(2).user_id());
    }
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i3_an_upload_url_is_checked_as_its_signer_when_it_is_committed() {
    let (fixture, docs) = system_bucket().await;
    for (name, body) in [("small", &b"evil"[..]), ("large", &[9; 1000])] {
        let at = (&docs, &path(name));
        let signed = fixture.upload_token(&user(1), at, true, SignOptions::default()).await;
        let pending = fixture.storage.admit_signed_upload(&signed, &RlsContext::anon("test")).await.unwrap();
        fixture.put(&user(2), at, PutMode::Create, LARGE).await.unwrap();
        let refused = store(pending, body).await;
        assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{name}: {refused:?}");
        assert_eq!(fixture.get(&user(2), at).await.unwrap(), LARGE);
    }
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i3_an_upload_url_loses_what_its_signer_loses() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Authenticated).await;
    let at = (&docs, &path("a"));
    let guests = fixture.upload_token(&user(2), at, false, SignOptions::default()).await;
    let owners = fixture.upload_token(&user(1), at, false, SignOptions::default()).await;
    let close = BucketUpdate { policy: Some(BucketPolicy::Private), ..BucketUpdate::default() };
    fixture.storage.update_bucket(&user(1), &docs, &close).await.unwrap();
    let refused = fixture.upload_by(&guests, b"late").await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    fixture.upload_by(&owners, b"in time").await.unwrap();
    assert_eq!(fixture.get(&user(1), at).await.unwrap(), b"in time");
}

/// A user whose token says more than who they are.
fn user_with(number: u128, claims: &Value) -> RlsContext {
    RlsContext::user(Uuid::from_u128(number), claims.as_object().unwrap().clone(), "test")
}

#[tokio::test]
async fn fs_i3_an_upload_url_is_used_with_the_claims_that_signed_it() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(9), "docs", BucketPolicy::Private).await;
    let policy = "CREATE POLICY team ON storage.objects FOR INSERT TO authenticated \
                  WITH CHECK (bucket_id = 'docs' AND auth.jwt() -> 'app_metadata' ->> 'team' = 'red')";
    fixture.storage.change_policies(&service(), policy).await.unwrap();
    let red = user_with(1, &json!({ "app_metadata": { "team": "red" } }));
    let blue = user_with(2, &json!({ "app_metadata": { "team": "blue" } }));
    for (name, bytes) in [("small", &b"few"[..]), ("large", LARGE)] {
        let at = (&docs, &path(name));
        for other in [&blue, &user(3)] {
            let refused = fixture.storage.sign_upload(other, at.0, at.1, false, ONCE).await;
            assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
        }
        let signed = fixture.upload_token(&red, at, false, ONCE).await;
        fixture.upload_by(&signed, bytes).await.unwrap();
        assert_eq!(fixture.get(&user(1), at).await.unwrap(), bytes);
    }
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i3_an_upload_url_does_not_shed_a_claim_that_denies() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(9), "docs", BucketPolicy::Authenticated).await;
    // Guests write little: of how much it is, the use alone knows.
    let policy = "CREATE POLICY guests ON storage.objects AS RESTRICTIVE FOR INSERT \
                  WITH CHECK (coalesce(size, 0) < 100 OR auth.jwt() ->> 'guest' IS NULL)";
    fixture.storage.change_policies(&service(), policy).await.unwrap();
    let guest = user_with(1, &json!({ "guest": true }));
    for (signer, name, may) in [(&guest, "guest", false), (&user(2), "member", true)] {
        let at = (&docs, &path(name));
        let signed = fixture.upload_token(signer, at, false, SignOptions::default()).await;
        let stored = fixture.upload_by(&signed, LARGE).await;
        assert_eq!(stored.is_ok(), may, "{name}: {stored:?}");
        assert!(may || matches!(stored, Err(StorageError::Unauthorized(_))), "{stored:?}");
    }
    let at = (&docs, &path("guest"));
    let signed = fixture.upload_token(&guest, at, false, SignOptions::default()).await;
    fixture.upload_by(&signed, b"little").await.unwrap();
    // Also what comes after the signing is asked of the signer as they were.
    let signed = fixture.upload_token(&guest, (&docs, &path("late")), false, SignOptions::default()).await;
    let policy = "CREATE POLICY closed ON storage.objects AS RESTRICTIVE FOR INSERT \
                  WITH CHECK (auth.jwt() ->> 'guest' IS NULL)";
    fixture.storage.change_policies(&service(), policy).await.unwrap();
    let refused = fixture.upload_by(&signed, b"late").await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    fixture.audit().await;
}

#[tokio::test]
async fn fs_s1_a_single_use_upload_works_once_and_belongs_to_its_signer() {
    let (fixture, docs) = system_bucket().await;
    let at = (&docs, &path("a"));
    let signed = fixture.upload_token(&user(1), at, true, ONCE).await;
    fixture.upload_by(&signed, b"first").await.unwrap();
    let again = fixture.upload_by(&signed, b"second").await;
    assert!(matches!(again, Err(StorageError::UrlExpired(UrlEnd::Used))), "{again:?}");
    assert_eq!(fixture.get(&user(1), at).await.unwrap(), b"first");
}

#[tokio::test]
async fn fs_s1_a_single_use_download_is_used_up_by_its_bytes_alone() {
    let (fixture, docs) = system_bucket().await;
    for (name, bytes) in [("small", &b"few"[..]), ("large", LARGE), ("empty", &[])] {
        let at = (&docs, &path(name));
        let early = fixture.put(&user(1), at, PutMode::Create, bytes).await.unwrap().object;
        let signed = fixture.download_token(at, ONCE).await;
        // Looking at it, a range that is not there, and its absence use nothing up.
        for _ in 0..3 {
            let looked = fixture.storage.download_signed(&signed, &RlsContext::anon("test")).await.unwrap();
            assert_eq!(looked.object().id, early.id);
            let outside = looked.body(Some(5000..6000)).await.map(drop);
            assert!(matches!(outside, Err(StorageError::InvalidRange { .. })), "{outside:?}");
        }
        fixture.storage.delete(&user(1), at.0, at.1, None).await.unwrap();
        let gone = fixture.download_by(&signed).await;
        assert!(matches!(gone, Err(StorageError::ObjectNotFound { .. })), "{gone:?}");
        fixture.put(&user(1), at, PutMode::Create, bytes).await.unwrap();
        assert_eq!(fixture.download_by(&signed).await.unwrap(), bytes);
        // From now on it opens nothing, not even the knowledge that the object is there or gone.
        for _ in 0..2 {
            let used = fixture.storage.download_signed(&signed, &RlsContext::anon("test")).await.map(drop);
            assert!(matches!(used, Err(StorageError::UrlExpired(UrlEnd::Used))), "{used:?}");
            fixture.storage.delete(&user(1), at.0, at.1, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn fs_s1_of_many_who_use_a_single_use_download_one_gets_it() {
    let (fixture, docs) = system_bucket().await;
    let at = (&docs, &path("a"));
    fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
    let signed = fixture.download_token(at, ONCE).await;
    // All of them are let in before the first one takes the bytes.
    let bearer = RlsContext::anon("test");
    let opened = join_all((0..10).map(|_| fixture.storage.download_signed(&signed, &bearer))).await;
    let bodies = opened.into_iter().map(|opened| opened.unwrap().body(None));
    let served: Vec<_> = join_all(bodies).await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(served.len(), 1);
    for body in served {
        assert_eq!(collect(body).await.unwrap(), LARGE);
    }
}

#[tokio::test]
async fn fs_s1_a_download_that_fails_does_not_use_its_url_up() {
    let fixture = Fixture::new().await;
    let docs = bucket("docs");
    fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let at = (&docs, &path("a"));
    fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
    let signed = fixture.download_token(at, ONCE).await;
    let (blobs, aside) = (fixture.dir.path().join("local/blobs"), fixture.dir.path().join("aside"));
    std::fs::rename(&blobs, &aside).unwrap();
    assert!(fixture.download_by(&signed).await.is_err(), "the provider's disk is away");
    std::fs::rename(&aside, &blobs).unwrap();
    assert_eq!(fixture.download_by(&signed).await.unwrap(), LARGE);
}
