//! Webhooks: kept, claimed by one at a time, and never back behind what was delivered.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Subject;
use super::subject::{allow, bucket, maintain, user};
use crate::executor::{SealedWebhook, WebhookClaim};
use crate::permissions::Operation;
use crate::webhooks::{AfterFailure, MAX_WEBHOOKS, Webhook, WebhookStatus, WebhookStep, WebhookUpdate};

const MINUTE: Duration = Duration::from_secs(60);

/// A webhook that stands at 5.
fn new(number: u128) -> SealedWebhook {
    let made = DateTime::from_timestamp(1_000_000 + i64::try_from(number).unwrap(), 0).unwrap();
    let webhook = Webhook {
        id: Uuid::from_u128(number),
        url: "https://example.org/ü".to_owned(),
        kinds: vec!["storage.object.created".to_owned(), "storage.object.moved".to_owned()],
        bucket: Some(bucket("docs")),
        prefix: "a/".to_owned(),
        status: WebhookStatus::Active,
        position: 5,
        attempts: 0,
        next_attempt_at: None,
        last_success_at: None,
        last_error: None,
        last_error_at: None,
        previous_until: None,
        created_at: made,
        updated_at: made,
    };
    SealedWebhook { webhook, secret: "sealed".to_owned(), previous: None }
}

async fn made(subject: &Subject, number: u128) -> Uuid {
    subject.executor.create_webhook(&maintain(), &new(number)).await.unwrap().id
}

/// What a claim takes, up to the event 9; gives the claim, too.
async fn claimed(subject: &Subject, lease: Duration) -> (Uuid, Vec<Uuid>) {
    let claim = WebhookClaim { id: Uuid::new_v4(), lease, last: 9 };
    let taken = subject.executor.claim_webhooks(&maintain(), &claim).await.unwrap();
    let mut taken: Vec<_> = taken.into_iter().map(|taken| taken.webhook.id).collect();
    taken.sort();
    (claim.id, taken)
}

async fn record(
    subject: &Subject,
    (id, claim): (Uuid, Uuid),
    step: WebhookStep,
    lease: Option<Duration>,
) -> Option<Webhook> {
    let found = subject.executor.record_webhook(&maintain(), id, claim, &step, lease).await.unwrap();
    found.map(|found| found.webhook)
}

fn passed(position: u64) -> WebhookStep {
    WebhookStep::Passed { position, delivered: true }
}

fn failed(then: AfterFailure) -> WebhookStep {
    WebhookStep::Failed { error: "no".to_owned(), then }
}

pub(crate) async fn webhooks_are_kept_and_changed(subject: &Subject) {
    let (on, access) = (&subject.executor, maintain());
    let (one, two) = (new(2), new(1));
    assert_eq!(on.create_webhook(&access, &one).await.unwrap(), one.webhook);
    let whole = SealedWebhook {
        webhook: Webhook { kinds: Vec::new(), bucket: None, prefix: String::new(), ..two.webhook },
        ..two
    };
    assert_eq!(on.create_webhook(&access, &whole).await.unwrap(), whole.webhook);
    assert_eq!(on.webhooks(&access).await.unwrap(), [whole.webhook.clone(), one.webhook.clone()]);
    assert_eq!(on.webhook(&access, one.webhook.id).await.unwrap(), Some(one.clone()));
    assert_eq!(on.webhook(&access, Uuid::from_u128(3)).await.unwrap(), None);

    let id = one.webhook.id;
    let nothing = on.update_webhook(&access, id, &WebhookUpdate::default()).await.unwrap().unwrap();
    assert_eq!(Webhook { updated_at: one.webhook.updated_at, ..nothing }, one.webhook);
    let update = WebhookUpdate {
        url: Some("https://example.net".to_owned()),
        kinds: Some(Vec::new()),
        bucket: Some(None),
        prefix: Some(String::new()),
        enabled: Some(false),
    };
    let changed = on.update_webhook(&access, id, &update).await.unwrap().unwrap();
    let wanted = Webhook {
        url: "https://example.net".to_owned(),
        kinds: Vec::new(),
        bucket: None,
        prefix: String::new(),
        status: WebhookStatus::Disabled,
        updated_at: changed.updated_at,
        ..one.webhook
    };
    assert_eq!(changed, wanted);
    let other = WebhookUpdate { bucket: Some(Some(bucket("other"))), ..WebhookUpdate::default() };
    let changed = on.update_webhook(&access, id, &other).await.unwrap().unwrap();
    assert_eq!(changed.bucket, Some(bucket("other")));

    let until = DateTime::from_timestamp(Utc::now().timestamp() + 3600, 0).unwrap();
    let rotated = on.rotate_webhook(&access, id, "newer", until).await.unwrap().unwrap();
    assert_eq!(rotated.previous_until, Some(until));
    let kept = on.webhook(&access, id).await.unwrap().unwrap();
    assert_eq!((kept.secret.as_str(), kept.previous.as_deref()), ("newer", Some("sealed")));
    on.rotate_webhook(&access, id, "newest", until).await.unwrap().unwrap();
    let kept = on.webhook(&access, id).await.unwrap().unwrap();
    assert_eq!((kept.secret.as_str(), kept.previous.as_deref()), ("newest", Some("newer")), "two at most");

    let nobody = Uuid::from_u128(3);
    assert_eq!(on.update_webhook(&access, nobody, &update).await.unwrap(), None);
    assert_eq!(on.rotate_webhook(&access, nobody, "x", until).await.unwrap(), None);
    assert!(on.delete_webhook(&access, id).await.unwrap());
    assert!(!on.delete_webhook(&access, id).await.unwrap());
    for number in 10..u128::from(MAX_WEBHOOKS) + 9 {
        made(subject, number).await;
    }
    assert_eq!(on.webhooks(&access).await.unwrap().len(), MAX_WEBHOOKS as usize);
    assert!(on.create_webhook(&access, &new(1000)).await.is_err(), "one too many");
}

