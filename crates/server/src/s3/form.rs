//! `POST` of a form with a file, as browsers send it: its policy says what was allowed, and is signed. The file is passed
//! on as it comes; nothing of a form is held in memory but its fields.

pub(super) mod policy;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use file_storage::body::ByteStream;
use file_storage::file::PutMode;
use file_storage::{ObjectPath, Operation, RlsContext, StorageError};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use multer::Field;

use super::call::{Call, NewCall};
use super::caller::Signer;
use super::failure::Failure;
use super::object::{Described, VERSION_ID, insert, put, tags_from_set};
use super::payload::{Incoming, check_checksum_words};
use super::signature::key::{Key, Scope};
use super::signature::{Clock, parse_time};
use super::target::Target;
use super::xml::escaped;
use super::{owners, supported};
use crate::app::AppState;
use crate::form_data::{FormData, Limit, is_too_long, until_failed};
use crate::http::LogSlot;
use crate::rest::form_failed;
use policy::Policy;

/// Most bytes of all that stands before the file, as S3 has it; and between fields behind it.
pub(super) const MAX_BEFORE_FILE: usize = 20 * 1024;
/// Most fields.
const MAX_COUNT: usize = 100;

/// Whether a request brings a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("multipart/form-data")
}

/// The fields of a form before its file.
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name)
            .ok_or_else(|| Failure::argument(format!("Bucket POST must contain a field named '{name}'")))
    }

    /// The fields that stand for headers.
    pub(super) fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let stands = matches!(
                name.as_str(),
                "cache-control"
                    | "content-type"
                    | "content-disposition"
                    | "content-encoding"
                    | "expires"
                    | "content-language"
                    | "content-md5"
                    | "acl"
                    | "if-none-match"
                    | "if-match"
            ) || name.starts_with("x-amz-");
            if !stands {
                continue;
            }
            let name = if name == "acl" { "x-amz-acl" } else { name };
            let malformed = |_| Failure::argument("A field is no header's value");
            let name =
                HeaderName::try_from(name).map_err(|_| Failure::argument("A field's name is malformed"))?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(malformed)?;
            if headers.insert(name, value).is_some() {
                return Err(Failure::argument("The fields acl and x-amz-acl are the same"));
            }
        }
        Ok(headers)
    }
}

/// Refuses headers of the request that ask for something of the object or restrict the upload: that is for fields, which the
/// policy is about.
fn check_headers(headers: &HeaderMap) -> Result<(), Failure> {
    let asks = |name: &str| {
        matches!(name, "if-match" | "if-none-match" | "if-unmodified-since" | "content-md5")
            || name.starts_with("x-amz-") && name != "x-amz-user-agent"
    };
    match headers.keys().map(HeaderName::as_str).find(|name| asks(name)) {
        None => Ok(()),
        Some(name) => {
            Err(Failure::not_implemented(format!("The header {name} beside a form, whose field it may be,")))
        }
    }
}

/// Takes a form in.
pub(super) async fn post(
    app: &AppState,
    parts: &Parts,
    body: Body,
    target: &Target,
    log: &LogSlot,
    id: Arc<str>,
) -> Result<Response, Failure> {
    log.update(|log| log.operation = Operation::Upload(&PutMode::Upsert).name());
    check_headers(&parts.headers)?;
    let bucket = target.bucket().ok_or_else(|| Failure::invalid("The request names no bucket"))?.clone();
    let malformed = || Failure::bad_request("MalformedPOSTRequest", "The form has no boundary");
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok()).ok_or_else(malformed)?;
    let mut form = FormData::new(body, boundary, Limit::All(MAX_BEFORE_FILE));
    let (fields, file) = fields_before_file(&mut form).await?;

    let clock = Clock { now: chrono::Utc::now(), skew: app.config.s3.clock_skew };
    let (context, policy) = authenticate(app, &fields, clock, &id, parts).await?;
    let context = context.coming_from(super::service::client(app, parts));
    log.update(|log| log.user_id = context.user_id());
    let name = file.file_name().unwrap_or_default().to_owned();
    let key = fields.need("key")?.replace("${filename}", &name);
    let path = ObjectPath::parse(&key)?;
    log.update(|log| log.path = Some(path.to_string()));
    let mut limits = None;
    if let Some(policy) = &policy {
        limits = policy.check(clock.now, bucket.as_str(), &key, &fields.0)?;
    }
    let mut headers = fields.headers()?;
    supported::check(&Method::POST, target, &[], &headers)?;
    check_checksum_words(&headers)?;
    if let Some(tagging) = fields.get("tagging") {
        let tags = policy::tags(tagging)?;
        let text = tags_from_set(tags, 10)?;
        let pairs: Vec<_> = text.iter().map(|(key, value)| policy::pair(key, value)).collect();
        if let Ok(value) = HeaderValue::try_from(pairs.join("&")) {
            headers.insert("x-amz-tagging", value);
        }
    }
    let attributes = Described::of(&headers)?.into_attributes();
    let call = Call::new(NewCall {
        app: app.clone(),
        context,
        log: log.clone(),
        target: Target::Object(bucket.clone(), path.clone()),
        method: Method::POST,
        headers: headers.clone(),
        query: Vec::new(),
        region: policy.is_some().then(String::new),
    });
    owners::check(&call).await?;
    let mode = put::condition(&call)?;
    let incoming = Incoming::bare(bounded(bytes_of(form, file), limits));
    let incoming = incoming.with_digests(&headers)?;
    let written = put::take_in(&call, (&bucket, &path), mode, attributes, incoming).await?;
    let mut response = answer(&fields, bucket.as_str(), &key, &written.object.etag)?;
    if let Some(version) = call.told_version(&written.object) {
        insert(response.headers_mut(), VERSION_ID, version);
    }
    Ok(response)
}

