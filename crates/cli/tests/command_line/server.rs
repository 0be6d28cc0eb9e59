//! A real server of a test's own, and the commands that are run against it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// `aerostore serve` on a free port, with a data directory that goes with it.
pub(crate) struct Server {
    process: Child,
    folder: tempfile::TempDir,
    pub(crate) url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with environment variables that configure it.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = command()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The line that says where may be on either; both must be drained for as long as the server runs.
        let (found, address) = mpsc::channel();
        let lines = Arc::<Mutex<Vec<String>>>::default();
        drain(process.stdout.take().unwrap(), found.clone(), lines.clone());
        drain(process.stderr.take().unwrap(), found, lines.clone());
        let url = address.recv_timeout(Duration::from_secs(30)).expect("the server says where it listens");
        Self { process, folder, url, lines }
    }

    /// The server's log as soon as it is as wanted: lines are written a moment after their requests are answered.
    pub(crate) fn log_until(&self, wanted: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        for _ in 0..4000 {
            let lines = self.lines.lock().unwrap().clone();
            if is_so(&lines) {
                return lines;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the log never says that {wanted}: {:#?}", self.lines.lock().unwrap());
    }

    /// A place for the test's own files.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.folder.path().join("files");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The rows of its metadata, behind its back.
    pub(crate) fn metadata(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("data/metadata.sqlite")).unwrap()
    }

    /// The job that waits for its turn, as soon as there is one.
    pub(crate) fn pending_job(&self) -> String {
        for _ in 0..1000 {
            let listed = self.run(&["job", "list", "--status", "pending", "--json"]).ok();
            let jobs: serde_json::Value = serde_json::from_str(&listed).unwrap();
            if let Some(id) = jobs[0]["id"].as_str() {
                return id.to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no job waits");
    }

    /// A user's token.
    pub(crate) fn token(&self, user: &str) -> String {
        self.run(&["token", "create", "--user", user]).ok().trim().to_owned()
    }

    /// Runs a command with this token.
    pub(crate) fn run_as(&self, token: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(&self.url);
        said(command.env("AEROSTORE_TOKEN", token).args(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command with the service key.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(&self.url).args(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// The same, through another address.
    pub(crate) fn run_through(&self, url: &str, arguments: &[&str]) -> Said {
        said(self.command(url).args(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs a command without any token.
    pub(crate) fn run_as_nobody(&self, arguments: &[&str]) -> Said {
        let nowhere = self.folder.path();
        said(command().current_dir(nowhere).env("AEROSTORE_URL", &self.url).args(arguments).output().unwrap())
    }

    /// Runs a command that reads `input`.
    pub(crate) fn pipe(&self, input: &[u8], arguments: &[&str]) -> Said {
        let mut process = self
            .command(&self.url)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(input).unwrap();
        said(process.wait_with_output().unwrap())
    }

    /// A command with the service key, to be run as the test wants.
    pub(crate) fn command(&self, url: &str) -> Command {
        let mut command = command();
        command.env("AEROSTORE_URL", url).env("AEROSTORE_DATA_DIR", self.folder.path().join("data"));
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Said {
    /// What was printed, where the command succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// The exit code must be `code`, and stderr must hold `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        assert!(self.err.contains(words), "`{words}` is not in: {}", self.err);
    }
}

/// Runs a command without a server.
pub(crate) fn alone(arguments: &[&str], folder: &Path) -> Said {
    said(command().current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap())
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AEROSTORE_")) {
        command.env_remove(name);
    }
    command
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn drain(output: impl Read + Send + 'static, found: mpsc::Sender<String>, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                let _ = found.send(format!("http://127.0.0.1:{port}"));
            }
            lines.lock().unwrap().push(line);
        }
    });
}
