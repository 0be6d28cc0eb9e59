//! Traces: what a collector of OpenTelemetry is sent, and what of a caller's trace is gone on with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{OWNER, Server, Who};

const ME: Who = Who::User(OWNER);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A collector of a few lines: takes requests of OTLP in JSON, and keeps their spans.
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::default());
        let kept = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&kept)));
            }
        });
        Self { url, requests }
    }

    fn spans(&self) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        let spans = |request: &Value| {
            request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
        };
        requests.iter().flat_map(|(_, request)| spans(request)).collect()
    }

    /// A trace's spans, as soon as its first span is there: it ends last.
    async fn trace(&self, trace: &str) -> Vec<Value> {
        for _ in 0..500 {
            let of: Vec<_> = self.spans().into_iter().filter(|span| span["traceId"] == trace).collect();
            if of.iter().any(|span| span["kind"] == 2) {
                return of;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no span of {trace}: {:#?}", self.spans());
    }
}

async fn take(mut stream: TcpStream, kept: Arc<Mutex<Vec<(String, Value)>>>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.split_once("content-length: ").unwrap().1;
            let length: usize = length.split_once("\r\n").unwrap().0.parse().unwrap();
            if bytes.len() >= head + length {
                let body = serde_json::from_slice(&bytes[head..head + length]).unwrap();
                kept.lock().unwrap().push((text, body));
                bytes.drain(..head + length);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
                continue;
            }
        }
        let mut more = [0; 8192];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&more[..count]),
        }
    }
}

fn attribute(span: &Value, name: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    all.iter().find(|one| one["key"] == name).map_or(Value::Null, |one| one["value"].clone())
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_and_has_those_of_database_and_provider_below() {
    let collector = Collector::start().await;
    let server = Server::start_with(&[("AEROSTORE_TELEMETRY_OTLP_ENDPOINT", &collector.url)]);
    server.bucket(ME, "box", "private").await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let put = server.call(ME, "PUT", "/object/box/secret-name").header("traceparent", &parent);
    let put = put.body(vec![b'x'; 100_000]).send().await.expect_status(200);
    let spans = collector.trace(TRACE).await;
    let request = spans.iter().find(|span| span["kind"] == 2).unwrap();
    assert_eq!(
        (&request["name"], &request["parentSpanId"]),
        (&json!("request upload"), &json!("00f067aa0ba902b7"))
    );
    assert_eq!(attribute(request, "http.response.status_code"), json!({ "intValue": "200" }));
    assert_eq!(attribute(request, "aerostore.request_id")["stringValue"], *put.header("x-request-id"));
    let time = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
    for below in ["database admit_put", "provider write", "database put_object"] {
        let span =
            spans.iter().find(|span| span["name"] == below).unwrap_or_else(|| panic!("{below}: {spans:#?}"));
        assert_eq!(span["parentSpanId"], request["spanId"], "{below}");
        assert!(time(span, "startTimeUnixNano") >= time(request, "startTimeUnixNano"), "{below}");
        assert!(time(span, "endTimeUnixNano") <= time(request, "endTimeUnixNano"), "{below}");
    }
    let all =
        collector.requests.lock().unwrap().iter().map(|(_, request)| request.to_string()).collect::<String>();
    assert!(!all.contains("secret-name") && !all.contains(&OWNER.to_string()), "{all}");
    let (head, first) = collector.requests.lock().unwrap()[0].clone();
    assert!(
        head.starts_with("post /v1/traces ") && head.contains("content-type: application/json"),
        "{head}"
    );
    let resource = &first["resourceSpans"][0]["resource"];
    assert_eq!(attribute(resource, "service.name"), json!({ "stringValue": "aerostore" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_caller_does_not_collect_is_not_and_what_is_left_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let server = Server::start_with(&[("AEROSTORE_TELEMETRY_OTLP_ENDPOINT", &collector.url)]);
    let show = |parent: &str| server.call(Who::Service, "GET", "/bucket").header("traceparent", parent);
    show(&format!("00-{TRACE}-00f067aa0ba902b7-00")).send().await.expect_status(200);
    let wanted = TRACE.replace('4', "5");
    show(&format!("00-{wanted}-00f067aa0ba902b7-01")).send().await.expect_status(200);
    server.terminate();
    let traces: Vec<_> = collector.spans().iter().map(|span| span["traceId"].clone()).collect();
    assert!(traces.contains(&json!(wanted)) && !traces.contains(&json!(TRACE)), "{traces:?}");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_is_told_of_once() {
    let server = Server::start_with(&[("AEROSTORE_TELEMETRY_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    server.bucket(ME, "box", "private").await;
    for number in 0..20 {
        server.put(ME, &format!("box/{number}"), "1").await;
    }
    let log = server.log_until("traces are not taken").await;
    assert_eq!(log.matches("traces are not taken").count(), 1, "{log}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.put(ME, "box/later", "1").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.log().matches("traces are not taken").count(), 1);
}
