//! Every key of a lifecycle rule, defined once.

use super::define::settings;

settings! {
    /// What a lifecycle rule says.
    RuleConfig {
        /// The bucket that it is about.
        bucket: Option<String> = "";
        /// How the paths begin that it is about: `a/` for a folder. Without it, all.
        prefix: Option<String> = "";
        /// Tags that an object must have, all of them, each as `key=value`.
        tags: Vec<String> = "";
        /// Whether it is followed.
        enabled: bool = "true";
        /// Days since an object was written, after which the action is due.
        max_age_days: Option<u32> = "";
        /// What is done then: `delete`, `archive`, or `warn`.
        action: String = "delete";
        /// The provider that the bytes of archived objects go to; name, metadata and URL stay.
        archive_to_provider: Option<String> = "";
        /// The bucket that archived objects are moved to, in place of a provider.
        archive_to_bucket: Option<String> = "";
        /// The folder that they come into; their whole path follows. `old` is `old/`.
        archive_to_prefix: Option<String> = "";
        /// Days before the action, on which it is told of by the event `storage.object.expiring`. No object goes that was not told of so long ago.
        warn_before_days: Option<u32> = "";
        /// Days since a version was replaced or deleted, after which it goes for good.
        noncurrent_days: Option<u32> = "";
        /// The newest of such versions that stay at each path.
        noncurrent_keep: Option<u32> = "";
        /// Whether delete markers go that hide nothing any more.
        expired_delete_markers: bool = "false";
        /// Days since an upload began, after which it is given up.
        abort_incomplete_days: Option<u32> = "";
    }
}
