//! Nobody is shown what somebody else was: by a bucket's policy, by policies and by claims.

use file_storage::file::PutMode;
use file_storage::storage::SignOptions;
use file_storage::{BucketConfig, BucketPolicy};

use super::scene::{asked, is_kept, keeps, put, told};
use crate::support::{Fixture, anon, bucket, collect, member, path, service, user};

#[tokio::test]
async fn fs_i3_the_access_matrix_holds_for_objects_that_are_kept() {
    use BucketPolicy::{Authenticated, Private, Public};
    let fixture = Fixture::new().await;
    let storage = &fixture.storage;
    let callers = || [anon(), user(1), user(2), member(2, "red"), member(2, "blue"), service()];
    for (policy, name) in [(Public, "public"), (Authenticated, "authenticated"), (Private, "private")] {
        for owner in [user(1), service()] {
            let at = bucket(&format!("{name}-{}", owner.role().as_str().replace('_', "-")));
            let config = BucketConfig { policy, ..BucketConfig::default() };
            storage.create_bucket(&owner, &at, &config).await.unwrap();
            for (by, file) in [(user(1), "here"), (service(), "d/service")] {
                fixture.put(&by, (&at, &path(file)), PutMode::Create, b"1").await.unwrap();
            }
            // A user's own, where users may create.
            let _refused = fixture.put(&user(2), (&at, &path("d/own")), PutMode::Create, b"1").await;
            // All of them ask in turn, so that each finds what the others left; by a signed URL, too.
            for _ in 0..4 {
                for file in ["here", "d/service", "d/own", "nowhere"] {
                    for caller in callers() {
                        asked((storage, &*fixture.executor), &caller, &at, file).await;
                    }
                }
                let here = path("here");
                let signed =
                    storage.sign_download(&service(), &at, &here, SignOptions::default()).await.unwrap();
                let signed = storage.verify_download(&signed.token, &at, &here, None).unwrap();
                let download = storage.download_signed(&signed, &anon()).await.unwrap();
                assert_eq!(collect(download.body(None).await.unwrap()).await.unwrap(), b"1");
            }
            for caller in callers() {
                let sees = told(&*fixture.executor, &caller, &at, &path("here")).await.is_ok();
                let kept = is_kept(&fixture, &caller, &at, "here").await;
                assert_eq!(kept, sees && keeps(&fixture), "{caller:?} in {at}");
            }
        }
    }
}

#[tokio::test]
async fn policies_hold_at_once_for_objects_and_know_callers_by_their_claims() {
    let fixture = Fixture::new().await;
    let storage = &fixture.storage;
    let at = fixture.bucket(&user(1), "teams", BucketPolicy::Private).await;
    for name in ["red/1", "blue/1", "blue/2"] {
        put(&fixture, &user(1), &at, name, b"1").await;
    }
    let (red, blue, nobody) = (member(2, "red"), member(2, "blue"), user(2));
    let check = async |what: &str, expected: [&[&str]; 3]| {
        for (caller, expected) in [&red, &blue, &nobody].into_iter().zip(expected) {
            for file in ["red/1", "blue/1"] {
                let sees = storage.info(caller, &at, &path(file)).await.is_ok();
                assert_eq!(sees, expected.contains(&file), "{file} for {caller:?} after {what}");
                assert_eq!(is_kept(&fixture, caller, &at, file).await, sees && keeps(&fixture), "{what}");
            }
        }
    };
    check("nothing", [&[], &[], &[]]).await;
    let grant = "CREATE POLICY teams ON storage_objects FOR SELECT TO authenticated \
         USING (bucket_id = 'teams' AND (storage.foldername(name))[1] = auth.jwt() ->> 'team')";
    storage.change_policies(&service(), grant).await.unwrap();
    check("a grant", [&["red/1"], &["blue/1"], &[]]).await;
    storage.drop_policy(&service(), "teams").await.unwrap();
    check("a grant that was taken back", [&[], &[], &[]]).await;
    storage.change_policies(&service(), grant).await.unwrap();
    check("the same once more", [&["red/1"], &["blue/1"], &[]]).await;
    let closed = "CREATE POLICY closed ON storage_objects AS RESTRICTIVE FOR SELECT TO authenticated \
         USING (name <> 'red/1')";
    storage.change_policies(&service(), closed).await.unwrap();
    check("what restricts", [&[], &["blue/1"], &[]]).await;
    // What is shown by the clock is not kept, but for those whom it says nothing of.
    let later = "CREATE POLICY later ON storage_objects AS RESTRICTIVE FOR SELECT TO authenticated \
         USING (now() > '2020-01-01')";
    storage.change_policies(&service(), later).await.unwrap();
    assert!(!is_kept(&fixture, &blue, &at, "blue/1").await);
    assert_eq!(is_kept(&fixture, &service(), &at, "blue/1").await, keeps(&fixture));
    storage.drop_policy(&service(), "later").await.unwrap();
    // That answers can't be kept is known for as long as an answer would be; what nobody asked for yet is kept.
    assert_eq!(is_kept(&fixture, &blue, &at, "blue/2").await, keeps(&fixture));
    fixture.storage.close().await;
}
