//! A server that is one user's, and commands that root runs beside it: as with systemd's `DynamicUser`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::server::{Said, alone};

/// A user that nobody has.
const USER: u32 = 54_321;

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server as that user; `None` where only root could, and we are not root.
fn serve(data: &Path) -> Option<Served> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AEROSTORE_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).uid(USER).gid(USER);
    // The binary may lie where another user finds nothing, too.
    let mut process = command.spawn().ok()?;
    let mut errors = process.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        text
    });
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    if !lines.any(|line| line.contains("ready on ")) {
        panic!("it does not start: {}", said.join().unwrap());
    }
    std::thread::spawn(move || lines.for_each(drop));
    Some(Served(process))
}

#[test]
fn what_root_does_beside_a_server_leaves_it_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    // It may be passed, and not read.
    fs::set_permissions(place, PermissionsExt::from_mode(0o711)).unwrap();
    let data = place.join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
    if chown(&data, Some(USER), Some(USER)).is_err() {
        println!("skipped: needs root");
        return;
    }
    let Some(server) = serve(&data) else {
        println!("skipped: needs a binary that other users find");
        return;
    };
    let run = |arguments: &[&str]| -> Said { alone(&[arguments, &["--data-dir", "data"]].concat(), place) };
    run(&["backup", "create", "--to", "backup"]).ok();
    let hold = data.join("metadata.sqlite-hold");
    assert!(hold.exists() && data.join("last-backup.json").exists());
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), USER, "{}", entry.path().display());
    }
    let words = "can't use what another user owns";
    assert!(!run(&["doctor"]).out.contains(words));
    // As an older version left it.
    chown(&hold, Some(0), Some(0)).unwrap();
    let doctor = run(&["doctor"]);
    assert!(doctor.out.contains(words) && doctor.out.contains("metadata.sqlite-hold"), "{}", doctor.out);
    assert_eq!(doctor.code, 1);
    drop(server);

    // What root restores into that user's directory is that user's, too.
    let restored = place.join("restored");
    fs::create_dir(&restored).unwrap();
    fs::set_permissions(&restored, PermissionsExt::from_mode(0o700)).unwrap();
    chown(&restored, Some(USER), Some(USER)).unwrap();
    alone(&["backup", "restore", "backup", "--data-dir", "restored"], place).ok();
    assert!(serve(&restored).is_some());
}
