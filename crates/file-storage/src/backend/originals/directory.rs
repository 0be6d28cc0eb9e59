//! Directories of this machine that originals may be taken from: those that the configuration names, and what lies below them. A
//! path leads there by names alone; no link on the way is followed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;

use super::opened::{OpenedFile, Stamp, blocking};
use super::walk::{self, DIRECTORY, Identity};
use super::{CHANGED, Held, Original, OriginalName, OriginalPage, Originals, PROVIDERS, unusable};
use crate::backend::place::WORD;
use crate::errors::StorageError;

/// How files are opened. What is no file must not hold up who looks.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The directories below which originals may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedDirectories {
    /// The directories, as absolute paths.
    pub roots: Arc<[PathBuf]>,
    /// Directories of the server's own: what lies there is never an original, also where it lies below one of the others.
    pub own: Arc<[PathBuf]>,
}

impl AllowedDirectories {
    /// A directory by its path.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] where it does not lie below one of those that are allowed.
    pub fn originals(&self, path: &str) -> Result<Arc<dyn Originals>, StorageError> {
        let refuse = |message| Err(StorageError::InvalidRequest { message });
        let wanted = Path::new(path);
        let is_plain = wanted.is_absolute()
            && wanted.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
            && !path.contains('\0');
        if !is_plain {
            return refuse("the directory is named by an absolute path without '..'".to_owned());
        }
        // The longest: within it, nothing on the way is followed.
        let within = self.roots.iter().filter_map(|root| Some((root, wanted.strip_prefix(root).ok()?)));
        match within.min_by_key(|(_, rest)| rest.components().count()) {
            Some((root, rest)) => Ok(Arc::new(Directory {
                root: root.clone(),
                rest: rest.to_owned(),
                own: self.own.clone(),
            })),
            None if self.roots.is_empty() => refuse(
                "no directory of the server may be adopted: adopt.directories in its configuration names none"
                    .to_owned(),
            ),
            None => refuse(format!(
                "{path} does not lie below a directory that adopt.directories in the server's configuration names"
            )),
        }
    }
}

#[derive(Clone)]
struct Directory {
    root: PathBuf,
    rest: PathBuf,
    own: Arc<[PathBuf]>,
}

impl Directory {
    /// Opens it. An error says so of it as a whole. Blocks.
    fn enter(&self) -> Result<OwnedFd, StorageError> {
        let opened = open(&self.root, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty());
        let opened = opened.and_then(|root| descend(root, self.rest.components().map(Component::as_os_str)));
        let identities = self.own_identities();
        let is_own = |directory: &OwnedFd| walk::identity(directory).is_ok_and(|it| identities.contains(&it));
        let shown = self.root.join(&self.rest);
        let refuse = |what: &str| {
            Err(StorageError::InvalidRequest { message: format!("{}: {what}", shown.display()) })
        };
        match opened {
            Ok((directory, passed)) if passed.iter().chain([&directory]).any(is_own) => {
                refuse("it is the server's own directory")
            }
            Ok((directory, passed)) if passed.iter().chain([&directory]).any(walk::is_providers) => {
                refuse(PROVIDERS)
            }
            Ok((directory, _)) => Ok(directory),
            Err(Errno::NOENT) => refuse("there is no such directory"),
            Err(Errno::NOTDIR | Errno::LOOP) => refuse("it is no directory, or a link leads there"),
            Err(Errno::ACCESS | Errno::PERM) => refuse("the server may not look into it"),
            Err(error) => {
                let context = format!("opening {}", shown.display());
                Err(StorageError::Internal { context, source: Some(Arc::new(error)) })
            }
        }
    }

    /// Nothing is taken from within the server's own directories, or a provider's, whatever the configuration names. Blocks.
    fn refuse_within_own(&self) -> Result<(), StorageError> {
        let own = self.own_identities();
        let whole = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let mut identities = whole.ancestors().filter_map(|above| std::fs::metadata(above).ok());
        let refuse = |what: &str| {
            Err(StorageError::InvalidRequest { message: format!("{}: {what}", self.root.display()) })
        };
        if identities.any(|above| own.contains(&(above.dev(), above.ino()))) {
            return refuse("it is the server's own directory");
        }
        let mut words = whole.ancestors().map(|above| std::fs::symlink_metadata(above.join(WORD)));
        if words.any(|word| word.is_ok_and(|word| word.is_file())) {
            return refuse(PROVIDERS);
        }
        Ok(())
    }

