//! What is done in the database, past the server.

use file_storage::BucketPolicy;

use super::scene::{LARGE, asked, is_kept, put};
use crate::support::{Fixture, path, user};

/// What an administrator does in the database, past the server.
#[tokio::test]
async fn what_is_done_by_hand_to_an_object_holds_at_once() {
    let fixture = Fixture::new().await;
    let Some(database) = &fixture.database else { return };
    let admin = database.admin().await;
    let by_hand = async |sql: &str| admin.batch_execute(sql).await.unwrap();
    let (me, other) = (user(1), user(2));
    let at = fixture.bucket(&me, "by-hand", BucketPolicy::Public).await;
    for number in 0..9 {
        put(&fixture, &me, &at, &format!("a{number}"), LARGE).await;
    }
    let sees = async |file: &str| fixture.storage.info(&other, &at, &path(file)).await.is_ok();
    let kept = async |file: &str| is_kept(&fixture, &other, &at, file).await;
    assert!(kept("a0").await);
    by_hand("UPDATE aerostore.storage_objects SET metadata = '{\"k\": 1}' WHERE path = 'a0'").await;
    assert!(
        !asked((&fixture.storage, &*fixture.executor), &other, &at, "a0").await,
        "a row that was changed"
    );
    assert!(kept("a0").await);
    by_hand("UPDATE aerostore.storage_buckets SET policy = 'private'").await;
    assert!(!sees("a0").await, "a bucket that was closed");
    by_hand("UPDATE aerostore.storage_buckets SET policy = 'public'").await;
    assert!(kept("a0").await);
    // What a policy made by hand looks at, no mark follows.
    by_hand(
        "CREATE TABLE public.hidden (path text); GRANT SELECT ON public.hidden TO authenticated; \
         CREATE POLICY by_hand ON aerostore.storage_objects AS RESTRICTIVE FOR SELECT TO authenticated \
         USING (NOT EXISTS (SELECT 1 FROM public.hidden h WHERE h.path = storage_objects.path))",
    )
    .await;
    assert!(!kept("a0").await && sees("a0").await);
    by_hand("INSERT INTO public.hidden VALUES ('a0')").await;
    assert!(!sees("a0").await, "what it looks at");
    by_hand("DROP POLICY by_hand ON aerostore.storage_objects").await;
    assert!(kept("a1").await);
    // So it is with segments, without which no object is opened.
    by_hand(
        "CREATE POLICY by_hand ON aerostore.storage_segments AS RESTRICTIVE FOR SELECT TO authenticated \
         USING (true)",
    )
    .await;
    assert!(!kept("a1").await);
    by_hand("DROP POLICY by_hand ON aerostore.storage_segments").await;
    assert!(kept("a2").await);
    by_hand("ALTER POLICY \"~aerostore_object_read\" ON aerostore.storage_objects USING (false)").await;
    assert!(!sees("a2").await, "one of the server's");
}
