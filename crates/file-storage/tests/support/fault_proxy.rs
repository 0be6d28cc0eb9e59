//! A proxy that harms what passes: it stands between a client and a server of HTTP/1.1, and does to requests what a test
//! has planned, in order. It counts what came.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test support: each suite uses a part of it"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing: it passes.
    Pass,
    /// The connection ends before an answer, and the server never hears of it.
    Drop,
    /// The answer is this status, and the server never hears of it.
    Answer(u16),
    /// The same, with `Retry-After`, in seconds.
    AnswerRetryAfter(u16, u64),
    /// No answer ever comes.
    Stall,
    /// The answer's body ends after so many bytes, by a reset.
    ResetAfter(usize),
    /// The same, by an orderly end of the connection.
    TruncateAfter(usize),
    /// The answer's body stands still after so many bytes.
    StallAfter(usize),
    /// The server does it, and its answer is lost.
    LoseAnswer,
    /// The server gets another body, of the same length.
    ChangeBody,
    /// The server gets the first half of the body, as if that were all.
    CutBody,
}

/// The proxy; ends when dropped.
pub(crate) struct FaultProxy {
    address: String,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    upstream: String,
    /// A header that gets another name on its way.
    renamed: Option<(&'static str, &'static str)>,
    plan: Mutex<VecDeque<(String, Fault)>>,
    /// What happens to requests that nothing is planned for.
    otherwise: Mutex<Fault>,
    requests: Mutex<Vec<String>>,
}

impl FaultProxy {
    /// Stands before a server: `http://HOST:PORT`.
    pub(crate) async fn before(upstream: &str) -> Self {
        Self::start(upstream, None).await
    }

    /// The same for a client without credentials, where a header of requests gets another name on its way.
    pub(crate) async fn renaming(upstream: &str, from: &'static str, to: &'static str) -> Self {
        Self::start(upstream, Some((from, to))).await
    }

    async fn start(upstream: &str, renamed: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            renamed,
            plan: Mutex::default(),
            otherwise: Mutex::new(Fault::Pass),
            requests: Mutex::default(),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Plans what becomes of the next requests whose line begins so (`PUT /bucket`), or has that in it.
    pub(crate) fn plan(&self, matching: &str, faults: impl IntoIterator<Item = Fault>) {
        let planned = faults.into_iter().map(|fault| (matching.to_owned(), fault));
        self.state.plan.lock().unwrap().extend(planned);
    }

    /// What becomes of all requests that nothing is planned for.
    pub(crate) fn otherwise(&self, fault: Fault) {
        *self.state.otherwise.lock().unwrap() = fault;
    }

    /// Requests that came and whose line has this in it.
    pub(crate) fn count(&self, matching: &str) -> usize {
        self.state.requests.lock().unwrap().iter().filter(|line| line.contains(matching)).count()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn forget_requests(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// Whether everything that was planned has happened.
    pub(crate) fn is_done(&self) -> bool {
        self.state.plan.lock().unwrap().is_empty()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one connection: one request after the other, as long as none is harmed.
async fn serve(mut client: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut client, &mut buffer).await {
        let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        let fault = state.fault_for(&line);
        state.requests.lock().unwrap().push(line);
        if !harm(&mut client, &state, &request, fault).await {
            return;
        }
    }
}

impl State {
    fn fault_for(&self, line: &str) -> Fault {
        let mut plan = self.plan.lock().unwrap();
        match plan.iter().position(|(matching, _)| line.contains(matching.as_str())) {
            Some(at) => plan.remove(at).unwrap().1,
            None => *self.otherwise.lock().unwrap(),
        }
    }
}

/// Does to a request what is planned; says whether the connection goes on.
async fn harm(client: &mut TcpStream, state: &State, request: &[u8], fault: Fault) -> bool {
    let answer = match fault {
        Fault::Drop => return false,
        Fault::Stall => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return false;
        }
        Fault::Answer(status) => {
            let answer =
                format!("HTTP/1.1 {status} Harmed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(answer.as_bytes()).await;
            return false;
        }
        Fault::AnswerRetryAfter(status, seconds) => {
            let answer = format!(
                "HTTP/1.1 {status} Harmed\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = client.write_all(answer.as_bytes()).await;
            return false;
        }
        Fault::Pass
        | Fault::ResetAfter(_)
        | Fault::TruncateAfter(_)
        | Fault::StallAfter(_)
        | Fault::LoseAnswer => forward(state, request).await,
        Fault::ChangeBody | Fault::CutBody => match altered(request, fault) {
            Some(altered) => forward(state, &altered).await,
            None => None,
        },
    };
    let Some(answer) = answer else { return false };
    let head = find(&answer, b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let upto = |bytes: usize| answer.len().min(head + bytes);
    match fault {
        Fault::ResetAfter(bytes) => {
            let _ = client.write_all(&answer[..upto(bytes)]).await;
            // Time for what was sent to be read: a reset throws away what was not.
            tokio::time::sleep(Duration::from_millis(50)).await;
            #[allow(deprecated, reason = "it blocks for as long as it lingers: not at all")]
            let _ = client.set_linger(Some(Duration::ZERO));
            false
        }
        Fault::TruncateAfter(bytes) => {
            let _ = client.write_all(&answer[..upto(bytes)]).await;
            false
        }
        Fault::StallAfter(bytes) => {
            let _ = client.write_all(&answer[..upto(bytes)]).await;
            tokio::time::sleep(Duration::from_secs(3600)).await;
            false
        }
        Fault::LoseAnswer => false,
        // The server closes after its answer, and says so.
        _ => {
            let _ = client.write_all(&answer).await;
            false
        }
    }
}

/// A request with another body.
fn altered(request: &[u8], fault: Fault) -> Option<Vec<u8>> {
    let body = find(request, b"\r\n\r\n")? + 4;
    let (head, bytes) = request.split_at(body);
    let mut bytes = bytes.to_vec();
    if matches!(fault, Fault::CutBody) {
        bytes.truncate(bytes.len() / 2);
    } else if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    let head = String::from_utf8(head.to_vec()).ok()?;
    let is_length = |line: &&str| line.to_lowercase().starts_with("content-length:");
    let lines: Vec<&str> = head.trim_end().split("\r\n").filter(|line| !is_length(line)).collect();
    let head = format!("{}\r\nContent-Length: {}\r\n\r\n", lines.join("\r\n"), bytes.len());
    Some([head.into_bytes(), bytes].concat())
}

/// What the server says to a request, whole, on a connection of its own.
async fn forward(state: &State, request: &[u8]) -> Option<Vec<u8>> {
    let mut server = TcpStream::connect(&state.upstream).await.ok()?;
    let (line, body) = (find(request, b"\r\n")? + 2, find(request, b"\r\n\r\n")?);
    let mut headers = String::from_utf8(request[line..body].to_vec()).ok()?;
    if let Some((from, to)) = state.renamed {
        headers = headers.replace(from, to);
        // Some want to know who asks, and believe everything.
        headers.insert_str(0, "Authorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n");
    }
    server.write_all(&request[..line]).await.ok()?;
    server.write_all(format!("Connection: close\r\n{headers}").as_bytes()).await.ok()?;
    server.write_all(&request[body..]).await.ok()?;
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer).await;
    (!answer.is_empty()).then_some(answer)
}

/// A request with its body, of the length that it announces; `None` at the end of the connection.
async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(head) = find(buffer, b"\r\n\r\n").map(|at| at + 4) {
            let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let whole = head + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if buffer.len() >= whole {
                let rest = buffer.split_off(whole);
                return Some(std::mem::replace(buffer, rest));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
