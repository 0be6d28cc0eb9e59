//! A proxy that lets a download begin and breaks its connection half-way, as networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;

/// How a connection through the proxy ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// After this many bytes of answers.
    After(u64),
    /// Not before its peers end it.
    Never,
}

/// Listens on a free port of its own.
pub(crate) struct CuttingProxy {
    pub(crate) url: String,
    cut: Arc<Mutex<Cut>>,
    requests: Arc<Mutex<String>>,
}

impl CuttingProxy {
    pub(crate) fn start(server: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server.trim_start_matches("http://").to_owned();
        let (cut, requests) = (Arc::new(Mutex::new(cut)), Arc::new(Mutex::new(String::new())));
        let (shared, heard) = (cut.clone(), requests.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(&server).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let heard = heard.clone();
                std::thread::spawn(move || {
                    pass(from, to, Cut::Never, |bytes| {
                        heard.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
                    });
                });
                let cut = *shared.lock().unwrap();
                std::thread::spawn(move || pass(server, client, cut, |_| {}));
            }
        });
        Self { url, cut, requests }
    }

    pub(crate) fn set(&self, cut: Cut) {
        *self.cut.lock().unwrap() = cut;
    }

    /// All that clients have sent, in lower case.
    pub(crate) fn heard(&self) -> String {
        self.requests.lock().unwrap().to_ascii_lowercase()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cut: Cut, hear: impl Fn(&[u8])) {
    let mut left = if let Cut::After(bytes) = cut { bytes } else { u64::MAX };
    let mut buffer = vec![0; 64 * 1024];
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(read) = from.read(&mut buffer[..most]) else { break };
        if read == 0 {
            break;
        }
        hear(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        left -= read as u64;
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