pub(crate) async fn one_delivers_to_a_webhook_at_a_time(subject: &Subject) {
    let (one, two) = (made(subject, 1).await, made(subject, 2).await);
    let idle = SealedWebhook { webhook: Webhook { position: 9, ..new(3).webhook }, ..new(3) };
    subject.executor.create_webhook(&maintain(), &idle).await.unwrap();
    let off =
        SealedWebhook { webhook: Webhook { status: WebhookStatus::Disabled, ..new(4).webhook }, ..new(4) };
    subject.executor.create_webhook(&maintain(), &off).await.unwrap();
    let (first, taken) = claimed(subject, MINUTE).await;
    assert_eq!(taken, [one, two], "not what is up to date, or disabled");
    let (second, taken) = claimed(subject, MINUTE).await;
    assert!(taken.is_empty(), "they are the first one's");
    assert!(record(subject, (one, second), passed(7), Some(MINUTE)).await.is_none());
    let went_on = record(subject, (one, first), passed(7), Some(MINUTE)).await.unwrap();
    assert_eq!((went_on.position, went_on.attempts), (7, 0));
    assert!(went_on.last_success_at.is_some());
    // Whoever ends his claim leaves it to others.
    record(subject, (one, first), passed(8), None).await.unwrap();
    assert_eq!(claimed(subject, Duration::ZERO).await.1, [one]);
    // So does whoever does not come back; and then it is too late for him.
    let (third, taken) = claimed(subject, MINUTE).await;
    assert_eq!(taken, [one]);
    assert!(record(subject, (one, first), passed(9), Some(MINUTE)).await.is_none());
    record(subject, (one, third), WebhookStep::Stopped, None).await.unwrap();
    assert_eq!(claimed(subject, MINUTE).await.1, [one], "nothing is lost where a server stops");
}

