//! Resumable uploads by TUS 1.0.0, byte by byte as the protocol has them.

mod broken;
mod concat;
mod dialect;
mod limits;
mod protocol;
mod signed;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Call, Reply, Server, Who};

pub(crate) const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");

/// `Upload-Metadata` of an object, and what else is said.
pub(crate) fn metadata(bucket: &str, object: &str, more: &[(&str, &str)]) -> String {
    let pair = |(key, value): &(&str, &str)| format!("{key} {}", STANDARD.encode(value));
    let pairs: Vec<String> =
        [("bucketName", bucket), ("objectName", object)].iter().chain(more).map(pair).collect();
    pairs.join(",")
}

/// A request of the protocol, below its root.
pub(crate) fn tus(server: &Server, who: Who, method: &str, rest: &str) -> Call {
    server.call(who, method, &format!("/upload/resumable{rest}")).header("tus-resumable", "1.0.0")
}

/// Begins an upload of so many bytes.
pub(crate) fn begin(server: &Server, who: Who, object: &str, length: usize) -> Call {
    tus(server, who, "POST", "")
        .header("upload-metadata", &metadata("box", object, &[("contentType", "text/plain")]))
        .header("upload-length", &length.to_string())
}

/// Where an upload that was begun is, below the root.
#[track_caller]
pub(crate) fn place(begun: Reply) -> String {
    let begun = begun.expect_status(201);
    let location = begun.header("location");
    let (_, rest) = location.split_once("/storage/v1/upload/resumable").unwrap();
    rest.to_owned()
}

/// Appends bytes.
pub(crate) fn append(server: &Server, who: Who, place: &str, offset: usize, bytes: &[u8]) -> Call {
    let call = tus(server, who, "PATCH", place).headers(&[PIECE]);
    call.header("upload-offset", &offset.to_string()).body(bytes)
}

/// How far an upload is.
pub(crate) async fn offset(server: &Server, who: Who, place: &str) -> usize {
    let reply = tus(server, who, "HEAD", place).send().await.expect_status(200);
    reply.header("upload-offset").parse().unwrap()
}
