//! Checks that write nothing, and need no bucket: a signature is verified before anything else is looked at.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::answer::Answer;
use super::endpoint::S3_PATH;
use super::finding::Finding;
use super::judge::{self, not_s3};
use super::prober::Prober;
use super::request::{Request, encode};

/// How far a clock is off before it is worth a word, in seconds; and before signatures are refused.
const NOTED: i64 = 60;
const REFUSED: i64 = 15 * 60;

/// Whether S3 answers at all.
pub(super) async fn reach(prober: &Prober) -> Result<Answer, Finding> {
    let answer = prober.send(&prober.endpoint, &Request::new("GET", "/")).await?;
    if answer.is_of_s3() {
        return Ok(answer);
    }
    if (300..400).contains(&answer.status) {
        let place = answer.header("location");
        return Err(Finding::failed(format!("a redirect to {place} answers ({})", answer.described()))
            .advice("S3's clients do not sign for another URL: point them at the one behind the redirect."));
    }
    let found = not_s3(&answer);
    let url = prober.endpoint.public_url();
    let is_json = answer.header("content-type").starts_with("application/json");
    Err(if is_json || answer.status == 404 {
        found.advice(format!("Where the server's other routes are, S3 is at {url}{S3_PATH}."))
    } else {
        found
    })
}

/// Whether both clocks say the same.
pub(super) fn clock(answer: &Answer) -> Result<String, Finding> {
    let date = DateTime::parse_from_rfc2822(answer.header("date"));
    let Ok(date) = date else { return Err(Finding::warning("the answer has no Date to compare clocks by")) };
    let ahead = (date.to_utc() - Utc::now()).num_seconds();
    let told =
        format!("the server's clock is {} s {}", ahead.abs(), if ahead < 0 { "behind" } else { "ahead" });
    match ahead.abs() {
        0..=2 => Ok("both clocks agree".to_owned()),
        3..=NOTED => Ok(told),
        off if off <= REFUSED => {
            Err(Finding::warning(told).advice("Have both clocks set by the same time service."))
        }
        _ => Err(Finding::failed(told)
            .advice("Signatures are refused beyond 15 minutes (s3.clock_skew): set the clock.")),
    }
}

/// Whether a request is accepted that is signed in its header, as SDKs do.
pub(super) async fn signature(prober: &Prober) -> Result<String, Finding> {
    let answer = prober.ask(Request::new("GET", "/")).await?;
    lists(prober, &answer).map(|()| "a request signed in its header is accepted".to_owned())
}

/// The same of a signed URL.
pub(super) async fn presigned(prober: &Prober) -> Result<String, Finding> {
    let signed = prober.signer.by_query(&prober.endpoint, Request::new("GET", "/"));
    let answer = prober.send_signed(&signed).await?;
    lists(prober, &answer).map(|()| "a signed URL is accepted".to_owned())
}

/// Whether headers pass that clients sign, or that S3 acts by.
pub(super) async fn headers(prober: &Prober) -> Result<String, Finding> {
    let request = Request::new("GET", "/")
        .header("accept", "*/*")
        .header("accept-encoding", "identity")
        .header("amz-sdk-invocation-id", Uuid::now_v7().to_string())
        .header("amz-sdk-request", "attempt=1; max=3")
        .header("cache-control", "no-cache")
        .header("if-none-match", "\"aerostore-s3-check\"")
        .header("range", "bytes=0-9")
        .header("user-agent", concat!("aerostore/", env!("CARGO_PKG_VERSION")))
        .header("x-amz-meta-aerostore-check", "a value")
        .header("x-amz-meta-under_score", "a value");
    let answer = prober.ask(request).await?;
    lists(prober, &answer).map(|()| "headers that clients sign pass as they are".to_owned())
}

/// Whether a query passes that needs escaping.
pub(super) async fn query(prober: &Prober) -> Result<String, Finding> {
    let awkward = "a b+c/d~e=f&g%20'(ä)*";
    let answer = prober.ask(Request::new("GET", "/").query("prefix", awkward)).await?;
    lists(prober, &answer).map(|()| "a query with escapes passes as it is".to_owned())
}

/// A path that every proxy is tempted to tidy up, in a bucket that is nowhere.
fn awkward_path() -> String {
    let bucket = format!("aerostore-check-{}", Uuid::now_v7().simple());
    format!("/{bucket}/{}//{}", encode("a b+c%2Fd"), encode("ä'(1)*!&=@,;:"))
}

/// Whether a path passes that needs escaping.
pub(super) async fn path(prober: &Prober) -> Result<String, Finding> {
    prober.ask(Request::new("GET", awkward_path())).await?;
    Ok("a path with escapes and empty segments passes as it is".to_owned())
}

/// Whether HEAD is passed as HEAD: its answers have no body to say what was wrong.
pub(super) async fn head(prober: &Prober) -> Result<String, Finding> {
    let path = format!("/aerostore-check-{}/x", Uuid::now_v7().simple());
    let got = prober.ask(Request::new("GET", path.clone())).await?;
    let head = prober.ask(Request::new("HEAD", path)).await?;
    if got.status == head.status {
        return Ok("HEAD is answered as GET is".to_owned());
    }
    let message = format!("HEAD is answered with {}, and GET with {}", head.status, got.status);
    Err(Finding::failed(message).advice(
        "The proxy makes GET of HEAD, or answers it by itself (nginx: proxy_cache_convert_head off, no proxy_cache).",
    ))
}

/// A list of buckets is given to everybody who is known.
fn lists(prober: &Prober, answer: &Answer) -> Result<(), Finding> {
    match (answer.status, answer.code().as_str()) {
        (200, _) if answer.is_of_s3() => Ok(()),
        (403, "AccessDenied") => Err(judge::unsigned(&prober.endpoint)),
        (_, "") => Err(not_s3(answer)),
        (status, code) => {
            let message = answer.element("Message").unwrap_or_default();
            Err(Finding::failed(format!("the buckets can't be listed: {message} ({status} {code})")))
        }
    }
}
