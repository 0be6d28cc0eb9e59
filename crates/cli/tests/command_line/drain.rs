//! SIGTERM while load balancers have yet to notice.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server; killed when it goes out of scope.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of `GET /readyz`; `None` where nobody answers.
async fn ready(url: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{url}/readyz")).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

fn terminate(process: &Child) {
    let process = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
}

/// Waits for its end, which is to come soon.
async fn ended(process: &mut Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it goes on");
}

#[tokio::test]
async fn a_server_that_drains_says_so_until_the_second_signal() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AEROSTORE_")) {
        command.env_remove(name);
    }
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
    command.env("AEROSTORE_SERVER_DRAIN", "10m").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Served(command.spawn().unwrap());
    let process = &mut server.0;
    let mut log = process.stderr.take().unwrap();
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| Some(line.split_once("ready on ")?.1.trim().to_owned())).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    assert_eq!(ready(&url).await.unwrap().0, 200);

    terminate(process);
    let until = Instant::now() + Duration::from_secs(20);
    while ready(&url).await.unwrap() != (503, "stopping\n".to_owned()) {
        assert!(Instant::now() < until, "it is told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(process.try_wait().unwrap().is_none());
    terminate(process);
    assert_eq!(ended(process).await, Some(0));
    assert_eq!(ready(&url).await, None);
}
