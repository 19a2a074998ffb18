//! A place for one node: a directory with certificates, a pepper and settings; and the process in it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use platform::testing::TestAuthority;
use tempfile::TempDir;

/// By when something that has to happen has happened, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What one node is given: a directory with certificates, a pepper, and a settings file.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) rest: SocketAddr,
    pub(crate) internal: SocketAddr,
    pub(crate) publisher: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// An address that nobody uses, below the range from which the kernel takes the ports of
/// connections: one from there could be gone again when the node starts.
#[allow(
    clippy::disallowed_methods,
    reason = "tests look for free ports themselves"
)]
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 64;
        let port = 10_000 + u16::try_from(step % 20_000).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test waits by the wall clock")]
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

#[allow(clippy::disallowed_methods, reason = "a test waits by the wall clock")]
pub(crate) fn pause(deadline: Instant, what: &str) {
    assert!(Instant::now() < deadline, "not in time: {what}");
    std::thread::sleep(Duration::from_millis(20));
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = TestAuthority::default();
        authority.node(1).write(dir.path(), "node").unwrap();
        authority.node(2).write(dir.path(), "other").unwrap();
        let place = Self {
            dir,
            rest: free_address(),
            internal: free_address(),
            publisher: free_address(),
            admin: free_address(),
        };
        place.write_secret("pepper", &"ab".repeat(32));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn settings(&self) -> String {
        let Self {
            rest,
            internal,
            publisher,
            admin,
            ..
        } = self;
        let file = |name: &str| self.path(name).display().to_string();
        format!(
            r#"
[node]
id = 1
region = "eu-central-1"
data_dir = "{data}"
[rest]
listen = "{rest}"
[internal]
listen = "{internal}"
[publisher]
listen = "{publisher}"
[admin]
listen = "{admin}"
[tls]
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
[security]
pepper_file = "{pepper}"
[cluster]
members = [{{ id = 1, region = "eu-central-1", internal = "{internal}", rest = "http://{rest}", publisher = "{publisher}" }}]
"#,
            data = file("data"),
            ca = file("ca.pem"),
            cert = file("node.pem"),
            key = file("node.key"),
            pepper = file("pepper"),
        )
    }

    pub(crate) fn command(&self, settings: &str) -> Command {
        let file = self.path("node.toml");
        fs::write(&file, settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vectorgate-node"));
        command.arg("--settings").arg(file).stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&self) -> Process {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Process {
        let mut process = self.spawn(&self.settings(), variables);
        self.await_ready(&mut process);
        process
    }

    /// Starts a process by these settings.
    pub(crate) fn spawn(&self, settings: &str, variables: &[(&str, &str)]) -> Process {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let mut command = self.command(settings);
        command.envs(variables.iter().copied());
        let child = command.stderr(log).spawn().unwrap();
        Process {
            child,
            log: self.path("log"),
        }
    }

    pub(crate) fn await_ready(&self, process: &mut Process) {
        let deadline = deadline();
        while !self.is_ready() {
            process.must_run();
            pause(deadline, "the node is ready");
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        get(self.rest, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    pub(crate) fn bootstrap(&self) -> Output {
        self.run(&["bootstrap", "--workspace-name", "Acme"])
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&self.settings());
        command.args(arguments).output().unwrap()
    }

    /// Starts a node whose API speaks HTTPS, by the node's own certificate, and waits until its port is open.
    #[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
    pub(crate) fn start_securely(&self) -> Process {
        let [cert, key] =
            ["node.pem", "node.key"].map(|name| self.path(name).display().to_string());
        let listen = format!("listen = \"{}\"", self.rest);
        let settings = self.settings().replace(
            &listen,
            &format!("{listen}\ncert_file = \"{cert}\"\nkey_file = \"{key}\""),
        );
        let log = fs::File::create(self.path("log")).unwrap();
        let child = self.command(&settings).stderr(log).spawn().unwrap();
        let mut node = Process {
            child,
            log: self.path("log"),
        };
        let deadline = deadline();
        while TcpStream::connect(self.rest).is_err() {
            node.must_run();
            pause(deadline, "the port is open");
        }
        node
    }
}

/// A running node, killed at the end of its test.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
}

impl Process {
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!(
                "the node ended with {status}: {}",
                fs::read_to_string(&self.log).unwrap()
            );
        }
    }

    pub(crate) fn terminate(mut self) -> Option<i32> {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        let deadline = deadline();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            pause(deadline, "the node stops");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer to a GET, if anybody listens.
pub(crate) fn get(to: SocketAddr, path: &str) -> Option<String> {
    get_from("test", to, path)
}

/// The same, where the host has that name.
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
pub(crate) fn get_from(host: &str, to: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(to).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub(crate) fn fails(mut command: Command, code: i32, named: &str) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(named), "{named} is missing in {said}");
}

/// What a service manager was told next.
pub(crate) fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 64];
    let length = manager.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

/// Whether any file under `dir` holds `needle`.
pub(crate) fn contains(dir: &Path, needle: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return contains(&path, needle);
        }
        fs::read(&path)
            .unwrap()
            .windows(needle.len())
            .any(|window| window == needle)
    })
}
