//! What signs a webhook's messages, by the scheme of Standard Webhooks.

use std::fmt;

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::credentials::CredentialSecret;
use crate::errors::StorageError;

/// What the text of a secret starts with.
const PREFIX: &str = "whsec_";

/// Random bytes of a secret; the scheme has 24 to 64.
const BYTES: usize = 32;

/// A secret that signs: wiped when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(CredentialSecret);

impl WebhookSecret {
    pub(crate) fn new(text: CredentialSecret) -> Self {
        Self(text)
    }

    /// A new one: `whsec_` and 32 random bytes as Base64.
    pub(crate) fn generate() -> Result<Self, StorageError> {
        let mut bytes = Zeroizing::new([0_u8; BYTES]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| StorageError::internal("the system gives no random numbers"))?;
        let encoded = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
        Ok(Self(CredentialSecret::new(format!("{PREFIX}{}", encoded.as_str()))))
    }

    /// The text itself, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(crate) fn text(&self) -> &CredentialSecret {
        &self.0
    }

    /// One signature: `v1,` and the HMAC-SHA-256 of id, seconds and body, with full stops between.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let text = self.expose().strip_prefix(PREFIX).unwrap_or_default();
        let bytes = Zeroizing::new(STANDARD.decode(text).unwrap_or_default());
        let mut signer = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        signer.update(format!("{id}.{seconds}.").as_bytes());
        signer.update(body);
        format!("v1,{}", STANDARD.encode(signer.sign()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the scheme's own documents and libraries.
    #[test]
    fn the_schemes_own_example_is_signed_alike() {
        let secret = WebhookSecret::new(CredentialSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_one_has_the_schemes_form() {
        let (one, two) = (WebhookSecret::generate().unwrap(), WebhookSecret::generate().unwrap());
        assert_ne!(one, two);
        let bytes = STANDARD.decode(one.expose().strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(bytes.len(), 32);
    }
}
