//! What a copy consists of: sources are walked or listed, and every file becomes a task.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use tokio::sync::mpsc;

use super::partial;
use crate::address::{Address, Remote};
use crate::client::Client;
use crate::failure::Failure;

/// Tasks that may wait to be run.
const AHEAD: usize = 256;

/// One file to copy, or to tell of.
#[derive(Debug)]
pub(crate) enum Task {
    Upload { from: PathBuf, to: Remote, size: u64 },
    Download { from: Remote, to: PathBuf, size: u64 },
    Copy { from: Remote, to: Remote, size: u64 },
    LeaveOut { from: PathBuf, why: &'static str },
}

/// A source that gave no task.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) item: String,
    pub(crate) failure: Failure,
}

pub(super) type Planned = Result<Task, Failed>;

/// Where copies go.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    address: Address,
    /// Names are kept below the address, instead of being replaced by it.
    folder: bool,
}

impl Target {
    /// `folder`: the target must be one, because several files go there.
    pub(crate) fn resolve(address: Address, folder: bool) -> Result<Self, Failure> {
        let folder = folder
            || match &address {
                Address::Remote(remote) => remote.is_folder(),
                Address::Local(path) => path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/'),
                Address::Stdio => return Err(Failure::Usage("`-` cannot take several files".to_owned())),
            };
        Ok(Self { address, folder })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Without being asked for whole folders, no local directory is made: a missing one is more likely a mistake.
    pub(crate) fn must_have_its_directory(&self) -> Result<(), Failure> {
        let Address::Local(path) = &self.address else { return Ok(()) };
        let directory = match (self.folder, path.parent()) {
            (true, _) => path.as_path(),
            (false, Some(parent)) if !parent.as_os_str().is_empty() => parent,
            (false, _) => Path::new("."),
        };
        if directory.is_dir() {
            return Ok(());
        }
        let directory = directory.display();
        Err(Failure::NotFound(format!("{directory}: no such directory; make it first, or copy with -r")))
    }

    /// The task that brings `from` to its place: `name` below a folder, else the target itself.
    fn task(&self, from: &Address, name: &str, size: u64) -> Result<Task, Failure> {
        let remote = |to: &Remote| if self.folder { to.join(name) } else { to.clone() };
        match (from, &self.address) {
            (Address::Local(from), Address::Remote(to)) => {
                Ok(Task::Upload { from: from.clone(), to: remote(to), size })
            }
            (Address::Remote(from), Address::Remote(to)) => {
                Ok(Task::Copy { from: from.clone(), to: remote(to), size })
            }
            (Address::Remote(from), Address::Local(to)) => {
                let to = if self.folder { join(to, name)? } else { to.clone() };
                Ok(Task::Download { from: from.clone(), to, size })
            }
            _ => {
                Err(Failure::Usage("one side must be on the server; write it aero://BUCKET/PATH".to_owned()))
            }
        }
    }
}

impl Task {
    /// How many bytes it will move, as far as known.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Upload { size, .. } | Self::Download { size, .. } | Self::Copy { size, .. } => *size,
            Self::LeaveOut { .. } => 0,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload { from, .. } | Self::LeaveOut { from, .. } => write!(f, "{}", from.display()),
            Self::Download { from, .. } | Self::Copy { from, .. } => from.fmt(f),
        }
    }
}

/// Walks the sources in the background.
pub(crate) fn start(
    client: Client,
    sources: Vec<Address>,
    target: Target,
    recursive: bool,
) -> mpsc::Receiver<Planned> {
    let (tasks, planned) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        for source in sources {
            let done = match (&source, recursive) {
                (Address::Local(path), _) => {
                    local(path.clone(), target.clone(), recursive, tasks.clone()).await
                }
                (Address::Remote(folder), true) => remote_folder(&client, folder, &target, &tasks).await,
                (Address::Remote(object), false) => remote_object(&client, object, &target, &tasks).await,
                (Address::Stdio, _) => Err(Failure::Usage("`-` stands for one file".to_owned())),
            };
            if let Err(failure) = done {
                let _ = tasks.send(Err(Failed { item: source.to_string(), failure })).await;
            }
        }
    });
    planned
}

async fn remote_object(
    client: &Client,
    object: &Remote,
    target: &Target,
    tasks: &mpsc::Sender<Planned>,
) -> Result<(), Failure> {
    if object.is_folder() {
        return Err(Failure::Usage("is a folder; to copy it say -r".to_owned()));
    }
    let size = client.info(object).await?.size();
    let task = target.task(&Address::Remote(object.clone()), object.file_name(), size)?;
    let _ = tasks.send(Ok(task)).await;
    Ok(())
}

async fn remote_folder(
    client: &Client,
    source: &Remote,
    target: &Target,
    tasks: &mpsc::Sender<Planned>,
) -> Result<(), Failure> {
    let folder = source.as_folder();
    let (mut cursor, mut found) = (None, false);
    loop {
        let page = client.list(&folder, false, cursor.as_deref()).await?;
        for entry in &page.objects {
            found = true;
            let name = entry.name.strip_prefix(&folder.path).unwrap_or(&entry.name);
            // Folder markers of other protocols: there is nothing in them to copy.
            if name.is_empty() || name.ends_with('/') {
                continue;
            }
            let from = Remote::new(&folder.bucket, entry.name.as_str());
            let item = from.to_string();
            let planned = target.task(&Address::Remote(from), name, entry.size());
            if tasks.send(planned.map_err(|failure| Failed { item, failure })).await.is_err() {
                return Ok(());
            }
        }
        cursor = page.next();
        if cursor.is_none() {
            break;
        }
    }
    if found {
        return Ok(());
    }
    if !source.is_folder() {
        return remote_object(client, source, target, tasks).await;
    }
    client.bucket(&folder.bucket).await?;
    if folder.path.is_empty() { Ok(()) } else { Err(Failure::NotFound("nothing lies below it".to_owned())) }
}

