//! Settings as files and environments give them.

use std::num::NonZeroUsize;

use super::*;

const GOOD: &str = r#"
[node]
id = 1
region = "eu-central-1"
data_dir = "/var/lib/vectorgate"
[rest]
listen = "127.0.0.1:7101"
[internal]
listen = "127.0.0.1:7201"
[publisher]
listen = "127.0.0.1:7301"
[tls]
ca_file = "ca.pem"
cert_file = "node-1.pem"
key_file = "node-1.key"
[security]
pepper_file = "pepper"
[cluster]
members = [
  { id = 1, region = "eu-central-1", internal = "127.0.0.1:7201", rest = "http://127.0.0.1:7101", publisher = "127.0.0.1:7301" },
  { id = 2, region = "us-east-1", internal = "node-2:7201", rest = "https://node-2", publisher = "node-2:7301" },
]
"#;

fn parse(toml: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::parse(
        toml,
        variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
    )
}

#[test]
fn a_minimal_file_gives_defaults_for_the_rest() {
    let settings = parse(GOOD, &[]).unwrap();
    assert_eq!(settings.node.id, 1);
    assert_eq!(
        settings.log,
        LogSettings {
            level: "info".to_owned(),
            format: LogFormat::Text
        }
    );
    assert_eq!(settings.publisher.connections_of_address_max, 1024);
    assert_eq!(settings.raft, RaftSettings::default());
    assert_eq!(settings.limits, LimitSettings::default());
    assert_eq!(settings.check, CheckSettings::default());
    assert!(settings.check.enabled, "unless somebody says otherwise");
    assert_eq!(settings.webhooks, WebhookSettings::default());
    assert!(settings.webhooks.allowed_ranges.is_empty());
    assert_eq!(
        settings
            .initial_members()
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(settings.initial_members()[&2].internal, "node-2:7201");
}

#[test]
fn each_field_can_come_from_the_environment_which_wins() {
    let settings = parse(
        GOOD,
        &[
            ("VECTORGATE_NODE__ID", "2"),
            ("VECTORGATE_NODE__DATA_DIR", "/data/7"),
            ("VECTORGATE_NODE__WORKER_THREADS", "3"),
            ("VECTORGATE_REST__LISTEN", "127.0.0.1:9"),
            ("VECTORGATE_LOG__FORMAT", "json"),
            ("VECTORGATE_RAFT__HEARTBEAT_MS", "50"),
            ("VECTORGATE_PUBLISHER__CONNECTIONS_OF_ADDRESS_MAX", "4096"),
            ("VECTORGATE_LIMITS__ENTERPRISE_REQUESTS_PER_MINUTE", "900"),
            (
                "VECTORGATE_CLUSTER__MEMBERS",
                r#"[{"id":7,"region":"a","internal":"h:1","rest":"http://h","publisher":"h:2"}]"#,
            ),
        ],
    )
    .unwrap();
    assert_eq!(settings.node.id, 2);
    assert_eq!(settings.node.data_dir, Path::new("/data/7"));
    assert_eq!(settings.node.worker_threads, NonZeroUsize::new(3));
    assert_eq!(settings.rest.listen.port(), 9);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.raft.heartbeat_ms, 50);
    assert_eq!(settings.publisher.connections_of_address_max, 4096);
    assert_eq!(settings.limits.enterprise_requests_per_minute, 900);
    assert_eq!(settings.initial_members()[&7].publisher, "h:2");
}

#[test]
fn variables_without_a_section_and_of_others_are_none_of_ours() {
    let variables = [
        ("VECTORGATE_API_KEY", "vg_live"),
        ("VECTORGATE_NODES", "a b"),
        ("PATH", "/bin"),
        ("NODE__ID", "9"),
    ];
    assert_eq!(parse(GOOD, &variables).unwrap(), parse(GOOD, &[]).unwrap());
}

#[test]
fn plain_http_leaves_the_machine_where_that_is_said_in_so_many_words() {
    let open = GOOD.replace(
        "listen = \"127.0.0.1:7101\"",
        "listen = \"0.0.0.0:7101\"\nplain_http_beyond_loopback = true",
    );
    assert!(parse(&open, &[]).unwrap().rest.plain_http_beyond_loopback);
}

