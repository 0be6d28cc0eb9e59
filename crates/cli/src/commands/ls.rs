//! `aerostore ls`: buckets, or what lies in one.

use clap::Args;
use serde_json::{Value, json};

use super::{Context, bucket, versions};
use crate::address::Remote;
use crate::client::objects::{Entry, Page};
use crate::failure::Failure;
use crate::output::plain;
use crate::units;

/// Options of `ls`.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// BUCKET, BUCKET/FOLDER/ or BUCKET/PATH; nothing lists the buckets
    address: Option<Remote>,
    /// Size, time and content type too
    #[arg(long, short)]
    long: bool,
    /// Everything below, by its full path
    #[arg(long, short)]
    recursive: bool,
    /// Sizes in bytes
    #[arg(long, short)]
    bytes: bool,
    /// Old versions and delete markers too, the newest first: everything below, by its full path
    #[arg(long)]
    versions: bool,
}

/// Runs `aerostore ls`.
pub(crate) async fn run(ls: &Ls, context: &Context<'_>) -> Result<(), Failure> {
    let Some(address) = &ls.address else {
        return match ls.versions {
            true => Err(Failure::Usage("--versions takes a bucket, a folder or a path".to_owned())),
            false => bucket::list(context).await,
        };
    };
    if ls.versions {
        return versions::list(address, ls.bytes, context).await;
    }
    let mut printer = Printer { ls, context, json: Vec::new(), any: false };
    printer.folder(&address.as_folder()).await?;
    if !printer.any {
        printer.nothing_below(address).await?;
    }
    if context.out.is_json() { context.out.json(&printer.json) } else { Ok(()) }
}

struct Printer<'a> {
    ls: &'a Ls,
    context: &'a Context<'a>,
    /// In JSON mode everything is one array, so it is collected.
    json: Vec<Value>,
    any: bool,
}

impl Printer<'_> {
    async fn folder(&mut self, folder: &Remote) -> Result<(), Failure> {
        let mut cursor = None;
        loop {
            let page = self.context.client.list(folder, !self.ls.recursive, cursor.as_deref()).await?;
            self.page(&page, folder)?;
            cursor = page.next();
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Prints a page: folders and objects merged in the order of their names.
    fn page(&mut self, page: &Page, folder: &Remote) -> Result<(), Failure> {
        let strip = |name: &str| {
            let whole = self.ls.recursive || self.context.out.is_json();
            if whole { name.to_owned() } else { name.strip_prefix(&folder.path).unwrap_or(name).to_owned() }
        };
        let folders = page.folders.iter().map(|found| (found.name.as_str(), None));
        let objects = page.objects.iter().map(|entry| (entry.name.as_str(), Some(entry)));
        let mut lines: Vec<(&str, Option<&Entry>)> = folders.chain(objects).collect();
        lines.sort_by_key(|(name, _)| *name);
        self.any |= !lines.is_empty();
        if self.context.out.is_json() {
            self.json.extend(lines.into_iter().map(|(name, entry)| to_json(name, entry)));
            return Ok(());
        }
        let text: String = lines.iter().map(|(name, entry)| self.line(&strip(name), *entry) + "\n").collect();
        self.context.out.text(&text)
    }

    fn line(&self, name: &str, entry: Option<&Entry>) -> String {
        let name = plain(name);
        if !self.ls.long {
            return name.into_owned();
        }
        let size =
            |entry: &Entry| if self.ls.bytes { entry.size().to_string() } else { units::size(entry.size()) };
        let time = entry.and_then(|entry| entry.updated_at.as_deref()).unwrap_or("-");
        let kind = entry.map_or("folder", |entry| match entry.content_type() {
            "" => "-",
            kind => kind,
        });
        format!("{:>12}  {time:<27}  {kind:<26}  {name}", entry.map_or("-".to_owned(), size))
    }

    /// The address is an object, an empty bucket, or nothing.
    async fn nothing_below(&mut self, address: &Remote) -> Result<(), Failure> {
        if address.is_folder() {
            // A list never refuses, so the bucket says whether it is there and may be seen.
            self.context.client.bucket(&address.bucket).await?;
            return if address.path.is_empty() {
                self.context.out.note(&format!("{address} is empty"));
                Ok(())
            } else {
                Err(Failure::NotFound(format!("nothing lies below {address}")))
            };
        }
        let entry = self.context.client.info(address).await?;
        if self.context.out.is_json() {
            self.json.push(to_json(&address.path, Some(&entry)));
            return Ok(());
        }
        self.context.out.line(&self.line(&address.path, Some(&entry)))
    }
}

fn to_json(name: &str, entry: Option<&Entry>) -> Value {
    match entry {
        None => json!({ "type": "folder", "path": name }),
        Some(entry) => json!({
            "type": "object",
            "path": name,
            "size": entry.size(),
            "content_type": entry.content_type(),
            "updated_at": entry.updated_at,
        }),
    }
}
