//! SQL policies in force: what each command asks, of which row, and what refusals tell.

use super::Subject;
use super::subject::{allow, anon, bucket, listing, maintain, new_object, path, service, user};
use crate::bucket::BucketPolicy;
use crate::errors::{DenialReason, StorageError};
use crate::executor::Announced;
use crate::file::{ObjectAttributes, PutMode};
use crate::permissions::{Access, AccessRules, Operation, Permission, Policy, RlsContext};

/// Adds a policy; the rest of the statement follows its name and table.
pub(super) async fn policy(subject: &Subject, name: &str, rest: &str) {
    let sql = format!("CREATE POLICY {name} ON storage_objects {rest}");
    let policy = Policy::parse(&sql).unwrap_or_else(|fault| panic!("{sql}: {fault}"));
    subject.executor.create_policy(&maintain(), &policy).await.unwrap();
}

async fn names(subject: &Subject, caller: &RlsContext, name: &str) -> Vec<String> {
    let page = subject.list(caller, name, &listing("", false)).await;
    page.entries.iter().map(|entry| entry.path().to_owned()).collect()
}

#[track_caller]
fn refused(outcome: Result<impl std::fmt::Debug, StorageError>, expected: &DenialReason) {
    match outcome.unwrap_err() {
        StorageError::Unauthorized(denial) | StorageError::AuthRequired(denial) => {
            assert_eq!(denial.reason, *expected);
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn permissive_policies_widen_reads_and_restrictive_ones_narrow_them(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "pub/b", "pub/c.secret"] {
        subject.put(&owner, (&made, at), b"12345", PutMode::Create).await.unwrap();
    }
    assert!(names(subject, &other, "docs").await.is_empty());
    assert!(matches!(subject.get(&other, "docs", "pub/b").await, Err(StorageError::Unauthorized(_))));

    policy(
        subject,
        "pub",
        "FOR SELECT TO authenticated USING (bucket_id = 'docs' AND starts_with(name, 'pub/'))",
    )
    .await;
    assert_eq!(names(subject, &other, "docs").await, ["pub/b", "pub/c.secret"]);
    subject.get(&other, "docs", "pub/b").await.unwrap();
    // Rows decide now: what can't be seen is as missing as what is missing.
    for at in ["a", "none"] {
        assert!(
            matches!(subject.get(&other, "docs", at).await, Err(StorageError::ObjectNotFound { .. })),
            "{at}"
        );
    }
    assert!(names(subject, &anon(), "docs").await.is_empty(), "not for anon");

    policy(subject, "no_secrets", "AS RESTRICTIVE FOR SELECT USING (storage.extension(name) <> 'secret')")
        .await;
    assert_eq!(names(subject, &other, "docs").await, ["pub/b"]);
    assert_eq!(names(subject, &owner, "docs").await, ["a", "pub/b"], "owners, too");
    assert_eq!(names(subject, &service(), "docs").await.len(), 3, "the service role is never restricted");

    assert!(subject.executor.drop_policy(&maintain(), "pub").await.unwrap());
    assert!(!subject.executor.drop_policy(&maintain(), "pub").await.unwrap());
    assert!(matches!(subject.get(&other, "docs", "pub/b").await, Err(StorageError::Unauthorized(_))));
    subject.recount().await;
}

pub(crate) async fn a_policy_of_one_bucket_says_nothing_of_another(subject: &Subject) {
    let (owner, other) = (user(), user());
    for name in ["docs", "shut"] {
        let made = subject.bucket(&owner, name, BucketPolicy::Private).await;
        subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    }
    policy(subject, "docs_only", "FOR SELECT USING (bucket_id = 'docs' AND name = 'b')").await;
    assert!(matches!(subject.get(&other, "docs", "a").await, Err(StorageError::ObjectNotFound { .. })));
    for at in ["a", "none"] {
        assert!(matches!(subject.get(&other, "shut", at).await, Err(StorageError::Unauthorized(_))), "{at}");
    }
}

pub(crate) async fn inserts_are_judged_by_the_new_row(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "inbox", BucketPolicy::Private).await;
    let mine = format!("{}/a.png", other.user_id().unwrap());
    policy(
        subject,
        "own_folder",
        "FOR INSERT TO authenticated WITH CHECK (bucket_id = 'inbox' AND owner_id = auth.uid() \
         AND (storage.foldername(name))[1] = (select auth.uid())::text)",
    )
    .await;
    policy(
        subject,
        "small",
        "AS RESTRICTIVE FOR INSERT WITH CHECK (size <= 4 AND content_type LIKE 'image/%')",
    )
    .await;
    let image = |at: &str, bytes: &[u8]| {
        let mut object = new_object(&made, at, bytes);
        object.attributes.content_type = "image/png".to_owned();
        object
    };
    let written = subject.put_object(&other, image(&mine, b"1234"), &PutMode::Create).await.unwrap();
    assert_eq!(written.object.owner_id, other.user_id());
    let restrictive = DenialReason::RestrictivePolicy("small".into());
    refused(
        subject.put_object(&other, image(&format!("{mine}2"), b"12345"), &PutMode::Create).await,
        &restrictive,
    );
    refused(subject.put(&owner, (&made, "text"), b"1", PutMode::Create).await, &restrictive);
    refused(
        subject.put_object(&other, image("else/a.png", b"1"), &PutMode::Create).await,
        &DenialReason::BucketPolicy,
    );
    subject.get(&other, "inbox", &mine).await.unwrap();
}

pub(crate) async fn admission_decides_what_is_known_and_lets_the_rest_through(subject: &Subject) {
    let owner = user();
    subject.bucket(&owner, "inbox", BucketPolicy::Private).await;
    policy(
        subject,
        "small",
        "AS RESTRICTIVE FOR INSERT WITH CHECK (size <= 4 AND content_type = 'image/png' AND name <> 'no')",
    )
    .await;
    let access = allow(&owner, Operation::Upload(&PutMode::Create));
    let admit = async |at: &str, announced: Announced| {
        subject.executor.admit_put(&access, &bucket("inbox"), &path(at), &PutMode::Create, &announced).await
    };
    let image = ObjectAttributes { content_type: "image/png".to_owned(), ..ObjectAttributes::default() };
    admit("yes", Announced::default()).await.unwrap();
    admit("yes", Announced { attributes: Some(image.clone()), ..Announced::default() }).await.unwrap();
    admit("yes", Announced::known(&image, 4)).await.unwrap();
    admit("yes", Announced::known(&image, 5)).await.unwrap_err();
    admit("no", Announced::default()).await.unwrap_err();
    admit("yes", Announced { is_final: true, ..Announced::default() }).await.unwrap_err();
}

pub(crate) async fn policies_let_anon_in_and_refusals_still_ask_for_a_token(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "drop", BucketPolicy::Private).await;
    let grants = subject.executor.anon_grants().await.unwrap();
    let rules = |anon_by_policy| AccessRules { anon_by_policy, ..AccessRules::default() };
    let upload = Operation::Upload(&PutMode::Create);
    Access::check(&anon(), upload, None, rules(grants)).unwrap_err();

    policy(subject, "anyone", "FOR INSERT TO anon WITH CHECK (bucket_id = 'drop' AND name LIKE 'in/%')")
        .await;
    let access =
        Access::check(&anon(), upload, None, rules(subject.executor.anon_grants().await.unwrap())).unwrap();
    let put = async |at: &str| {
        subject.executor.put_object(&access, new_object(&made, at, b"1"), &PutMode::Create).await
    };
    assert_eq!(put("in/a").await.unwrap().object.owner_id, None);
    assert!(matches!(put("out").await, Err(StorageError::AuthRequired(_))));
    assert!(matches!(put("in/a").await, Err(StorageError::ObjectExists { .. })));
    let delete =
        Access::check(&anon(), Operation::Delete, None, rules(subject.executor.anon_grants().await.unwrap()));
    assert!(matches!(delete, Err(StorageError::AuthRequired(_))));
}