#[test]
fn what_is_wrong_is_named() {
    let cases: &[(&str, &str, &str)] = &[
        ("id = 1\n", "id = \"one\"\n", "node.id"),
        ("id = 1\n", "id = -1\n", "node.id"),
        ("id = 1\nregion = \"eu-central-1\"\n", "id = 1\n", "region"),
        ("data_dir =", "data_dri =", "data_dri"),
        (
            "id = 1\n",
            "id = 1\nworker_threads = 0\n",
            "node.worker_threads",
        ),
        ("[security]", "[secruity]", "secruity"),
        (
            "[security]",
            "[check]\nevery_ms = 999\n[security]",
            "check.every_ms",
        ),
        (
            "[security]",
            "[check]\nbytes_per_s_max = 1000\n[security]",
            "check.bytes_per_s_max",
        ),
        (
            "[security]",
            "[enrolment]\nca_file = \"c\"\nkey_file = \"k\"\ncertificate_hours = 169\n[security]",
            "enrolment.certificate_hours",
        ),
        (
            "[security]",
            "[enrolment]\nca_file = \"ca.pem\"\nkey_file = \"k\"\n[security]",
            "enrolment.ca_file",
        ),
        (
            "listen = \"127.0.0.1:7301\"",
            "listen = \"127.0.0.1:7301\"\nconnections_of_address_max = 0",
            "publisher.connections_of_address_max",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"localhost\"",
            "rest.listen",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"0.0.0.0:7101\"",
            "rest.listen",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"0.0.0.0:7101\"\nplain_http_beyond_loopback = false",
            "rest.listen",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"0.0.0.0:7101\"\nplain_http_beyond_loopback = true\ncert_file = \"c\"\nkey_file = \"k\"",
            "rest.plain_http_beyond_loopback",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"0.0.0.0:7101\"\ncert_file = \"c\"",
            "rest.key_file",
        ),
        (
            "listen = \"127.0.0.1:7101\"",
            "listen = \"127.0.0.1:7101\"\nkey_file = \"c\"",
            "rest.cert_file",
        ),
        (
            "internal = \"node-2:7201\"",
            "internal = \"node-2\"",
            "cluster.members[1].internal",
        ),
        (
            "internal = \"node-2:7201\"",
            "internal = \"node-2:0\"",
            "cluster.members[1].internal",
        ),
        (
            "publisher = \"node-2:7301\"",
            "publisher = \":7301\"",
            "cluster.members[1].publisher",
        ),
        (
            "rest = \"https://node-2\"",
            "rest = \"node-2\"",
            "cluster.members[1].rest",
        ),
        ("{ id = 2,", "{ id = 1,", "cluster.members[1].id"),
        (
            "region = \"us-east-1\"",
            "region = \"US East\"",
            "cluster.members[1].region",
        ),
        (
            "region = \"eu-central-1\"\ndata",
            "region = \"\"\ndata",
            "node.region",
        ),
        (
            "[security]",
            "[log]\nformat = \"xml\"\n[security]",
            "log.format",
        ),
        (
            "[security]",
            "[raft]\nheartbeat_ms = 5\n[security]",
            "raft.heartbeat_ms",
        ),
        (
            "[security]",
            "[raft]\nheartbeat_ms = 300\n[security]",
            "raft.election_timeout_min_ms",
        ),
        (
            "[security]",
            "[raft]\nelection_timeout_max_ms = 250\n[security]",
            "raft.election_timeout_max_ms",
        ),
        (
            "[security]",
            "[raft]\ncheckpoint_every_entries = 0\n[security]",
            "raft.checkpoint_every_entries",
        ),
        (
            "[security]",
            "[limits]\nenterprise_requests_per_minute = 0\n[security]",
            "limits.enterprise_requests_per_minute",
        ),
        (
            "[security]",
            "[limits]\nenterprise_route_mutations_per_minute = 2000000000\n[security]",
            "limits.enterprise_route_mutations_per_minute",
        ),
        (
            "[security]",
            "[limits]\nbad_keys_per_minute = 0\n[security]",
            "limits.bad_keys_per_minute",
        ),
        (
            "[security]",
            "[limits]\nper_minute = 5\n[security]",
            "per_minute",
        ),
        (
            "[security]",
            "[backup]\ndirectory = \"b\"\n[security]",
            "backup.key_file",
        ),
        (
            "[security]",
            "[backup]\ndirectory = \"b\"\nkey_file = \"k\"\nplain = true\n[security]",
            "backup.plain",
        ),
        (
            "[security]",
            "[backup]\ndirectory = \"b\"\nplain = true\nevery_minutes = 0\n[security]",
            "backup.every_minutes",
        ),
        (
            "[security]",
            "[backup]\ndirectory = \"b\"\nplain = true\nkeep = 0\n[security]",
            "backup.keep",
        ),
        (
            "[security]",
            "[webhooks]\nallowed_ranges = [\"10.1.0.0\"]\n[security]",
            "webhooks.allowed_ranges[0]",
        ),
        (
            "[security]",
            "[webhooks]\nallowed_ranges = [\"10.1.0.0/33\"]\n[security]",
            "webhooks.allowed_ranges[0]",
        ),
        (
            "[security]",
            "[webhooks]\nallowed = []\n[security]",
            "allowed",
        ),
    ];
    for (from, to, field) in cases {
        assert!(GOOD.contains(from), "{from}");
        let error = parse(&GOOD.replacen(from, to, 1), &[])
            .expect_err(to)
            .to_string();
        assert!(error.contains(field), "{to}: {error}");
    }
}

