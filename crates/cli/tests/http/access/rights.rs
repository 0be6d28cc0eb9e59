//! SPEC 3.2 in a few lines: what a caller may do in a bucket, and what is answered where they may not.

use crate::support::{OWNER, Who};

/// One cell: an operation is tried in the bucket by the caller.
#[derive(Clone)]
pub(super) struct Cell {
    pub(super) bucket: String,
    pub(super) policy: &'static str,
    pub(super) owned: bool,
    pub(super) who: Who,
}

/// What SPEC 3.2 grants, on the object that is there (`read`, `overwrite`, `delete`) and on the bucket.
#[derive(Debug)]
pub(super) struct Rights {
    pub(super) read: bool,
    pub(super) create: bool,
    pub(super) overwrite: bool,
    pub(super) delete: bool,
    /// See the bucket's own row.
    pub(super) see: bool,
    /// Change, empty, delete the bucket.
    pub(super) manage: bool,
}

impl Cell {
    pub(super) fn rights(&self) -> Rights {
        let is_user = matches!(self.who, Who::User(_));
        let is_service = self.who == Who::Service;
        let is_owner = self.who == Who::User(OWNER);
        let owns_bucket = is_owner && self.owned;
        let open_to_users = self.policy == "authenticated" && is_user;
        Rights {
            read: is_service || is_owner || open_to_users || self.policy == "public",
            create: is_service || owns_bucket || open_to_users || (is_user && !self.owned),
            overwrite: is_service || is_owner || open_to_users,
            delete: is_service || is_owner,
            see: is_service || owns_bucket || open_to_users || self.policy == "public",
            manage: is_service || owns_bucket,
        }
    }

    /// Whether the caller has any access to the bucket at all.
    pub(super) fn is_open(&self) -> bool {
        let rights = self.rights();
        rights.read || rights.create
    }

    pub(super) fn refusal(&self) -> Outcome {
        if self.who == Who::Anon { ANON } else { FORBIDDEN }
    }

    /// The answer to a read of the object that is there.
    pub(super) fn read(&self, status: u16) -> Outcome {
        match (self.rights().read, self.is_open()) {
            (true, _) => Outcome(status, ""),
            // Rows decide: an invisible one and a missing one are the same.
            (false, true) => MISSING,
            (false, false) => self.refusal(),
        }
    }

    /// The answer to a read where nothing is.
    pub(super) fn read_nothing(&self) -> Outcome {
        if self.is_open() { MISSING } else { self.refusal() }
    }

    pub(super) fn when(&self, right: bool, status: u16) -> Outcome {
        if right { Outcome(status, "") } else { self.refusal() }
    }
}

/// A status, and the code of an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome(pub(super) u16, pub(super) &'static str);

pub(super) const ANON: Outcome = Outcome(401, "AUTH_REQUIRED");
pub(super) const FORBIDDEN: Outcome = Outcome(403, "STORAGE_UNAUTHORIZED");
pub(super) const MISSING: Outcome = Outcome(404, "OBJECT_NOT_FOUND");
pub(super) const TAKEN: Outcome = Outcome(409, "OBJECT_EXISTS");

/// What an operation leaves when it was let in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Effect {
    None,
    Replaced,
    Gone,
    Made,
    BucketGone,
    BucketChanged,
}
