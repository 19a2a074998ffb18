//! Edges that speak TLS, and clients that trust their authority.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::id::CertificateId;
use edge::certificates::Keyring;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use platform::testing::{Pems, TestAuthority, dns};
use platform::tls::{certified_key, provider};
use platform::{Listener, Network, TokioNetwork};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Answer, get};
use crate::origin::listen;
use crate::publish::{Draft, HOST};
use crate::world::{Options, World};

pub(crate) const CERTIFICATE: &str = "cert_01J2A8K6";
pub(crate) const STRICT: &str = r#"{"tls":{"policy":"strict","certificate_id":"cert_01J2A8K6"}}"#;
pub(crate) const PASSTHROUGH: &str = r#"{"tls":{"policy":"passthrough"}}"#;
pub(crate) const OFF: &str = r#"{"tls":{"policy":"off"}}"#;

/// A certificate for a host, by the authority that all clients here trust.
pub(crate) fn issued(name: &str, host: &str) -> Pems {
    TestAuthority::default().issue(name, vec![dns(host)])
}

pub(crate) fn der(pems: &Pems) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pems.cert.as_bytes()).unwrap()
}

pub(crate) fn put(keyring: &Keyring, id: &str, pems: &Pems) {
    let certificate = certified_key(pems.cert.as_bytes(), pems.key.as_bytes()).unwrap();
    keyring.put(CertificateId::parse(id).unwrap(), certificate);
}

pub(crate) fn client(
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = issued("any", "any").ca;
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

pub(crate) fn modern(alpn: &[&str]) -> ClientConfig {
    client(alpn, rustls::ALL_VERSIONS)
}

pub(crate) async fn handshake(
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TokioNetwork.connect(&to.to_string()).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(config))
        .connect(name, stream)
        .await
}

/// An edge whose own certificate is for `own.example.net`, with [`CERTIFICATE`] for [`HOST`].
pub(crate) async fn secure(
    set: &[(&'static str, &'static str)],
    drafts: &[Draft],
) -> (World, SocketAddr) {
    let own = issued("own", "own.example.net");
    let own = certified_key(own.cert.as_bytes(), own.key.as_bytes()).unwrap();
    let mut world = World::start(Options {
        set: [&[("HTTPS__LISTEN", "127.0.0.1:0")], set].concat(),
        keyring: Keyring::new(Some(own.into())),
        ..Options::default()
    })
    .await;
    put(&world.serving.keyring, CERTIFICATE, &issued("named", HOST));
    world.publish(drafts);
    let https = world.https.unwrap();
    (world, https)
}

pub(crate) fn with(config: &'static str, origin: SocketAddr) -> Draft {
    Draft {
        config: config.to_owned(),
        ..Draft::to(origin)
    }
}

pub(crate) fn to_host(hostname: &str, origin: SocketAddr) -> Draft {
    Draft {
        hostname: hostname.to_owned(),
        ..Draft::to(origin)
    }
}

/// Asks for a host on a connection that was opened, perhaps, for another one.
pub(crate) async fn ask1(stream: TlsStream<TcpStream>, host: &str) -> Answer {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::task::spawn_local(connection);
    let mut request = get("/a?b");
    request.headers_mut().insert("host", host.parse().unwrap());
    Answer::of(sender.send_request(request).await.unwrap()).await
}

/// An upstream that ends TLS itself, with a certificate of its own.
pub(crate) async fn ending_tls(pems: &Pems) -> SocketAddr {
    let server = platform::tls::public_server(pems.cert.as_bytes(), pems.key.as_bytes()).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let mut listener = listen().await;
    let address = Listener::local_addr(&listener).unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = Listener::accept(&mut listener).await.unwrap();
            let accepting = acceptor.accept(stream);
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = accepting.await else {
                    return;
                };
                let mut buffer = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    buffer.make_ascii_uppercase();
                    stream.write_all(&buffer[..count]).await.unwrap();
                }
                drop(stream.shutdown().await);
            });
        }
    });
    address
}
