//! The lists that are asked for most, in a file for the next start: those of anon and of the service role, and of no user.
//!
//! It is a hint and nothing else: one that can't be read is as good as none, and none is synced.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::question::Question;
use super::most_asked::Wanted;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Collation, Delimiter, Listing, ObjectSort, PageStart, SortOrder};
use crate::permissions::{RlsContext, Role};
use crate::storage::FileStorage;

/// The file's form. Another one is not read.
const VERSION: u32 = 1;

/// Most bytes of the file, and of a service token's claims in it.
const MOST: usize = 1 << 20;
const MOST_CLAIMS: usize = 2048;

/// Most entries of a list that is read ahead because of the file.
const MOST_ENTRIES: u32 = 10_000;

/// What the file is known to hold.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// `None` until it was read.
    held: Option<HashSet<Arc<Question>>>,
    /// That it can't be written was said.
    has_warned: bool,
}

impl Notes {
    /// Reads the file, once: what is in it counts as asked for now. What can't be read, or is about what is gone, is passed over.
    ///
    /// # Errors
    /// Those of the database: then it is not read yet.
    pub(crate) async fn read(&mut self, storage: &FileStorage) -> Result<(), StorageError> {
        if self.held.is_some() {
            return Ok(());
        }
        let mut held = HashSet::new();
        if let Some(file) = storage.options().warming.notes.clone() {
            let at = file.clone();
            let read = tokio::task::spawn_blocking(move || read(&at)).await;
            let noted = read.unwrap_or_else(|gone| Err(io::Error::other(gone))).unwrap_or_else(|error| {
                tracing::debug!(file = %file.display(), %error, "what was asked for before this start is not known");
                Vec::new()
            });
            for wanted in noted {
                let bucket = wanted.question.bucket();
                match storage.bucket(&RlsContext::system("read lists ahead"), bucket).await {
                    Ok(_) => {
                        held.insert(wanted.question.clone());
                        storage.inner.most_asked.remember(wanted);
                    }
                    Err(StorageError::BucketNotFound { .. }) => {
                        tracing::debug!(%bucket, "a list was asked for before this start whose bucket is gone");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        self.held = Some(held);
        Ok(())
    }

    /// Writes the file, where it has been read and would hold something else now.
    pub(crate) async fn write(&mut self, storage: &FileStorage) {
        let (Some(held), Some(file)) = (&self.held, storage.options().warming.notes.clone()) else { return };
        let noted: Vec<_> = storage.lists_to_warm().into_iter().filter_map(noted).collect();
        let questions: HashSet<_> = noted.iter().map(|(question, _)| question.clone()).collect();
        if questions == *held {
            return;
        }
        let lists = noted.into_iter().map(|(_, list)| list).collect();
        let at = file.clone();
        let written =
            tokio::task::spawn_blocking(move || write(&at, &Noted { version: VERSION, lists })).await;
        match written.unwrap_or_else(|gone| Err(io::Error::other(gone))) {
            Ok(()) => {
                self.held = Some(questions);
                self.has_warned = false;
            }
            Err(error) if self.has_warned => {
                tracing::debug!(%error, "which lists are asked for is not written down");
            }
            Err(error) => {
                self.has_warned = true;
                tracing::warn!(
                    file = %file.display(),
                    %error,
                    "which lists are asked for can't be written down: the next start begins without them"
                );
            }
        }
    }

    /// Takes the file away: nothing is to be known by it.
    pub(crate) async fn remove(&mut self, storage: &FileStorage) {
        self.held = None;
        let Some(file) = storage.options().warming.notes.clone() else { return };
        let at = file.clone();
        let removed = tokio::task::spawn_blocking(move || fs::remove_file(at)).await;
        match removed.unwrap_or_else(|gone| Err(io::Error::other(gone))) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::debug!(file = %file.display(), %error, "a list of what was asked for stays");
            }
        }
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Noted {
    version: u32,
    lists: Vec<NotedList>,
}

/// Its version alone, which says how to read the rest.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct NotedList {
    caller: NotedCaller,
    /// All of a service token's claims: by them the list is known to be its bearer's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    claims: Map<String, Value>,
    bucket: String,
    prefix: String,
    delimiter: Option<String>,
    search: String,
    ignore_case: bool,
    sort: NotedSort,
    descending: bool,
    limit: u32,
    offset: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotedCaller {
    Anon,
    ServiceRole,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NotedSort {
    Name,
    CreatedAt,
    UpdatedAt,
}

/// A list as the file has it; `None` of one that is not to be in it. A page further on is not: who walks there comes by the first one.
fn noted(wanted: Wanted) -> Option<(Arc<Question>, NotedList)> {
    let Wanted { question, caller } = wanted;
    let who = match (caller.role(), caller.user_id()) {
        (Role::Anon, None) => NotedCaller::Anon,
        (Role::ServiceRole, None) => NotedCaller::ServiceRole,
        (Role::Authenticated, _) | (Role::Anon | Role::ServiceRole, Some(_)) => return None,
    };
    let claims = caller.claims().clone();
    let listing = question.listing()?;
    let offset = match listing.start {
        PageStart::First => 0,
        PageStart::Offset(offset) if offset > 0 => offset,
        PageStart::Offset(_) | PageStart::After(_) => return None,
    };
    if serde_json::to_string(&claims).map_or(true, |text| text.len() > MOST_CLAIMS) {
        return None;
    }
    let list = NotedList {
        caller: who,
        claims,
        bucket: question.bucket().as_str().to_owned(),
        prefix: listing.prefix.clone(),
        delimiter: listing.delimiter.as_ref().map(|delimiter| delimiter.as_str().to_owned()),
        search: listing.search.clone(),
        ignore_case: listing.collation == Collation::IgnoreCase,
        sort: match listing.sort.0 {
            ObjectSort::Name => NotedSort::Name,
            ObjectSort::CreatedAt => NotedSort::CreatedAt,
            ObjectSort::UpdatedAt => NotedSort::UpdatedAt,
        },
        descending: listing.sort.1 == SortOrder::Descending,
        limit: listing.limit,
        offset,
    };
    Some((question, list))
}

/// A list of the file; `None` of one that nobody could ask for.
fn wanted(noted: NotedList) -> Option<Wanted> {
    let caller = match noted.caller {
        NotedCaller::Anon => RlsContext::anon(""),
        NotedCaller::ServiceRole => RlsContext::service(None, noted.claims, ""),
    };
    let delimiter = match noted.delimiter {
        None => None,
        Some(text) => Some(Delimiter::new(&text)?),
    };
    let sort = match noted.sort {
        NotedSort::Name => ObjectSort::Name,
        NotedSort::CreatedAt => ObjectSort::CreatedAt,
        NotedSort::UpdatedAt => ObjectSort::UpdatedAt,
    };
    let listing = Listing {
        prefix: noted.prefix,
        delimiter,
        search: noted.search,
        collation: if noted.ignore_case { Collation::IgnoreCase } else { Collation::Bytes },
        sort: (sort, if noted.descending { SortOrder::Descending } else { SortOrder::Ascending }),
        limit: noted.limit,
        start: if noted.offset == 0 { PageStart::First } else { PageStart::Offset(noted.offset) },
    };
    let bucket = BucketName::parse(&noted.bucket).ok()?;
    let fits = (1..=MOST_ENTRIES).contains(&noted.limit);
    fits.then(|| Wanted { question: Question::new(&caller, &bucket, &listing), caller })
}

/// What the file says; nothing where there is none.
fn read(at: &Path) -> io::Result<Vec<Wanted>> {
    let wrong = |problem: &str| Err(io::Error::new(ErrorKind::InvalidData, problem));
    let mut text = Vec::new();
    match fs::metadata(at) {
        Ok(found) if !found.is_file() => return wrong("it is no file"),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    }
    File::open(at)?.take(MOST as u64 + 1).read_to_end(&mut text)?;
    if text.len() > MOST {
        return wrong("it is too long");
    }
    let Versioned { version } = serde_json::from_slice(&text)?;
    if version != VERSION {
        return wrong("another version wrote it");
    }
    let noted: Noted = serde_json::from_slice(&text)?;
    Ok(noted.lists.into_iter().filter_map(wanted).collect())
}

/// Writes the file in place of the one before: wholly or not at all. What would make it too long is left out.
fn write(at: &Path, noted: &Noted) -> io::Result<()> {
    let mut noted = serde_json::to_value(noted)?;
    let text = loop {
        let text = serde_json::to_vec_pretty(&noted)?;
        let lists = noted.get_mut("lists").and_then(Value::as_array_mut);
        match lists {
            Some(lists) if text.len() > MOST => lists.truncate(lists.len() / 2),
            Some(_) | None => break text,
        }
    };
    let new = beside(at);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let written = file.write_all(&text).and_then(|()| fs::rename(&new, at));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// What the file is called until it is whole.
fn beside(at: &Path) -> PathBuf {
    let mut name = at.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::executor::Cursor;

    fn listing() -> Listing {
        Listing {
            prefix: "a/".to_owned(),
            delimiter: Some(Delimiter::SLASH),
            search: "s".to_owned(),
            collation: Collation::IgnoreCase,
            sort: (ObjectSort::UpdatedAt, SortOrder::Descending),
            limit: 7,
            start: PageStart::First,
        }
    }

    fn of(caller: RlsContext, listing: &Listing) -> Wanted {
        Wanted { question: Question::new(&caller, &BucketName::parse("docs").unwrap(), listing), caller }
    }

    fn all(wanted: Vec<Wanted>) -> Noted {
        let lists = wanted.into_iter().filter_map(noted).map(|(_, list)| list).collect();
        Noted { version: VERSION, lists }
    }

    #[test]
    fn what_is_written_is_read_back_and_no_users_is_written() {
        let (folder, user) = (tempfile::tempdir().unwrap(), Uuid::from_u128(1));
        let file = folder.path().join("notes.json");
        assert!(read(&file).unwrap().is_empty(), "there is none");
        let claims =
            json!({ "role": "service_role", "exp": 4_000_000_000_u64 }).as_object().cloned().unwrap();
        let other = Listing { start: PageStart::Offset(9), delimiter: None, ..listing() };
        let after = PageStart::After(Cursor { path: "a".to_owned(), time: None });
        let listed = || {
            vec![
                of(RlsContext::anon("r"), &listing()),
                of(RlsContext::service(None, claims.clone(), "r"), &other),
            ]
        };
        let mut wanted = listed();
        wanted.extend([
            of(RlsContext::user(user, Map::new(), "r"), &listing()),
            of(RlsContext::service(Some(user), Map::new(), "r"), &listing()),
            of(RlsContext::anon("r"), &Listing { start: after, ..listing() }),
            of(
                RlsContext::service(
                    None,
                    json!({ "x": "y".repeat(9000) }).as_object().cloned().unwrap(),
                    "r",
                ),
                &other,
            ),
        ]);
        for _ in 0..2 {
            write(&file, &all(std::mem::take(&mut wanted))).unwrap();
            wanted = listed();
            let back = read(&file).unwrap();
            let questions =
                |wanted: &[Wanted]| wanted.iter().map(|it| it.question.clone()).collect::<Vec<_>>();
            assert_eq!(questions(&back), questions(&wanted));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else stays");
        }
    }

    #[test]
    fn what_is_none_is_not_read_and_what_is_too_long_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes.json");
        write(&file, &all(vec![of(RlsContext::anon("r"), &listing())])).unwrap();
        let good = fs::read_to_string(&file).unwrap();
        let torn = good.get(..good.len() / 2).unwrap();
        let users = good.replace("\"anon\"", "\"authenticated\"");
        let later = good.replace("\"version\": 1", "\"version\": 2");
        let long = format!("{good}{}", " ".repeat(MOST));
        for text in ["", "{", "[]", "\0", torn, &users, &later, &long] {
            fs::write(&file, text).unwrap();
            assert!(read(&file).is_err(), "{text:.100}");
        }
        for text in
            [good.replace("docs", "no/bucket"), good.replace(": 7", ": 0"), good.replace(": 7", ": 70000")]
        {
            fs::write(&file, text).unwrap();
            assert!(read(&file).unwrap().is_empty(), "nobody could ask for it");
        }
        let many = (0..256).map(|number| {
            let prefix = format!("{number}{}", "x".repeat(10_000));
            of(RlsContext::anon("r"), &Listing { prefix, ..listing() })
        });
        write(&file, &all(many.collect())).unwrap();
        assert!(!read(&file).unwrap().is_empty());
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(read(&file).is_err() && write(&file, &all(Vec::new())).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
