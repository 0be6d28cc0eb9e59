//! Every operation, how it is asked for, and what each caller is answered.

use super::rights::{ANON, Cell, Effect, FORBIDDEN, Outcome, TAKEN};
use crate::support::Who;

/// How an operation is asked for: method, path with `{b}` for the bucket, headers, body with the same.
pub(super) struct Ask(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static [(&'static str, &'static str)],
    pub(super) &'static str,
);

/// An operation of the matrix.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) ask: Ask,
    pub(super) wanted: fn(&Cell) -> Outcome,
    pub(super) effect: Effect,
}

const NO_HEADERS: &[(&str, &str)] = &[];
const UPSERT: &[(&str, &str)] = &[("x-upsert", "true")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const JSON_UPSERT: &[(&str, &str)] = &[("content-type", "application/json"), ("x-upsert", "true")];

fn row(name: &'static str, ask: Ask, wanted: fn(&Cell) -> Outcome, effect: Effect) -> Row {
    Row { name, ask, wanted, effect }
}

/// Objects: `here` exists and belongs to the owner, `gone` does not exist. The bucket `free` is one where every user
/// may do everything; `free/{b}` there belongs to the caller.
pub(super) fn rows() -> Vec<Row> {
    use Effect as E;
    let head = NO_HEADERS;
    vec![
        row("download", Ask("GET", "/object/{b}/here", head, ""), |c| c.read(200), E::None),
        row("download nothing", Ask("GET", "/object/{b}/gone", head, ""), Cell::read_nothing, E::None),
        row("head", Ask("HEAD", "/object/{b}/here", head, ""), |c| c.read(200), E::None),
        row("head nothing", Ask("HEAD", "/object/{b}/gone", head, ""), Cell::read_nothing, E::None),
        row("range", Ask("GET", "/object/{b}/here", &[("range", "bytes=0-1")], ""), |c| c.read(206), E::None),
        row(
            "authenticated route",
            Ask("GET", "/object/authenticated/{b}/here", head, ""),
            |c| c.read(200),
            E::None,
        ),
        row("public route", Ask("GET", "/object/public/{b}/here", head, ""), by_public_route, E::None),
        row("public route, head", Ask("HEAD", "/object/public/{b}/here", head, ""), by_public_route, E::None),
        row("info", Ask("GET", "/object/info/{b}/here", head, ""), |c| c.read(200), E::None),
        row("info of nothing", Ask("GET", "/object/info/{b}/gone", head, ""), Cell::read_nothing, E::None),
        row("public info", Ask("GET", "/object/info/public/{b}/here", head, ""), by_public_route, E::None),
        row(
            "create",
            Ask("POST", "/object/{b}/new", head, "new"),
            |c| c.when(c.rights().create, 201),
            E::Made,
        ),
        row(
            "create where something is",
            Ask("POST", "/object/{b}/here", head, "after"),
            |c| if c.rights().create || c.rights().overwrite { TAKEN } else { c.refusal() },
            E::None,
        ),
        row(
            "upsert a new one",
            Ask("POST", "/object/{b}/new", UPSERT, "new"),
            |c| c.when(c.rights().create, 201),
            E::Made,
        ),
        row(
            "upsert",
            Ask("POST", "/object/{b}/here", UPSERT, "after"),
            |c| c.when(c.rights().overwrite, 201),
            E::Replaced,
        ),
        row(
            "put a new one",
            Ask("PUT", "/object/{b}/new", head, "new"),
            |c| c.when(c.rights().create, 200),
            E::Made,
        ),
        row(
            "put",
            Ask("PUT", "/object/{b}/here", head, "after"),
            |c| c.when(c.rights().overwrite, 200),
            E::Replaced,
        ),
        row("delete", Ask("DELETE", "/object/{b}/here", head, ""), delete_one, E::Gone),
        row("delete nothing", Ask("DELETE", "/object/{b}/gone", head, ""), delete_nothing, E::None),
        row(
            "copy from here",
            Ask(
                "POST",
                "/object/copy",
                JSON,
                r#"{"bucketId":"{b}","sourceKey":"here","destinationBucket":"free","destinationKey":"copied/{b}"}"#,
            ),
            |c| if c.who == Who::Anon { ANON } else { c.read(200) },
            E::None,
        ),
        row(
            "copy nothing",
            Ask(
                "POST",
                "/object/copy",
                JSON,
                r#"{"bucketId":"{b}","sourceKey":"gone","destinationBucket":"free","destinationKey":"copied/{b}"}"#,
            ),
            |c| if c.who == Who::Anon { ANON } else { c.read_nothing() },
            E::None,
        ),
        row(
            "copy to here",
            Ask(
                "POST",
                "/object/copy",
                JSON,
                r#"{"bucketId":"free","sourceKey":"{b}","destinationBucket":"{b}","destinationKey":"new"}"#,
            ),
            |c| c.when(c.rights().create, 200),
            E::Made,
        ),
        row(
            "copy over",
            Ask(
                "POST",
                "/object/copy",
                JSON_UPSERT,
                r#"{"bucketId":"free","sourceKey":"{b}","destinationBucket":"{b}","destinationKey":"here"}"#,
            ),
            |c| c.when(c.rights().overwrite, 200),
            E::Replaced,
        ),
        row(
            "move from here",
            Ask(
                "POST",
                "/object/move",
                JSON,
                r#"{"bucketId":"{b}","sourceKey":"here","destinationBucket":"free","destinationKey":"moved/{b}"}"#,
            ),
            |c| match c.read(200) {
                _ if c.who == Who::Anon => ANON,
                Outcome(200, _) => c.when(c.rights().delete, 200),
                refused => refused,
            },
            E::Gone,
        ),
        row(
            "move to here",
            Ask(
                "POST",
                "/object/move",
                JSON,
                r#"{"bucketId":"free","sourceKey":"{b}","destinationBucket":"{b}","destinationKey":"new"}"#,
            ),
            |c| c.when(c.rights().create, 200),
            E::Made,
        ),
        row(
            "sign",
            Ask("POST", "/object/sign/{b}/here", JSON, r#"{"expiresIn":60}"#),
            |c| c.read(200),
            E::None,
        ),
        row(
            "sign nothing",
            Ask("POST", "/object/sign/{b}/gone", JSON, r#"{"expiresIn":60}"#),
            Cell::read_nothing,
            E::None,
        ),
        row(
            "sign an upload",
            Ask("POST", "/object/upload/sign/{b}/new", head, ""),
            |c| c.when(c.rights().create, 200),
            E::None,
        ),
        row(
            "sign an overwrite",
            Ask("POST", "/object/upload/sign/{b}/here", UPSERT, ""),
            |c| c.when(c.rights().overwrite || (c.rights().create && !c.rights().read), 200),
            E::None,
        ),
        row(
            "sign an upload where something is",
            Ask("POST", "/object/upload/sign/{b}/here", head, ""),
            // Who cannot see it is not told: the use of the URL tells.
            |c| match (c.rights().read, c.rights().create || c.rights().overwrite) {
                (true, true) => TAKEN,
                (false, true) => Outcome(200, ""),
                (_, false) => c.refusal(),
            },
            E::None,
        ),
        row("show the bucket", Ask("GET", "/bucket/{b}", head, ""), |c| c.when(c.rights().see, 200), E::None),
        row(
            "update the bucket",
            Ask("PUT", "/bucket/{b}", JSON, r#"{"file_size_limit":777}"#),
            |c| c.when(c.rights().manage, 200),
            E::BucketChanged,
        ),
        row(
            "patch the bucket",
            Ask("PATCH", "/bucket/{b}", JSON, r#"{"file_size_limit":777}"#),
            |c| c.when(c.rights().manage, 200),
            E::BucketChanged,
        ),
        row(
            "empty the bucket",
            Ask("POST", "/bucket/{b}/empty", head, ""),
            |c| c.when(c.rights().manage, 200),
            E::Gone,
        ),
        row(
            "delete the bucket",
            Ask("DELETE", "/bucket/{b}?force=true", head, ""),
            |c| c.when(c.rights().manage, 200),
            E::BucketGone,
        ),
        row(
            "create it again",
            Ask("POST", "/bucket", JSON, r#"{"name":"{b}"}"#),
            |c| if c.who == Who::Anon { ANON } else { Outcome(409, "BUCKET_EXISTS") },
            E::None,
        ),
    ]
}

/// On the public routes everybody is anon, whatever token they show.
fn by_public_route(cell: &Cell) -> Outcome {
    if cell.policy == "public" { Outcome(200, "") } else { ANON }
}

fn delete_one(cell: &Cell) -> Outcome {
    let rights = cell.rights();
    match cell.who {
        Who::Anon => ANON,
        _ if rights.delete => Outcome(204, ""),
        // Invisible is missing, and deleting what is missing is success.
        _ if !rights.read && cell.is_open() => Outcome(204, ""),
        _ => FORBIDDEN,
    }
}

fn delete_nothing(cell: &Cell) -> Outcome {
    match cell.who {
        Who::Anon => ANON,
        _ if cell.is_open() => Outcome(204, ""),
        _ => FORBIDDEN,
    }
}
