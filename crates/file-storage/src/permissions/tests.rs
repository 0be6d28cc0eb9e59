//! What a role may ask for at all, before any row is looked at.

use serde_json::Map;
use uuid::Uuid;

use super::{Access, AccessRules, Operation, RlsContext};
use crate::file::{ETags, PutMode};

#[test]
fn fs_i3_roles_ask_for_what_some_row_may_grant_them() {
    let tag = || ETags::These(vec!["x".to_owned()]);
    let modes = [PutMode::Create, PutMode::Upsert, PutMode::IfMatch(tag()), PutMode::IfNoneMatch(ETags::Any)];
    let reads = [
        Operation::ListBuckets,
        Operation::ShowBucket,
        Operation::Download,
        Operation::Info,
        Operation::List,
        Operation::Subscribe,
        Operation::SignDownload,
    ];
    let writes = [
        Operation::UpdateBucket,
        Operation::EmptyBucket,
        Operation::DeleteBucket,
        Operation::Delete,
        Operation::ReadUsage,
        Operation::ReadQuota,
    ];
    let by_mode = modes.iter().flat_map(|mode| {
        [Operation::Upload(mode), Operation::Copy(mode), Operation::Move(mode), Operation::SignUpload(mode)]
    });
    let writes: Vec<_> = writes.into_iter().chain(by_mode).collect();

    let anon = RlsContext::anon("test");
    let user = RlsContext::user(Uuid::from_u128(1), Map::new(), "test");
    let service = RlsContext::service(None, Map::new(), "test");
    let (open, closed) = (
        AccessRules::default(),
        AccessRules { only_service_creates_buckets: true, ..AccessRules::default() },
    );
    let check = |context: &RlsContext, operation: Operation<'_>, rules, wanted: &str| {
        let outcome = Access::check(context, operation, None, rules);
        let said = outcome.map_or_else(|error| error.code(), |_| "granted");
        assert_eq!(said, wanted, "{:?} {operation:?} {rules:?}", context.role());
    };
    let (asked, refused) = ("AUTH_REQUIRED", "STORAGE_UNAUTHORIZED");
    for rules in [open, closed] {
        for operation in reads {
            for context in [&anon, &user, &service] {
                check(context, operation, rules, "granted");
            }
        }
        for operation in &writes {
            check(&anon, *operation, rules, asked);
            for context in [&user, &service] {
                check(context, *operation, rules, "granted");
            }
        }
        for operation in [Operation::Maintain, Operation::ManageQuotas] {
            check(&anon, operation, rules, asked);
            check(&user, operation, rules, refused);
            check(&service, operation, rules, "granted");
        }
        check(&anon, Operation::CreateBucket, rules, asked);
        check(&service, Operation::CreateBucket, rules, "granted");
    }
    check(&user, Operation::CreateBucket, open, "granted");
    check(&user, Operation::CreateBucket, closed, refused);
}
