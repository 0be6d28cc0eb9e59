//! Directories that are not the ones that a database means: servers that share a database and not a disk, a disk that is not
//! mounted, a backup that has come back. The real binary, over both engines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
#[path = "../../file-storage/tests/support/database.rs"]
mod database;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use database::TestDatabase;

/// Larger than what is kept in the database.
static CONTENT: [u8; 50_000] = [7; 50_000];

/// Directories of one or several servers, and the database that they share if it can be shared.
struct Place {
    folder: TempDir,
    database: Option<TestDatabase>,
    variables: Vec<(String, String)>,
}

impl Place {
    fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: None, variables: Vec::new() }
    }

    fn postgres() -> Self {
        Self { database: Some(TestDatabase::new()), ..Self::sqlite() }
    }

    fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A second directory, `disk`, which servers share, and which takes new bytes.
    fn with_disk(mut self) -> Self {
        let path = self.path("disk").display().to_string();
        self.set("AEROSTORE_PROVIDERS_DISK_KIND", "local");
        self.set("AEROSTORE_PROVIDERS_DISK_PATH", &path);
        self.set("AEROSTORE_STORAGE_ACTIVE_PROVIDER", "disk");
        self
    }

    fn command(&self, data: &str, arguments: &[&str]) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_aerostore"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
        {
            process.env_remove(name);
        }
        if let Some(database) = &self.database {
            process.env("AEROSTORE_DATABASE", database.url());
        }
        process.args(arguments).arg("--data-dir").arg(self.path(data)).stdin(Stdio::null());
        process.envs(self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        process
    }

    /// Starts a server with a data directory of this name; else what it says.
    fn start(&self, data: &str) -> Result<Server, String> {
        let mut child = self
            .command(data, &["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = child.stderr.take().unwrap();
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("ready on ")?.1.trim().to_owned()));
        let Some(url) = url else {
            assert!(!child.wait().unwrap().success());
            return Err(said.join().unwrap());
        };
        std::thread::spawn(move || lines.for_each(drop));
        let keys = self.command(data, &["keys", "--json"]).output().unwrap();
        let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
        let key = keys["service_key"].as_str().unwrap().to_owned();
        Ok(Server { child, url, key })
    }

    #[track_caller]
    fn starts(&self, data: &str) -> Server {
        self.start(data).unwrap_or_else(|said| panic!("{data} does not start: {said}"))
    }

    /// A start that is refused, with the provider and its directory in what is said.
    #[track_caller]
    fn refuses(&self, data: &str, provider: &str, directory: &Path) -> String {
        let said = match self.start(data) {
            Ok(_) => panic!("{data} starts"),
            Err(said) => said,
        };
        let words = format!("the provider '{provider}' is not in {}", directory.display());
        assert!(said.contains(&words) && said.contains("probably not mounted"), "{words}: {said}");
        said
    }
}

/// A running server; killed when it goes out of scope.
struct Server {
    child: Child,
    url: String,
    key: String,
}

impl Server {
    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
    }

    async fn put(&self, name: &str) {
        self.put_in("box", name).await;
    }

    async fn put_in(&self, bucket: &str, name: &str) {
        let made = json!({ "name": bucket, "policy": "private" }).to_string().into_bytes();
        let (status, _) = self.ask(Method::POST, "/storage/v1/bucket", made).await;
        assert!(matches!(status, 201 | 409));
        let path = format!("/storage/v1/object/{bucket}/{name}");
        assert_eq!(self.ask(Method::PUT, &path, CONTENT.to_vec()).await.0, 200);
    }

    async fn expect(&self, name: &str) {
        let (status, content) =
            self.ask(Method::GET, &format!("/storage/v1/object/box/{name}"), Vec::new()).await;
        assert!(status == 200 && content == CONTENT, "{name}: {status}");
    }

    /// What a migration from `disk` to `local` is answered.
    async fn migrate(&self) -> (u16, String) {
        let body = json!({ "from": "disk", "to": "local" }).to_string().into_bytes();
        let (status, body) = self.ask(Method::POST, "/api/v1/storage/migrations", body).await;
        (status, String::from_utf8(body).unwrap())
    }

    fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id_of(directory: &Path) -> PathBuf {
    directory.join("provider-id")
}

#[tokio::test]
async fn a_disk_that_is_not_mounted_stops_the_start() {
    for place in Place::both() {
        let place = place.with_disk();
        let disk = place.path("disk");
        let server = place.starts("data");
        server.put("a").await;
        server.stop();
        let identity = std::fs::read_to_string(id_of(&disk)).unwrap();

        // The mount point is empty; or something else is mounted there.
        let away = place.path("away");
        std::fs::rename(&disk, &away).unwrap();
        std::fs::create_dir(&disk).unwrap();
        let said = place.refuses("data", "disk", &disk);
        assert!(said.contains(identity.trim()) && said.contains("which has blobs"), "{said}");
        assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0, "nothing is made there");
        std::fs::write(id_of(&disk), uuid::Uuid::new_v4().to_string()).unwrap();
        place.refuses("data", "disk", &disk);
        std::fs::write(id_of(&disk), "some words").unwrap();
        let said = place.start("data").err().unwrap();
        assert!(said.contains("provider-id can't") || said.contains("provider-id is no UUID"), "{said}");

        std::fs::remove_dir_all(&disk).unwrap();
        std::fs::rename(&away, &disk).unwrap();
        let server = place.starts("data");
        server.expect("a").await;
        server.stop();
        // An operator who knows better has the last word, as the refusal says.
        std::fs::remove_dir_all(&disk).unwrap();
        std::fs::create_dir(&disk).unwrap();
        place.refuses("data", "disk", &disk);
        std::fs::write(id_of(&disk), &identity).unwrap();
        place.starts("data").put("b").await;
    }
}

