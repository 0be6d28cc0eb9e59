//! Secrets that others know.

use super::Finding;
use crate::config::Config;
use crate::secrets::Secret;

/// Secrets that documents and examples show: whoever has read those can make tokens.
const KNOWN: [&str; 4] = [
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "your-256-bit-secret-your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
];

/// Fewer different characters than that were not made by chance.
const LEAST_VARIETY: usize = 10;

/// Those of the configuration that are known, or easily guessed.
pub(super) fn weak(config: &Config) -> Vec<Finding> {
    let (auth, signing) = (&config.auth, &config.signing);
    let of = |key: &'static str, current: &Option<Secret>, previous: &[Secret]| {
        let all = current.iter().chain(previous).any(is_weak);
        all.then(|| {
            Finding::error(
                "secrets",
                format!("{key} is one that examples show, or that is easily guessed"),
                "whoever guesses it may do everything: replace it (`openssl rand -base64 48`), and take it off the previous ones too",
            )
        })
    };
    let found = [
        of("auth.jwt_secret", &auth.jwt_secret, &auth.previous_jwt_secrets),
        of("signing.secret", &signing.secret, &signing.previous_secrets),
    ];
    found.into_iter().flatten().collect()
}

fn is_weak(secret: &Secret) -> bool {
    let text = secret.expose().to_lowercase();
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    KNOWN.contains(&text.as_str())
        || letters.len() < LEAST_VARIETY
        || ["changeme", "change-me", "change_me"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_everybody_knows_are_weak() {
        let check = |secret: &str, weak: bool| {
            assert_eq!(is_weak(&Secret::new(secret)), weak, "{secret}");
        };
        check(KNOWN[0], true);
        check("abababababababababababababababababababababab", true);
        check("please-change-me-before-you-serve-anything", true);
        check("Zk3vT0q9bXw1LmR7yUc5aPd8eHs2fJg4", false);
    }
}
