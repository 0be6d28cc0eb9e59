//! SQL policies in force: what each command asks, of which row, and what refusals tell.

use serde_json::{Map, json};

use super::Subject;
use super::subject::{allow, anon, bucket, listing, maintain, new_object, path, service, user};
use crate::bucket::BucketPolicy;
use crate::errors::{DenialReason, StorageError};
use crate::executor::{Announced, Effect, Question};
use crate::file::{ObjectAttributes, PutMode};
use crate::permissions::{Access, AccessRules, Operation, Permission, Policy, RlsContext};

/// Adds a policy; the rest of the statement follows its name and table.
async fn policy(subject: &Subject, name: &str, rest: &str) {
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

pub(crate) async fn a_policy_that_fails_refuses(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    policy(subject, "broken", "AS RESTRICTIVE FOR ALL USING ((storage.filename(name))::bigint > 0)").await;
    refused(subject.get(&owner, "docs", "a").await, &DenialReason::PolicyFailed);
    refused(subject.delete(&owner, "docs", "a").await, &DenialReason::PolicyFailed);
    refused(subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await, &DenialReason::PolicyFailed);
    subject.put(&owner, (&made, "12"), b"1", PutMode::Create).await.unwrap();
    subject.get(&owner, "docs", "12").await.unwrap();
    subject.get(&service(), "docs", "a").await.unwrap();
    let access = allow(&owner, Operation::List);
    let listed = subject.executor.list_objects(&access, &bucket("docs"), &listing("", false)).await;
    refused(listed, &DenialReason::PolicyFailed);
}

pub(crate) async fn explanations_name_each_rule_and_what_it_said(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    policy(subject, "small", "AS RESTRICTIVE FOR SELECT USING (size < 1)").await;
    policy(subject, "team", "FOR SELECT USING (auth.jwt() ->> 'team' = 'red')").await;
    let red = Map::from_iter([("team".to_owned(), json!("red"))]);
    let red = RlsContext::user(other.user_id().unwrap(), red, "test");
    let ask = async |asker: &RlsContext, caller: &RlsContext, permission| {
        let access = allow(asker, Operation::Explain);
        let question =
            Question { permission, bucket: bucket("docs"), path: path("a"), caller: caller.clone() };
        subject.executor.explain(&access, &question).await.unwrap()
    };
    let told = ask(&service(), &red, Permission::ObjectRead).await;
    assert!(!told.allowed);
    let said: Vec<_> =
        told.because.iter().map(|reason| (&*reason.rule, reason.effect, reason.value.clone())).collect();
    assert_eq!(
        said,
        [
            ("object", Effect::Requires, json!(true)),
            ("bucket policy private", Effect::Grants, json!(false)),
            ("policy small", Effect::Restricts, json!(false)),
            ("policy team", Effect::Grants, json!(true)),
        ]
    );
    // Of what they can't see, people are told nothing.
    let told = ask(&red, &red, Permission::ObjectRead).await;
    assert_eq!(told.because.len(), 1);
    subject.executor.drop_policy(&maintain(), "small").await.unwrap();
    assert!(ask(&red, &red, Permission::ObjectRead).await.allowed);
    assert!(!ask(&red, &red, Permission::ObjectDelete).await.allowed);
    assert!(ask(&owner, &owner, Permission::ObjectCreate).await.allowed);
}
