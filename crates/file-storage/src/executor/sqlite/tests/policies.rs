//! SQL policies that were kept.

use std::sync::Arc;

use super::open_at;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{anon, maintain, user};
use crate::permissions::{Access, AccessRules, Operation, Policy};

#[tokio::test]
async fn policies_outlive_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "CREATE POLICY p ON storage_objects FOR SELECT USING (name = 'it''s')";
    let made = Policy::parse(sql).unwrap();
    let first = Subject::new(Arc::new(open_at(dir.path())), ());
    first.executor.create_policy(&maintain(), &made).await.unwrap();
    first.executor.close().await;
    let second = Subject::new(Arc::new(open_at(dir.path())), ());
    let kept = second.executor.policies(&maintain()).await.unwrap();
    assert_eq!(kept.all().iter().map(|policy| &**policy).collect::<Vec<_>>(), [&made]);
    for caller in [anon(), user()] {
        assert!(Access::check(&caller, Operation::ManagePolicies, None, AccessRules::default()).is_err());
    }
}