pub(crate) async fn an_upsert_takes_insert_select_and_update(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    let upsert = async || subject.put(&other, (&made, "a"), b"2", PutMode::Upsert).await;

    policy(subject, "u", "FOR UPDATE TO authenticated USING (name = 'a')").await;
    refused(upsert().await, &DenialReason::MissingSelect);
    policy(subject, "s", "FOR SELECT TO authenticated USING (name = 'a')").await;
    refused(upsert().await, &DenialReason::BucketPolicy);
    policy(subject, "i", "FOR INSERT TO authenticated WITH CHECK (name = 'a')").await;
    let written = upsert().await.unwrap();
    assert_eq!(written.object.owner_id, owner.user_id(), "an overwrite keeps the owner");
    // The condition of the row that is there holds for the one that is written, too.
    policy(subject, "r", "AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (size < 2)").await;
    upsert().await.unwrap();
    let outcome = subject.put(&other, (&made, "a"), b"22", PutMode::Upsert).await;
    refused(outcome, &DenialReason::RestrictivePolicy("r".into()));
    refused(
        subject.put(&owner, (&made, "a"), b"22", PutMode::Upsert).await,
        &DenialReason::RestrictivePolicy("r".into()),
    );
}

pub(crate) async fn deletes_take_delete_and_select(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "b", "c"] {
        subject.put(&owner, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    policy(subject, "d", "FOR DELETE TO authenticated USING (name <> 'c')").await;
    refused(subject.delete(&other, "docs", "a").await, &DenialReason::BucketPolicy);
    policy(subject, "s", "FOR SELECT TO authenticated USING (name <> 'b')").await;
    assert!(subject.delete(&other, "docs", "a").await.unwrap().is_some());
    assert!(subject.delete(&other, "docs", "b").await.unwrap().is_none(), "invisible is missing");
    refused(subject.delete(&other, "docs", "c").await, &DenialReason::NotOwner);
    let access = allow(&other, Operation::Delete);
    let gone =
        subject.executor.delete_objects(&access, &bucket("docs"), &[path("b"), path("c")]).await.unwrap();
    assert!(gone.is_empty());
    assert_eq!(names(subject, &service(), "docs").await, ["b", "c"]);
    subject.recount().await;
}

pub(crate) async fn moves_are_judged_at_both_ends(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    policy(subject, "here", "AS RESTRICTIVE FOR INSERT WITH CHECK (name LIKE 'in/%' AND size = 1)").await;
    let outcome = subject.rename(&owner, ("docs", "a"), ("docs", "b"), PutMode::Create).await;
    refused(outcome, &DenialReason::RestrictivePolicy("here".into()));
    subject.rename(&owner, ("docs", "a"), ("docs", "in/b"), PutMode::Create).await.unwrap();
    policy(subject, "stay", "AS RESTRICTIVE FOR DELETE USING (name NOT LIKE 'in/%')").await;
    subject.rename(&owner, ("docs", "in/b"), ("docs", "in/c"), PutMode::Create).await.unwrap_err();
}

pub(crate) async fn a_policy_that_fails_refuses_and_tells_of_no_row(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "b", "12"] {
        subject.put(&owner, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    policy(subject, "broken", "AS RESTRICTIVE FOR ALL USING ((storage.filename(name))::bigint > 0)").await;
    // Where it fails, a row is as missing as one that is not there.
    for at in ["a", "none"] {
        let read = subject.get(&owner, "docs", at).await;
        assert!(matches!(read, Err(StorageError::ObjectNotFound { .. })), "{at}: {read:?}");
        assert!(subject.delete(&owner, "docs", at).await.unwrap().is_none(), "{at}");
        let moved = subject.rename(&owner, ("docs", at), ("docs", "13"), PutMode::Create).await;
        assert!(matches!(moved, Err(StorageError::ObjectNotFound { .. })), "{at}: {moved:?}");
        for mode in [PutMode::Create, PutMode::Upsert] {
            let written = subject.put(&owner, (&made, at), b"1", mode).await;
            refused(written, &DenialReason::PolicyFailed);
        }
    }
    subject.put(&owner, (&made, "14"), b"1", PutMode::Create).await.unwrap();
    subject.get(&owner, "docs", "12").await.unwrap();
    subject.get(&service(), "docs", "a").await.unwrap();
    let access = allow(&owner, Operation::List);
    let listed = subject.executor.list_objects(&access, &bucket("docs"), &listing("", false)).await;
    refused(listed, &DenialReason::PolicyFailed);
    // Of many, those go for which policies hold.
    let access = allow(&owner, Operation::Delete);
    let paths = ["a", "12", "none", "b", "14"].map(path);
    let gone = subject.executor.delete_objects(&access, &bucket("docs"), &paths).await.unwrap();
    assert_eq!(gone.iter().map(|object| object.path.as_str()).collect::<Vec<_>>(), ["12", "14"]);
    assert_eq!(names(subject, &service(), "docs").await, ["a", "b"]);
    subject.recount().await;
}

pub(crate) async fn who_sees_a_row_is_told_that_a_policy_failed(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["a", "12"] {
        subject.put(&owner, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    policy(subject, "d", "AS RESTRICTIVE FOR DELETE USING (name::bigint > 0)").await;
    policy(subject, "u", "AS RESTRICTIVE FOR UPDATE USING (name::bigint > 0)").await;
    refused(subject.delete(&owner, "docs", "a").await, &DenialReason::PolicyFailed);
    refused(subject.put(&owner, (&made, "a"), b"2", PutMode::Upsert).await, &DenialReason::PolicyFailed);
    let moved = subject.rename(&owner, ("docs", "a"), ("docs", "b"), PutMode::Create).await;
    refused(moved, &DenialReason::PolicyFailed);
    subject.put(&owner, (&made, "12"), b"2", PutMode::Upsert).await.unwrap();
    assert!(subject.delete(&owner, "docs", "12").await.unwrap().is_some());
    assert_eq!(names(subject, &owner, "docs").await, ["a"]);
    subject.recount().await;
}

pub(crate) async fn an_upsert_at_a_free_path_takes_insert_alone(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "drop", BucketPolicy::Private).await;
    policy(subject, "i", "FOR INSERT TO anon WITH CHECK (bucket_id = 'drop' AND name LIKE 'in/%')").await;
    let put = async |at: &str, bytes: &[u8]| {
        let anon_by_policy = subject.executor.anon_grants().await.unwrap();
        let rules = AccessRules { anon_by_policy, ..AccessRules::default() };
        let access = Access::check(&anon(), Operation::Upload(&PutMode::Upsert), None, rules).unwrap();
        subject.executor.put_object(&access, new_object(&made, at, bytes), &PutMode::Upsert).await
    };
    assert!(put("in/a", b"1").await.unwrap().created);
    refused(put("in/a", b"2").await, &DenialReason::Role);
    // Where nothing may be made, nothing is told of what is there.
    subject.put(&owner, (&made, "out/a"), b"1", PutMode::Create).await.unwrap();
    for at in ["out/a", "out/none"] {
        match put(at, b"2").await.unwrap_err() {
            StorageError::AuthRequired(denial) => {
                let told = (denial.permission, denial.reason);
                assert_eq!(told, (Permission::ObjectCreate, DenialReason::BucketPolicy), "{at}");
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    policy(subject, "u", "FOR UPDATE TO anon USING (name LIKE 'in/%')").await;
    refused(put("in/a", b"2").await, &DenialReason::MissingSelect);
    policy(subject, "s", "FOR SELECT TO anon USING (name LIKE 'in/%')").await;
    assert!(!put("in/a", b"2").await.unwrap().created);
    subject.recount().await;
}

pub(crate) async fn names_are_unique_and_policies_are_listed(subject: &Subject) {
    let sql = "CREATE POLICY \"it's \"\"mine\"\"\" ON storage_objects FOR SELECT USING (name = 'it''s')";
    let made = Policy::parse(sql).unwrap();
    subject.executor.create_policy(&maintain(), &made).await.unwrap();
    let again = subject.executor.create_policy(&maintain(), &made).await;
    assert!(matches!(again, Err(StorageError::PolicyExists { .. })), "{again:?}");
    let kept = subject.executor.policies(&maintain()).await.unwrap();
    assert_eq!(kept.all().iter().map(|policy| &**policy).collect::<Vec<_>>(), [&made]);
    for none in ["mine", "", "it's", "a\0b"] {
        assert!(!subject.executor.drop_policy(&maintain(), none).await.unwrap(), "{none}");
    }
    assert!(subject.executor.drop_policy(&maintain(), &made.name).await.unwrap());
    assert!(subject.executor.policies(&maintain()).await.unwrap().all().is_empty());
    // Nobody else's access does any of it.
    let access = allow(&user(), Operation::Info);
    assert!(subject.executor.create_policy(&access, &made).await.is_err());
    assert!(subject.executor.drop_policy(&access, &made.name).await.is_err());
    assert!(subject.executor.policies(&access).await.is_err());
}

pub(crate) async fn what_is_empty_has_no_folder_no_name_and_no_extension(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["", "a/b.c"] {
        let mut object = new_object(&made, &format!("x{}", at.len()), b"1");
        object.attributes.cache_control = Some(at.to_owned());
        subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    }
    let none = |function: &str| format!("storage.{function}(cache_control) IS NULL");
    let all = ["foldername", "filename", "extension"].map(none).join(" AND ");
    policy(subject, "empty", &format!("FOR SELECT USING ({all})")).await;
    assert_eq!(names(subject, &other, "docs").await, ["x0"]);
}

pub(crate) async fn a_bucket_is_emptied_of_what_policies_let_go(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in 0..12 {
        subject.put(&owner, (&made, &format!("{at:02}")), b"1", PutMode::Create).await.unwrap();
    }
    policy(subject, "keep", "AS RESTRICTIVE FOR DELETE USING (name > '05' AND name <> '10')").await;
    let access = allow(&owner, Operation::EmptyBucket);
    let empty =
        async |limit| subject.executor.empty_bucket(&access, &bucket("docs"), limit).await.unwrap().len();
    assert_eq!((empty(2).await, empty(3).await, empty(5).await), (2, 3, 0));
    assert_eq!(names(subject, &owner, "docs").await, ["00", "01", "02", "03", "04", "05", "10"]);
    subject.recount().await;
}

pub(crate) async fn moves_take_no_update(subject: &Subject) {
    let (owner, mover) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.bucket(&owner, "else", BucketPolicy::Private).await;
    for (who, at) in [(&owner, "a"), (&owner, "b")] {
        subject.put(who, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    let rename = async |to: (&str, &str), mode| subject.rename(&mover, ("docs", "a"), to, mode).await;
    policy(subject, "s", "FOR SELECT TO authenticated USING (bucket_id = 'docs')").await;
    refused(rename(("docs", "c"), PutMode::Create).await, &DenialReason::NotOwner);
    policy(subject, "d", "FOR DELETE TO authenticated USING (bucket_id = 'docs')").await;
    refused(rename(("docs", "c"), PutMode::Create).await, &DenialReason::BucketPolicy);
    policy(subject, "i", "FOR INSERT TO authenticated WITH CHECK (name <> 'no')").await;
    refused(rename(("docs", "no"), PutMode::Create).await, &DenialReason::BucketPolicy);
    // What is somebody else's does not come into a bucket where one may only make one's own.
    refused(rename(("else", "c"), PutMode::Create).await, &DenialReason::NotOwner);
    let moved = rename(("docs", "c"), PutMode::Create).await.unwrap();
    assert_eq!(moved.owner_id, owner.user_id());
    let outcome = subject.rename(&mover, ("docs", "c"), ("docs", "b"), PutMode::Upsert).await;
    refused(outcome, &DenialReason::BucketPolicy);
    policy(subject, "u", "FOR UPDATE TO authenticated USING (name = 'b')").await;
    subject.rename(&mover, ("docs", "c"), ("docs", "b"), PutMode::Upsert).await.unwrap();
    // One's own goes into another bucket, if policies let it be made there.
    subject.put(&mover, (&made, "mine"), b"12", PutMode::Create).await.unwrap();
    subject.rename(&mover, ("docs", "mine"), ("else", "mine"), PutMode::Create).await.unwrap();
    assert_eq!(names(subject, &service(), "else").await, ["mine"]);
    assert_eq!(names(subject, &service(), "docs").await, ["b"]);
    subject.recount().await;
}
