//! The predicates of row-level security by themselves, on every kind of row, for every kind of caller: SPEC 3.2's
//! table once more. No role check stands before them here, so that either wall holds where the other one fails.

use rusqlite::{Connection, named_params};

use crate::executor::sqlite::rls::{builtin, is_true};
use crate::permissions::Permission::{self, *};

const ME: &str = "me";
const OTHER: &str = "somebody else";

/// A row of each table, and who looks at it.
#[derive(Debug, Clone, Copy)]
struct Case {
    role: &'static str,
    uid: Option<&'static str>,
    policy: &'static str,
    bucket_owner: Option<&'static str>,
    object_owner: Option<&'static str>,
}

impl Case {
    /// What SPEC 3.2 grants.
    fn wanted(self, permission: Permission) -> bool {
        let is_service = self.role == "service_role";
        let is_user = self.role == "authenticated";
        let owns = |owner: Option<&str>| is_user && owner.is_some() && owner == self.uid;
        let (owns_bucket, owns_object) = (owns(self.bucket_owner), owns(self.object_owner));
        let is_public = self.policy == "public";
        let open_to_users = is_user && self.policy == "authenticated";
        is_service
            || match permission {
                BucketCreate => is_user,
                BucketRead => is_public || open_to_users || owns_bucket,
                BucketUpdate | BucketDelete => owns_bucket,
                ObjectRead => is_public || open_to_users || owns_bucket || owns_object,
                ObjectCreate => open_to_users || owns_bucket || (is_user && self.bucket_owner.is_none()),
                ObjectOverwrite => open_to_users || owns_bucket || owns_object,
                ObjectDelete => owns_bucket || owns_object,
                // The row of usage stands for its user's.
                UsageRead | QueueRead | JobRead => owns_object,
                // Whose an upload is goes by role and user, both of which may be nobody's.
                UploadContinue => self.role == "authenticated" && self.object_owner == self.uid,
                Maintain | Explain => false,
            }
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // No caller is anon and somebody; a predicate must not depend on that.
    let callers = [
        ("anon", None),
        ("anon", Some(ME)),
        ("authenticated", Some(ME)),
        ("authenticated", None),
        ("service_role", None),
        ("service_role", Some(ME)),
        ("unheard_of", Some(ME)),
    ];
    let owners = [None, Some(ME), Some(OTHER)];
    for (role, uid) in callers {
        for policy in ["public", "authenticated", "private"] {
            for bucket_owner in owners {
                for object_owner in owners {
                    cases.push(Case { role, uid, policy, bucket_owner, object_owner });
                }
            }
        }
    }
    cases
}

#[test]
fn fs_i3_each_predicate_alone_grants_what_the_table_grants() {
    let conn = Connection::open_in_memory().unwrap();
    for permission in [
        BucketCreate,
        BucketRead,
        BucketUpdate,
        BucketDelete,
        ObjectRead,
        ObjectCreate,
        ObjectOverwrite,
        ObjectDelete,
        UploadContinue,
        UsageRead,
        QueueRead,
        JobRead,
        Maintain,
    ] {
        let sql = format!(
            "SELECT {} FROM (SELECT :policy AS policy, :bucket_owner AS owner_id) b, \
             (SELECT :object_owner AS owner_id) o, (SELECT :object_owner AS user_id) u, \
             (SELECT 'authenticated' AS role, :object_owner AS owner_id) m \
             WHERE :role IS NOT NULL AND (:uid IS NULL OR 1)",
            is_true(builtin(permission))
        );
        let mut statement = conn.prepare(&sql).unwrap();
        for case in cases() {
            // Everybody's usage is read by another permission: of one row, the service role sees its own user's.
            let wanted = match permission {
                UsageRead if case.role == "service_role" => {
                    case.uid.is_some() && case.object_owner == case.uid
                }
                _ => case.wanted(permission),
            };
            let granted: bool = statement
                .query_row(
                    named_params! {
                        ":policy": case.policy, ":bucket_owner": case.bucket_owner,
                        ":object_owner": case.object_owner, ":role": case.role, ":uid": case.uid,
                    },
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(granted, wanted, "{permission:?} {case:?}");
        }
    }
}