    /// Those of its own directories that there are. Blocks.
    fn own_identities(&self) -> Vec<Identity> {
        let found = self.own.iter().filter_map(|path| std::fs::metadata(path).ok());
        found.map(|found| (found.dev(), found.ino())).collect()
    }

    fn file(&self, name: &OriginalName) -> Result<Option<Original>, StorageError> {
        let root = self.enter()?;
        let mut parts: Vec<&OsStr> =
            name.as_bytes().split(|byte| *byte == b'/').map(OsStr::from_bytes).collect();
        let last = parts.pop().unwrap_or_default();
        let opened = descend(root, parts.into_iter()).and_then(|(parent, passed)| {
            let is_providers = passed.iter().chain([&parent]).any(walk::is_providers);
            let file = openat(&parent, last, FILE, Mode::empty())?;
            Ok((parent, File::from(file), is_providers))
        });
        let (parent, file) = match opened {
            Ok((_, _, true)) => return Err(unusable(PROVIDERS)),
            Ok((parent, file, false)) => (parent, file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => return Err(unusable(CHANGED)),
            Err(Errno::ACCESS | Errno::PERM) => return Err(unusable("the server may not read it")),
            Err(error) => {
                tracing::warn!(%error, "an original can't be opened");
                return Err(unusable("opening it failed"));
            }
        };
        let metadata = file.metadata().map_err(|_| unusable("opening it failed"))?;
        if !metadata.is_file() {
            return Err(unusable(CHANGED));
        }
        let stamp = Stamp::of(&metadata);
        let (uid, links, name) = (metadata.uid(), metadata.nlink(), last.as_bytes().to_vec());
        let opened = OpenedFile { parent, name, file, stamp, uid, links };
        Ok(Some(Original {
            size: stamp.size,
            modified: stamp.modified(),
            content_type: None,
            cache_control: None,
            headers: BTreeMap::new(),
            held: Held::File(Arc::new(opened)),
        }))
    }
}

/// A directory by names below another one, and those on the way.
fn descend<'a>(
    mut directory: OwnedFd,
    names: impl Iterator<Item = &'a OsStr>,
) -> Result<(OwnedFd, Vec<OwnedFd>), Errno> {
    let mut passed = Vec::new();
    for name in names {
        let below = openat(&directory, name, DIRECTORY, Mode::empty())?;
        passed.push(std::mem::replace(&mut directory, below));
    }
    Ok((directory, passed))
}

#[async_trait]
impl Originals for Directory {
    async fn page(&self, after: Option<&OriginalName>, limit: usize) -> Result<OriginalPage, StorageError> {
        let (this, after) = (self.clone(), after.cloned());
        blocking(move || {
            let root = this.enter()?;
            this.refuse_within_own()?;
            let after = after.as_ref().map(OriginalName::as_bytes);
            walk::page(root, after, limit, &this.own_identities()).map_err(|error| StorageError::Internal {
                context: "reading a directory of originals".to_owned(),
                source: Some(Arc::new(error)),
            })
        })
        .await
    }

