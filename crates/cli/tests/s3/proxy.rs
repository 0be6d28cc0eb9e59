//! A proxy that changes requests and answers as it is told: HTTP/1.1, one request per connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The first lines of a request or an answer. Names are in lower case.
pub(crate) struct Head {
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        Self { first, headers: headers.collect() }
    }

    fn text(&self) -> String {
        let lines: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{}\r\n{lines}\r\n", self.first)
    }

    pub(crate) fn get(&self, name: &str) -> String {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub(crate) fn drop(&mut self, name: &str) {
        self.headers.retain(|(key, _)| key != name);
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.drop(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Changes a header only where it is there.
    pub(crate) fn change(&mut self, name: &str, value: &str) {
        if self.headers.iter().any(|(key, _)| key == name) {
            self.set(name, value);
        }
    }
}

type Change = Arc<dyn Fn(&mut Head) + Send + Sync>;

/// What a proxy does to what passes.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) request: Change,
    pub(crate) answer: Change,
    /// Whether bodies are sent on in chunks, and not by their length.
    pub(crate) rechunks: bool,
}

impl Changes {
    pub(crate) fn request(change: impl Fn(&mut Head) + Send + Sync + 'static) -> Self {
        Self { request: Arc::new(change), answer: Arc::new(|_| {}), rechunks: false }
    }

    pub(crate) fn answer(change: impl Fn(&mut Head) + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(change), ..Self::request(|_| {}) }
    }
}

/// Listens on a free port of its own, until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr, changes: Changes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let changes = changes.clone();
                // A client that goes away is no matter of a test's.
                tokio::spawn(async move { pass(client, server, changes).await.ok() });
            }
        });
        Self { address, task }
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr, changes: Changes) -> io::Result<()> {
    let (mut head, mut body) = read_head(&mut client).await?;
    let length: usize = head.get("content-length").parse().unwrap_or(0);
    head.set("connection", "close");
    (changes.request)(&mut head);
    let mut server = TcpStream::connect(server).await?;
    if changes.rechunks && length > 0 {
        head.drop("content-length");
        head.set("transfer-encoding", "chunked");
        let mut rest = vec![0; length - body.len()];
        client.read_exact(&mut rest).await?;
        body = [format!("{length:x}\r\n").as_bytes(), &body, &rest, b"\r\n0\r\n\r\n"].concat();
    }
    server.write_all(&[head.text().as_bytes(), &body].concat()).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.split(), server.split());
    let up = async {
        copy(&mut from_client, &mut to_server).await.ok();
        std::future::pending::<()>().await;
    };
    let down = async {
        let (mut head, mut body) = read_head(&mut from_server).await?;
        while head.first.contains(" 100 ") {
            to_client.write_all(head.text().as_bytes()).await?;
            let (next, rest) = read_head_after(&mut from_server, body).await?;
            (head, body) = (next, rest);
        }
        (changes.answer)(&mut head);
        to_client.write_all(&[head.text().as_bytes(), &body].concat()).await?;
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::select! {
        () = up => Ok(()),
        done = down => done,
    }
}

async fn read_head(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<(Head, Vec<u8>)> {
    read_head_after(from, Vec::new()).await
}

/// Reads a head, of which the beginning is there; gives what follows it, too.
async fn read_head_after(
    from: &mut (impl AsyncReadExt + Unpin),
    mut buffer: Vec<u8>,
) -> io::Result<(Head, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = Head::parse(&String::from_utf8_lossy(&buffer[..end]));
            return Ok((head, buffer[end + 4..].to_vec()));
        }
        if from.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
