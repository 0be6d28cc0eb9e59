//! Checks that write one object, under a name that nobody has, and delete it again.

use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName};
use uuid::Uuid;

use super::answer::Answer;
use super::finding::Finding;
use super::prober::Prober;
use super::report::Report;
use super::request::{Request, Signed, encode};
use crate::failure::{DENIED, FAILED, Failure, NOT_FOUND};

/// What is written: 8 KiB that a proxy would like to compress.
const SIZE: usize = 8 * 1024;
const META: HeaderName = HeaderName::from_static("x-amz-meta-aerostore-check");

fn content() -> Vec<u8> {
    b"aerostore s3 check\n".iter().copied().cycle().take(SIZE).collect()
}

/// One object, and what was written there.
struct Writer<'a> {
    prober: &'a Prober,
    bucket: &'a str,
    path: String,
    content: Vec<u8>,
    /// Versions that were made, where the bucket keeps them.
    versions: Vec<String>,
    may_be_there: bool,
}

/// Runs all of them; whatever happens, the object is deleted in the end.
///
/// # Errors
/// Ctrl-C, after the object was deleted.
pub(super) async fn run(prober: &Prober, bucket: &str, report: &mut Report) -> Result<(), Failure> {
    let found = bucket_is_there(prober, bucket).await;
    let is_there = found.is_ok();
    report.add("bucket", found);
    if !is_there {
        return Ok(());
    }
    let path = format!("/{}/aerostore-s3-check-{}", encode(bucket), Uuid::now_v7().simple());
    let mut writer =
        Writer { prober, bucket, path, content: content(), versions: Vec::new(), may_be_there: false };
    let interrupted = tokio::select! {
        () = writer.all(report) => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    if writer.may_be_there {
        let gone = writer.delete().await;
        report.add("delete", gone);
    }
    if interrupted { Err(Failure::Interrupted) } else { Ok(()) }
}

async fn bucket_is_there(prober: &Prober, bucket: &str) -> Result<String, Finding> {
    let path = format!("/{}", encode(bucket));
    let answer = prober.ask(Request::new("GET", path).query("location", "")).await?;
    if answer.status == 200 {
        let region = answer.element("LocationConstraint").filter(|region| !region.is_empty());
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        return Ok(format!("{bucket} is there; the server calls its region {region}, and takes any"));
    }
    Err(refused(&answer, &format!("the bucket {bucket} can't be used")))
}

/// An error of S3's that is no fault of the way.
fn refused(answer: &Answer, what: &str) -> Finding {
    let code = answer.code();
    let message = answer.element("Message").unwrap_or_default();
    let exit_code = match answer.status {
        404 => NOT_FOUND,
        401 | 403 => DENIED,
        _ => FAILED,
    };
    let found = Finding::failed(format!("{what}: {message} ({} {code})", answer.status)).exit_code(exit_code);
    if code == "MissingContentLength" {
        return found.advice(
            "The proxy sends bodies on without their length (Transfer-Encoding: chunked). Have it send Content-Length (nginx: \
             proxy_request_buffering on).",
        );
    }
    found
}

impl Writer<'_> {
    async fn all(&mut self, report: &mut Report) {
        let etag = self.put().await;
        let is_written = etag.is_ok();
        let tag = etag.clone().unwrap_or_default();
        report.add("put", etag.map(|_| "an upload arrives, Expect: 100-continue and all".to_owned()));
        if is_written {
            report.add("get", self.get(&tag).await);
            report.add("range", self.range().await);
            report.add("presigned get", self.presigned().await);
        }
        let chunks = self.chunks();
        report.add("chunks", self.chunked(&chunks, "signed chunks arrive").await);
        let trailer = self.prober.signer.with_trailer(&self.prober.endpoint, self.upload(), &self.content);
        report.add("trailer", self.chunked(&trailer, "chunks with a trailer arrive").await);
        match self.virtual_host().await {
            Ok(Some(said)) => report.add("virtual host", Ok(said)),
            Ok(None) => report.skip("virtual host", "the host has no names below it: path style is the one"),
            Err(found) => report.add("virtual host", Err(found)),
        }
    }

    fn upload(&self) -> Request {
        Request::new("PUT", self.path.clone())
            .header("content-type", "text/plain")
            .header(META.as_str(), "a value")
    }

    fn note(&mut self, answer: &Answer) {
        let version = answer.header("x-amz-version-id");
        if !version.is_empty() {
            self.versions.push(version.to_owned());
        }
    }

    /// Sends what writes the object.
    async fn write(&mut self, signed: &Signed) -> Result<Answer, Finding> {
        self.may_be_there = true;
        let answer = self.prober.send_signed(signed).await?;
        self.note(&answer);
        if answer.status != 200 {
            return Err(refused(&answer, "the upload is refused"));
        }
        Ok(answer)
    }

    async fn put(&mut self) -> Result<String, Finding> {
        let request = self
            .upload()
            .header("content-length", self.content.len().to_string())
            .unsigned("expect", "100-continue")
            .body(self.content.clone());
        let signed = self.prober.signer.by_header(&self.prober.endpoint, request);
        let answer = self.write(&signed).await?;
        let etag = answer.header("etag").to_owned();
        if etag.is_empty() { Err(Finding::of_answer(&ETAG, "an entity tag", "")) } else { Ok(etag) }
    }

    fn chunks(&self) -> Signed {
        let pieces: Vec<_> = self.content.chunks(SIZE / 2).collect();
        self.prober.signer.in_chunks(&self.prober.endpoint, self.upload(), &pieces)
    }

    /// An upload in chunks, read back.
    async fn chunked(&mut self, signed: &Signed, well: &str) -> Result<String, Finding> {
        self.write(signed).await?;
        let answer = self.prober.ask(Request::new("GET", self.path.clone())).await?;
        self.is_content(&answer)?;
        let kept = answer.header("content-encoding");
        if kept.is_empty() {
            Ok(well.to_owned())
        } else {
            Err(Finding::of_answer(&CONTENT_ENCODING, "none", kept))
        }
    }

    fn is_content(&self, answer: &Answer) -> Result<(), Finding> {
        if answer.status != 200 {
            return Err(refused(answer, "the object can't be read"));
        }
        if answer.body == self.content {
            return Ok(());
        }
        let message = format!("{} other bytes come back than were written", answer.body.len());
        Err(Finding::failed(message).advice("The proxy changes bodies. Have it pass S3's as they are."))
    }

    /// Reads as a browser does, which would like it compressed.
    async fn get(&self, etag: &str) -> Result<String, Finding> {
        let request = Request::new("GET", self.path.clone()).unsigned("accept-encoding", "gzip, br");
        let answer = self.prober.ask(request).await?;
        let encoding = answer.header("content-encoding");
        if !encoding.is_empty() {
            return Err(Finding::failed(format!("the proxy compresses answers ({encoding})")).advice(
                "Clients compare lengths, checksums and entity tags of what was written: compress nothing for S3 (nginx: gzip off).",
            ));
        }
        self.is_content(&answer)?;
        let length = self.content.len().to_string();
        let wanted = [
            (CONTENT_LENGTH, length.as_str()),
            (ETAG, etag),
            (CONTENT_TYPE, "text/plain"),
            (META, "a value"),
        ];
        for (name, value) in &wanted {
            let came = answer.header(name.as_str());
            if came != *value {
                return Err(Finding::of_answer(name, value, came));
            }
        }
        Ok("what was written comes back, with its headers".to_owned())
    }

    async fn range(&self) -> Result<String, Finding> {
        let request = Request::new("GET", self.path.clone()).header("range", "bytes=10-19");
        let answer = self.prober.ask(request).await?;
        let (wanted, came) = (format!("bytes 10-19/{SIZE}"), answer.header("content-range"));
        if answer.status != 206 {
            return Err(Finding::failed(format!("a range is answered with {}, not 206", answer.status))
                .advice("The proxy takes ranges away, as caches do. Have it pass them."));
        }
        if came != wanted {
            return Err(Finding::of_answer(&CONTENT_RANGE, &wanted, came));
        }
        Ok("a range of it can be read".to_owned())
    }

    async fn presigned(&self) -> Result<String, Finding> {
        let signed =
            self.prober.signer.by_query(&self.prober.endpoint, Request::new("GET", self.path.clone()));
        let answer = self.prober.send_signed(&signed).await?;
        self.is_content(&answer).map(|()| "a signed URL of it works".to_owned())
    }

    /// Whether the bucket may stand in the host's name; `None` where it can't.
    async fn virtual_host(&self) -> Result<Option<String>, Finding> {
        let Some(to) = self.prober.endpoint.of_bucket(self.bucket) else { return Ok(None) };
        let name = to.url().host_str().unwrap_or_default().to_owned();
        let port = to.url().port_or_known_default().unwrap_or_default();
        let advice = format!(
            "Clients must use path style. For virtual host style, let all names below {} lead here, and set s3.domain to it.",
            self.prober.endpoint.url().host_str().unwrap_or_default()
        );
        let resolves =
            self.prober.resolved.is_some() || tokio::net::lookup_host((name.as_str(), port)).await.is_ok();
        if !resolves {
            return Err(Finding::warning(format!("{name} has no address")).advice(advice));
        }
        let request = Request::new("GET", "/").query("location", "");
        let answer = self.prober.send_signed_to(&to, &self.prober.signer.by_header(&to, request)).await?;
        if answer.status == 200 && answer.element("Name").is_none() && !answer.is_of_s3() {
            return Ok(Some(format!("the bucket may stand in the host's name: {name}")));
        }
        Err(Finding::warning(format!("{name} does not lead to the bucket")).advice(advice))
    }

    async fn delete(&self) -> Result<String, Finding> {
        let mut versions: Vec<_> = self.versions.iter().map(|version| Some(version.as_str())).collect();
        if versions.is_empty() {
            versions.push(None);
        }
        for version in versions {
            let request = Request::new("DELETE", self.path.clone());
            let request = match version {
                Some(version) => request.query("versionId", version),
                None => request,
            };
            let left = |found: Finding| {
                found
                    .advice(format!("If it was written, the object {} is still there: delete it.", self.path))
            };
            let answer = self.prober.ask(request).await.map_err(left)?;
            if !matches!(answer.status, 200 | 204) {
                return Err(left(refused(&answer, "the object can't be deleted")));
            }
        }
        Ok("nothing is left behind".to_owned())
    }
}