#[test]
fn ranges_for_webhooks_come_from_the_file_or_the_environment() {
    let ranges = |settings: Settings| -> Vec<String> {
        let all = settings.webhooks.allowed_ranges.iter();
        all.map(ToString::to_string).collect()
    };
    let section = "[webhooks]\nallowed_ranges = [\"10.1.0.0/16\", \"fd00::/8\"]\nca_file = \"c\"\n";
    let file = format!("{GOOD}{section}");
    let settings = parse(&file, &[]).unwrap();
    assert_eq!(settings.webhooks.ca_file.as_deref(), Some(Path::new("c")));
    assert_eq!(ranges(settings), ["10.1.0.0/16", "fd00::/8"]);
    let variable = ("VECTORGATE_WEBHOOKS__ALLOWED_RANGES", r#"["127.0.0.0/8"]"#);
    assert_eq!(ranges(parse(&file, &[variable]).unwrap()), ["127.0.0.0/8"]);
}

#[test]
fn a_variable_that_cannot_be_is_named_as_well() {
    for (name, text, field) in [
        ("VECTORGATE_NODE__ID", "many", "node.id"),
        ("VECTORGATE_NODE__COLOUR", "red", "colour"),
        ("VECTORGATE_NOED__ID", "1", "noed"),
        ("VECTORGATE_CLUSTER__MEMBERS", "1,2,3", "cluster.members"),
        ("VECTORGATE_CLUSTER__MEMBERS", "[]", "cluster.members"),
        (
            "VECTORGATE_CLUSTER__MEMBERS",
            r#"[{"id":1,"regoin":"a"}]"#,
            "regoin",
        ),
        (
            "VECTORGATE_WEBHOOKS__ALLOWED_RANGES",
            "10.0.0.0/8",
            "webhooks.allowed_ranges",
        ),
    ] {
        let error = parse(GOOD, &[(name, text)]).expect_err(name).to_string();
        assert!(error.contains(field), "{name}={text}: {error}");
    }
}

#[test]
fn text_that_is_no_toml_is_said_to_be_none() {
    assert!(matches!(
        parse("[node", &[]),
        Err(SettingsError::Syntax { .. })
    ));
    assert!(matches!(
        Settings::load(Path::new("/nonexistent"), []),
        Err(SettingsError::Read { .. })
    ));
}
