//! From an answer to what is wrong with the way to it: which errors are about the signature, and what lies behind each.

use super::answer::Answer;
use super::difference::{Difference, between};
use super::endpoint::Endpoint;
use super::finding::Finding;
use super::request::Signed;
use crate::failure::{DENIED, UNREACHABLE};

/// Headers without which a request has no signature, and whose lack the server tells by name.
const NEEDED: [&str; 2] = ["x-amz-date", "x-amz-content-sha256"];

/// Whether a signed request arrived as it was signed. Whether it was then allowed, and found what it asked for, is not
/// looked at.
///
/// # Errors
/// What is wrong.
pub(super) fn arrived(signed: &Signed, answer: &Answer, endpoint: &Endpoint) -> Result<(), Finding> {
    if answer.is_of_a_gateway() {
        return Err(not_s3(answer));
    }
    let code = answer.code();
    let message = answer.element("Message").unwrap_or_default();
    match code.as_str() {
        "SignatureDoesNotMatch" => Err(mismatch(signed, answer, endpoint)),
        "InvalidAccessKeyId" => Err(Finding::of_the_key("the server does not know this access key id", DENIED)
            .advice("`aerostore keys` shows the first key, `aerostore credential list` the others; a disabled one is not known.")),
        "ExpiredToken" | "InvalidToken" => {
            Err(Finding::of_the_key(format!("the session token is not accepted: {message}"), DENIED))
        }
        "RequestTimeTooSkewed" => {
            let time = answer.element("ServerTime").unwrap_or_default();
            Err(Finding::of_the_key(format!("the clocks differ too much: the server's says {time}"), DENIED)
                .advice("Set the clock that is wrong; s3.clock_skew is how far they may differ."))
        }
        "AuthorizationHeaderMalformed" if answer.element("Region").is_some() => {
            let region = answer.element("Region").unwrap_or_default();
            Err(Finding::of_the_key(format!("the region is wrong: the server's is {region}"), DENIED)
                .advice(format!("Say --region {region}.")))
        }
        "" if !(200..300).contains(&answer.status) && !answer.body.is_empty() => Err(not_s3(answer)),
        _ => told_by_words(signed, answer, endpoint, &message),
    }
}

/// The signature does not fit: something was changed, or the secret is another one.
fn mismatch(signed: &Signed, answer: &Answer, endpoint: &Endpoint) -> Finding {
    let seen = answer.element("CanonicalRequest");
    let differences = seen.as_deref().and_then(|seen| between(&signed.canonical, seen, endpoint));
    match differences {
        None => Finding::failed("the signature does not fit, and the server does not say what it verified"),
        Some(differences) if !differences.is_empty() => Finding::changed(differences),
        Some(_) if answer.element("StringToSign").is_some_and(|text| text != signed.to_sign) => {
            Finding::failed("the time or the scope of the signature was changed on the way")
        }
        Some(_) => Finding::of_the_key("the secret access key is not that of this access key id", DENIED).advice(
            "All that was signed arrived as it was. With a session token, the secret is the anon key; else the one that was \
             shown when the key was made.",
        ),
    }
}

/// What the server says by a message that names a header.
fn told_by_words(
    signed: &Signed,
    answer: &Answer,
    endpoint: &Endpoint,
    message: &str,
) -> Result<(), Finding> {
    if answer.status < 400 {
        return Ok(());
    }
    if let Some(name) = answer.element("HeadersNotSigned") {
        let mut added = Difference::of_header(&name, "", "something", endpoint);
        added.advice = format!("The proxy adds the header {name}. It must not: S3 would act by it.");
        return Err(Finding::changed(vec![added]));
    }
    let sent = |name: &str| {
        let lines = signed.request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let unsigned = signed.request.unsigned.iter().map(|(name, value)| (*name, value.as_str()));
        lines.chain(unsigned).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    if let Some(name) = NEEDED.into_iter().find(|name| message.contains("needs") && message.contains(name)) {
        let lost = Difference::of_header(name, &sent(name).unwrap_or_default(), "", endpoint);
        return Err(Finding::changed(vec![lost]));
    }
    let is_about_authorization = message.contains("authorization mechanism is not supported")
        || message.contains("Only one way to show a signature");
    if is_about_authorization {
        let mut other = Difference::of_header("authorization", "AWS4-HMAC-SHA256 …", "another one", endpoint);
        other.advice =
            "The proxy sends an Authorization of its own. It must pass the client's, and add none."
                .to_owned();
        return Err(Finding::changed(vec![other]));
    }
    match message.strip_prefix("The header ").and_then(|rest| rest.strip_suffix(" is sent twice")) {
        Some(name) => {
            let value = sent(name).unwrap_or_default();
            let mut twice = Difference::of_header(name, &value, "sent twice", endpoint);
            twice.advice =
                format!("The proxy adds the header {name} once more. It must set it, or leave it as it is.");
            Err(Finding::changed(vec![twice]))
        }
        None => Ok(()),
    }
}

/// The answer is none of S3's.
pub(super) fn not_s3(answer: &Answer) -> Finding {
    let said = answer.described();
    match answer.status {
        502..=504 => Finding::failed(format!("a proxy answers, and does not reach the server ({said})"))
            .exit_code(UNREACHABLE),
        401 | 407 => Finding::failed(format!("a proxy asks for a login of its own ({said})"))
            .exit_code(DENIED)
            .advice("S3's clients authenticate by their signatures alone: let the proxy ask for nothing."),
        413 => Finding::failed(format!("a proxy refuses the body as too large ({said})"))
            .advice("Raise its limit (nginx: client_max_body_size 0)."),
        417 => Finding::failed(format!("a proxy does not take Expect: 100-continue ({said})")),
        _ => Finding::failed(format!("what answers is not S3 ({said})")),
    }
}

/// Nothing was known of who asks, though it was sent.
pub(super) fn unsigned(endpoint: &Endpoint) -> Finding {
    let mut lost = Difference::of_header("authorization", "AWS4-HMAC-SHA256 …", "", endpoint);
    lost.advice = "The proxy drops the header authorization, which it must pass as it came.".to_owned();
    Finding::changed(vec![lost])
}
