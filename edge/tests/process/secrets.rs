//! Secrets are planted wherever an edge is given some, or meets them in requests; afterwards none is to be found in what
//! the process has written: its log, its access log, what it tells on its own socket, its disk.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use domain::id::CertificateId;
use edge::certificates::{Keyring, Vault};
use edge::store::{DiskDirectory, StoreKey};
use edge_protocol::certificates::Given;
use platform::SystemEntropy;
use platform::testing::{TestAuthority, dns};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::kept;
use crate::place::{Place, get};

const API_KEY: &str = "vg_live_sk_v2_0123456789abcdefghijklmnopqrstuv012345";
const TOKEN: &str = "vg_join_0123456789abcdefghijklmnopqrstuvwxyz";
const QUERY: &str = "access_token=0123456789abcdefghijklmn";

fn holds(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}

/// The files under `dir` that hold `secret`, but for the one that is the key itself.
fn holders(dir: &Path, secret: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holders(&path, secret, found);
        } else if path.file_name().unwrap() != "key" && holds(&fs::read(&path).unwrap(), secret) {
            found.push(path.display().to_string());
        }
    }
}

/// The lines of a private key in PEM, and the half of it that no other has.
fn parts(pem: &str) -> Vec<Vec<u8>> {
    let lines = pem.lines().filter(|line| line.len() > 32);
    let mut parts: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let der = der.secret_der();
    parts.push(der[der.len() / 2..].to_vec());
    parts
}

/// Keeps a certificate as an earlier run would have.
fn keep_certificate(data: &Path, id: &CertificateId, (chain, key): (&str, &str)) {
    let store_key = StoreKey::load_or_make(&data.join("key"), &SystemEntropy).unwrap();
    let directory = DiskDirectory::open(&data.join("certificates")).unwrap();
    let sealed = Box::new(directory.sealed(&store_key, "certificates"));
    let mut vault = Vault::open(sealed, Arc::new(Keyring::default())).unwrap();
    let given = Given::Certificate {
        id: id.clone(),
        version: 1,
        chain: chain.to_owned(),
        key: key.to_owned(),
    };
    vault.take(given).unwrap();
}

/// A request that carries secrets, as they should not be carried.
#[allow(clippy::disallowed_methods, reason = "a test talks to a real process")]
fn ask(to: SocketAddr) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    write!(
        stream,
        "GET /?{QUERY} HTTP/1.1\r\nhost: api.example.net\r\nauthorization: Bearer {API_KEY}\r\n\
         cookie: session={API_KEY}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn secrets_of_an_edge_are_in_no_log_on_no_disk_and_in_nothing_that_it_tells() {
    let place = Place::new();
    let data = place.path("data");
    kept::keep(&data, 1, "hello");
    let pems = TestAuthority::default().issue("mine", vec![dns("api.example.net")]);
    let id = CertificateId::parse("cert_00000001").unwrap();
    keep_certificate(&data, &id, (&pems.cert, &pems.key));
    // The search would find it: it is there, sealed.
    assert!(data.join("certificates").join(id.as_str()).is_file());

    let mut planted = parts(&pems.key);
    planted.extend(parts(&fs::read_to_string(place.path("edge.key")).unwrap()));
    let hex = fs::read_to_string(data.join("key")).unwrap();
    let bytes = hex.trim().as_bytes().chunks(2).map(|digits| {
        let digits = std::str::from_utf8(digits).unwrap();
        u8::from_str_radix(digits, 16).unwrap()
    });
    planted.push(bytes.collect());
    planted.push(hex.trim().as_bytes().to_vec());
    planted.extend([API_KEY, TOKEN, QUERY].map(|text| text.as_bytes().to_vec()));
    let search = |planted: &[Vec<u8>]| {
        for secret in planted {
            assert!(secret.len() >= 16, "{secret:?} would be found by chance");
            let mut found = Vec::new();
            holders(&data, secret, &mut found);
            let shown = String::from_utf8_lossy(secret);
            assert!(found.is_empty(), "{found:?} show {shown}");
        }
    };
    search(&planted);

    fs::write(place.path("token"), TOKEN).unwrap();
    fs::set_permissions(place.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let access_log = place.path("access.log").display().to_string();
    let edge = place.start(&[
        ("VECTORGATE_LOG__LEVEL", "debug"),
        ("VECTORGATE_HTTPS__LISTEN", "127.0.0.1:0"),
        ("VECTORGATE_ACCESS_LOG__SAMPLE", "1"),
        ("VECTORGATE_ACCESS_LOG__FILE", &access_log),
    ]);
    let answer = ask(edge.http);
    assert!(answer.ends_with("hello"), "{answer}");
    let told = ["/metrics", "/readyz?verbose", "/livez", "/"];
    let told = told.map(|path| get(edge.admin, path, "x"));
    let mut log = edge.before.clone();
    let (code, rest) = edge.stop("-TERM");
    assert_eq!(code, Some(0));
    log.push_str(&rest);
    // It is told why a token is of no use, and not the token.
    let token = place.path("token").display().to_string();
    let (_, refused) = place.ends(&[
        ("VECTORGATE_ENROLMENT__TOKEN_FILE", &token),
        (
            "VECTORGATE_EDGE__DATA_DIR",
            &place.path("new").display().to_string(),
        ),
    ]);
    let accessed = fs::read_to_string(&access_log).unwrap();
    search(&planted);
    for secret in &planted {
        let shown = String::from_utf8_lossy(secret);
        assert!(!holds(log.as_bytes(), secret), "the log shows {shown}");
        assert!(
            !holds(accessed.as_bytes(), secret),
            "the access log shows {shown}"
        );
        assert!(
            !holds(refused.as_bytes(), secret),
            "a refusal shows {shown}"
        );
        for answer in &told {
            assert!(!holds(answer.as_bytes(), secret), "{answer} shows {shown}");
        }
    }
    // The search finds what is there.
    assert!(accessed.contains("api.example.net"), "{accessed}");
    assert!(told[0].contains("vectorgate_edge_"), "{}", told[0]);
    assert!(log.contains("production") || log.contains("stop"), "{log}");
}
