//! The process as its operator meets it: settings files, exit codes, signals, a restart without
//! any node.

mod enrolment;
mod kept;
mod place;
mod secrets;
mod traces;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use platform::testing::TestAuthority;

use place::{Place, Running, ended, get};

/// Puts a configuration onto the disk as an earlier run would have: everything is answered with
/// these words.
fn keep(place: &Place, version: u64, words: &str) {
    kept::keep(&place.path("data"), version, words);
}

#[test]
fn a_setting_that_cannot_be_used_is_named_and_the_exit_code_is_64() {
    let place = Place::new();
    let exposed = place.path("exposed.key");
    fs::copy(place.path("edge.key"), &exposed).unwrap();
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    let file = |name: &str| place.path(name).display().to_string();
    let (missing, other, node, exposed, toml) = (
        file("nowhere"),
        file("other.pem"),
        file("node.pem"),
        file("exposed.key"),
        file("edge.toml"),
    );
    for (variable, value, named) in [
        ("VECTORGATE_EDGE__ID", "edge one", "edge.id"),
        ("VECTORGATE_EDGE__SHAPE", "round", "shape"),
        ("VECTORGATE_HTTP__LISTEN", "everywhere", "http.listen"),
        ("VECTORGATE_HTTP__WORKERS", "-1", "http.workers"),
        ("VECTORGATE_CONTROL__NODES", "[]", "control.nodes"),
        ("VECTORGATE_TIMEOUTS__IDLE_MS", "0", "timeouts.idle_ms"),
        ("VECTORGATE_LOG__FORMAT", "xml", "log.format"),
        ("VECTORGATE_ACCESS_LOG__SAMPLE", "1.5", "access_log.sample"),
        ("VECTORGATE_DEBUG__KEY_SHA256", "secret", "debug.key_sha256"),
        ("VECTORGATE_LOG__LEVEL", "edge=loud", "log.level"),
        (
            "VECTORGATE_TRACING__OTLP_ENDPOINT",
            "collector:4318",
            "tracing.otlp_endpoint",
        ),
        (
            "VECTORGATE_TRACING__SAMPLE_RATIO",
            "2",
            "tracing.sample_ratio",
        ),
        ("VECTORGATE_TLS__CA_FILE", &missing, "tls"),
        ("VECTORGATE_TLS__CERT_FILE", &missing, "tls"),
        ("VECTORGATE_TLS__CERT_FILE", &other, "tls.cert_file"),
        ("VECTORGATE_TLS__CERT_FILE", &node, "tls.cert_file"),
        ("VECTORGATE_TLS__KEY_FILE", &missing, "tls.key_file"),
        ("VECTORGATE_TLS__KEY_FILE", &exposed, "tls.key_file"),
        ("VECTORGATE_EDGE__DATA_DIR", &toml, "edge.data_dir"),
    ] {
        let (code, text) = place.ends(&[(variable, value)]);
        assert_eq!(code, 64, "{variable}={value}: {text}");
        assert!(text.contains(named), "{variable}={value}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn what_is_wrong_with_tls_towards_clients_is_named() {
    let place = Place::new();
    let exposed = place.path("exposed.key");
    fs::copy(place.path("edge.key"), &exposed).unwrap();
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    let file = |name: &str| place.path(name).display().to_string();
    let (cert, key, other) = (file("edge.pem"), file("edge.key"), file("other.key"));
    let exposed = file("exposed.key");
    for (cert, key, named) in [
        (Some(&cert), None, "https.key_file"),
        (None, Some(&key), "https.cert_file"),
        (Some(&cert), Some(&exposed), "https.key_file"),
        (Some(&cert), Some(&other), "https.cert_file"),
        (Some(&key), Some(&key), "https.cert_file"),
    ] {
        let mut variables = vec![("VECTORGATE_HTTPS__LISTEN", "127.0.0.1:0")];
        variables.extend(cert.map(|cert| ("VECTORGATE_HTTPS__CERT_FILE", cert.as_str())));
        variables.extend(key.map(|key| ("VECTORGATE_HTTPS__KEY_FILE", key.as_str())));
        let (code, text) = place.ends(&variables);
        assert_eq!(code, 64, "{variables:?}: {text}");
        assert!(text.contains(named), "{variables:?}: {text}");
    }
    for (variable, value, named) in [
        (
            "VECTORGATE_HTTP__PROXY_PROTOCOL",
            "required",
            "http.proxy_protocol_from",
        ),
        (
            "VECTORGATE_HTTP__PROXY_PROTOCOL",
            "perhaps",
            "proxy_protocol",
        ),
        (
            "VECTORGATE_HTTP__PROXY_PROTOCOL_FROM",
            "[\"here\"]",
            "proxy_protocol_from",
        ),
        (
            "VECTORGATE_TIMEOUTS__TUNNEL_IDLE_MS",
            "0",
            "timeouts.tunnel_idle_ms",
        ),
    ] {
        let (code, text) = place.ends(&[(variable, value)]);
        assert_eq!(code, 64, "{variable}={value}: {text}");
        assert!(text.contains(named), "{variable}={value}: {text}");
    }
}

/// What is answered over TLS, by whomever `ca` vouches for.
#[allow(clippy::disallowed_methods, reason = "a test talks to a real process")]
fn get_over_tls(to: SocketAddr, host: &str, ca: &str) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let config = rustls::ClientConfig::builder_with_provider(platform::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(to).unwrap());
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_edge_with_a_certificate_of_its_own_speaks_tls_and_keeps_its_vault_to_itself() {
    let place = Place::new();
    let pems =
        TestAuthority::default().issue("own", vec![platform::testing::dns("api.example.net")]);
    let files = pems.write(place.0.path(), "own").unwrap();
    let (cert, key) = (
        files.cert.display().to_string(),
        files.key.display().to_string(),
    );
    let edge = place.start(&[
        ("VECTORGATE_HTTPS__LISTEN", "127.0.0.1:0"),
        ("VECTORGATE_HTTPS__CERT_FILE", &cert),
        ("VECTORGATE_HTTPS__KEY_FILE", &key),
    ]);
    let answer = get_over_tls(edge.https.unwrap(), "api.example.net", &pems.ca);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let vault = fs::metadata(place.path("data/certificates")).unwrap();
    assert_eq!(vault.permissions().mode() & 0o777, 0o700);
    assert_eq!(edge.http3, None);
    assert_eq!(edge.stop("-TERM").0, Some(0));
}

#[test]
fn an_edge_has_its_port_for_http3_to_itself_and_gives_it_back() {
    let (place, second) = (Place::new(), Place::new());
    let https = ("VECTORGATE_HTTPS__LISTEN", "127.0.0.1:0");
    let edge = place.start(&[https, ("VECTORGATE_HTTP3__LISTEN", "127.0.0.1:0")]);
    let address = edge.http3.unwrap().to_string();
    let same = ("VECTORGATE_HTTP3__LISTEN", address.as_str());
    let (code, text) = second.ends(&[https, same]);
    assert!(code == 71 && text.contains(&address), "{code}: {text}");
    let (code, text) = second.ends(&[same]);
    assert!(
        code == 64 && text.contains("http3.listen"),
        "{code}: {text}"
    );
    assert_eq!(edge.stop("-TERM").0, Some(0));
    let edge = second.start(&[https, same]);
    assert_eq!(edge.http3.unwrap().to_string(), address);
    assert_eq!(edge.stop("-INT").0, Some(0));
}

#[test]
fn arguments_are_explained() {
    let run = |arguments: &[&str]| {
        ended(
            &Command::new(env!("CARGO_BIN_EXE_vectorgate-edge"))
                .args(arguments)
                .output()
                .unwrap(),
        )
    };
    let (code, text) = run(&["--version"]);
    assert_eq!(
        (code, text.trim()),
        (0, concat!("vectorgate-edge ", env!("CARGO_PKG_VERSION")))
    );
    let (code, text) = run(&["--help"]);
    assert!(code == 0 && text.contains("--settings"), "{text}");
    for wrong in [&[][..], &["--settings"], &["--colour"]] {
        assert_eq!(run(wrong).0, 64, "{wrong:?}");
    }
    let (code, text) = run(&["--settings", "/nowhere/edge.toml"]);
    assert!(code == 64 && text.contains("/nowhere/edge.toml"), "{text}");
}

#[test]
fn an_edge_without_nodes_runs_and_stops_cleanly_at_either_signal() {
    let place = Place::new();
    for signal in ["-TERM", "-INT"] {
        let edge = place.start(&[]);
        let answer = get(edge.http, "/", "api.example.net");
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("no_configuration"),
            "{answer}"
        );
        assert!(get(edge.admin, "/livez", "x").starts_with("HTTP/1.1 200 "));
        assert!(get(edge.admin, "/readyz", "x").starts_with("HTTP/1.1 503 "));
        let (code, log) = edge.stop(signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("\"stopped\""), "{log}");
    }
}

#[test]
fn an_address_or_a_directory_that_another_edge_has_is_refused() {
    let (place, second) = (Place::new(), Place::new());
    let edge = place.start(&[]);
    let (code, text) = second.ends(&[("VECTORGATE_HTTP__LISTEN", &edge.http.to_string())]);
    assert!(
        code == 71 && text.contains(&edge.http.to_string()),
        "{code}: {text}"
    );
    let (code, text) = place.ends(&[]);
    assert!(
        code == 64 && text.contains("edge.data_dir"),
        "{code}: {text}"
    );
    assert_eq!(edge.stop("-TERM").0, Some(0));
}

#[test]
fn an_edge_starts_and_serves_by_what_is_on_its_disk_with_every_node_down() {
    let place = Place::new();
    keep(&place, 7, "from disk");
    let edge = place.start(&[]);
    let answer = get(edge.http, "/any", "api.example.net");
    assert!(answer.ends_with("\r\n\r\nfrom disk"), "{answer}");
    let ready = get(edge.admin, "/readyz?verbose", "x");
    assert!(
        ready.starts_with("HTTP/1.1 200 ") && ready.contains("manifest 1.7, 1 routes"),
        "{ready}"
    );
    let metrics = get(edge.admin, "/metrics", "x");
    assert!(
        metrics.contains("vectorgate_edge_manifest_version 7\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("vectorgate_edge_node_connected 0\n"),
        "{metrics}"
    );
    assert_eq!(edge.stop("-TERM").0, Some(0));
}

/// What the edge answers with, and by which manifest.
fn served(edge: &Running) -> (String, String) {
    let answer = get(edge.http, "/any", "api.example.net");
    let words = answer.split("\r\n\r\n").last().unwrap().to_owned();
    let ready = get(edge.admin, "/readyz?verbose", "x");
    let manifest = ready.split("manifest ").nth(1).unwrap_or_default();
    (words, manifest.split(',').next().unwrap().to_owned())
}

#[test]
fn a_manifest_on_which_the_edge_crashes_three_times_is_refused_for_good() {
    let place = Place::new();
    keep(&place, 7, "before");
    keep(&place, 8, "after");
    let good = ("before".to_owned(), "1.7".to_owned());
    for crash in 0..3 {
        let edge = place.start(&[]);
        assert_eq!(
            served(&edge),
            ("after".to_owned(), "1.8".to_owned()),
            "crash {crash}"
        );
        assert_eq!(edge.stop("-KILL").0, None);
    }
    let edge = place.start(&[]);
    assert_eq!(served(&edge), good);
    let (code, log) = edge.stop("-TERM");
    assert_eq!(code, Some(0), "{log}");
    // It is known to be bad also when it comes back, and one that is good is not held against.
    keep(&place, 9, "after");
    for _ in 0..2 {
        let edge = place.start(&[]);
        assert_eq!(served(&edge), good);
        assert_eq!(edge.stop("-KILL").0, None);
    }
    keep(&place, 10, "repaired");
    let edge = place.start(&[]);
    assert_eq!(served(&edge), ("repaired".to_owned(), "1.10".to_owned()));
    assert_eq!(edge.stop("-TERM").0, Some(0));
}

#[test]
fn an_edge_with_nothing_to_go_back_to_starts_with_nothing() {
    let place = Place::new();
    keep(&place, 7, "only");
    for _ in 0..3 {
        assert_eq!(place.start(&[]).stop("-KILL").0, None);
    }
    let edge = place.start(&[]);
    let answer = get(edge.http, "/any", "api.example.net");
    assert!(answer.contains("no_configuration"), "{answer}");
    assert_eq!(edge.stop("-TERM").0, Some(0));
}

#[test]
fn who_ends_the_edge_cleanly_or_turns_the_breaker_off_may_do_so_as_often_as_he_likes() {
    for (signal, variables) in [
        ("-TERM", &[][..]),
        ("-KILL", &[("VECTORGATE_BREAKER__ENABLED", "false")]),
    ] {
        let place = Place::new();
        keep(&place, 7, "only");
        for _ in 0..5 {
            let edge = place.start(variables);
            assert_eq!(served(&edge).0, "only");
            edge.stop(signal);
        }
    }
}

#[test]
fn the_access_log_goes_to_its_file_and_only_the_owner_reads_it() {
    let place = Place::new();
    keep(&place, 7, "from disk");
    let file = place.path("access.log");
    let edge = place.start(&[
        ("VECTORGATE_ACCESS_LOG__SAMPLE", "1.0"),
        ("VECTORGATE_ACCESS_LOG__FILE", &file.display().to_string()),
    ]);
    for _ in 0..3 {
        get(edge.http, "/any", "api.example.net");
    }
    assert_eq!(edge.stop("-TERM").0, Some(0));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&line["path"], &line["bytes"]), (&"/any".into(), &9.into()));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_service_manager_is_told_when_the_edge_serves_and_when_it_ends() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("notify")).unwrap();
    let path = place.path("notify").display().to_string();
    place.start(&[("NOTIFY_SOCKET", &path)]).stop("-TERM");
    // The edge has ended: whatever it said is here.
    manager.set_nonblocking(true).unwrap();
    let mut bytes = [0; 64];
    for expected in ["READY=1", "STOPPING=1"] {
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], expected.as_bytes());
    }
}
