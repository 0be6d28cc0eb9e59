//! Traces: what a collector of OpenTelemetry is sent, and what of a caller's trace is gone on with.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{OWNER, Server, Who};

const ME: Who = Who::User(OWNER);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ENDPOINT: &str = "AEROSTORE_TELEMETRY_OTLP_ENDPOINT";

/// How a collector answers a request that it takes.
const TAKEN: &str = "200 OK";
/// It does not answer, ever.
const NEVER: &str = "";

/// A collector of a few lines: takes requests of OTLP in protobuf, and keeps their spans.
struct Collector {
    url: String,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What was taken, by heads and bodies.
    requests: Mutex<Vec<(String, ExportTraceServiceRequest)>>,
    /// How the next ones are answered, and refused; each after them is taken.
    answers: Mutex<VecDeque<&'static str>>,
}

impl Collector {
    async fn start() -> Self {
        Self::answering(&[]).await
    }

    /// One that answers its first requests so.
    async fn answering(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept =
            Arc::new(Kept { answers: Mutex::new(answers.iter().copied().collect()), ..Kept::default() });
        let of_all = kept.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&of_all)));
            }
        });
        Self { url, kept }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.kept.requests.lock().unwrap();
        let spans = requests.iter().flat_map(|(_, request)| &request.resource_spans[0].scope_spans[0].spans);
        spans.cloned().collect()
    }

    /// A trace's spans, as soon as its first span is there: it ends last.
    async fn trace(&self, trace: &str) -> Vec<Span> {
        for _ in 0..2000 {
            let of: Vec<_> =
                self.spans().into_iter().filter(|span| hex::encode(&span.trace_id) == trace).collect();
            if of.iter().any(|span| span.kind() == SpanKind::Server) {
                return of;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no span of {trace}: {:#?}", self.spans());
    }
}

async fn take(mut stream: TcpStream, kept: Arc<Kept>) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length = text.split_once("content-length: ").unwrap().1;
            let length: usize = length.split_once("\r\n").unwrap().0.parse().unwrap();
            if bytes.len() >= head + length {
                let body = ExportTraceServiceRequest::decode(&bytes[head..head + length]).unwrap();
                bytes.drain(..head + length);
                let answer = kept.answers.lock().unwrap().pop_front().unwrap_or(TAKEN);
                match answer {
                    NEVER => std::future::pending().await,
                    TAKEN => kept.requests.lock().unwrap().push((text, body)),
                    _ => {}
                }
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
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

fn attribute(attributes: &[KeyValue], name: &str) -> Option<Value> {
    let found = attributes.iter().find(|one| one.key == name)?;
    found.value.clone()?.value
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

/// How many spans the server says to have lost.
async fn dropped(server: &Server) -> u64 {
    let figures = server.request(Who::Service, "GET", "/metrics").send().await.expect_status(200).text();
    let line = figures.lines().find_map(|line| line.strip_prefix("trace_spans_dropped_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_request_is_a_span_of_its_callers_trace_and_has_those_of_database_and_provider_below() {
    let collector = Collector::start().await;
    let server = Server::start_with(&[
        (ENDPOINT, &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collect"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ]);
    server.bucket(ME, "box", "private").await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let put = server.call(ME, "PUT", "/object/box/secret-name").header("traceparent", &parent);
    let put = put.body(vec![b'x'; 100_000]).send().await.expect_status(200);
    let spans = collector.trace(TRACE).await;
    let request = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(
        (&*request.name, hex::encode(&request.parent_span_id)),
        ("request upload", "00f067aa0ba902b7".to_owned())
    );
    assert_eq!(attribute(&request.attributes, "http.response.status_code"), Some(Value::IntValue(200)));
    assert_eq!(attribute(&request.attributes, "aerostore.request_id"), text(put.header("x-request-id")));
    for below in ["database admit_put", "provider write", "database put_object"] {
        let span =
            spans.iter().find(|span| span.name == below).unwrap_or_else(|| panic!("{below}: {spans:#?}"));
        assert_eq!((&span.parent_span_id, span.kind()), (&request.span_id, SpanKind::Client), "{below}");
        assert!(span.start_time_unix_nano >= request.start_time_unix_nano, "{below}");
        assert!(span.end_time_unix_nano <= request.end_time_unix_nano, "{below}");
    }
    let requests = collector.kept.requests.lock().unwrap();
    let all = format!("{:?}", *requests);
    assert!(!all.contains("secret-name") && !all.contains(&OWNER.to_string()), "{all}");
    let (head, first) = &requests[0];
    for said in ["post /v1/traces ", "content-type: application/x-protobuf", "authorization: bearer collect"]
    {
        assert!(head.contains(said), "{said}: {head}");
    }
    let resource = &first.resource_spans[0].resource.as_ref().unwrap().attributes;
    assert_eq!(attribute(resource, "service.name"), text("aerostore"));
    assert_eq!(attribute(resource, "deployment.environment.name"), text("test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_caller_does_not_collect_is_not_and_what_is_left_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let server = Server::start_with(&[(ENDPOINT, &collector.url)]);
    let show = |parent: &str| server.call(Who::Service, "GET", "/bucket").header("traceparent", parent);
    show(&format!("00-{TRACE}-00f067aa0ba902b7-00")).send().await.expect_status(200);
    let wanted = TRACE.replace('4', "5");
    show(&format!("00-{wanted}-00f067aa0ba902b7-01")).send().await.expect_status(200);
    server.terminate();
    let traces: Vec<_> = collector.spans().iter().map(|span| hex::encode(&span.trace_id)).collect();
    assert!(traces.contains(&wanted) && !traces.contains(&TRACE.to_owned()), "{traces:?}");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_is_told_of_once() {
    let server = Server::start_with(&[(ENDPOINT, "http://127.0.0.1:9")]);
    server.bucket(ME, "box", "private").await;
    for number in 0..20 {
        server.put(ME, &format!("box/{number}"), "1").await;
    }
    let log = server.log_until("traces are not taken").await;
    assert_eq!(log.matches("traces are not taken").count(), 1, "{log}");
    assert!(log.contains("Connection refused"), "{log}");
    assert!(dropped(&server).await >= 21);
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.put(ME, "box/later", "1").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.log().matches("traces are not taken").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_up_neither_requests_nor_the_end() {
    let collector = Collector::answering(&[NEVER; 100]).await;
    let server = Server::start_with(&[(ENDPOINT, &collector.url)]);
    server.bucket(ME, "box", "private").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    for number in 0..20 {
        server.put(ME, &format!("box/{number}"), "1").await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let log = server.log_until("traces are not taken").await;
    assert!(log.contains("timed out"), "{log}");
    assert!(dropped(&server).await > 0);
    // Those of the puts are on their way by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    server.terminate();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again() {
    let collector = Collector::answering(&["503 Service Unavailable", "429 Too Many Requests"]).await;
    let server = Server::start_with(&[(ENDPOINT, &collector.url)]);
    let show = server.call(Who::Service, "GET", "/bucket");
    let show = show.header("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01"));
    show.send().await.expect_status(200);
    assert_eq!(collector.trace(TRACE).await.len(), collector.spans().len());
    assert!(!server.log().contains("traces are not taken"), "{}", server.log());
    assert_eq!(dropped(&server).await, 0);
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped_and_told_of_once_until_it_takes_again() {
    const LATER: &str = "429 Too Many Requests\r\nretry-after: 3600";
    let collector = Collector::answering(&[LATER, LATER, "400 Bad Request"]).await;
    let server = Server::start_with(&[(ENDPOINT, &collector.url)]);
    let again = async {
        while !server.log().contains("traces are taken again") {
            server.call(Who::Service, "GET", "/bucket").send().await.expect_status(200);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
    let log = server.log();
    assert_eq!(log.matches("traces are not taken").count(), 1, "{log}");
    assert!(log.contains("429"), "{log}");
    assert!(dropped(&server).await >= 3);
    assert!(collector.kept.answers.lock().unwrap().is_empty());
}
