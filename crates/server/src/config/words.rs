//! Settings that are one word of a few.

use super::Setting;
use super::raw::RawValue;

/// Defines an enum whose variants are the words of a setting.
macro_rules! words {
    ($($(#[doc = $text:literal])+ $name:ident { $($(#[doc = $word_text:literal])+ $variant:ident = $word:literal,)+ })*) => {$(
        $(#[doc = $text])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $word_text])+ $variant,)+
        }

        impl $name {
            /// The word, as the configuration has it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Setting for $name {
            const FORM: &'static str = words!(@form $($word)+);

            fn parse(raw: &RawValue) -> Result<Self, String> {
                match super::forms::one(raw)? {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("'{other}' is not one of: {}", [$($word),+].join(", "))),
                }
            }

            fn show(&self) -> String {
                self.as_str().to_owned()
            }
        }
    )*};
    (@form $first:literal $($rest:literal)*) => { concat!("`", $first, "`" $(, " or `", $rest, "`")*) };
}

words! {
    /// Which of the two REST dialects a server speaks.
    Dialect {
        /// True HTTP statuses and all fields.
        Native = "native",
        /// To the letter what Supabase Storage answers.
        Supabase = "supabase",
    }
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
    /// The least important lines that are logged.
    LogLevel {
        /// What failed in the server.
        Error = "error",
        /// And what an operator should look at.
        Warn = "warn",
        /// And one line per operation.
        Info = "info",
        /// And how decisions came about.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
    /// What a success promises.
    Durability {
        /// Bytes and metadata are on stable storage.
        Full = "full",
        /// They will be there soon; a power failure may take the last seconds.
        Relaxed = "relaxed",
    }
    /// What a provider of bytes is.
    ProviderKind {
        /// A directory.
        Local = "local",
        /// Amazon S3, or a server that speaks its protocol.
        S3 = "s3",
        /// Azure Blob Storage.
        Azure = "azure",
        /// Google Cloud Storage.
        Gcs = "gcs",
    }
    /// Who creates buckets.
    BucketCreation {
        /// Any authenticated user, who then owns the bucket.
        Authenticated = "authenticated",
        /// The service role alone.
        Service = "service",
    }
    /// What is done about a write that does not fit into a quota.
    Enforcement {
        /// It is refused.
        Enforce = "enforce",
        /// It is let in; the log and an event say so.
        Warn = "warn",
        /// Nothing.
        Off = "off",
    }
    /// What is written to the audit log.
    AuditedOperations {
        /// What was changed.
        Changes = "changes",
        /// Reads, lists and refusals as well.
        All = "all",
    }
    /// What becomes of changes while the audit log can't be written.
    AuditFailure {
        /// They are refused.
        Refuse = "refuse",
        /// They go on without a line.
        Continue = "continue",
    }
    /// Who reads `/metrics`.
    MetricsAccess {
        /// Callers from this machine, and the service role from anywhere.
        Loopback = "loopback",
        /// The service role.
        Service = "service",
        /// Anyone.
        Anyone = "anyone",
    }
}
