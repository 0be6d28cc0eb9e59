//! SIGHUP: what changes in a running server, what does not, and what a mistake does.

mod live;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::server::Said;

/// A server whose log can be waited for.
struct Reloaded {
    process: Child,
    folder: tempfile::TempDir,
    /// The file of its settings.
    settings: PathBuf,
    /// Whether it was named, or is looked for in the data directory.
    is_named: bool,
    lines: mpsc::Receiver<String>,
    url: String,
}

impl Reloaded {
    fn start(settings: &str) -> Self {
        Self::start_by("storage.yml", settings, true)
    }

    fn start_by(file: &str, text: &str, is_named: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join(file);
        std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
        std::fs::write(&settings, text).unwrap();
        let mut command = clean();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
        if is_named {
            command.arg("--config").arg(&settings);
        }
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        read(process.stdout.take().unwrap(), sender.clone());
        read(process.stderr.take().unwrap(), sender);
        let mut server = Self { process, folder, settings, is_named, lines, url: String::new() };
        let ready = server.wait_for("aerostore is ready on ");
        server.url = ready.split_once(" on ").unwrap().1.to_owned();
        server
    }

    /// The next line that holds these words.
    fn wait_for(&self, words: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(30)) {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with `{words}` in {seen:#?}");
    }

    /// Writes other settings and has them read; gives the line that says these words.
    fn reload(&self, settings: &str, words: &str) -> String {
        std::fs::write(&self.settings, settings).unwrap();
        self.hang_up(words)
    }

    /// Has the settings read; gives the line that says these words.
    fn hang_up(&self, words: &str) -> String {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
        self.wait_for(words)
    }

    fn run(&self, token: Option<&str>, arguments: &[&str]) -> Said {
        let mut command = clean();
        command.env("AEROSTORE_URL", &self.url).env("AEROSTORE_DATA_DIR", self.folder.path().join("data"));
        if let Some(token) = token {
            command.env("AEROSTORE_TOKEN", token);
        }
        if self.is_named {
            command.arg("--config").arg(&self.settings);
        }
        let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Opens a stream of events, and reads until it says where it stands; or gives what was answered instead.
    fn events(&self, token: &str) -> Result<TcpStream, String> {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = format!("host: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
        stream.write_all(format!("GET /storage/v1/events HTTP/1.1\r\n{head}").as_bytes()).unwrap();
        let (mut said, mut bytes) = (String::new(), [0; 1024]);
        while !said.contains("\nid: ") {
            let length = stream.read(&mut bytes).unwrap();
            said.push_str(&String::from_utf8_lossy(&bytes[..length]));
            if length == 0 {
                return Err(said);
            }
        }
        Ok(stream)
    }

    fn service_key(&self) -> String {
        let keys = crate::json(&self.run(None, &["keys", "--json"]).ok());
        keys["service_key"].as_str().unwrap().to_owned()
    }
}

impl Drop for Reloaded {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn clean() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AEROSTORE_")) {
        command.env_remove(name);
    }
    command
}

fn read(output: impl Read + Send + 'static, lines: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}

#[test]
fn limits_change_while_the_server_runs_and_a_mistake_changes_nothing() {
    let server = Reloaded::start("storage: {max_file_size: 1KB}\n");
    let file = server.folder.path().join("file");
    std::fs::write(&file, vec![7; 2000]).unwrap();
    let upload = || server.run(None, &["cp", file.to_str().unwrap(), "aero://box/file"]);
    server.run(None, &["bucket", "create", "box"]).ok();
    upload().fails(1, "PAYLOAD_TOO_LARGE");

    let line = server.reload("storage: {max_file_size: 1MB, nonsense: 1}\n", "what was in force stays");
    assert!(line.contains("unknown key 'storage.nonsense'"), "{line}");
    upload().fails(2, "nonsense");
    std::fs::write(&server.settings, "").unwrap();
    upload().fails(1, "PAYLOAD_TOO_LARGE");

    let line = server.reload("storage: {max_file_size: 1MB}\n", "configuration reloaded");
    assert!(line.contains("storage.max_file_size"), "{line}");
    upload().ok();

    // What can't change is named, and does not.
    let settings = "storage: {max_file_size: 1MB}\nrest: {dialect: supabase}\nlog: {level: warn}\n";
    let line = server.reload(settings, "wait for a restart");
    assert!(line.contains("rest.dialect"), "{line}");
    assert_eq!(server.run(None, &["ls", "box"]).ok(), "file\n");
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let server = Reloaded::start_by("data/storage.yml", "storage: {max_file_size: 1KB}\n", false);
    let file = server.folder.path().join("file");
    std::fs::write(&file, vec![7; 2000]).unwrap();
    let upload = || server.run(None, &["cp", file.to_str().unwrap(), "aero://box/file"]);
    server.run(None, &["bucket", "create", "box"]).ok();

    std::fs::remove_file(&server.settings).unwrap();
    let line = server.hang_up("what was in force stays");
    assert!(line.contains("storage.yml: cannot be read: No such file"), "{line}");
    upload().fails(1, "PAYLOAD_TOO_LARGE");
    let line = server.reload("storage: {max_file_size: 1MB}\n", "configuration reloaded");
    assert!(line.contains("storage.max_file_size"), "{line}");
    upload().ok();
}

#[test]
fn quotas_and_limits_of_streams_change_while_the_server_runs() {
    let server = Reloaded::start("quotas: {global: 1KB}\nevents: {per_caller: 1}\n");
    let file = server.folder.path().join("file");
    std::fs::write(&file, vec![7; 2000]).unwrap();
    let upload = |to: &str| server.run(None, &["cp", file.to_str().unwrap(), &format!("aero://box/{to}")]);
    server.run(None, &["bucket", "create", "box"]).ok();
    upload("a").fails(1, "QUOTA_EXCEEDED");
    let key = server.service_key();
    let stream = server.events(&key).unwrap();
    assert!(server.events(&key).unwrap_err().starts_with("HTTP/1.1 429 "));
    drop(stream);

    // A mistake elsewhere changes none of it.
    server.reload("quotas: {global: 1MB}\nnonsense: 1\n", "what was in force stays");
    std::fs::write(&server.settings, "").unwrap();
    upload("a").fails(1, "QUOTA_EXCEEDED");
    let line = server.reload("quotas: {global: 1MB}\nevents: {per_caller: 2}\n", "configuration reloaded");
    assert!(line.contains("quotas.global") && line.contains("events.per_caller"), "{line}");
    upload("a").ok();
    let _both = (server.events(&key).unwrap(), server.events(&key).unwrap());

    server.reload("quotas: {global: 1KB}\nstorage: {quota_enforcement: 'off'}\n", "configuration reloaded");
    upload("b").ok();
}

#[test]
fn rules_of_the_file_are_followed_after_a_reload() {
    let server = Reloaded::start("log: {level: info}\n");
    server.run(None, &["bucket", "create", "logs"]).ok();
    assert!(!server.run(None, &["lifecycle", "list"]).ok().contains("nightly"));
    let rule = "lifecycle: {rules: {nightly: {bucket: logs, max_age_days: 3}}}\n";
    let line = server.reload(rule, "configuration reloaded");
    assert!(line.contains("lifecycle.rules"), "{line}");
    let listed = server.run(None, &["lifecycle", "list"]).ok();
    assert!(listed.contains("nightly") && listed.contains("logs"), "{listed}");
    server.run(None, &["lifecycle", "--check"]).ok();
    server.reload("log: {level: info}\n", "configuration reloaded");
    assert!(!server.run(None, &["lifecycle", "list"]).ok().contains("nightly"));
}

#[test]
fn a_rotated_secret_closes_when_it_is_struck_off_and_not_before() {
    let (old, new) = ("an old secret that is long enough 1234", "a new secret that is long enough 12345");
    let server = Reloaded::start(&format!("auth: {{jwt_secret: '{old}'}}\n"));
    let old_key = server.service_key();
    server.run(Some(&old_key), &["bucket", "create", "box"]).ok();

    server.reload(
        &format!("auth: {{jwt_secret: '{new}', previous_jwt_secrets: ['{old}']}}\n"),
        "configuration reloaded",
    );
    let new_key = server.service_key();
    assert_ne!(old_key, new_key);
    server.run(Some(&old_key), &["bucket", "show", "box"]).ok();
    server.run(Some(&new_key), &["bucket", "show", "box"]).ok();

    server.reload(&format!("auth: {{jwt_secret: '{new}'}}\n"), "configuration reloaded");
    server.run(Some(&old_key), &["bucket", "show", "box"]).fails(4, "INVALID_TOKEN");
    server.run(Some(&new_key), &["bucket", "show", "box"]).ok();
}

#[test]
fn streams_of_events_end_when_a_reload_comes_into_force() {
    let (old, new) = ("an old secret that is long enough 1234", "a new secret that is long enough 12345");
    let server = Reloaded::start(&format!("auth: {{jwt_secret: '{old}'}}\n"));
    let old_key = server.service_key();
    let mut stream = server.events(&old_key).unwrap();
    let ends = |stream: &mut TcpStream| stream.read_to_end(&mut Vec::new()).map_err(|error| error.kind());

    server.reload("nonsense: 1\n", "what was in force stays");
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(ends(&mut stream), Err(ErrorKind::WouldBlock), "a mistake ends nothing");

    let both = format!("auth: {{jwt_secret: '{new}', previous_jwt_secrets: ['{old}']}}\n");
    server.reload(&both, "configuration reloaded");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    ends(&mut stream).unwrap();
    let mut stream = server.events(&old_key).expect("the old key is still good");

    server.reload(&format!("auth: {{jwt_secret: '{new}'}}\n"), "configuration reloaded");
    ends(&mut stream).unwrap();
    let refused = server.events(&old_key).unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    server.events(&server.service_key()).unwrap();
}

#[test]
fn lists_are_read_ahead_or_not_while_the_server_runs() {
    let server = Reloaded::start("");
    let file = server.folder.path().join("data/lists-asked-for.json");
    std::fs::write(&file, "of a start before").unwrap();
    server.run(None, &["bucket", "create", "box"]).ok();
    let line = server.reload("cache: {warm: 257}\n", "what was in force stays");
    assert!(line.contains("cache.warm") && line.contains("is at most 256"), "{line}");
    assert!(file.exists());
    let line = server.reload("cache: {warm: 0}\n", "configuration reloaded");
    assert!(line.contains("cache.warm"), "{line}");
    for _ in 0..2000 {
        if !file.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing is read ahead, and the file that is about it stays");
}
