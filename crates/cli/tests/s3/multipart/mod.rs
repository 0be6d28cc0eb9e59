//! Uploads in parts: each operation, each wrong caller, and what must be refused.

mod callers;
mod checksums;
mod killed;
mod lists;
mod objects;
mod refusals;

use crate::expect;
use crate::signer::{Ask, Client, Signer, sha256};
use crate::support::Reply;

/// The least that a part may have which is not the last one.
const PART: usize = 5 << 20;

fn bytes(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add((at >> 8) as u8).wrapping_add(seed)).collect()
}

/// The text of each element of this name, in order.
fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split(&open).skip(1).filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned())).collect()
}

fn element(xml: &str, name: &str) -> String {
    let found = elements(xml, name).into_iter().next();
    found.unwrap_or_else(|| panic!("no {name} in {xml}")).replace("&quot;", "\"")
}

fn begin_ask(path: &str) -> Ask {
    Ask::new("POST", path).query("uploads", "")
}

fn part_ask(path: &str, upload: &str, number: u32) -> Ask {
    Ask::new("PUT", path).query("uploadId", upload).query("partNumber", &number.to_string())
}

/// The document that lists parts, by number and tag.
fn document(parts: &[(u32, String)]) -> String {
    let part = |(number, etag): &(u32, String)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

fn complete_ask(path: &str, upload: &str, parts: &[(u32, String)]) -> Ask {
    Ask::new("POST", path).query("uploadId", upload).body(document(parts))
}

/// Somebody who uploads in parts.
struct Uploads<'a> {
    s3: &'a Client,
    key: &'a Signer,
}

impl Uploads<'_> {
    async fn send(&self, ask: Ask) -> Reply {
        self.s3.signed(self.key, ask).await
    }

    /// The same where the server may be gone.
    async fn try_send(&self, ask: Ask) -> reqwest::Result<Reply> {
        let payload = sha256(&ask.body);
        self.s3.try_send(self.key.by_header(ask, &self.s3.host, &payload).0).await
    }

    async fn begin(&self, path: &str) -> String {
        self.begin_with(begin_ask(path)).await
    }

    async fn begin_with(&self, ask: Ask) -> String {
        let reply = self.send(ask).await;
        expect(&reply, 200, "");
        element(&reply.text(), "UploadId")
    }

    async fn part(&self, path: &str, upload: &str, number: u32, body: &[u8]) -> (u32, String) {
        let reply = self.send(part_ask(path, upload, number).body(body)).await;
        expect(&reply, 200, "");
        (number, reply.header("etag").to_owned())
    }

    async fn complete(&self, path: &str, upload: &str, parts: &[(u32, String)]) -> String {
        let reply = self.send(complete_ask(path, upload, parts)).await;
        expect(&reply, 200, "");
        reply.text()
    }

    /// Makes an object of these parts.
    async fn upload(&self, path: &str, bodies: &[&[u8]]) -> String {
        let upload = self.begin(path).await;
        let mut parts = Vec::new();
        for (number, body) in (1..).zip(bodies) {
            parts.push(self.part(path, &upload, number, body).await);
        }
        self.complete(path, &upload, &parts).await
    }
}