#[tokio::test]
async fn servers_that_share_a_database_share_the_directories_that_take_bytes() {
    let mut place = Place::postgres();
    let first = place.starts("one");
    // Nothing is kept there yet; it would be, in a moment.
    place.refuses("two", "local", &place.path("two"));
    first.put("a").await;
    place.refuses("two", "local", &place.path("two"));

    // The same in two places.
    std::os::unix::fs::symlink(place.path("one"), place.path("three")).unwrap();
    let third = place.starts("three");
    third.expect("a").await;
    drop(third);
    drop(first);

    // Unused by name, and yet it keeps bytes.
    place = place.with_disk();
    let said = place.refuses("two", "local", &place.path("two"));
    assert!(said.contains("which has blobs"), "{said}");
    place.starts("one").expect("a").await;
}

#[tokio::test]
async fn a_data_directory_that_takes_no_bytes_may_be_a_servers_own() {
    let mut place = Place::postgres().with_disk();
    let (first, second) = (place.starts("one"), place.starts("two"));
    first.put("a").await;
    second.put("b").await;
    first.expect("b").await;
    second.expect("a").await;
    // Nor does it take any later: only the server whose directory it is moves bytes there.
    let (status, said) = second.migrate().await;
    assert!(status == 404 && said.contains("PROVIDER_NOT_FOUND"), "{status} {said}");
    drop(second);
    for (key, value) in [("SPOOL", "local"), ("FAILOVER_PROVIDERS", "local")] {
        let name = format!("AEROSTORE_STORAGE_{key}");
        place.set(&name, value);
        place.refuses("two", "local", &place.path("two"));
        place.starts("one").stop();
        place.set(&name, "");
    }
    place.starts("two").expect("a").await;
    assert_eq!(first.migrate().await.0, 202);
}

/// As a server of a version before there were identities leaves them.
async fn forget(place: &Place, directory: &Path) {
    match &place.database {
        Some(database) => {
            let admin = database.admin().await;
            admin.batch_execute("DELETE FROM aerostore.provider_identities").await.unwrap();
        }
        None => {
            let database = rusqlite::Connection::open(directory.join("metadata.sqlite")).unwrap();
            database.execute("DELETE FROM provider_identities", []).unwrap();
        }
    }
    std::fs::remove_file(id_of(directory)).unwrap();
}

#[tokio::test]
async fn the_first_start_after_an_upgrade_looks_for_blobs() {
    let place = Place::postgres();
    let data = place.path("one");
    let server = place.starts("one");
    server.put("a").await;
    server.stop();
    forget(&place, &data).await;
    // Another server's own disk is not taken for the one that has them, also where it comes first.
    let said = place.refuses("two", "local", &place.path("two"));
    assert!(said.contains("knows blobs there") && !id_of(&place.path("two")).exists(), "{said}");
    place.starts("one").expect("a").await;
    assert!(id_of(&data).exists());
    place.refuses("two", "local", &place.path("two"));
    // A database that came from elsewhere, and does not know yet.
    let admin = place.database.as_ref().unwrap().admin().await;
    admin.batch_execute("DELETE FROM aerostore.provider_identities").await.unwrap();
    place.starts("one").expect("a").await;
}