/// Reads a form up to its file.
pub(super) async fn fields_before_file(form: &mut FormData) -> Result<(Fields, Field<'static>), Failure> {
    let mut fields: Vec<(String, String)> = Vec::new();
    loop {
        let Some(mut field) = form.next().await.map_err(failed)? else {
            return Err(Failure::argument("POST requires exactly one file upload per request"));
        };
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            form.file();
            return Ok((Fields(fields), field));
        }
        // A policy would be held against one of them, and the other be done.
        if fields.iter().any(|(known, _)| *known == name) {
            return Err(Failure::argument(format!("The field '{name}' is given twice")));
        }
        if fields.len() >= MAX_COUNT {
            return Err(too_much());
        }
        let mut text = Vec::new();
        while let Some(chunk) = form.chunk(&mut field).await.map_err(failed)? {
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).map_err(|_| Failure::argument("Fields must be UTF-8"))?;
        fields.push((name, text));
    }
}

fn too_much() -> Failure {
    let message = "Your POST request fields preceding the upload file were too large";
    Failure::bad_request("MaxPostPreDataLengthExceeded", message)
}

/// A form that can't be read up to its file.
fn failed(error: multer::Error) -> Failure {
    if is_too_long(&error) { too_much() } else { form_failed(error).into() }
}

/// Who sends the form, and what was allowed; without a policy, anybody.
async fn authenticate(
    app: &AppState,
    fields: &Fields,
    clock: Clock,
    id: &Arc<str>,
    parts: &Parts,
) -> Result<(RlsContext, Option<Policy>), Failure> {
    let client = super::service::client(app, parts);
    let Some(text) = fields.get("policy") else {
        if fields.get("x-amz-signature").is_some() || fields.get("signature").is_some() {
            return Err(Failure::argument("A signed form needs a policy"));
        }
        app.rate_limits.public.check(client)?;
        return Ok((RlsContext::anon(id.clone()), None));
    };
    let context = match fields.get("signature") {
        Some(signature) => by_version_2(app, fields, (text, signature), id, client).await?,
        None => by_version_4(app, fields, (text, clock), id, client).await?,
    };
    let json = STANDARD.decode(text).map_err(|_| policy::invalid("the policy is not base64"))?;
    Ok((context, Some(Policy::parse(&json)?)))
}

/// The older signature of a policy, which many pages still have. It covers the policy and so, as the newer one, all that
/// counts; of requests, whose older signature leaves parameters out, it is not taken.
async fn by_version_2(
    app: &AppState,
    fields: &Fields,
    (policy, signature): (&str, &str),
    id: &Arc<str>,
    client: IpAddr,
) -> Result<RlsContext, Failure> {
    let access_key_id = fields.need("awsaccesskeyid")?.to_owned();
    let scope = Scope { access_key_id, date: String::new(), region: String::new() };
    let signer = Signer::find(app, &scope, fields.get("x-amz-security-token"), client).await?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, signer.secret.expose().as_bytes());
    let signature = STANDARD.decode(signature).unwrap_or_default();
    if hmac::verify(&key, policy.as_bytes(), &signature).is_err() {
        app.rate_limits.refused.check(client)?;
        return Err(does_not_fit(scope.access_key_id, policy));
    }
    signer.into_context(app, id.clone()).await
}

