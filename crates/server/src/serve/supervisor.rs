//! What systemd is told, where it started the server (`Type=notify`): a datagram to the socket that it names.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Names the socket: a path, or a name after `@`.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Tells the supervisor, where there is one. It can't be told that it could not be told.
pub(super) fn tell(state: &str) {
    let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(name.as_encoded_bytes(), state) {
        tracing::warn!(%error, state, "the supervisor was not told");
    }
}

fn send(name: &[u8], state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    socket.send_to(state.as_bytes(), path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (by_path, mut buffer) = (UnixDatagram::bind(&path).unwrap(), [0; 64]);
        send(path.as_os_str().as_encoded_bytes(), "READY=1").unwrap();
        let length = by_path.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");

        use std::os::linux::net::SocketAddrExt;
        let name = format!("aerostore-test-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let abstract_one = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_bytes(), "STOPPING=1").unwrap();
        let length = abstract_one.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STOPPING=1");
        assert!(send(b"/nowhere/socket", "READY=1").is_err());
    }
}
