//! The two forms of the one REST protocol.
//!
//! Handlers know none of it: they ask the [`Dialect`] to word their result. What sets the two apart beyond bodies
//! stands here; `answers` chooses bodies and statuses, `native` and `supabase` hold them.

mod answers;
mod cursor;
mod native;
mod supabase;
mod wire;

use file_storage::ObjectPath;
use file_storage::bucket::NameRules;
use file_storage::executor::Collation;
use file_storage::path::PathRules;
use http::HeaderValue;

pub(super) use answers::{Listed, SignedOutcome, SignedUrl};
pub(super) use cursor::{decode as decode_cursor, encode as encode_cursor};
pub(crate) use native::QueueEntryBody;
pub(super) use native::{
    BucketBody, ErrorBody, ListEntry, ListV2Body, Message, ObjectBody, QueueEntryPage, Signed, SignedEntry,
    UploadTarget, Uploaded, VersionsBody,
};

use crate::app::AppState;

/// Which form a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// True statuses and all fields.
    Native,
    /// To the letter what Supabase Storage answers.
    Supabase,
}

impl Dialect {
    /// The form that a server was told to speak.
    pub(crate) fn of(app: &AppState) -> Self {
        match app.config.rest.dialect {
            crate::config::Dialect::Native => Self::Native,
            crate::config::Dialect::Supabase => Self::Supabase,
        }
    }

    /// Rules for the names of new buckets.
    pub(super) fn name_rules(self) -> NameRules {
        match self {
            Self::Native => NameRules::Native,
            Self::Supabase => NameRules::Supabase,
        }
    }

    /// Rules for the paths of new objects.
    pub(crate) fn path_rules(self) -> PathRules {
        match self {
            Self::Native => PathRules::Strict,
            Self::Supabase => PathRules::Supabase,
        }
    }

    /// How names compare in the first list form: in both dialects as that form's users know it. The second form is
    /// the one that scales.
    pub(super) fn collation(self) -> Collation {
        match self {
            Self::Native | Self::Supabase => Collation::IgnoreCase,
        }
    }

    /// Whether a request without a token is refused where rows could also decide about anon.
    pub(super) fn demands_token(self) -> bool {
        self == Self::Supabase
    }

    /// Whether a bad token counts as none, on routes that need none. Supabase does so; natively it is 401 everywhere.
    pub(super) fn takes_bad_token_for_anon(self) -> bool {
        self == Self::Supabase
    }

    /// Whether only the service role empties buckets, or their owners as well.
    pub(super) fn only_service_empties(self) -> bool {
        self == Self::Supabase
    }

    /// Whether `x-metadata` that is no metadata is passed over.
    pub(super) fn ignores_bad_metadata_header(self) -> bool {
        self == Self::Supabase
    }

    /// Whether fields that have a default must be sent all the same.
    pub(super) fn is_strict_about_fields(self) -> bool {
        self == Self::Supabase
    }

    /// Whether copies and moves say that their source is not there before they say that the caller may not write.
    pub(super) fn looks_at_sources_first(self) -> bool {
        self == Self::Supabase
    }

    /// Whether a move ignores `x-upsert`.
    pub(super) fn moves_only_to_free_paths(self) -> bool {
        self == Self::Supabase
    }

    /// Whether an object of that path marks an empty folder: it has no bytes, and any type.
    pub(super) fn is_folder_marker(self, path: &ObjectPath) -> bool {
        self == Self::Supabase && path.file_name() == ".emptyFolderPlaceholder"
    }

    /// The type that a download declares. Supabase defuses HTML; natively the sandbox does.
    pub(super) fn served_type(self, content_type: &str) -> &str {
        let is_html = content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html"));
        if self == Self::Supabase && is_html { "text/plain" } else { content_type }
    }

    /// `Content-Disposition` of a download that was asked for by `?download`, perhaps under a name.
    pub(super) fn attachment(self, asked: &str, path: &ObjectPath) -> HeaderValue {
        match self {
            Self::Native if asked.is_empty() => super::disposition::attachment(path.file_name()),
            Self::Native => super::disposition::attachment(asked),
            Self::Supabase => super::disposition::supabase_attachment(asked),
        }
    }

    /// `Cache-Control` of an object that was uploaded without one.
    pub(super) fn default_cache_control(self, is_public: bool) -> &'static str {
        match self {
            Self::Native if !is_public => "private, no-cache",
            Self::Native | Self::Supabase => "no-cache",
        }
    }

    /// What is added to `Cache-Control` for a client whose copy is out of date.
    pub(super) fn revalidation(self) -> Option<&'static str> {
        (self == Self::Supabase).then_some("stale-while-revalidate=30")
    }

    /// `X-Robots-Tag` of an object that was uploaded without one.
    pub(super) fn default_robots_tag(self) -> Option<HeaderValue> {
        (self == Self::Supabase).then_some(HeaderValue::from_static("none"))
    }
}
