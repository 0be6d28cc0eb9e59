//! Starts that fail, and `serve --check`, which says so beforehand.

use std::path::{Path, PathBuf};

use crate::server::{Said, alone};

/// Everything below a folder, with its lengths: what a check must leave as it is.
fn contents(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), path.metadata().unwrap().len()));
        if path.is_dir() {
            found.extend(contents(&path));
        }
    }
    found.sort();
    found
}

fn check(folder: &Path, arguments: &[&str]) -> Said {
    let before = contents(folder);
    let said = alone(&[&["serve", "--check"], arguments].concat(), folder);
    assert_eq!(contents(folder), before, "a check changes nothing");
    said
}

#[test]
fn a_check_looks_at_what_a_start_needs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(folder, &["--data-dir", "new/data"]).ok();
    std::fs::write(folder.join("file"), "").unwrap();
    check(folder, &["--data-dir", "file"]).fails(1, "file is no directory");
    check(folder, &["--data-dir", "file/data"]).fails(1, "file/data is no directory");
    check(folder, &["--listen", "nowhere"]).fails(2, "HOST:PORT");
    check(folder, &["--listen", "no.such.host.invalid:1"]).fails(1, "can't listen on no.such.host.invalid:1");
    check(folder, &["--database", "sqlite:nowhere/x.db"]).fails(1, "nowhere/x.db can't be made");

    let data = folder.join("damaged");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("secrets.json"), "{}").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(data.join("secrets.json"), private).unwrap();
    check(folder, &["--data-dir", "damaged"]).fails(1, "secrets.json is damaged");

    std::fs::write(folder.join("keys.json"), "[]").unwrap();
    for (jwks, words) in
        [("missing.json", "missing.json: No such file"), ("keys.json", "is no JSON Web Key Set")]
    {
        std::fs::write(folder.join("storage.yml"), format!("auth: {{jwks_file: {jwks}}}")).unwrap();
        check(folder, &["--config", "storage.yml"]).fails(1, words);
    }
    for directory in ["file", "file/audit", "/proc/audit"] {
        std::fs::write(folder.join("audit.yml"), format!("audit: {{directory: {directory}}}")).unwrap();
        check(folder, &["--config", "audit.yml"]).fails(1, "the audit log can't be kept");
        let start = ["serve", "--config", "audit.yml", "--data-dir", "kept", "--listen", "127.0.0.1:0"];
        alone(&start, folder).fails(1, "the audit log can't be kept");
        assert!(!folder.join("kept/metadata.sqlite").exists(), "the database is opened after it");
    }
    std::fs::write(folder.join("audit.yml"), "audit: {directory: new/audit}").unwrap();
    check(folder, &["--config", "audit.yml"]).ok();
    // All of it at once, and for scripts.
    let said = check(folder, &["--config", "storage.yml", "--data-dir", "file", "--json"]);
    let report = crate::json(&said.out);
    assert_eq!((said.code, report["ok"].as_bool()), (1, Some(false)));
    assert_eq!(report["problems"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn a_start_that_fails_says_why_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("file"), "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, words) in [
        (["--data-dir", "file", "--listen", "127.0.0.1:0"], "is no directory"),
        (["--data-dir", "file/below", "--listen", "127.0.0.1:0"], "Not a directory"),
        (["--data-dir", "data", "--listen", &address], "Address already in use"),
        (["--database", "sqlite:nowhere/x.db", "--listen", "127.0.0.1:0"], "No such file"),
    ] {
        let said = alone(&[&["serve"], arguments.as_slice()].concat(), folder);
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.err);
        assert_eq!(said.err.matches(words).count(), 1, "{words} once: {}", said.err);
        assert_eq!(said.err.trim().lines().count(), 1, "one line: {}", said.err);
        assert!(!said.err.contains("configuration has mistakes"), "{}", said.err);
    }
}
