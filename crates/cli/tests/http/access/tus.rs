//! The same matrix through TUS: who begins an upload, with its bytes, is answered as who writes at once.

use futures_util::{StreamExt, stream};

use super::rights::{Cell, Outcome, TAKEN};
use super::{BEFORE, cells};
use crate::support::{Server, Who};
use crate::tus::{PIECE, metadata, place, tus};

/// What is asked for, and what is there then where it is granted.
type Row = (&'static str, &'static str, fn(&Cell) -> Outcome);

const ROWS: [Row; 4] = [
    ("new", "false", |cell| cell.when(cell.rights().create, 201)),
    ("here", "false", |cell| match cell.rights() {
        rights if rights.create || rights.overwrite => TAKEN,
        _ => cell.refusal(),
    }),
    ("new", "true", |cell| cell.when(cell.rights().create, 201)),
    ("here", "true", |cell| cell.when(cell.rights().overwrite, 201)),
];

async fn check(server: &Server, row: &Row, cell: &Cell) {
    cell.prepare(server).await;
    let (object, upsert, wanted) = row;
    let call = tus(server, cell.who, "POST", "").header("upload-length", "5").header("x-upsert", upsert);
    let call = call.header("upload-metadata", &metadata(&cell.bucket, object, &[])).headers(&[PIECE]);
    let reply = call.body("after").send().await;
    let said = cell.describe(&format!("TUS of {object}, upsert {upsert},"), &reply);
    let Outcome(status, code) = wanted(cell);
    assert_eq!(reply.status, status, "{said}");
    if !code.is_empty() {
        assert_eq!(reply.json()["code"], code, "{said}");
    }
    let written = code.is_empty().then_some(&b"after"[..]);
    let before = (*object == "here").then_some(BEFORE);
    let found = server.content(&format!("{}/{object}", cell.bucket)).await;
    assert_eq!(found.as_deref(), written.or(before), "{said}");
    if let (None, Some(_)) = (before, written) {
        // Nobody else goes on with what is finished, or ends it.
        let place = place(reply);
        let stranger = Who::User(uuid::Uuid::from_u128(7));
        for method in ["HEAD", "DELETE"] {
            assert_eq!(
                tus(server, stranger, method, &place).send().await.status,
                404,
                "{method} after {said}"
            );
        }
    }
}

#[tokio::test]
async fn fs_i3_every_upload_by_tus_is_decided_like_a_write() {
    let server = Server::start();
    let all: Vec<_> = ROWS
        .iter()
        .enumerate()
        .flat_map(|(number, row)| cells(&format!("tus-{number}")).into_iter().map(move |cell| (row, cell)))
        .collect();
    stream::iter(&all).for_each_concurrent(48, |(row, cell)| check(&server, row, cell)).await;
    server.expect_clean().await;
}
