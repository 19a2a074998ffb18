//! Certificates that are renewed under a running process.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use platform::testing::TestAuthority;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::place::{Place, deadline, pause};

/// The whole answer to a GET over TLS.
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
pub(crate) fn get_securely(to: SocketAddr, path: &str) -> String {
    shown(to, path).1
}

/// The certificate that is shown, and the answer.
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn shown(to: SocketAddr, path: &str) -> (CertificateDer<'static>, String) {
    let config = TestAuthority::default()
        .node(1)
        .identity()
        .client(b"http/1.1")
        .unwrap();
    let name = rustls::pki_types::ServerName::try_from(platform::tls::NODE_SERVER_NAME).unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(client, TcpStream::connect(to).unwrap());
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let chain = stream.conn.peer_certificates().unwrap();
    (chain[0].clone().into_owned(), answer)
}

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_what_is_none_is_not() {
    let place = Place::new();
    let mut node = place.start_securely();
    let deadline = deadline();
    let before = shown(place.rest, "/livez").0;
    fs::write(place.path("node.pem"), "no certificate").unwrap();
    while !get_securely(place.rest, "/metrics").contains("files_unusable{certificate=\"rest\"} 1") {
        node.must_run();
        pause(deadline, "it is told that the file cannot be used");
    }
    assert_eq!(shown(place.rest, "/livez").0, before);
    let renewed = TestAuthority::default().node_between(1, (2001, 4001));
    renewed.write(place.dir.path(), "node").unwrap();
    let expected = CertificateDer::from_pem_slice(renewed.cert.as_bytes()).unwrap();
    while shown(place.rest, "/livez").0 != expected {
        node.must_run();
        pause(deadline, "the renewed certificate is shown");
    }
    let metrics = get_securely(place.rest, "/metrics");
    for series in [
        "vectorgate_certificate_renewals_total{certificate=\"rest\",result=\"taken\"} 1",
        "vectorgate_certificate_files_unusable{certificate=\"rest\"} 0",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    assert_eq!(node.terminate(), Some(0));
}