/// A bucket's blobs are lost, however many: those of another one tell which directory it is, to a start as to what looks before it.
#[tokio::test]
async fn a_directory_is_told_by_the_blobs_of_any_bucket() {
    for mut place in Place::both() {
        place.set("AEROSTORE_STORAGE_DURABILITY", "relaxed");
        let data = place.path("data");
        let server = place.starts("data");
        for bucket in ["first", "second"] {
            for name in 0..70 {
                server.put_in(bucket, &name.to_string()).await;
            }
        }
        server.stop();
        let folders = std::fs::read_dir(data.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        folders.sort();
        assert_eq!(folders.len(), 2, "{folders:?}");
        // A check asks no database of another machine's.
        let looks: &[&[&str]] = match place.database {
            Some(_) => &[&["doctor"]],
            None => &[&["doctor"], &["serve", "--check"]],
        };
        let words = "the database knows blobs there, and those that were looked for are missing";
        for lost in [false, true] {
            std::fs::remove_dir_all(folders.remove(0)).unwrap();
            forget(&place, &data).await;
            for arguments in looks {
                let ended = place.command("data", arguments).output().unwrap();
                let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
                assert_eq!(said.contains(words), lost, "{arguments:?}: {said}");
            }
            match lost {
                false => place.starts("data").stop(),
                true => assert!(place.refuses("data", "local", &data).contains(words)),
            }
        }
    }
}

#[tokio::test]
async fn a_backup_without_the_file_is_told_by_its_blobs() {
    for place in Place::both() {
        let data = place.path("data");
        let server = place.starts("data");
        server.put("a").await;
        server.stop();
        let identity = std::fs::read_to_string(id_of(&data)).unwrap();
        std::fs::remove_file(id_of(&data)).unwrap();
        match place.database {
            // Nobody else has this database.
            None => {
                place.starts("data").expect("a").await;
                assert_eq!(std::fs::read_to_string(id_of(&data)).unwrap(), identity);
            }
            // It might be a copy, beside a server that has the original.
            Some(_) => drop(place.refuses("data", "local", &data)),
        }
    }
}

#[tokio::test]
async fn a_new_database_does_not_take_a_directory_that_belongs_to_another_one() {
    let place = Place::sqlite();
    let data = place.path("data");
    place.starts("data").stop();
    let identity = std::fs::read_to_string(id_of(&data)).unwrap();
    for entry in std::fs::read_dir(&data).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("metadata.sqlite") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    // A check and a doctor say so beforehand, and change nothing.
    let words = "belongs to another database";
    for arguments in [["serve", "--check"].as_slice(), &["doctor"]] {
        let said = place.command("data", arguments).output().unwrap();
        let said = (
            said.status.success(),
            String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned(),
        );
        assert!(!said.0 && said.1.contains(words), "{arguments:?}: {}", said.1);
        assert!(!data.join("metadata.sqlite").exists());
    }
    let said = place.start("data").err().unwrap();
    assert!(said.contains(words) && said.contains("aerostore take-over local"), "{said}");
    assert_eq!(said.matches(words).count(), 1, "once: {said}");
    assert_eq!(std::fs::read_to_string(id_of(&data)).unwrap(), identity);

    let taken = place.command("data", &["take-over", "local", "--yes"]).status().unwrap();
    assert!(taken.success());
    let server = place.starts("data");
    server.put("a").await;
    server.stop();
    assert_ne!(std::fs::read_to_string(id_of(&data)).unwrap(), identity);
    place.starts("data").expect("a").await;
    let unknown = place.command("data", &["take-over", "nothing", "--yes"]).output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no provider 'nothing'"));
}

#[test]
fn directories_that_lie_in_each_other_are_refused() {
    let mut place = Place::sqlite().with_disk();
    let refused = |place: &Place, words: &str| {
        let checked = place.command("data", &["serve", "--check"]).output().unwrap();
        assert!(!checked.status.success() && String::from_utf8_lossy(&checked.stderr).contains(words));
        let said = place.start("data").err().unwrap();
        assert!(said.contains(words), "{words}: {said}");
        assert!(!place.path("data").join("metadata.sqlite").exists(), "nothing is made");
    };
    let path = |place: &mut Place, path: PathBuf| {
        place.set("AEROSTORE_PROVIDERS_DISK_PATH", &path.display().to_string());
    };
    std::os::unix::fs::symlink(place.path("data"), place.path("link")).unwrap();
    let link = place.path("link");
    path(&mut place, link.join("inside"));
    std::fs::create_dir(place.path("data")).unwrap();
    refused(&place, "the providers 'local' and 'disk' overlap: the second lies within the first");
    path(&mut place, link);
    refused(&place, "the providers 'local' and 'disk' are the same place");
    let parent = place.folder.path().to_owned();
    path(&mut place, parent);
    refused(&place, "the first lies within the second");
    let beside = place.path("data-too");
    path(&mut place, beside);
    place.starts("data").stop();
}

#[test]
fn a_check_finds_a_directory_that_is_another_one() {
    let place = Place::sqlite().with_disk();
    place.starts("data").stop();
    let disk = place.path("disk");
    let check = || {
        let checked = place.command("data", &["serve", "--check"]).output().unwrap();
        (checked.status.success(), String::from_utf8_lossy(&checked.stderr).into_owned())
    };
    assert!(check().0, "{}", check().1);
    let identity = std::fs::read_to_string(id_of(&disk)).unwrap();
    std::fs::write(id_of(&disk), uuid::Uuid::new_v4().to_string()).unwrap();
    let (good, said) = check();
    assert!(!good && said.contains("the provider 'disk' is not in"), "{said}");
    // Also beside a server that runs.
    std::fs::write(id_of(&disk), identity).unwrap();
    let server = place.starts("data");
    assert!(check().0, "{}", check().1);
    server.stop();
    std::fs::remove_dir_all(&disk).unwrap();
    std::fs::write(&disk, "").unwrap();
    let (good, said) = check();
    assert!(!good && said.contains("the provider 'disk' can't be written in"), "{said}");
}