pub(crate) async fn a_webhook_goes_on_where_it_stood(subject: &Subject) {
    let (on, access, id) = (&subject.executor, maintain(), made(subject, 1).await);
    let (claim, _) = claimed(subject, MINUTE).await;
    let before = Utc::now();
    let retried = failed(AfterFailure::Retry(Duration::from_secs(3600)));
    let hook = record(subject, (id, claim), retried, None).await.unwrap();
    assert_eq!((hook.attempts, hook.position, hook.last_error.as_deref()), (1, 5, Some("no")));
    let wait = hook.next_attempt_at.unwrap() - before;
    assert!(wait > TimeDelta::minutes(59) && wait < TimeDelta::minutes(61), "{wait}");
    assert!(claimed(subject, MINUTE).await.1.is_empty(), "not before its time");

    // An operator who enables it does not wait.
    let enable = WebhookUpdate { enabled: Some(true), ..WebhookUpdate::default() };
    let hook = on.update_webhook(&access, id, &enable).await.unwrap().unwrap();
    assert_eq!((hook.attempts, hook.next_attempt_at), (0, None));
    let (claim, taken) = claimed(subject, MINUTE).await;
    assert_eq!(taken, [id]);
    let again = failed(AfterFailure::Retry(Duration::ZERO));
    assert_eq!(record(subject, (id, claim), again, None).await.unwrap().attempts, 1);
    let (claim, taken) = claimed(subject, MINUTE).await;
    assert_eq!(taken, [id], "its time has come");
    let hook = record(subject, (id, claim), failed(AfterFailure::Pause), None).await.unwrap();
    assert_eq!((hook.status, hook.attempts, hook.next_attempt_at), (WebhookStatus::Paused, 2, None));
    assert!(claimed(subject, MINUTE).await.1.is_empty());
    on.update_webhook(&access, id, &enable).await.unwrap().unwrap();
    let (claim, _) = claimed(subject, MINUTE).await;

    // Disabled in the middle of an attempt: what was delivered is not delivered again, and the claim is over.
    let disable = WebhookUpdate { enabled: Some(false), ..WebhookUpdate::default() };
    on.update_webhook(&access, id, &disable).await.unwrap().unwrap();
    let hook = record(subject, (id, claim), passed(7), Some(MINUTE)).await.unwrap();
    assert_eq!((hook.status, hook.position), (WebhookStatus::Disabled, 7));
    assert!(record(subject, (id, claim), passed(8), Some(MINUTE)).await.is_none());
    on.update_webhook(&access, id, &enable).await.unwrap().unwrap();
    let (claim, taken) = claimed(subject, MINUTE).await;
    assert_eq!(taken, [id]);
    let back = WebhookStep::Passed { position: 6, delivered: false };
    assert_eq!(record(subject, (id, claim), back, Some(MINUTE)).await.unwrap().position, 7, "never back");
    let hook = record(subject, (id, claim), failed(AfterFailure::Gone), None).await.unwrap();
    assert_eq!(hook.status, WebhookStatus::Gone);

    // A secret whose time is over goes with the next claim.
    on.rotate_webhook(&access, id, "newer", Utc::now() - TimeDelta::seconds(5)).await.unwrap().unwrap();
    on.update_webhook(&access, id, &enable).await.unwrap().unwrap();
    assert_eq!(claimed(subject, MINUTE).await.1, [id]);
    let kept = on.webhook(&access, id).await.unwrap().unwrap();
    assert_eq!((kept.previous, kept.webhook.previous_until), (None, None));
}

pub(crate) async fn a_claim_ends_where_something_else_is_wanted(subject: &Subject) {
    let (on, access, id) = (&subject.executor, maintain(), made(subject, 1).await);
    for update in [
        WebhookUpdate { kinds: Some(Vec::new()), ..WebhookUpdate::default() },
        WebhookUpdate { bucket: Some(None), ..WebhookUpdate::default() },
        WebhookUpdate { bucket: Some(Some(bucket("other"))), ..WebhookUpdate::default() },
        WebhookUpdate { prefix: Some("b/".to_owned()), ..WebhookUpdate::default() },
    ] {
        let (claim, taken) = claimed(subject, MINUTE).await;
        assert_eq!(taken, [id], "before {update:?}");
        on.update_webhook(&access, id, &update).await.unwrap().unwrap();
        // What he passes over was not wanted before, and may be now.
        let passed_over = WebhookStep::Passed { position: 9, delivered: false };
        assert!(record(subject, (id, claim), passed_over, Some(MINUTE)).await.is_none(), "{update:?}");
        assert_eq!(on.webhook(&access, id).await.unwrap().unwrap().webhook.position, 5, "{update:?}");
    }
    let (claim, _) = claimed(subject, MINUTE).await;
    on.update_webhook(&access, id, &WebhookUpdate::default()).await.unwrap().unwrap();
    assert!(
        record(subject, (id, claim), passed(9), None).await.is_some(),
        "where nothing is changed, it goes on"
    );
}

pub(crate) async fn webhooks_are_for_upkeep_alone(subject: &Subject) {
    let (on, id, foreign) = (&subject.executor, made(subject, 1).await, allow(&user(), Operation::Info));
    let claim = WebhookClaim { id: Uuid::new_v4(), lease: MINUTE, last: 9 };
    assert!(on.create_webhook(&foreign, &new(2)).await.is_err());
    assert!(on.webhooks(&foreign).await.is_err());
    assert!(on.webhook(&foreign, id).await.is_err());
    assert!(on.update_webhook(&foreign, id, &WebhookUpdate::default()).await.is_err());
    assert!(on.rotate_webhook(&foreign, id, "x", Utc::now()).await.is_err());
    assert!(on.delete_webhook(&foreign, id).await.is_err());
    assert!(on.claim_webhooks(&foreign, &claim).await.is_err());
    assert!(on.record_webhook(&foreign, id, claim.id, &passed(9), None).await.is_err());
    assert_eq!(on.webhooks(&maintain()).await.unwrap(), [new(1).webhook]);
}
