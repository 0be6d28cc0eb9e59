//! `aerostore rm`: deletes objects, one by one or a folder at a time.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::folder::{self, Change};
use super::{Context, confirmed, interruptible, plural};
use crate::address::Remote;
use crate::client::objects::PAGE;
use crate::failure::{Failure, Tally};
use crate::units;

/// Options of `rm`.
#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// BUCKET/PATH of an object; with -r also BUCKET/FOLDER or BUCKET (everything in it)
    #[arg(required = true)]
    addresses: Vec<Remote>,
    /// Everything below each address
    #[arg(long, short)]
    recursive: bool,
    /// With -r: do not ask
    #[arg(long, short)]
    yes: bool,
    /// With -r: say how much there is to delete, and delete nothing. Whether it may be deleted is not looked at
    #[arg(long, requires = "recursive")]
    dry_run: bool,
    /// What is not there is no error
    #[arg(long, short)]
    force: bool,
    /// Of one object this version alone, or this delete marker, for good (see ls --versions)
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    version_id: Option<String>,
}

/// Runs `aerostore rm`.
pub(crate) async fn run(rm: &Rm, context: &Context<'_>) -> Result<(), Failure> {
    if rm.recursive && !rm.dry_run {
        let names: Vec<String> = rm.addresses.iter().map(ToString::to_string).collect();
        confirmed(rm.yes, &format!("delete everything below {}", names.join(", ")))?;
    }
    let mut deletion = Deletion {
        context,
        force: rm.force,
        dry_run: rm.dry_run,
        deleted: 0,
        bytes: 0,
        tally: Tally::default(),
    };
    if let Some(version) = &rm.version_id {
        let [address] = rm.addresses.as_slice() else {
            return Err(Failure::Usage("--version-id is of one object".to_owned()));
        };
        let object = address.clone().object().map_err(Failure::Usage)?.at_version(version);
        deletion.version(&object).await;
    } else if rm.recursive {
        for address in &rm.addresses {
            match interruptible(deletion.folder(address)).await {
                Err(failure) if failure.ends_all() => return deletion.ended(failure),
                Err(failure) => deletion.failed(address, &failure),
                Ok(()) => {}
            }
        }
    } else {
        let mut buckets: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for address in &rm.addresses {
            let object = address
                .clone()
                .object()
                .map_err(|message| Failure::Usage(format!("{message}; to delete all of it say -r")))?;
            buckets.entry(object.bucket).or_default().push(object.path);
        }
        for (bucket, paths) in &buckets {
            for batch in paths.chunks(PAGE) {
                deletion.batch(bucket, batch).await;
            }
        }
    }
    deletion.finish()
}

struct Deletion<'a> {
    context: &'a Context<'a>,
    force: bool,
    dry_run: bool,
    deleted: u64,
    /// Of what was deleted by folders.
    bytes: u64,
    tally: Tally,
}

