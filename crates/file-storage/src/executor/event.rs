//! What happened, for those who want to know later.

use uuid::Uuid;

use crate::Timestamp;

/// Something that happened, written in the transaction in which it did (SPEC 10).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Grows with every event; gaps are possible.
    pub sequence: u64,
    /// Identity for consumers that see an event twice.
    pub id: Uuid,
    /// `storage.object.created` and the like.
    pub kind: String,
    /// The bucket it is about.
    pub bucket: String,
    /// The object it is about, if one.
    pub path: Option<String>,
    /// Owner of the object or bucket.
    pub owner_id: Option<Uuid>,
    /// What else there is to know: size, content type, the old path of a move.
    pub payload: serde_json::Value,
    /// When it happened.
    pub created_at: Timestamp,
}
