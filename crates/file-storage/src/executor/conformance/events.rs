//! Events: who is told what, and how long it is kept.

use chrono::{TimeDelta, Utc};

use super::Subject;
use super::policies::policy;
use super::subject::{allow, anon, bucket, maintain, new_object, service, user};
use super::versions::kept;
use crate::bucket::{BucketPolicy, BucketUpdate};
use crate::executor::{Event, ProviderEvent, Sight};
use crate::file::PutMode;
use crate::permissions::{Operation, RlsContext};

/// All events there are.
async fn all(subject: &Subject) -> Vec<Event> {
    subject.executor.events(&maintain(), 0, 1000).await.unwrap()
}

/// What a caller is told of events, in short words: the kind's end, the path, and the origin of a move.
async fn told(subject: &Subject, caller: &RlsContext, events: &[Event]) -> Vec<String> {
    let asked: Vec<&Event> = events.iter().collect();
    let access = allow(caller, Operation::Subscribe);
    let sights = subject.executor.sights(&access, &asked).await.unwrap();
    assert_eq!(sights.len(), events.len());
    let seen = events.iter().zip(sights).filter_map(|(event, sight)| event.seen(sight));
    let word = |event: Event| {
        let kind = event.kind.trim_start_matches("storage.");
        let from = event.payload.get("from_path").map_or(String::new(), |from| format!(" from {from}"));
        format!("{kind} {}{from}", event.path.as_deref().unwrap_or("-"))
    };
    seen.map(word).collect()
}

async fn delete_bucket(subject: &Subject, owner: &RlsContext, name: &str) {
    let access = allow(owner, Operation::DeleteBucket);
    subject.executor.delete_bucket(&access, &bucket(name)).await.unwrap();
}

/// Every policy, every caller, every kind: of what is there, of what is gone, and of a bucket that is gone altogether.
pub(crate) async fn events_are_told_as_rows_show_them(subject: &Subject) {
    use BucketPolicy::{Authenticated, Private, Public};
    let (owner, writer, other) = (user(), user(), user());
    let objects = [
        "object.created kept",
        "object.updated kept",
        "object.created gone",
        "object.deleted gone",
        "object.created old",
        "object.moved new from \"old\"",
    ];
    let buckets = ["bucket.created -", "bucket.updated -"];
    for policy in [Public, Authenticated, Private] {
        for is_system in [false, true] {
            let name = format!("{policy:?}-{is_system}").to_lowercase();
            let maker = if is_system { service() } else { owner.clone() };
            // Of a private bucket of somebody's, nobody else makes objects.
            let hand = if is_system || policy == Authenticated { &writer } else { &owner };
            let before = all(subject).await.len();
            let made = subject.bucket(&maker, &name, policy).await;
            for (at, body) in [("kept", "1"), ("kept", "22"), ("gone", "1")] {
                subject.put(hand, (&made, at), body.as_bytes(), PutMode::Upsert).await.unwrap();
            }
            // Whoever may delete it: also where the writer may not.
            subject.delete(&service(), &name, "gone").await.unwrap();
            subject.put(hand, (&made, "old"), b"1", PutMode::Create).await.unwrap();
            subject.rename(&service(), (&name, "old"), (&name, "new"), PutMode::Create).await.unwrap();
            let change = allow(&maker, Operation::UpdateBucket);
            subject.executor.update_bucket(&change, &made.name, &BucketUpdate::default()).await.unwrap();
            let events = all(subject).await.split_off(before);

            let everything: Vec<_> = [&buckets[..1], &objects[..], &buckets[1..]]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect();
            let own_rows: Vec<_> = objects.iter().map(ToString::to_string).collect();
            let wanted = |who: &str| match (who, policy) {
                ("service", _) | (_, Public) => everything.clone(),
                ("anon", _) => Vec::new(),
                (_, Authenticated) => everything.clone(),
                ("owner", Private) if !is_system => everything.clone(),
                ("writer", Private) if is_system => own_rows.clone(),
                (_, Private) => Vec::new(),
            };
            let callers = [
                ("service", service()),
                ("anon", anon()),
                ("owner", owner.clone()),
                ("writer", writer.clone()),
                ("other", other.clone()),
            ];
            for (who, caller) in &callers {
                assert_eq!(told(subject, caller, &events).await, wanted(who), "{name}: {who}");
            }
            // When the bucket is gone, the same by what it was.
            for at in ["kept", "new"] {
                subject.delete(&service(), &name, at).await.unwrap();
            }
            delete_bucket(subject, &maker, &name).await;
            let end = all(subject).await.pop().unwrap();
            for (who, caller) in &callers {
                assert_eq!(told(subject, caller, &events).await, wanted(who), "{name}, gone: {who}");
                let hears_of_end = wanted(who).iter().any(|word| word.starts_with("bucket"));
                let told = told(subject, caller, std::slice::from_ref(&end)).await;
                assert_eq!(told.len(), usize::from(hears_of_end), "{name}, its end: {who}");
            }
        }
    }
}

