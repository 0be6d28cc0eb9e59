use chrono::{TimeDelta, Utc};
use proptest::prelude::*;

use super::*;

fn keys() -> SigningKeys {
    SigningKeys::new(
        b"the current secret, of 32 bytes or more",
        [&b"an earlier secret, just as long as it"[..]],
    )
}

fn target(bucket: &str, path: &str) -> (BucketName, ObjectPath) {
    (BucketName::parse(bucket).unwrap(), ObjectPath::parse(path).unwrap())
}

fn in_an_hour() -> Timestamp {
    Timestamp::from_timestamp(Utc::now().timestamp() + 3600, 0).unwrap()
}

#[test]
fn a_token_opens_its_object_until_it_expires() {
    let (bucket, path) = target("docs", "a/b.txt");
    let (now, exp) = (Utc::now(), in_an_hour());
    let token = sign_download(&keys(), &bucket, &path, exp, false);
    let signed = verify_download(&keys(), &token, &bucket, &path, Some(exp.timestamp()), now).unwrap();
    assert_eq!((signed.bucket(), signed.path(), signed.expires_at()), (&bucket, &path, exp));
    assert_eq!(signed.nonce(), None);
    let late = verify_download(&keys(), &token, &bucket, &path, None, exp);
    assert!(matches!(late, Err(StorageError::UrlExpired)));
    let just_before = exp - TimeDelta::milliseconds(1);
    assert!(verify_download(&keys(), &token, &bucket, &path, None, just_before).is_ok());
}

#[test]
fn fs_s2_a_token_opens_nothing_else() {
    let (bucket, path) = target("docs", "a/b.txt");
    let exp = in_an_hour();
    let download = sign_download(&keys(), &bucket, &path, exp, false);
    let upload = sign_upload(&keys(), &bucket, &path, None, true, exp, false);
    let refused = |token: &str, bucket: &str, path: &str, expires| {
        let (bucket, path) = target(bucket, path);
        let outcome = verify_download(&keys(), token, &bucket, &path, expires, Utc::now());
        assert!(matches!(outcome, Err(StorageError::InvalidSignature { .. })), "{token} {bucket}/{path}");
    };
    refused(&download, "docs", "a/c.txt", None);
    refused(&download, "docs2", "a/b.txt", None);
    refused(&download, "docs", "a/b.txt", Some(exp.timestamp() + 1));
    refused(&upload, "docs", "a/b.txt", None);
    let as_upload = verify_upload(&keys(), &download, &bucket, &path, Utc::now());
    assert!(matches!(as_upload, Err(StorageError::InvalidSignature { .. })));
}

#[test]
fn previous_secrets_verify_and_forgotten_ones_do_not() {
    let (bucket, path) = target("docs", "a");
    let earlier = SigningKeys::new(b"an earlier secret, just as long as it", []);
    let token = sign_download(&earlier, &bucket, &path, in_an_hour(), false);
    assert!(verify_download(&keys(), &token, &bucket, &path, None, Utc::now()).is_ok());
    let token = sign_download(&keys(), &bucket, &path, in_an_hour(), false);
    let outcome = verify_download(&earlier, &token, &bucket, &path, None, Utc::now());
    assert!(matches!(outcome, Err(StorageError::InvalidSignature { .. })));
}

#[test]
fn an_algorithm_that_the_token_asks_for_is_not_followed() {
    let (bucket, path) = target("docs", "a");
    let token = sign_download(&keys(), &bucket, &path, in_an_hour(), false);
    let claims = token.split('.').nth(1).unwrap();
    use base64::Engine;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = base64.encode(format!(r#"{{"alg":"none","typ":"JWT","kid":"{}"}}"#, keys().current().id()));
    for forged in [format!("{header}.{claims}."), format!("{header}.{claims}"), "..".into(), String::new()] {
        let outcome = verify_download(&keys(), &forged, &bucket, &path, None, Utc::now());
        assert!(matches!(outcome, Err(StorageError::InvalidSignature { .. })), "{forged:?}");
    }
}

#[test]
fn a_single_use_token_carries_a_nonce_of_its_own() {
    let (bucket, path) = target("docs", "a");
    let nonce = || {
        let token = sign_upload(&keys(), &bucket, &path, Some(Uuid::nil()), true, in_an_hour(), true);
        let signed = verify_upload(&keys(), &token, &bucket, &path, Utc::now()).unwrap();
        assert_eq!((signed.owner(), signed.upsert()), (Some(Uuid::nil()), true));
        signed.nonce().unwrap()
    };
    assert_ne!(nonce(), nonce());
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", keys());
    assert!(!shown.contains("secret") && shown.contains("SigningKey"), "{shown}");
}

proptest! {
    #[test]
    fn fs_s2_any_change_to_a_token_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9._-]") {
        let (bucket, path) = target("docs", "a/b.txt");
        let token = sign_download(&keys(), &bucket, &path, in_an_hour(), false);
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        let outcome = verify_download(&keys(), &changed, &bucket, &path, None, Utc::now());
        let refused = matches!(outcome, Err(StorageError::InvalidSignature { .. }));
        prop_assert!(refused);
    }
}