async fn local(
    path: PathBuf,
    target: Target,
    recursive: bool,
    tasks: mpsc::Sender<Planned>,
) -> Result<(), Failure> {
    let walk = tokio::task::spawn_blocking(move || walk(&path, &target, recursive, &tasks));
    walk.await.map_err(anyhow::Error::from)?
}

/// Sends a task for the file, or for every file below the directory. Errors below it are items of their own.
fn walk(path: &Path, target: &Target, recursive: bool, tasks: &mpsc::Sender<Planned>) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::NotFound("no such file".to_owned()),
        _ => error.into(),
    })?;
    if !metadata.is_dir() {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_utf8)?;
        let task = target.task(&Address::Local(path.to_owned()), name, metadata.len())?;
        let _ = tasks.blocking_send(Ok(task));
        return Ok(());
    }
    if !recursive {
        return Err(Failure::Usage("is a directory; to copy it say -r".to_owned()));
    }
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(&directory)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        entries.sort();
        for entry in entries {
            let planned = match below(path, &entry, target) {
                Ok(Found::Directory) => {
                    open.push(entry);
                    continue;
                }
                Ok(Found::Nothing) => continue,
                Ok(Found::File(task)) => Ok(task),
                Err(failure) => Err(Failed { item: entry.display().to_string(), failure }),
            };
            if tasks.blocking_send(planned).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

enum Found {
    Directory,
    File(Task),
    Nothing,
}

fn below(root: &Path, entry: &Path, target: &Target) -> Result<Found, Failure> {
    if entry.symlink_metadata()?.is_dir() {
        return Ok(Found::Directory);
    }
    let metadata = std::fs::metadata(entry)?;
    if partial::is_partial(entry) {
        return Ok(Found::Nothing);
    }
    let from = entry.to_owned();
    // It may lead in circles.
    if metadata.is_dir() {
        return Ok(Found::File(Task::LeaveOut { from, why: "a link to a directory" }));
    }
    if !metadata.is_file() {
        return Ok(Found::File(Task::LeaveOut { from, why: "not a regular file" }));
    }
    let relative = entry.strip_prefix(root).map_err(anyhow::Error::from)?;
    let name = relative.to_str().ok_or_else(not_utf8)?;
    target.task(&Address::Local(entry.to_owned()), name, metadata.len()).map(Found::File)
}

fn not_utf8() -> Failure {
    Failure::Other(anyhow::anyhow!("the name is not UTF-8, which the server asks for"))
}

/// `name` below `root`. A name from the server must never lead out of it, whatever the server allowed.
fn join(root: &Path, name: &str) -> Result<PathBuf, Failure> {
    let safe = !name.split('/').any(str::is_empty)
        && !name.contains('\0')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !safe {
        return Err(anyhow::anyhow!("`{name}` is no safe name for a local file").into());
    }
    Ok(root.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str, folder: bool) -> Target {
        Target::resolve(text.parse().unwrap(), folder).unwrap()
    }

    #[test]
    fn names_from_the_server_stay_below_the_target() {
        let check = |name: &str, ok: bool| assert_eq!(join(Path::new("/t"), name).is_ok(), ok, "{name}");
        check("a/b.txt", true);
        check("..a/b", true);
        for bad in ["", "..", "a/../../b", "/etc/passwd", "a//b", "./a", "a\0"] {
            check(bad, false);
        }
        check("c\\d", true);
    }

    #[test]
    fn targets_keep_or_replace_names() {
        let check = |to: &str, folder: bool, expected: &str| {
            let from = Address::Local("dir/a.txt".into());
            let Ok(Task::Upload { to, .. }) = target(to, folder).task(&from, "a.txt", 1) else {
                panic!("no upload")
            };
            assert_eq!(to.to_string(), expected);
        };
        check("aero://b", false, "aero://b/a.txt");
        check("aero://b/x/", false, "aero://b/x/a.txt");
        check("aero://b/x", false, "aero://b/x");
        check("aero://b/x", true, "aero://b/x/a.txt");
    }

    #[tokio::test]
    async fn a_directory_becomes_its_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sub/empty")).unwrap();
        std::fs::write(root.path().join("a.txt"), "12345").unwrap();
        std::fs::write(root.path().join("sub/b.txt"), "").unwrap();
        std::fs::write(root.path().join(".c.aerostore-part"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("sub/circle")).unwrap();
        std::os::unix::fs::symlink(root.path().join("gone"), root.path().join("sub/dangling")).unwrap();

        let (tasks, mut planned) = mpsc::channel(AHEAD);
        local(root.path().to_owned(), target("aero://b/x", true), true, tasks).await.unwrap();
        let mut seen = Vec::new();
        while let Some(planned) = planned.recv().await {
            seen.push(match planned {
                Ok(Task::Upload { to, size, .. }) => format!("{to} {size}"),
                Ok(Task::LeaveOut { from, why }) => {
                    format!("{}: {why}", from.file_name().unwrap().to_str().unwrap())
                }
                Ok(other) => panic!("{other}"),
                Err(failed) => format!("failed {}", failed.item.rsplit('/').next().unwrap()),
            });
        }
        let wanted = [
            "aero://b/x/a.txt 5",
            "socket: not a regular file",
            "aero://b/x/sub/b.txt 0",
            "circle: a link to a directory",
            "failed dangling",
        ];
        assert_eq!(seen, wanted);
    }
}