pub(crate) async fn a_bucket_made_anew_tells_nothing_of_the_one_before(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "twice", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "secret"), b"1", PutMode::Create).await.unwrap();
    subject.delete(&owner, "twice", "secret").await.unwrap();
    delete_bucket(subject, &owner, "twice").await;
    let made = subject.bucket(&other, "twice", BucketPolicy::Public).await;
    subject.put(&other, (&made, "secret"), b"1", PutMode::Create).await.unwrap();
    let events = all(subject).await;
    let new = ["bucket.created -", "object.created secret"];
    assert_eq!(told(subject, &anon(), &events).await, new);
    assert_eq!(told(subject, &other, &events).await, new);
    let old = ["bucket.created -", "object.created secret", "object.deleted secret", "bucket.deleted -"];
    assert_eq!(told(subject, &owner, &events).await, [&old[..], &new[..]].concat());
}

pub(crate) async fn what_is_at_a_path_now_may_be_somebody_elses(subject: &Subject) {
    let (one, two) = (user(), user());
    let made = subject.bucket(&service(), "shared", BucketPolicy::Private).await;
    subject.put(&one, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    subject.delete(&one, "shared", "a").await.unwrap();
    subject.put(&two, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    let events = all(subject).await;
    assert_eq!(told(subject, &one, &events).await, ["object.created a", "object.deleted a"]);
    assert_eq!(told(subject, &two, &events).await, ["object.created a"]);
}

pub(crate) async fn a_move_tells_no_place_that_is_hidden(subject: &Subject) {
    let (owner, other) = (user(), user());
    let closed = subject.bucket(&owner, "closed", BucketPolicy::Private).await;
    subject.bucket(&owner, "open", BucketPolicy::Public).await;
    subject.put(&owner, (&closed, "secret"), b"1", PutMode::Create).await.unwrap();
    subject.rename(&owner, ("closed", "secret"), ("open", "shown"), PutMode::Create).await.unwrap();
    let events = all(subject).await;
    let moved = events.last().unwrap();
    for caller in [&other, &anon()] {
        let sights = subject.executor.sights(&allow(caller, Operation::Subscribe), &[moved]).await.unwrap();
        assert_eq!(sights, [Sight::WithoutOrigin]);
        let seen = moved.seen(sights[0]).unwrap();
        assert!(!format!("{seen:?}").contains("secret") && !format!("{seen:?}").contains("closed"));
        assert_eq!(told(subject, caller, &events).await, ["bucket.created -", "object.moved shown"]);
    }
    let all_of_it = told(subject, &owner, &events).await;
    assert_eq!(all_of_it.last().unwrap(), "object.moved shown from \"secret\"");
}

pub(crate) async fn policies_decide_about_events(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "docs", BucketPolicy::Private).await;
    for at in ["pub/there", "pub/gone", "pub/bad.secret", "a/there", "large/there", "large/gone"] {
        subject.put(&owner, (&made, at), b"12345", PutMode::Create).await.unwrap();
    }
    policy(subject, "pub", "FOR SELECT TO authenticated USING (starts_with(name, 'pub/'))").await;
    // What is asked for of a row that is gone is not known: NULL must not be taken for it.
    policy(
        subject,
        "large",
        "FOR SELECT TO authenticated USING (starts_with(name, 'large/') AND (checksum IS NULL OR size > 1))",
    )
    .await;
    let created: Vec<_> =
        all(subject).await.into_iter().filter(|e| e.kind.ends_with("object.created")).collect();
    let there = ["pub/there", "pub/gone", "pub/bad.secret", "large/there", "large/gone"];
    let words = |paths: &[&str]| -> Vec<_> { paths.iter().map(|p| format!("object.created {p}")).collect() };
    assert_eq!(told(subject, &other, &created).await, words(&there));
    for at in ["pub/gone", "large/gone"] {
        subject.delete(&owner, "docs", at).await.unwrap();
    }
    let left = ["pub/there", "pub/gone", "pub/bad.secret", "large/there"];
    assert_eq!(told(subject, &other, &created).await, words(&left));
    policy(subject, "no_secrets", "AS RESTRICTIVE FOR SELECT USING (storage.extension(name) <> 'secret')")
        .await;
    let left = ["pub/there", "pub/gone", "large/there"];
    assert_eq!(told(subject, &other, &created).await, words(&left));
    // One that can't be computed of a row hides that row, and no other.
    policy(
        subject,
        "fails",
        "AS RESTRICTIVE FOR SELECT USING (CASE WHEN name = 'pub/there' THEN 1 / (size - 5) = 1 ELSE true END)",
    )
    .await;
    assert_eq!(told(subject, &other, &created).await, words(&["pub/gone", "large/there"]));
    assert!(told(subject, &anon(), &created).await.is_empty());
    assert_eq!(told(subject, &service(), &created).await.len(), 6);
}

/// An object is seen by what it is now, and an event by what it tells: what it was before stays hidden, also where it is
/// shown today, and the other way round.
pub(crate) async fn events_of_older_states_are_told_as_those_would_be(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = kept(subject, &owner, "docs", BucketPolicy::Public).await;
    let put = async |at: &str, content_type: &str| {
        let mut object = new_object(&made, at, b"1");
        object.attributes.content_type = content_type.to_owned();
        subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap().object
    };
    let hidden = put("opened", "application/x-secret").await;
    put("opened", "text/plain").await;
    put("closed", "text/plain").await;
    put("closed", "application/x-secret").await;
    put("kept", "text/plain").await;
    subject.delete(&owner, "docs", "closed").await.unwrap();
    let version = hidden.version_id();
    let access = allow(&owner, Operation::DeleteVersion);
    let (at, path) = (&made.name, &hidden.path);
    subject.executor.delete_version(&access, at, path, version, None).await.unwrap().unwrap();
    let events: Vec<_> = all(subject).await.into_iter().filter(|e| e.path.is_some()).collect();
    let everything = [
        "object.created opened",
        "object.updated opened",
        "object.created closed",
        "object.updated closed",
        "object.created kept",
        "object.deleted closed",
        "object.deleted opened",
    ];
    assert_eq!(told(subject, &other, &events).await, everything, "by the bucket's policy alone");
    policy(subject, "no_secrets", "AS RESTRICTIVE FOR SELECT USING (content_type <> 'application/x-secret')")
        .await;
    let shown = ["object.updated opened", "object.created closed", "object.created kept"];
    assert_eq!(told(subject, &other, &events).await, shown);
    assert_eq!(told(subject, &service(), &events).await, everything);
    // What an event does not tell is not known of an older state, and what it was is not guessed.
    policy(subject, "fresh", "AS RESTRICTIVE FOR SELECT USING (created_at IS NOT NULL)").await;
    let shown = ["object.updated opened", "object.created kept"];
    assert_eq!(told(subject, &other, &events).await, shown);
}

pub(crate) async fn old_events_go_and_are_known_to_be_gone(subject: &Subject) {
    let on = &subject.executor;
    let none = on.event_bounds(&maintain()).await.unwrap();
    assert_eq!((none.gone, none.last), (0, 0));
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    for number in 0..9 {
        subject.put(&owner, (&made, &format!("{number}")), b"1", PutMode::Create).await.unwrap();
    }
    let (access, events) = (maintain(), all(subject).await);
    let long_ago = Utc::now() - TimeDelta::days(1);
    assert_eq!(on.expire_events(&access, long_ago, 10, 100).await.unwrap(), 0);
    assert_eq!(on.expire_events(&access, long_ago, 8, 100).await.unwrap(), 2, "too many");
    assert_eq!(all(subject).await, events[2..]);
    let bounds = on.event_bounds(&access).await.unwrap();
    assert_eq!((bounds.gone, bounds.last), (events[1].sequence, events[9].sequence));
    let soon = Utc::now() + TimeDelta::minutes(1);
    assert_eq!(on.expire_events(&access, soon, 100, 3).await.unwrap(), 3, "a batch of old ones");
    assert_eq!(all(subject).await, events[5..]);
    assert_eq!(on.expire_events(&access, soon, 100, 100).await.unwrap(), 5);
    let bounds = on.event_bounds(&access).await.unwrap();
    assert_eq!(
        (bounds.gone, bounds.last),
        (events[9].sequence, events[9].sequence),
        "numbers are not given twice"
    );
    subject.put(&owner, (&made, "last"), b"1", PutMode::Create).await.unwrap();
    let last = all(subject).await;
    assert_eq!(last.len(), 1);
    assert!(last[0].sequence > bounds.gone);
    let foreign = allow(&service(), Operation::Subscribe);
    assert!(on.events(&foreign, 0, 1).await.is_err());
    assert!(on.event_bounds(&foreign).await.is_err());
    assert!(on.expire_events(&foreign, soon, 0, 1).await.is_err());
    assert!(on.sights(&allow(&owner, Operation::Info), &[&last[0]]).await.is_err());
}

pub(crate) async fn events_of_providers_are_the_services_alone(subject: &Subject) {
    let on = &subject.executor;
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "open", BucketPolicy::Public).await;
    let failed_over = ProviderEvent::FailedOver {
        from: "cloud".into(),
        to: "local".into(),
        reason: Some("it does not answer".to_owned()),
    };
    let recovered = ProviderEvent::Recovered { provider: "cloud".into(), from: "local".into() };
    on.record_provider_event(&maintain(), &failed_over).await.unwrap();
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    on.record_provider_event(&maintain(), &recovered).await.unwrap();
    let events = all(subject).await;
    let [_, first, _, last] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&first.bucket, &first.path, first.owner_id), (&None, &None, None));
    assert_eq!((first.kind.as_str(), last.kind.as_str()), (failed_over.kind(), recovered.kind()));
    assert_eq!(
        first.payload,
        serde_json::json!({ "from": "cloud", "to": "local", "reason": "it does not answer" })
    );
    assert_eq!(last.payload, serde_json::json!({ "provider": "cloud", "from": "local" }));
    let of_rows = ["bucket.created -", "object.created a"];
    for caller in [anon(), owner.clone(), other] {
        assert_eq!(told(subject, &caller, &events).await, of_rows, "{caller:?}");
    }
    let of_all = ["bucket.created -", "provider.failed_over -", "object.created a", "provider.recovered -"];
    assert_eq!(told(subject, &service(), &events).await, of_all);
    for foreign in [allow(&service(), Operation::Subscribe), allow(&owner, Operation::Subscribe)] {
        assert!(on.record_provider_event(&foreign, &recovered).await.is_err());
    }
    assert_eq!(all(subject).await.len(), 4);
}
