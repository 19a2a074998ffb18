//! A place for one edge: a directory with certificates and settings; and the process in it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use platform::testing::TestAuthority;
use tempfile::TempDir;

/// What an edge is given: certificates, a data directory, a settings file.
pub(crate) struct Place(pub(crate) TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let authority = TestAuthority::default();
        authority
            .edge("edge-1")
            .write(place.0.path(), "edge")
            .unwrap();
        authority
            .edge("edge-2")
            .write(place.0.path(), "other")
            .unwrap();
        authority.node(1).write(place.0.path(), "node").unwrap();
        let settings = r#"
            [edge]
            id = "edge-1"
            region = "eu-central-1"
            environment = "production"
            data_dir = "DIR/data"
            [http]
            listen = "127.0.0.1:0"
            workers = 2
            [admin]
            listen = "127.0.0.1:0"
            [control]
            nodes = ["127.0.0.1:9"]
            [tls]
            ca_file = "DIR/ca.pem"
            cert_file = "DIR/edge.pem"
            key_file = "DIR/edge.key"
            [timeouts]
            drain_ms = 2000
            [log]
            format = "json"
        "#;
        let dir = place.0.path().display().to_string();
        fs::write(place.path("edge.toml"), settings.replace("DIR", &dir)).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vectorgate-edge"));
        command
            .arg("--settings")
            .arg(self.path("edge.toml"))
            .envs(variables.iter().copied());
        command
    }

    /// Runs a process that ends by itself.
    pub(crate) fn ends(&self, variables: &[(&str, &str)]) -> (i32, String) {
        ended(&self.command(variables).output().unwrap())
    }

    pub(crate) fn start(&self, variables: &[(&str, &str)]) -> Running {
        let mut child = Guard(
            self.command(variables)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut log = BufReader::new(child.0.stderr.take().unwrap());
        let mut before = String::new();
        loop {
            let mut line = String::new();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "the edge ended: {:?}",
                child.0.wait()
            );
            let Ok(json) = serde_json::from_str::<serde_json::Value>(&line) else {
                panic!("{line}");
            };
            let fields = &json["fields"];
            if fields["message"] == "the edge is running" {
                let address = |name: &str| fields[name].as_str().unwrap().parse().unwrap();
                return Running {
                    child,
                    log,
                    before,
                    http: address("http"),
                    admin: address("admin"),
                    https: fields["https"].as_str().map(|at| at.parse().unwrap()),
                    http3: fields["http3"].as_str().map(|at| at.parse().unwrap()),
                };
            }
            before.push_str(&line);
        }
    }
}

/// A process that serves.
pub(crate) struct Running {
    child: Guard,
    log: BufReader<ChildStderr>,
    /// What it logged before it ran.
    pub(crate) before: String,
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) http3: Option<SocketAddr>,
}

impl Running {
    pub(crate) fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let id = self.child.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.0.wait().unwrap().code(), rest)
    }
}

/// A process that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn ended(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[allow(clippy::disallowed_methods, reason = "a test talks to a real process")]
pub(crate) fn get(to: SocketAddr, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