fn does_not_fit(access_key_id: String, policy: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "The signature does not fit the policy")
        .detail("AWSAccessKeyId", access_key_id)
        .detail("StringToSign", policy)
}

async fn by_version_4(
    app: &AppState,
    fields: &Fields,
    (policy, clock): (&str, Clock),
    id: &Arc<str>,
    client: IpAddr,
) -> Result<RlsContext, Failure> {
    if fields.need("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Failure::argument("x-amz-algorithm must be AWS4-HMAC-SHA256"));
    }
    let scope = Scope::parse(fields.need("x-amz-credential")?)?;
    let date = fields.need("x-amz-date")?;
    let signed_at = parse_time(date).ok_or_else(|| Failure::argument("x-amz-date is malformed"))?;
    if !date.starts_with(&scope.date) || signed_at > clock.now + clock.skew {
        return Err(Failure::denied("The credential is for another date than the form"));
    }
    let signer = Signer::find(app, &scope, fields.get("x-amz-security-token"), client).await?;
    if !Key::new(&signer.secret, &scope).verifies(policy, fields.need("x-amz-signature")?) {
        app.rate_limits.refused.check(client)?;
        return Err(does_not_fit(scope.access_key_id, policy));
    }
    signer.into_context(app, id.clone()).await
}

/// The file's bytes, which end well only where the form does.
pub(super) fn bytes_of(form: FormData, file: Field<'static>) -> ByteStream {
    let bytes = file.map_err(form_failed);
    let end = stream::once(async move {
        let mut form = form;
        // S3 does not look at what follows the file; that it ends, it must.
        while let Some(mut field) = form.next().await.map_err(form_failed)? {
            while field.chunk().await.map_err(form_failed)?.is_some() {}
        }
        Ok::<(), StorageError>(())
    });
    until_failed(bytes.chain(end.filter_map(|end| async move { end.err().map(Err::<Bytes, _>) })))
}

/// Fails a file that is shorter or longer than its policy allows.
pub(super) fn bounded(bytes: ByteStream, limits: Option<(u64, u64)>) -> ByteStream {
    let Some((least, most)) = limits else { return bytes };
    let mut seen = 0_u64;
    let passed = bytes.map(Some).chain(stream::iter([None]));
    passed
        .filter_map(move |chunk| {
            let outcome = match chunk {
                Some(Ok(chunk)) => {
                    seen = seen.saturating_add(chunk.len() as u64);
                    let fits = seen <= most;
                    Some(if fits { Ok(chunk) } else { Err(StorageError::PayloadTooLarge { limit: most }) })
                }
                Some(Err(error)) => Some(Err(error)),
                None if seen < least => {
                    Some(Err(StorageError::InvalidRequest { message: format!("{TOO_SMALL} {least} bytes") }))
                }
                None => None,
            };
            async move { outcome }
        })
        .boxed()
}

/// How the message of a file begins that is too short: S3 has a code of its own for it.
pub(super) const TOO_SMALL: &str = "Your proposed upload is smaller than the minimum allowed size of";

/// What the form asks to be answered.
fn answer(fields: &Fields, bucket: &str, key: &str, etag: &str) -> Result<Response, Failure> {
    let tag = HeaderValue::try_from(format!("\"{etag}\"")).ok();
    let mut response = Response::new(Body::empty());
    if let Some(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    let redirect = fields.get("success_action_redirect").or(fields.get("redirect"));
    if let Some(url) = redirect.filter(|url| is_web(url)) {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let glue = if url.contains('?') { '&' } else { '?' };
        let etag = encode(&format!("\"{etag}\""));
        let url = format!("{url}{glue}bucket={}&key={}&etag={etag}", encode(bucket), encode(key));
        if let Ok(place) = HeaderValue::try_from(url) {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, place);
            return Ok(response);
        }
    }
    *response.status_mut() = match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => StatusCode::CREATED,
        _ => StatusCode::NO_CONTENT,
    };
    if response.status() == StatusCode::CREATED {
        let location = format!("/{bucket}/{key}");
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location><Bucket>{}</Bucket>\
             <Key>{}</Key><ETag>&quot;{etag}&quot;</ETag></PostResponse>",
            escaped(&location),
            escaped(bucket),
            escaped(key)
        );
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        *response.body_mut() = Body::from(xml);
    }
    Ok(response)
}

/// Only the web is redirected to: no script.
fn is_web(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
