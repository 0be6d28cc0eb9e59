//! Request ids, and the one line per operation.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use server::config::{LogFormat, LogLevel};
use server::http::HttpOptions;
use server::telemetry::{LogWriter, subscriber};
use tokio::io::AsyncWriteExt;

use crate::support::{TestServer, get_request, header, read_to_end, read_until};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a conversation at a level, and gives the lines of its operations.
async fn operations_of(level: LogLevel, conversation: impl AsyncFnOnce(&TestServer)) -> Vec<Value> {
    let lines = Lines::default();
    let (writer, flush) = LogWriter::new(lines.clone()).unwrap();
    let guard = tracing::subscriber::set_default(subscriber(LogFormat::Json, level, writer).0);
    let server = TestServer::start(HttpOptions::default());
    conversation(&server).await;
    server.shutdown.stop();
    server.running.await.unwrap();
    drop(guard);
    drop(flush);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "operation").collect()
}

#[tokio::test]
async fn an_operation_is_one_line_with_what_there_is_to_know() {
    let secret = "token=hidden";
    let lines = operations_of(LogLevel::Info, async |server| {
        server
            .exchange(&get_request(&format!("/logged?{secret}"), &[("authorization", "Bearer hidden")]))
            .await;
        server.exchange(&get_request("/refused", &[])).await;
        server.exchange(&get_request("/panic", &[])).await;
        server.exchange(&get_request("/hello", &[]).replace("GET", "HEAD")).await;
    })
    .await;
    let told: Vec<_> =
        lines.iter().map(|line| [&line["operation"], &line["status"], &line["outcome"]]).collect();
    assert_eq!(
        serde_json::json!(told),
        serde_json::json!([
            ["download", 200, "ok"],
            ["http_get", 403, "refused"],
            ["panic", 500, "failed"],
            ["http_head", 200, "ok"]
        ])
    );
    let line = &lines[0];
    assert_eq!(
        [&line["bucket"], &line["path"], &line["size"], &line["sent"], &line["level"]],
        ["avatars", "a/b.png", "5", "5", "INFO"]
            .map(|word| word.parse::<u64>().map_or(word.into(), Value::from))
            .each_ref()
    );
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert_eq!(line["request_id"].as_str().unwrap().len(), 16, "{line}");
    assert!(line.get("user_id").is_none(), "nobody in particular: {line}");
    assert!(!lines.iter().any(|line| line.to_string().contains("hidden")), "{lines:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_interrupted() {
    let lines = operations_of(LogLevel::Info, async |server| {
        let mut connection = server.connect().await;
        connection.write_all(get_request("/endless", &[]).as_bytes()).await.unwrap();
        read_until(&mut connection, "\r\n\r\n").await;
    })
    .await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(line["outcome"], "interrupted", "{line}");
    assert!(line["sent"].as_u64().unwrap() >= 64 * 1024, "{line}");
}

#[tokio::test]
async fn an_answer_that_was_wholly_sent_is_no_interruption() {
    let lines = operations_of(LogLevel::Info, async |server| {
        let mut connection = server.connect().await;
        connection.write_all(b"GET /sized HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        read_until(&mut connection, "\r\n\r\nwhole").await;
    })
    .await;
    assert_eq!([&lines[0]["outcome"], &lines[0]["sent"]], [&Value::from("ok"), &5.into()], "{lines:?}");
}

#[tokio::test]
async fn bytes_that_fail_under_way_are_one_line_with_the_cause() {
    let lines = operations_of(LogLevel::Warn, async |server| {
        server.exchange(&get_request("/broken", &[])).await;
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!([&lines[0]["outcome"], &lines[0]["cause"]], ["interrupted", "the disk is gone"], "{lines:?}");
}

#[tokio::test]
async fn a_quiet_level_leaves_only_failures() {
    let lines = operations_of(LogLevel::Warn, async |server| {
        server.exchange(&get_request("/logged", &[])).await;
        server.exchange(&get_request("/panic", &[])).await;
    })
    .await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "ERROR");
}

#[tokio::test]
async fn the_request_id_is_echoed_and_taken_from_trusted_proxies_only() {
    for (trusted, taken) in [(vec![], false), (vec!["127.0.0.1/32".parse().unwrap()], true)] {
        let server = TestServer::start(HttpOptions { trusted_proxies: trusted, ..HttpOptions::default() });
        let mut connection = server.connect().await;
        connection
            .write_all(get_request("/id", &[("x-request-id", "from-a-proxy")]).as_bytes())
            .await
            .unwrap();
        let answer = read_to_end(&mut connection).await;
        let id = header(&answer, "x-request-id").unwrap();
        assert_eq!(id == "from-a-proxy", taken, "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{id}")), "the handler knows it, too: {answer}");
    }
}
