//! Supabase's own policies, pasted as its users have them.

use serde_json::{Map, json};

use super::Subject;
use super::subject::{anon, maintain, new_object, service, user};
use crate::bucket::BucketPolicy;
use crate::file::PutMode;
use crate::permissions::policy::tests::SUPABASE;
use crate::permissions::{Access, AccessRules, Operation, Policy, RlsContext};

/// For each policy of [`SUPABASE`]: who does what to which object, and whether it is let through. Dave is the user whom
/// two of them name.
const PASTED: [&[&str]; 12] = [
    &["+anna create my_bucket_id/a", "-anna create avatars/a", "-anon create my_bucket_id/a"],
    &["+anna read avatars/of-anna", "-anna read avatars/a", "-anon read avatars/of-anna"],
    &["+anna delete avatars/of-anna", "-bert delete avatars/of-anna", "-anon delete avatars/of-anna"],
    &["+anna read avatars/{anna}/a", "-bert read avatars/{anna}/a", "-anon read avatars/{anna}/a"],
    &["+anna read avatars/private/a", "-anna read avatars/open/a", "-anon read avatars/private/a"],
    &[
        "+anon read avatars/Public/a.jpg",
        "-anon read avatars/Public/a.png",
        "-anna read avatars/public/a.jpg",
    ],
    &["+dave read avatars/admin/assets/a", "-dave read avatars/admin/a", "-anna read avatars/admin/assets/a"],
    &[
        "+dave read avatars/admin/assets/Costa Rican Frog.jpg",
        "-anna read avatars/admin/assets/Costa Rican Frog.jpg",
    ],
    &["+anna create my_bucket_id/private/a", "-anna create my_bucket_id/a", "-anna create avatars/private/a"],
    &[
        "+anna create my_bucket_id/{anna}/a",
        "-bert create my_bucket_id/{anna}/a",
        "-anon create my_bucket_id/a",
    ],
    &[
        "+red create avatars/red/a",
        "+red delete avatars/red/a",
        "-red read avatars/blue/a",
        "-anna read avatars/red/a",
    ],
    &["+owner create avatars/image", "-owner create avatars/text", "-owner create avatars/large"],
];

pub(crate) async fn supabases_policies_are_pasted_unchanged(subject: &Subject) {
    let [owner, anna, bert] = [user(), user(), user()];
    let claims = Map::from_iter([("app_metadata".to_owned(), json!({ "team": "red" }))]);
    let red = RlsContext::user(user().user_id().unwrap(), claims, "test");
    let dave = "d7bed83c-44a0-4a4f-925f-efc384ea1e50".parse().unwrap();
    let dave = RlsContext::user(dave, Map::new(), "test");
    let mut buckets = Vec::new();
    for name in ["my_bucket_id", "avatars"] {
        buckets.push(subject.bucket(&owner, name, BucketPolicy::Private).await);
    }
    assert_eq!(SUPABASE.len(), PASTED.len());
    for (sql, lines) in SUPABASE.iter().zip(PASTED) {
        let made = Policy::parse(sql).unwrap();
        subject.executor.create_policy(&maintain(), &made).await.unwrap();
        for line in lines {
            let anna_id = anna.user_id().unwrap().to_string();
            let told = line.replace("{anna}", &anna_id);
            let mut words = told[1..].splitn(3, ' ');
            let (who, does, object) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let caller = match who {
                "anna" => anna.clone(),
                "bert" => bert.clone(),
                "red" => red.clone(),
                "dave" => dave.clone(),
                "owner" => owner.clone(),
                _ => anon(),
            };
            let (name, at) = object.split_once('/').unwrap();
            let made = buckets.iter().find(|made| made.name.as_str() == name).unwrap();
            let size = if at == "large" { 2 << 20 } else { 1 };
            let mut object = new_object(made, at, &vec![1; size]);
            if at != "text" {
                object.attributes.content_type = "image/png".to_owned();
            }
            let grants = subject.executor.anon_grants().await.unwrap();
            let rules = AccessRules { anon_by_policy: grants, ..AccessRules::default() };
            let keeper = RlsContext::service(anna.user_id().filter(|_| at == "of-anna"), Map::new(), "test");
            subject.delete(&service(), name, at).await.unwrap();
            if does != "create" {
                subject.put_object(&keeper, object.clone(), &PutMode::Create).await.unwrap();
            }
            let done = match does {
                "create" => match Access::check(&caller, Operation::Upload(&PutMode::Create), None, rules) {
                    Ok(access) => {
                        subject.executor.put_object(&access, object, &PutMode::Create).await.is_ok()
                    }
                    Err(_) => false,
                },
                "read" => subject.get(&caller, name, at).await.is_ok(),
                _ => matches!(subject.delete(&caller, name, at).await, Ok(Some(_))),
            };
            assert_eq!(done, line.starts_with('+'), "{line}: {sql}");
        }
        assert!(subject.executor.drop_policy(&maintain(), &made.name).await.unwrap());
    }
    subject.recount().await;
}
