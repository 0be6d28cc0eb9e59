//! Why somebody may do something, or not: every rule, and what it came to.

use serde_json::{Map, json};

use super::Subject;
use super::policies::policy;
use super::subject::{allow, bucket, maintain, path, service, user};
use crate::bucket::BucketPolicy;
use crate::errors::StorageError;
use crate::executor::{Effect, Question};
use crate::file::PutMode;
use crate::permissions::{Operation, Permission, RlsContext};

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

pub(crate) async fn explanations_tell_of_what_fails(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    policy(subject, "broken", "AS RESTRICTIVE FOR ALL USING ((storage.filename(name))::bigint > 0)").await;
    policy(subject, "sized", "AS RESTRICTIVE FOR INSERT WITH CHECK (size < 10)").await;
    for (permission, at, allowed, expected) in [
        (Permission::ObjectRead, "a", false, vec![json!(true), json!(true), json!("failed")]),
        (Permission::ObjectRead, "b", false, vec![json!(false)]),
        (Permission::ObjectCreate, "7", false, vec![json!(true), json!(true), json!(null)]),
        (Permission::ObjectCreate, "x", false, vec![json!(true), json!("failed"), json!(null)]),
    ] {
        let access = allow(&service(), Operation::Explain);
        let question = Question { permission, bucket: bucket("docs"), path: path(at), caller: owner.clone() };
        let told = subject.executor.explain(&access, &question).await.unwrap();
        let values = told.because.iter().map(|reason| match reason.value.get("error") {
            Some(why) => {
                assert_eq!(why, "invalid input syntax for type bigint");
                json!("failed")
            }
            None => reason.value.clone(),
        });
        assert_eq!((told.allowed, values.collect::<Vec<_>>()), (allowed, expected), "{permission} {at}");
    }
    let nowhere = Question {
        permission: Permission::ObjectRead,
        bucket: bucket("none"),
        path: path("a"),
        caller: owner.clone(),
    };
    let outcome = subject.executor.explain(&allow(&owner, Operation::Explain), &nowhere).await;
    assert!(matches!(outcome, Err(StorageError::BucketNotFound { .. })), "{outcome:?}");
}
