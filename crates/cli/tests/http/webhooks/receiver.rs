//! Who is told: a server of a few lines that remembers every message, and answers as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// A message as it came in.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: Vec<u8>,
    pub(super) json: Value,
    pub(super) head: String,
}

/// What a receiver answers: a status and header lines; 0 hangs up without a word.
pub(super) type Answer = (u16, String);

type Behaviour = Box<dyn Fn(&Message, usize) -> Answer + Send + Sync>;

struct State {
    messages: Mutex<Vec<Message>>,
    behaviour: Mutex<Behaviour>,
    connections: Mutex<usize>,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

impl Receiver {
    /// One that takes everything.
    pub(super) async fn start() -> Self {
        Self::that(|_, _| (200, String::new())).await
    }

    /// One that answers so: it is told the message, and how many came before.
    pub(super) async fn that(behaviour: impl Fn(&Message, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            messages: Mutex::default(),
            behaviour: Mutex::new(Box::new(behaviour)),
            connections: Mutex::default(),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?key=5ecret-in-the-url", self.address)
    }

    pub(super) fn answer(&self, behaviour: impl Fn(&Message, usize) -> Answer + Send + Sync + 'static) {
        *self.state.behaviour.lock().unwrap() = Box::new(behaviour);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.state.messages.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// The messages as soon as `is_enough` says so of them.
    pub(super) async fn until(&self, is_enough: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        for _ in 0..6000 {
            let messages = self.messages();
            if is_enough(&messages) {
                return messages;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kinds: Vec<_> = self.messages().iter().map(Message::words).collect();
        panic!("what is waited for never comes: {kinds:?}");
    }

    /// The messages up to one about the object `last`, in short words.
    pub(super) async fn up_to(&self, last: &str) -> Vec<String> {
        let messages = self.until(|messages| messages.iter().any(|it| it.path() == last)).await;
        messages.iter().take_while(|it| it.path() != last).map(Message::words).collect()
    }
}

impl Message {
    pub(super) fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap()
    }

    pub(super) fn path(&self) -> &str {
        self.json["data"]["path"].as_str().unwrap_or("-")
    }

    pub(super) fn words(&self) -> String {
        format!("{} {}", self.kind().trim_start_matches("storage."), self.path())
    }

    /// Whether one of its signatures is by this secret: computed here, from the scheme's words alone.
    pub(super) fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert!((24..=64).contains(&key.len()));
        let mut signed = format!("{}.{}.", self.id, self.timestamp).into_bytes();
        signed.extend(&self.body);
        let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
        self.signature.split(' ').any(|signature| signature == wanted)
    }
}

/// RFC 2104, by hand.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| -> Vec<u8> {
        let padded = key.iter().copied().chain(std::iter::repeat(0)).take(64);
        padded.map(|part| part ^ byte).collect()
    };
    let inner = digest(&SHA256, &[pad(0x36), text.to_vec()].concat());
    digest(&SHA256, &[pad(0x5c), inner.as_ref().to_vec()].concat()).as_ref().to_vec()
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(1..) => {}
                _ => return,
            }
        };
        let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
            values.next().map_or(String::new(), |(_, value)| value.to_owned())
        };
        let length: usize = header("content-length").parse().unwrap();
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = buffer[end..end + length].to_vec();
        let message = Message {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            json: serde_json::from_slice(&body).unwrap(),
            body,
            head: head.clone(),
        };
        buffer.drain(..end + length);
        let (status, lines) = {
            let mut messages = state.messages.lock().unwrap();
            let answer = state.behaviour.lock().unwrap()(&message, messages.len());
            messages.push(message);
            answer
        };
        if status == 0 {
            return;
        }
        let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: 5\r\n{lines}\r\nhello");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
