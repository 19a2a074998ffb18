//! TLS towards targets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use domain::model::{Check, CheckKind, Protocol, UpstreamSettings, UpstreamTls};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::Listener;
use platform::testing::{TestAuthority, dns};
use platform::tls::public_server;
use tokio_rustls::TlsAcceptor;

use crate::client::{ask, get, whole};
use crate::origin::listen;
use crate::publish::Draft;
use crate::world::{World, eventually, run};

const NAME: &str = "origin.example.net";

#[derive(Clone, Copy)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// An origin of both protocols under [`NAME`], whose answers say which was spoken.
async fn origin(authority: &TestAuthority) -> SocketAddr {
    let pems = authority.issue("origin", vec![dns(NAME)]);
    let config = public_server(pems.cert.as_bytes(), pems.key.as_bytes()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut listener = listen().await;
    let address = Listener::local_addr(&listener).unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = Listener::accept(&mut listener).await.unwrap();
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(|request: Request<Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, Infallible>(Response::new(whole(version)))
                });
                let served = hyper_util::server::conn::auto::Builder::new(Local)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(served);
            });
        }
    });
    address
}

fn draft(origin: SocketAddr, protocol: Protocol, name: &str, ca: Option<&str>) -> Draft {
    Draft {
        settings: UpstreamSettings {
            protocol,
            tls: Some(UpstreamTls {
                server_name: Some(name.to_owned()),
                ca: ca.map(str::to_owned),
            }),
            ..UpstreamSettings::default()
        },
        ..Draft::to(origin)
    }
}

fn ca(authority: &TestAuthority) -> String {
    authority.issue("unused", Vec::new()).ca
}

#[test]
fn both_protocols_are_spoken_within_tls() {
    run(async {
        let authority = TestAuthority::new("origins");
        let (address, ca) = (origin(&authority).await, ca(&authority));
        for (protocol, spoken) in [(Protocol::Http1, "HTTP/1.1"), (Protocol::H2, "HTTP/2.0")] {
            let world = World::with(draft(address, protocol, NAME, Some(&ca))).await;
            for _ in 0..3 {
                assert_eq!(ask(world.address, get("/")).await.text(), spoken);
            }
            assert_eq!(world.metric("upstream_connections_total"), 1);
        }
    });
}

#[test]
fn a_target_that_is_somebody_else_is_not_spoken_to() {
    run(async {
        let (authority, other) = (TestAuthority::new("origins"), TestAuthority::new("others"));
        let address = origin(&authority).await;
        let (own, foreign) = (ca(&authority), ca(&other));
        for draft in [
            draft(
                address,
                Protocol::Http1,
                "elsewhere.example.net",
                Some(&own),
            ),
            draft(address, Protocol::Http1, NAME, Some(&foreign)),
            draft(address, Protocol::H2, NAME, None),
        ] {
            let world = World::with(draft).await;
            let answer = ask(world.address, get("/")).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (502, "upstream_unreachable")
            );
        }
    });
}

#[test]
fn checks_speak_what_requests_speak() {
    run(async {
        let authority = TestAuthority::new("origins");
        let (address, ca) = (origin(&authority).await, ca(&authority));
        for (protocol, kind) in [
            (Protocol::Http1, CheckKind::Tcp),
            (
                Protocol::H2,
                CheckKind::Http {
                    path: "/".to_owned(),
                    head: true,
                    host: None,
                    expected_status: vec![200],
                },
            ),
        ] {
            let mut draft = draft(address, protocol, NAME, Some(&ca));
            draft.settings.health_check = Some(Check {
                kind,
                interval_s: 1,
                timeout_s: 1,
                healthy_threshold: 1,
                unhealthy_threshold: 1,
            });
            let world = World::with(draft).await;
            eventually("a check", || {
                world.metric("health_checks_total{result=\"passed\"}") > 0
            })
            .await;
            assert_eq!(world.metric("targets_out"), 0);
        }
    });
}