    async fn open(&self, name: &OriginalName) -> Result<Option<Original>, StorageError> {
        let (this, name) = (self.clone(), name.clone());
        blocking(move || this.file(&name)).await
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use futures_util::TryStreamExt;

    use super::*;

    fn allowed(root: &Path) -> AllowedDirectories {
        AllowedDirectories { roots: [root.to_owned()].into(), own: [root.join("a/own")].into() }
    }

    async fn names(originals: &dyn Originals, limit: usize) -> Vec<(String, Option<&'static str>)> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = originals.page(after.as_ref(), limit).await.unwrap();
            after = page.found.last().map(|found| found.name.clone()).or(after);
            all.extend(page.found.into_iter().map(|found| (found.name.shown(), found.unusable)));
            if page.is_last {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn a_walk_goes_on_after_any_name_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for directory in ["a/b/c", "a/own", "a-", "empty/none", "other"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for file in ["a.txt", "a/b/c/1", "a/b/c.txt", "a/b0", "a-/x", "z", "a/own/secret"] {
            fs::write(root.join(file), file).unwrap();
        }
        fs::write(root.join("other/provider-id"), "whose").unwrap();
        fs::write(root.join("other/b"), "a blob").unwrap();
        symlink("/etc", root.join("a/etc")).unwrap();
        symlink("z", root.join("y")).unwrap();
        let originals = allowed(root).originals(root.to_str().unwrap()).unwrap();
        let whole = names(&*originals, 1000).await;
        let shown: Vec<_> = whole.iter().map(|(name, _)| name.as_str()).collect();
        let below_a = ["a/b/c.txt", "a/b/c/1", "a/b0", "a/etc", "a/own/"];
        assert_eq!(shown, [&["a-/x", "a.txt"][..], &below_a[..], &["other/", "y", "z"][..]].concat());
        let unusable: Vec<_> = whole.iter().filter(|(_, why)| why.is_some()).map(|(name, _)| name).collect();
        assert_eq!(unusable, ["a/etc", "a/own/", "other/", "y"]);
        for limit in 1..11 {
            assert_eq!(names(&*originals, limit).await, whole, "{limit} at a time");
        }
        for name in ["y", "a/etc/passwd", "a/etc", "other/b"] {
            let opened = originals.open(&OriginalName::new(name)).await;
            assert!(!matches!(opened, Ok(Some(_))), "{name}");
        }
    }

    #[test]
    fn only_what_lies_below_an_allowed_directory_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("in");
        fs::create_dir_all(root.join("a/own/x")).unwrap();
        symlink(folder.path(), root.join("out")).unwrap();
        let allowed = allowed(&root);
        let refused = |path: &str| allowed.originals(path).is_err();
        let shown = root.to_str().unwrap();
        for path in ["", "in", "/", "/etc", &format!("{shown}/../x"), &format!("{shown}2"), "in/../in"] {
            assert!(refused(path), "{path}");
        }
        assert!(AllowedDirectories::default().originals("/").is_err(), "none is allowed");
        let opens = |rest: &str| {
            let directory = Directory { root: root.clone(), rest: rest.into(), own: allowed.own.clone() };
            directory.enter().map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(opens("a"), Ok(()));
        for (rest, why) in [
            ("out", "a link"),
            ("out/in", "a link"),
            ("none", "no such"),
            ("a/own", "own"),
            ("a/own/x", "own"),
        ] {
            assert!(opens(rest).unwrap_err().contains(why), "{rest}: {:?}", opens(rest));
        }
    }

    #[tokio::test]
    async fn what_is_written_to_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let originals = allowed(folder.path()).originals(folder.path().to_str().unwrap()).unwrap();
        let open = async || originals.open(&OriginalName::new("f")).await.unwrap().unwrap();
        let read =
            async |original: &Original| original.body().try_collect::<Vec<_>>().await.map(|it| it.concat());
        fs::write(&path, vec![7; 600_000]).unwrap();
        let original = open().await;
        assert_eq!(read(&original).await.unwrap(), vec![7; 600_000]);
        for changed in [vec![7; 600_001], vec![7; 5]] {
            fs::write(&path, changed).unwrap();
            assert!(matches!(read(&original).await, Err(StorageError::OriginalUnusable { .. })));
            assert!(matches!(original.remove().await, Err(StorageError::OriginalUnusable { .. })));
        }
        // One that was replaced is read as it was, and its successor stays.
        let original = open().await;
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another").unwrap();
        assert_eq!(read(&original).await.unwrap(), vec![7; 5]);
        assert!(original.remove().await.is_err());
        open().await.remove().await.unwrap();
        assert!(!path.exists());
        assert!(originals.open(&OriginalName::new("f")).await.unwrap().is_none());
    }
}