impl Deletion<'_> {
    /// Deletes everything below a folder, or the object of that name where there is no such folder.
    async fn folder(&mut self, address: &Remote) -> Result<(), Failure> {
        let found = match self.by_job(address).await {
            // Nobody in particular has no jobs.
            Err(failure) if failure.status() == Some(401) && !self.dry_run => self.by_pages(address).await?,
            outcome => outcome?,
        };
        if found {
            return Ok(());
        }
        if !address.is_folder() && self.dry_run {
            self.bytes += self.context.client.info(address).await?.size();
            self.deleted += 1;
            return Ok(());
        }
        if !address.is_folder() {
            self.batch(&address.bucket, std::slice::from_ref(&address.path)).await;
            return Ok(());
        }
        self.context.client.bucket(&address.bucket).await?;
        if address.path.is_empty() || self.force {
            return Ok(());
        }
        Err(Failure::NotFound(format!("nothing lies below {address}")))
    }

    /// Has the server delete what lies below a folder, and waits for it; whether there was anything.
    async fn by_job(&mut self, address: &Remote) -> Result<bool, Failure> {
        let done =
            folder::change(address, Change::Delete, self.dry_run, self.context, &mut self.tally).await?;
        self.deleted += done.objects;
        self.bytes += done.bytes;
        let is_there = !done.is_nothing();
        done.ended.map_or(Ok(is_there), Err)
    }

    /// Deletes what lies below a folder, page by page; whether there was anything.
    async fn by_pages(&mut self, address: &Remote) -> Result<bool, Failure> {
        let folder = address.as_folder();
        let (mut cursor, mut found) = (None, false);
        loop {
            let page = self.context.client.list(&folder, false, cursor.as_deref()).await?;
            let paths: Vec<String> = page.objects.iter().map(|entry| entry.name.clone()).collect();
            found |= !paths.is_empty();
            for batch in paths.chunks(PAGE) {
                self.batch(&address.bucket, batch).await;
            }
            // NOTE: a cursor names the last path seen, so deleting behind it skips nothing.
            cursor = page.next();
            if cursor.is_none() {
                return Ok(found);
            }
        }
    }

    /// Deletes paths of one bucket; asks again, one by one, why the others were left.
    async fn batch(&mut self, bucket: &str, paths: &[String]) {
        let gone = match self.context.client.delete_many(bucket, paths).await {
            Ok(gone) => gone,
            Err(failure) => {
                paths.iter().for_each(|path| self.failed(&Remote::new(bucket, path.as_str()), &failure));
                return;
            }
        };
        for path in paths {
            if gone.contains(path) {
                self.deleted += 1;
                continue;
            }
            let object = Remote::new(bucket, path.as_str());
            match self.context.client.delete(&object).await {
                // The server calls a missing object deleted; who typed its name wants to know.
                Ok(()) if self.force => {}
                Ok(()) => {
                    let why = self.why_it_stays(&object).await;
                    self.failed(&object, &why);
                }
                Err(failure) => self.failed(&object, &failure),
            }
        }
    }

    /// Why nothing was deleted, as far as the caller may know it: what he can't see may be there all the same.
    async fn why_it_stays(&self, object: &Remote) -> Failure {
        match self.context.client.info(object).await {
            Ok(_) => Failure::Denied("it is there, and not yours to delete".to_owned()),
            Err(failure) if failure.status() == Some(404) => {
                Failure::NotFound("there is no such object, or none that you may see".to_owned())
            }
            Err(failure) => failure,
        }
    }

    /// Deletes one version. The server calls a missing one deleted, too: whether it is there is asked before.
    async fn version(&mut self, version: &Remote) {
        let client = &self.context.client;
        let there = match client.info(version).await {
            // A delete marker has nothing to say of itself, but is there.
            Err(failure) if failure.status() != Some(405) => Err(failure),
            _ => Ok(()),
        };
        let deleted = match there {
            Ok(()) => client.delete(version).await,
            Err(failure) => Err(failure),
        };
        match deleted {
            Ok(()) => self.deleted += 1,
            Err(failure) => self.failed(version, &failure),
        }
    }

    fn failed(&mut self, address: &Remote, failure: &Failure) {
        if self.force && failure.status() == Some(404) {
            return;
        }
        self.context.out.item_failure(&address.to_string(), failure);
        self.tally.add(failure);
    }

    /// Tells what was done before something ended all of it.
    fn ended(&self, failure: Failure) -> Result<(), Failure> {
        if self.deleted > 0 {
            self.tell()?;
        }
        Err(failure)
    }

    fn finish(&self) -> Result<(), Failure> {
        self.tell()?;
        self.tally.finish(self.deleted + self.tally.failed())
    }

    fn tell(&self) -> Result<(), Failure> {
        let failed = self.tally.failed();
        let (count, s) = (self.deleted, plural(self.deleted));
        let (summary, words) = match self.dry_run {
            true => (
                json!({ "would_delete": count, "bytes": self.bytes, "failed": failed }),
                format!("would delete {count} object{s}, {}", units::size(self.bytes)),
            ),
            false => (json!({ "deleted": count, "failed": failed }), format!("deleted {count} object{s}")),
        };
        if self.context.out.is_json() {
            self.context.out.json(&summary)?;
        } else {
            self.context.out.note(&words);
        }
        Ok(())
    }
}
