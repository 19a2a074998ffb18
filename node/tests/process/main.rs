//! The process as its operator meets it: settings files, exit codes, signals, `bootstrap`.

mod authority;
mod backup;
mod place;
mod renewal;
mod secrets;
mod traces;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use place::{PATIENCE, Place, contains, fails, get, get_from, told};
use renewal::get_securely;

#[test]
fn operators_hear_of_start_and_end_and_find_a_request_by_the_identifier_that_its_client_was_told() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let node = place.start_with(&[
        ("NOTIFY_SOCKET", place.path("notify").to_str().unwrap()),
        ("VECTORGATE_LOG__FORMAT", "json"),
        ("VECTORGATE_LOG__LEVEL", "info,node=debug"),
    ]);
    assert_eq!(told(&manager), "READY=1");
    let answer = get(place.rest, "/v2/nothing").unwrap();
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("vectorgate-request-id: "))
        .unwrap_or_else(|| panic!("{answer}"));
    let metrics = get(place.rest, "/metrics").unwrap();
    for series in [
        "process_resident_memory_bytes ",
        "vectorgate_disk_available_bytes ",
        "vectorgate_certificate_expiry_timestamp_seconds{certificate=\"internal\"} ",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    assert_eq!(node.terminate(), Some(0));
    assert_eq!(told(&manager), "STOPPING=1");
    let log = fs::read_to_string(place.path("log")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let line = lines.iter().find(|line| line["fields"]["request_id"] == id);
    assert_eq!(
        line.unwrap_or_else(|| panic!("{log}"))["fields"]["status"],
        404
    );
}

/// Contract: D-19.
#[test]
fn a_node_starts_is_bootstrapped_once_stops_and_keeps_what_it_had() {
    let place = Place::new();
    let node = place.start();
    let made = place.bootstrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let shown: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = shown["environments"]["production"]["api_key"]
        .as_str()
        .unwrap();
    assert!(key.starts_with("vg_live_sk_v2_"));
    assert!(
        shown["environments"]["sandbox"]["id"]
            .as_str()
            .unwrap()
            .starts_with("env_")
    );
    assert!(shown["workspace_id"].as_str().unwrap().starts_with("ws_"));

    let again = place.bootstrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(again.stdout.is_empty());
    assert!(String::from_utf8_lossy(&again.stderr).contains("already bootstrapped"));
    assert_eq!(node.terminate(), Some(0));

    let node = place.start();
    assert_eq!(place.bootstrap().status.code(), Some(1));
    let metrics = get(place.rest, "/metrics").unwrap();
    assert!(metrics.contains("vectorgate_raft_is_leader 1"), "{metrics}");
    assert_eq!(node.terminate(), Some(0));
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(!log.contains(key), "the log shows a key");
    assert!(
        !contains(&place.path("data"), key.as_bytes()),
        "the disk shows a key"
    );
}

#[test]
fn bad_settings_end_with_64_and_the_field_before_a_port_opens() {
    let place = Place::new();
    let good = place.settings();
    let mut none = Command::new(env!("CARGO_BIN_EXE_vectorgate-node"));
    none.stdin(Stdio::null());
    fails(none, 64, "--settings");
    fails(
        place.command(&good.replace("id = 1\n", "id = \"x\"\n")),
        64,
        "node.id",
    );
    fails(
        place.command(&good.replace("[tls]", "[tls]\nverify = false")),
        64,
        "verify",
    );
    fails(
        place.command(&good.replace("node.pem", "none.pem")),
        64,
        "none.pem",
    );
    fails(
        place.command(
            &good
                .replace("node.pem", "other.pem")
                .replace("node.key", "other.key"),
        ),
        64,
        "tls.cert_file",
    );
    fails(
        place.command(&good.replace("\"eu-central-1\"\ndata", "\"EU\"\ndata")),
        64,
        "node.region",
    );
    fails(
        place.command(&format!("{good}\n[log]\nlevel = \"a=b=c\"\n")),
        64,
        "log.level",
    );
    fails(
        place.command(&good.replace("{ id = 1,", "{ id = 2,")),
        64,
        "node.id",
    );
    // The nodes' own authority, in another file.
    fs::copy(place.path("ca.pem"), place.path("edges.pem")).unwrap();
    let edges = format!(
        "{good}\n[enrolment]\nca_file = \"{}\"\nkey_file = \"{}\"\n",
        place.path("edges.pem").display(),
        place.path("other.key").display()
    );
    fails(
        place.command(&edges),
        64,
        "enrolment.ca_file: it holds an authority of tls.ca_file",
    );
    let mut from_environment = place.command(&good);
    from_environment.env("VECTORGATE_REST__LISTEN", "0.0.0.0:80");
    fails(from_environment, 64, "rest.listen");
}

#[test]
fn exposed_or_malformed_secrets_end_with_64_and_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let expose = |name: &str, mode| {
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    expose("pepper", 0o644);
    fails(place.command(&place.settings()), 64, "security.pepper_file");
    place.write_secret("pepper", "short");
    fails(place.command(&place.settings()), 64, "security.pepper_file");
    place.write_secret("pepper", &"ab".repeat(32));
    place.write_secret("keks", &"cd".repeat(32));
    let (file, kek) = (place.path("keks").display().to_string(), "cd".repeat(32));
    let security = format!("[security]\nkek_file = \"{file}\"");
    let settings = place.settings().replace("[security]", &security);
    expose("keks", 0o644);
    fails(place.command(&settings), 64, "security.kek_file");
    place.write_secret("keks", &kek[1..]);
    fails(place.command(&settings), 64, "security.kek_file: line 1");
    let both = settings.replace("kek_file", "kek_command = [\"true\"]\nkek_file");
    fails(place.command(&both), 64, "security.kek_command");
    let script = format!("echo {kek}; echo {kek} no access >&2; exit 3");
    let command = format!("[security]\nkek_command = [\"sh\", \"-c\", \"{script}\"]");
    let settings = place.settings().replace("[security]", &command);
    let output = place.command(&settings).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // The service that it asks may be back in a moment.
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(
        said.contains("exit status: 3") && said.contains("no access"),
        "{said}"
    );
    assert!(!said.contains(&kek), "{said}");
    expose("node.key", 0o640);
    fails(place.command(&place.settings()), 64, "tls.key_file");
}

#[test]
fn damaged_data_ends_with_65_and_the_file() {
    let place = Place::new();
    let node = place.start();
    assert!(place.bootstrap().status.success());
    assert_eq!(node.terminate(), Some(0));
    fs::remove_dir_all(place.path("data/log")).unwrap();
    fails(place.command(&place.settings()), 65, "data/log");
}

#[test]
fn another_pepper_ends_with_64_and_the_setting() {
    let place = Place::new();
    let node = place.start();
    assert!(place.bootstrap().status.success());
    assert_eq!(node.terminate(), Some(0));
    place.write_secret("pepper", &"cd".repeat(32));
    fails(place.command(&place.settings()), 64, "security.pepper_file");
}

#[test]
fn a_taken_port_is_named_and_bootstrap_without_a_cluster_says_to_try_again() {
    let place = Place::new();
    let output = place.bootstrap();
    assert_eq!(
        output.status.code(),
        Some(75),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    #[allow(clippy::disallowed_methods, reason = "the test takes the port")]
    let _taken = TcpListener::bind(place.internal).unwrap();
    fails(place.command(&place.settings()), 71, "internal.listen");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test is a client outside")]
fn with_a_certificate_the_api_speaks_https_and_nothing_else() {
    let place = Place::new();
    let node = place.start_securely();
    for (path, status) in [("/livez", "200"), ("/nowhere", "404")] {
        let answer = get_securely(place.rest, path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(
            answer.contains("strict-transport-security: max-age=31536000"),
            "{answer}"
        );
    }
    // Somebody who only connects holds nobody up.
    let _silent = TcpStream::connect(place.rest).unwrap();
    assert!(get_securely(place.rest, "/livez").starts_with("HTTP/1.1 200"));
    assert!(!get(place.rest, "/livez").is_some_and(|answer| answer.contains("200")));
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn operators_see_the_cluster_and_change_it_or_are_told_why_not() {
    let place = Place::new();
    let ended = |arguments: &[&str], code: i32| {
        let output = place.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        (String::from_utf8(output.stdout).unwrap(), said)
    };
    let (_, said) = ended(&["status"], 75);
    assert!(
        said.contains("no node of cluster.members could answer"),
        "{said}"
    );

    let (shown, _) = ended(&["doctor"], 1);
    assert!(shown.contains("No node answers"), "{shown}");

    let node = place.start();
    let (shown, _) = ended(&["doctor"], 1);
    assert!(shown.contains("There is one voter"), "{shown}");
    let (shown, _) = ended(&["doctor", "--json"], 1);
    let findings: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(findings[0]["severity"], "warning");
    let (shown, _) = ended(&["status"], 0);
    assert!(shown.contains("leader            node 1"), "{shown}");
    assert!(
        shown.contains("losing region eu-central-1 stops writes"),
        "{shown}"
    );
    let (shown, _) = ended(&["status", "--json"], 0);
    let status: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(status["members"][0]["role"], "leader");
    assert_eq!(status["quorum"], 1);
    let (shown, _) = ended(&["members", "list"], 0);
    assert!(
        shown.contains("leader") && shown.contains("eu-central-1"),
        "{shown}"
    );

    for (arguments, words) in [
        (
            &["members", "demote", "1"][..],
            "promote another member first",
        ),
        (&["members", "remove", "1"], "promote another member first"),
        (&["members", "promote", "7"], "the members are 1"),
        (&["transfer-leader"], "no other voter can lead now"),
        (
            &["prefer-region", "nowhere"],
            "the regions with voters are eu-central-1",
        ),
        (
            &["members", "add", "--id", "2", "--internal", "127.0.0.1:1"],
            "start it with an empty data directory",
        ),
    ] {
        let (_, said) = ended(arguments, 1);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }

    ended(&["prefer-region", "eu-central-1"], 0);
    let (shown, _) = ended(&["prefer-region", "eu-central-1", "--json"], 0);
    let done: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(done["changed"], false);
    let (shown, _) = ended(&["members", "changes"], 0);
    assert!(shown.contains("prefer a leader in eu-central-1"), "{shown}");
    assert!(shown.contains("node 1's certificate"), "{shown}");
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn metrics_can_have_a_socket_of_their_own_and_are_not_on_the_apis_then() {
    let place = Place::new();
    let own = place::free_address();
    let node = place.start_with(&[("VECTORGATE_METRICS__LISTEN", &own.to_string())]);
    let answer = get(own, "/metrics").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("vectorgate_raft_is_leader 1"), "{answer}");
    for (address, path) in [
        (place.rest, "/metrics"),
        (own, "/v2/rules"),
        (own, "/readyz"),
    ] {
        let answer = get(address, path).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn the_operators_surface_is_on_a_socket_of_its_own() {
    let place = Place::new();
    let node = place.start();
    let answer = get_from("127.0.0.1", place.admin, "/admin/cluster").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"leader\":1"), "{answer}");
    let answer = get_from("page.example", place.admin, "/admin/cluster").unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let answer = get_from("127.0.0.1", place.rest, "/admin/cluster").unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = get_from("127.0.0.1", place.admin, "/v2/rules").unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(node.terminate(), Some(0));
}
