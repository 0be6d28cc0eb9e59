//! Which uploads in parts are unfinished, on the local disk: a store keeps their parts, and bills them, without showing
//! them among its objects. A file per upload, in a folder of this process's own; the folders of dead ones are taken over.
//!
//! A note is not synced: a process that is killed leaves it; a machine that loses its power may not, and then a rule of
//! the store's own must end such uploads (`docs/providers.md`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::backend::local::instance::Instance;
use crate::backend::local::make_directories;
use crate::file::BlobKey;

/// The notes of one process about one provider.
#[derive(Clone)]
pub(super) struct Journal {
    root: PathBuf,
    own: Arc<Instance>,
}

/// A note. It stands until it is struck out.
#[derive(Debug, Clone)]
pub(super) struct Note {
    file: PathBuf,
    pub(super) key: BlobKey,
    /// The upload, as the store names it.
    pub(super) upload: String,
}

impl Journal {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        make_directories(root)?;
        Ok(Self { root: root.to_owned(), own: Arc::new(Instance::start(root)?) })
    }

    /// Notes an upload that has begun.
    pub(super) async fn note(&self, key: &BlobKey, upload: &str) -> io::Result<Note> {
        let file = self.own.folder().join(Uuid::now_v7().to_string());
        let note = Note { file, key: key.clone(), upload: upload.to_owned() };
        let (written, text) = (note.clone(), format!("{key}\n{upload}\n"));
        blocking(move || fs::write(&written.file, text)).await?;
        Ok(note)
    }

    /// Takes a note back: the upload is finished, or given up.
    pub(super) async fn strike_out(note: Note) {
        if let Err(error) = blocking(move || fs::remove_file(&note.file)).await {
            tracing::warn!(%error, "a note of a finished upload stays until the next start");
        }
    }

    /// The notes of processes that died, each with the folder that it holds. Those of the living are left alone; what is
    /// not struck out is found the next time.
    pub(super) async fn of_the_dead(&self) -> io::Result<Vec<(Arc<Instance>, Note)>> {
        let root = self.root.clone();
        blocking(move || {
            let mut notes = Vec::new();
            for folder in Instance::folders(&root)? {
                let Some(dead) = Instance::take(&folder)?.map(Arc::new) else { continue };
                match fs::read_dir(dead.folder()) {
                    Ok(entries) => {
                        for entry in entries {
                            notes.extend(read(entry?.path())?.map(|note| (dead.clone(), note)));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(notes)
        })
        .await
    }
}

/// The note in a file. Half of one is of an upload whose name never came to the disk: it goes.
fn read(file: PathBuf) -> io::Result<Option<Note>> {
    let text = fs::read_to_string(&file)?;
    let mut lines = text.split_terminator('\n');
    let note = match (lines.next().and_then(BlobKey::from_stored), lines.next()) {
        (Some(key), Some(upload)) if text.ends_with('\n') => Some((key, upload.to_owned())),
        _ => None,
    };
    match note {
        Some((key, upload)) => Ok(Some(Note { file, key, upload })),
        None => fs::remove_file(&file).map(|()| None),
    }
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(step).await.map_err(io::Error::other)?
}
