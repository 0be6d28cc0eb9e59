//! `aerostore ls --versions`: what was overwritten and deleted, too.

use serde_json::Value;

use super::Context;
use crate::address::Remote;
use crate::client::versions::Version;
use crate::failure::Failure;
use crate::output::plain;
use crate::units;

/// Lists versions: of one object, or of all below a folder.
pub(crate) async fn list(address: &Remote, in_bytes: bool, context: &Context<'_>) -> Result<(), Failure> {
    let mut cursor = None;
    let mut all: Vec<Value> = Vec::new();
    let mut any = false;
    loop {
        let page = context.client.versions(address, cursor.as_deref()).await?;
        any |= !page.versions.is_empty();
        if context.out.is_json() {
            all.extend(page.versions.iter().map(Version::to_json));
        } else {
            let text: String = page.versions.iter().map(|version| line(version, in_bytes) + "\n").collect();
            context.out.text(&text)?;
        }
        cursor = page.next();
        if cursor.is_none() {
            break;
        }
    }
    if !any {
        // A list never refuses, so the bucket says whether it is there and may be seen.
        context.client.bucket(&address.bucket).await?;
        context.out.note(&format!("{address} has no versions"));
    }
    if context.out.is_json() { context.out.json(&all) } else { Ok(()) }
}

fn line(version: &Version, in_bytes: bool) -> String {
    let size = match version.is_delete_marker {
        true => "-".to_owned(),
        false if in_bytes => version.size.to_string(),
        false => units::size(version.size),
    };
    let state = match (version.is_latest, version.is_delete_marker) {
        (true, true) => "deleted",
        (true, false) => "current",
        (false, true) => "marker",
        (false, false) => "old",
    };
    let path = plain(&version.path);
    format!("{size:>12}  {:<27}  {state:<8} {}  {path}", version.created_at, version.version)
}
