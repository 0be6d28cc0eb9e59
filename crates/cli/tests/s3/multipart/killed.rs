//! A server that is killed by SIGKILL amid parts and completions: what was acknowledged is there, and what was not can be
//! asked for again.

use std::time::Duration;

use super::{PART, Uploads, bytes, complete_ask, element, elements, part_ask};
use crate::signer::{Ask, sha256};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

/// An upload, as far as its client knows.
#[derive(Default)]
struct Known {
    path: String,
    upload: String,
    /// Parts whose upload was acknowledged.
    parts: Vec<(u32, String)>,
    /// Whether it was asked to be completed.
    is_ending: bool,
}

const BODIES: u8 = 3;

fn body(number: u32) -> Vec<u8> {
    bytes(if number < u32::from(BODIES) { PART } else { 20_000 }, number as u8)
}

/// Uploads objects in parts until the server is gone.
async fn upload(server: &Server, worker: usize, round: u32) -> Vec<Known> {
    let (s3, key) = (client(server), signer(server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    let mut all = Vec::new();
    for object in 0.. {
        let path = format!("/crash/{round}-{worker}-{object}");
        let Ok(begun) = us.try_send(super::begin_ask(&path)).await else { break };
        expect(&begun, 200, "");
        let upload = element(&begun.text(), "UploadId");
        all.push(Known { path, upload, ..Known::default() });
        let known = all.last_mut().unwrap();
        let mut is_alive = true;
        for number in 1..=u32::from(BODIES) {
            let sent = us.try_send(part_ask(&known.path, &known.upload, number).body(body(number))).await;
            let Ok(reply) = sent else {
                is_alive = false;
                break;
            };
            expect(&reply, 200, "");
            known.parts.push((number, reply.header("etag").to_owned()));
        }
        if !is_alive {
            break;
        }
        known.is_ending = true;
        let Ok(done) = us.try_send(complete_ask(&known.path, &known.upload, &known.parts)).await else {
            break;
        };
        expect(&done, 200, "");
    }
    all
}

/// Every acknowledged part is there, and what was not told to be an object can be made one.
async fn verify(server: &Server, known: &Known) {
    let (s3, key) = (client(server), signer(server, Who::Service));
    let us = Uploads { s3: &s3, key: &key };
    let mut parts = known.parts.clone();
    if !known.is_ending {
        let listed = us.send(Ask::new("GET", &known.path).query("uploadId", &known.upload)).await;
        expect(&listed, 200, "");
        let numbers = elements(&listed.text(), "PartNumber");
        for (number, etag) in &parts {
            let at = numbers.iter().position(|found| *found == number.to_string());
            let at = at.unwrap_or_else(|| panic!("part {number} is gone: {}", listed.text()));
            assert_eq!(elements(&listed.text(), "ETag")[at].replace("&quot;", "\""), *etag);
        }
        assert!(numbers.len() <= parts.len() + 1, "{}", listed.text());
        for number in parts.len() as u32 + 1..=u32::from(BODIES) {
            parts.push(us.part(&known.path, &known.upload, number, &body(number)).await);
        }
    }
    // Also where it was completed, and the answer was lost or not.
    us.complete(&known.path, &known.upload, &parts).await;
    let whole: Vec<u8> = (1..=u32::from(BODIES)).flat_map(body).collect();
    let got = us.send(Ask::new("GET", &known.path)).await;
    expect(&got, 200, "");
    assert_eq!(sha256(&got.body), sha256(&whole), "{}", known.path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_sigkill() {
    let mut server = Server::start();
    server.bucket(Who::Service, "crash", "private").await;
    for round in 0..5_u32 {
        let workers = (0..3).map(|worker| upload(&server, worker, round));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(u64::from(150 + round * 170))).await;
            server.kill();
        };
        let (known, ()) = tokio::join!(futures_util::future::join_all(workers), kill);
        server = Server::start_in(server.stop(), &[]);
        for known in known.iter().flatten() {
            verify(&server, known).await;
        }
    }
    server.expect_clean().await;
}
