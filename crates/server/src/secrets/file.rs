//! `secrets.json` in the data directory: mode 0600, written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::{Timestamp, ownership};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{MIN_SECRET_BYTES, Secret, SecretsError};

const FILE_NAME: &str = "secrets.json";
const FORMAT: u32 = 1;
/// Bits for group and others.
const OTHERS: u32 = 0o077;

/// What the file holds.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) created_at: Timestamp,
    pub(super) jwt_secret: Secret,
    pub(super) signing_secret: Secret,
    pub(super) master_key: Secret,
    pub(super) s3_access_key_id: String,
    pub(super) s3_secret_access_key: Secret,
}

/// The file's JSON. Its texts are moved into [`Secret`]s, or wiped.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    created_at: Timestamp,
    jwt_secret: Zeroizing<String>,
    signing_secret: Zeroizing<String>,
    master_key: Zeroizing<String>,
    s3_access_key_id: String,
    s3_secret_access_key: Zeroizing<String>,
}

/// Reads the file, making it and its directory where it is missing. Tells whether it was made.
pub(super) fn open_or_create(data_dir: &Path) -> Result<(Stored, bool), SecretsError> {
    create_directory(data_dir)?;
    match open(data_dir) {
        Err(SecretsError::Missing(_)) => {}
        other => return other.map(|stored| (stored, false)),
    }
    let made = create(data_dir)?;
    // What is on disk counts: another process may have been first.
    Ok((open(data_dir)?, made))
}

/// Reads the file.
pub(super) fn open(data_dir: &Path) -> Result<Stored, SecretsError> {
    let (path, text) = (data_dir.join(FILE_NAME), read(data_dir)?);
    parse(&text).map_err(|problem| SecretsError::Damaged { path, problem })
}

/// Reads the file as it is, if it is one of ours.
pub(super) fn document(data_dir: &Path) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let (path, text) = (data_dir.join(FILE_NAME), read(data_dir)?);
    parse(&text).map_err(|problem| SecretsError::Damaged { path, problem })?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// Writes the file as it was, unless it is there.
pub(super) fn put_back(data_dir: &Path, document: &[u8]) -> Result<(), SecretsError> {
    let path = data_dir.join(FILE_NAME);
    let text = str::from_utf8(document).map_err(|error| error.to_string());
    let checked = text.and_then(|text| parse(text).map(drop));
    checked.map_err(|problem| SecretsError::Damaged { path: path.clone(), problem })?;
    create_directory(data_dir)?;
    if publish(data_dir, document)? || *read(data_dir)?.as_bytes() == *document {
        return Ok(());
    }
    Err(SecretsError::Others(path))
}

fn read(data_dir: &Path) -> Result<Zeroizing<String>, SecretsError> {
    let path = data_dir.join(FILE_NAME);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(SecretsError::Missing(data_dir.to_owned()));
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(SecretsError::NoDirectory(data_dir.to_owned()));
        }
        Err(source) => return Err(SecretsError::Io { path, source }),
    };
    // Of the open file, so that it cannot be exchanged in between.
    let mode = file.metadata().map_err(io(&path))?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretsError::Exposed { path, mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(io(&path))?;
    Ok(text)
}

fn parse(text: &str) -> Result<Stored, String> {
    let document: Document = serde_json::from_str(text)
        // The parser's words may repeat a value; its position does not.
        .map_err(|error| {
            format!("no valid JSON of ours at line {}, column {}", error.line(), error.column())
        })?;
    if document.format != FORMAT {
        return Err(format!("format {} is not known to this version", document.format));
    }
    let stored = Stored {
        created_at: document.created_at,
        jwt_secret: Secret::new(document.jwt_secret.as_str()),
        signing_secret: Secret::new(document.signing_secret.as_str()),
        master_key: Secret::new(document.master_key.as_str()),
        s3_access_key_id: document.s3_access_key_id,
        s3_secret_access_key: Secret::new(document.s3_secret_access_key.as_str()),
    };
    let all = [&stored.jwt_secret, &stored.signing_secret, &stored.master_key, &stored.s3_secret_access_key];
    if all.iter().any(|secret| !secret.is_long_enough()) {
        return Err(format!("a secret has less than {MIN_SECRET_BYTES} bytes"));
    }
    Ok(stored)
}

