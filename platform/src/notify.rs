//! Tells a service manager how the process stands: `sd_notify(3)` without its library. Where
//! `NOTIFY_SOCKET` is not set, nobody asked, and nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Serves from now on.
pub const READY: &str = "READY=1";

/// Is about to end.
pub const STOPPING: &str = "STOPPING=1";

/// Sends a state to the service manager, if there is one. A service manager that cannot be told is
/// logged and no reason to end: it will find out by itself.
pub fn tell(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, state, "the service manager could not be told");
    }
}

/// A name that begins with `@` is in Linux's abstract namespace, any other is a path.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(by: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = by.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_service_manager_is_told_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), READY).unwrap();
        assert_eq!(received(&manager), "READY=1");

        let name = format!("vectorgate-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), STOPPING).unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
    }

    #[test]
    fn a_service_manager_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(send(folder.path().join("gone").as_os_str(), READY).is_err());
    }
}
