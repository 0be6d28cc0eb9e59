//! A lean HTTP/1.1 client: one connection, one request at a time, bodies looked at and dropped.
//!
//! Written for load, where a general client would measure itself: no allocation per request, one
//! write for a small request, bodies read into one buffer. Plain TCP only, `TCP_NODELAY` on.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BUFFER: usize = 256 * 1024;
const MAX_HEADERS: usize = 64;

/// A connection that is kept for the next request.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    length: Length,
    /// Whether another request may follow.
    pub(super) keep_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER], start: 0, end: 0 })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the head of the next answer; interim ones (1xx) are passed over.
    pub(super) async fn read_head(&mut self) -> io::Result<Head> {
        loop {
            match parse_head(self.data())? {
                Some((length, head)) => {
                    self.start += length;
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None => self.fill().await?,
            }
        }
    }

    /// Shows the body of an answer piece by piece; gives back its length.
    pub(super) async fn read_body(&mut self, head: Head, mut look: impl FnMut(&[u8])) -> io::Result<u64> {
        match head.length {
            Length::Known(length) => self.read_exactly(length, &mut look).await,
            Length::Chunked => {
                let mut total = 0;
                loop {
                    let size = self.read_chunk_size().await?;
                    if size == 0 {
                        self.skip_trailers().await?;
                        return Ok(total);
                    }
                    total += self.read_exactly(size, &mut look).await?;
                    self.read_exactly(2, &mut |_| {}).await?;
                }
            }
            Length::UntilClose => {
                let mut total = 0;
                loop {
                    total += self.data().len() as u64;
                    look(self.data());
                    self.start = self.end;
                    match self.fill().await {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(total),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    async fn read_exactly(&mut self, length: u64, look: &mut impl FnMut(&[u8])) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill().await?;
            }
            let data = self.data();
            let piece = usize::try_from(left).ok().and_then(|left| data.get(..left)).unwrap_or(data);
            look(piece);
            let taken = piece.len();
            self.start += taken;
            left -= taken as u64;
        }
        Ok(length)
    }

    async fn read_chunk_size(&mut self) -> io::Result<u64> {
        loop {
            match httparse::parse_chunk_size(self.data()).map_err(|_| malformed("chunk size"))? {
                httparse::Status::Complete((length, size)) => {
                    self.start += length;
                    return Ok(size);
                }
                httparse::Status::Partial => self.fill().await?,
            }
        }
    }

    async fn skip_trailers(&mut self) -> io::Result<()> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            match httparse::parse_headers(self.data(), &mut headers).map_err(malformed)? {
                httparse::Status::Complete((length, _)) => {
                    self.start += length;
                    return Ok(());
                }
                httparse::Status::Partial => self.fill().await?,
            }
        }
    }

    fn data(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads more behind what is there.
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start == 0 {
                return Err(malformed("header larger than the buffer"));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(room).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }
}

/// The head at the start of `data` and its length; none if it is not whole yet.
fn parse_head(data: &[u8]) -> io::Result<Option<(usize, Head)>> {
    if data.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(size) = response.parse(data).map_err(malformed)? else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let (mut length, mut keep_alive) = (Length::UntilClose, response.version == Some(1));
    for header in response.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |value: &str| header.value.eq_ignore_ascii_case(value.as_bytes());
        if is("content-length") {
            let value = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            length = Length::Known(value.ok_or_else(|| malformed("content length"))?);
        } else if is("transfer-encoding") && says("chunked") {
            length = Length::Chunked;
        } else if is("connection") {
            keep_alive = if says("close") { false } else { keep_alive || says("keep-alive") };
        }
    }
    if status < 200 || matches!(status, 204 | 304) {
        length = Length::Known(0);
    }
    keep_alive &= length != Length::UntilClose;
    Ok(Some((size, Head { status, length, keep_alive })))
}

fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `answer` in pieces of `cut` bytes from a server and reads it.
    async fn answer(answer: &'static [u8], cut: usize) -> io::Result<(u16, bool, Vec<u8>)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            for piece in answer.chunks(cut) {
                stream.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut connection = Connection::open(address).await?;
        let head = connection.read_head().await?;
        let mut body = Vec::new();
        let length = connection.read_body(head, |piece| body.extend_from_slice(piece)).await?;
        assert_eq!(length, body.len() as u64);
        Ok((head.status, head.keep_alive, body))
    }

    #[tokio::test]
    async fn answers_in_every_framing() {
        type Answer = Option<(u16, bool, &'static [u8])>;
        let cases: [(&'static [u8], Answer); 8] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some((200, true, b"hello"))),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Some((204, true, b""))),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                Some((200, true, b"abcde")),
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
                Some((200, true, b"")),
            ),
            (
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
                Some((404, false, b"x")),
            ),
            (b"HTTP/1.0 200 OK\r\n\r\nto the end", Some((200, false, b"to the end"))),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", None),
            (b"SSH-2.0-OpenSSH\r\n\r\n", None),
        ];
        for (bytes, expected) in cases {
            for cut in [1, 7, 1000] {
                let read = answer(bytes, cut).await.ok();
                let read = read.as_ref().map(|(status, keep, body)| (*status, *keep, body.as_slice()));
                assert_eq!(read, expected, "{} in pieces of {cut}", String::from_utf8_lossy(bytes));
            }
        }
    }
}