/// Makes the data directory, for its owner alone. One that was made by hand and is still empty is closed to
/// others, too; one that has contents is left as its operator wanted it.
fn create_directory(data_dir: &Path) -> Result<(), SecretsError> {
    if let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(data_dir) {
        return Err(match source.kind() {
            ErrorKind::AlreadyExists => SecretsError::NoDirectory(data_dir.to_owned()),
            _ => SecretsError::Io { path: data_dir.to_owned(), source },
        });
    }
    let mode = fs::metadata(data_dir).map_err(io(data_dir))?.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let empty = fs::read_dir(data_dir).map_err(io(data_dir))?.next().is_none();
    if empty && fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700)).is_ok() {
        return Ok(());
    }
    tracing::warn!(data_dir = %data_dir.display(), mode = format!("{mode:o}"), "data directory is open to others");
    Ok(())
}

/// Writes new secrets, unless another process did so first; tells whether it was this one. A link, unlike a
/// rename, never replaces what is there; and it appears with its whole contents.
fn create(data_dir: &Path) -> Result<bool, SecretsError> {
    publish(data_dir, generate()?.as_bytes())
}

/// Gives contents their name, wholly or not at all, unless something has it.
fn publish(data_dir: &Path, contents: &[u8]) -> Result<bool, SecretsError> {
    let path = data_dir.join(FILE_NAME);
    let temporary = Temporary(data_dir.join(format!(".{FILE_NAME}.{}", uuid::Uuid::new_v4())));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary.0)
        .map_err(io(&temporary.0))?;
    // Where root may not give it away, a server of another user says that it can't read it.
    let _ = ownership::hand_over(&file, data_dir);
    file.write_all(contents).and_then(|()| file.sync_all()).map_err(io(&temporary.0))?;
    let made = match fs::hard_link(&temporary.0, &path) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(source) => return Err(SecretsError::Io { path, source }),
    };
    drop(temporary);
    File::open(data_dir).and_then(|directory| directory.sync_all()).map_err(io(data_dir))?;
    Ok(made)
}

/// A file that goes when its maker does.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It was never created, or cannot be removed: there is nothing to do about either.
        let _ = fs::remove_file(&self.0);
    }
}

fn generate() -> Result<Zeroizing<String>, SecretsError> {
    let document = Document {
        format: FORMAT,
        created_at: chrono::Utc::now(),
        jwt_secret: random_text()?,
        signing_secret: random_text()?,
        master_key: random_text()?,
        s3_access_key_id: access_key_id()?,
        s3_secret_access_key: random_text()?,
    };
    let text = serde_json::to_string_pretty(&document).map_err(|error| SecretsError::Damaged {
        path: PathBuf::from(FILE_NAME),
        problem: error.to_string(),
    })?;
    Ok(Zeroizing::new(text + "\n"))
}

/// 256 random bits, as 43 characters that need no quoting anywhere.
fn random_text() -> Result<Zeroizing<String>, SecretsError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| SecretsError::NoRandomness)?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// A name for the generated S3 key: no secret, but unlike others'. 20 characters, as S3 tools expect.
fn access_key_id() -> Result<String, SecretsError> {
    let mut bytes = [0_u8; 9];
    rand::fill(&mut bytes).map_err(|_| SecretsError::NoRandomness)?;
    Ok(format!("AS{}", hex_upper(&bytes)))
}

fn hex_upper(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> SecretsError + '_ {
    move |source| SecretsError::Io { path: path.to_owned(), source }
}
