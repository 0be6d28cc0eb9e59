//! Why a caller's token was refused.

/// A token that is not accepted. Always 401; a request that carries one is never treated as anonymous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token is malformed, expired, not signed by a key of ours, or says what no token may say.
    #[error("{reason}")]
    InvalidToken {
        /// What is wrong, safe to show: it never tells keys or contents.
        reason: &'static str,
    },
    /// The token is good, and its `sub` is no user of ours.
    #[error("User ID not valid")]
    UserNotFound,
}

impl AuthError {
    pub(super) const fn invalid(reason: &'static str) -> Self {
        Self::InvalidToken { reason }
    }

    /// The stable code of SPEC 6's table, which applications compare.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidToken { .. } => "INVALID_TOKEN",
            Self::UserNotFound => "USER_NOT_FOUND",
        }
    }
}

impl From<jsonwebtoken::errors::Error> for AuthError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        use jsonwebtoken::errors::ErrorKind as K;
        Self::invalid(match error.kind() {
            K::ExpiredSignature => "the token has expired",
            K::ImmatureSignature => "the token is not valid yet",
            K::InvalidSignature => "the token's signature does not fit",
            K::InvalidAlgorithm | K::UnsupportedAlgorithm => "the token's algorithm is not accepted",
            K::InvalidAudience => "the token is for another audience",
            K::InvalidIssuer => "the token is from another issuer",
            K::MissingRequiredClaim(claim) if claim == "exp" => "the token has no valid expiry (exp)",
            K::MissingRequiredClaim(claim) if claim == "aud" => "the token names no audience (aud)",
            K::MissingRequiredClaim(claim) if claim == "iss" => "the token names no issuer (iss)",
            K::InvalidClaimFormat(_) => "a claim of the token has the wrong form",
            // Among the rest are all ways of being no JWT. The list is not ours and may grow.
            _ => "the token is malformed",
        })
    }
}
