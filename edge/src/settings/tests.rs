//! Settings from text and variables, good and bad.

use domain::id::{EnvironmentId, Seed};

use super::*;

const WHOLE: &str = r#"
    [edge]
    id = "edge-1"
    region = "eu-central-1"
    environment = "production"
    data_dir = "/var/lib/vectorgate"
    labels = { rack = "7" }
    [http]
    listen = "127.0.0.1:8101"
    workers = 2
    [control]
    nodes = ["127.0.0.1:7301", "node-2.example.net:7301"]
    [tls]
    ca_file = "ca.pem"
    cert_file = "edge.pem"
    key_file = "edge.key"
    [timeouts]
    connect_ms = 100
    [admin]
    listen = "127.0.0.1:8191"
    [log]
    level = "debug"
    format = "json"
"#;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::parse(text, variables).map_err(|error| error.to_string())
}

#[test]
fn a_file_is_read_and_what_it_leaves_out_has_defaults() {
    let settings = parse(WHOLE, &[]).unwrap();
    assert_eq!(
        settings.edge.labels,
        BTreeMap::from([("rack".to_owned(), "7".to_owned())])
    );
    assert_eq!(settings.workers().get(), 2);
    assert_eq!(settings.timeouts.connect(), Duration::from_millis(100));
    assert_eq!(settings.timeouts.idle(), Duration::from_secs(60));
    assert_eq!(settings.cache.memory_bytes, 128 * 1024 * 1024);
    assert_eq!(settings.log.format, LogFormat::Json);
    let short = WHOLE.split("[timeouts]").next().unwrap();
    let settings = parse(short, &[("VECTORGATE_HTTP__WORKERS", "0")]).unwrap();
    assert!(settings.admin.is_none() && settings.workers().get() >= 1);
    assert_eq!(settings.log.level, "info");
}

#[test]
fn variables_go_before_the_file_and_others_are_left_alone() {
    let settings = parse(
        WHOLE,
        &[
            ("VECTORGATE_EDGE__ID", "edge-9"),
            ("VECTORGATE_EDGE__LABELS", r#"{"a":"b"}"#),
            ("VECTORGATE_HTTP__LISTEN", "127.0.0.1:9"),
            ("VECTORGATE_CONTROL__NODES", r#"["10.0.0.1:7301"]"#),
            ("VECTORGATE_TIMEOUTS__IDLE_MS", "5"),
            ("VECTORGATE_API_KEY", "vg_live_sk_v2_x"),
            ("VECTORGATE_NODES", "http://127.0.0.1:7101"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(settings.edge.id, "edge-9");
    assert_eq!(
        settings.edge.labels,
        BTreeMap::from([("a".to_owned(), "b".to_owned())])
    );
    assert_eq!(settings.http.listen.port(), 9);
    assert_eq!(settings.control.nodes, ["10.0.0.1:7301"]);
    assert_eq!(settings.timeouts.idle_ms, 5);
}

#[test]
fn http3_is_off_unless_it_is_given_an_address_beside_https() {
    assert!(parse(WHOLE, &[]).unwrap().http3.is_none());
    let https = ("VECTORGATE_HTTPS__LISTEN", "127.0.0.1:8443");
    assert!(parse(WHOLE, &[https]).unwrap().http3.is_none());
    let listen = ("VECTORGATE_HTTP3__LISTEN", "127.0.0.1:8443");
    let http3 = parse(WHOLE, &[https, listen]).unwrap().http3.unwrap();
    assert_eq!((http3.listen.port(), http3.public_port), (8443, 443));
    assert_eq!(http3.alt_svc(), "h3=\":443\"; ma=86400");
    let message = parse(WHOLE, &[listen]).unwrap_err();
    assert!(message.contains("`http3.listen`"), "{message}");
    for (variable, value, named) in [
        ("VECTORGATE_HTTP3__PUBLIC_PORT", "0", "`http3.public_port`"),
        (
            "VECTORGATE_HTTP3__PUBLIC_PORT",
            "65536",
            "http3.public_port",
        ),
        ("VECTORGATE_HTTP3__LISTEN", "here", "http3.listen"),
        ("VECTORGATE_HTTP3__ENABLED", "true", "enabled"),
    ] {
        let message = parse(WHOLE, &[https, listen, (variable, value)]).expect_err(variable);
        assert!(message.contains(named), "{variable}={value}: {message}");
    }
}

#[test]
fn a_bad_field_is_named() {
    for (variable, value, named) in [
        ("VECTORGATE_EDGE__ID", "edge 1", "`edge.id`"),
        ("VECTORGATE_EDGE__ID", "", "`edge.id`"),
        ("VECTORGATE_EDGE__REGION", "a/b", "`edge.region`"),
        ("VECTORGATE_EDGE__ENVIRONMENT", "", "`edge.environment`"),
        ("VECTORGATE_EDGE__DATA_DIR", "", "`edge.data_dir`"),
        ("VECTORGATE_EDGE__COLOUR", "red", "colour"),
        ("VECTORGATE_EDGE__LABELS", "red", "edge.labels"),
        ("VECTORGATE_HTTP__LISTEN", "localhost", "http.listen"),
        ("VECTORGATE_HTTP__WORKERS", "many", "http.workers"),
        ("VECTORGATE_HTTP__WORKERS", "5000", "http.workers"),
        ("VECTORGATE_CONTROL__NODES", "[]", "control.nodes"),
        (
            "VECTORGATE_CONTROL__NODES",
            r#"["node-1"]"#,
            "control.nodes",
        ),
        (
            "VECTORGATE_CONTROL__NODES",
            "127.0.0.1:7301",
            "control.nodes",
        ),
        (
            "VECTORGATE_TIMEOUTS__CONNECT_MS",
            "0",
            "timeouts.connect_ms",
        ),
        (
            "VECTORGATE_TIMEOUTS__CONNECT_MS",
            "soon",
            "timeouts.connect_ms",
        ),
        ("VECTORGATE_TIMEOUTS__IDLE_MS", "-1", "timeouts.idle_ms"),
        (
            "VECTORGATE_TIMEOUTS__DRAIN_MS",
            "99999999999",
            "timeouts.drain_ms",
        ),
        (
            "VECTORGATE_TIMEOUTS__UNREADY_MS",
            "99999999999",
            "timeouts.unready_ms",
        ),
        (
            "VECTORGATE_TIMEOUTS__CLIENT_BYTES_PER_S_MIN",
            "99999999",
            "timeouts.client_bytes_per_s_min",
        ),
        ("VECTORGATE_CACHE__MEMORY_BYTES", "-1", "cache.memory_bytes"),
        (
            "VECTORGATE_CACHE__ENTRY_BYTES_MAX",
            "999999999",
            "cache.entry_bytes_max",
        ),
        ("VECTORGATE_ADMIN__LISTEN", "8191", "admin.listen"),
        ("VECTORGATE_LOG__FORMAT", "xml", "log.format"),
        ("VECTORGATE_TIMEOUT__CONNECT_MS", "1", "timeout"),
    ] {
        let message = parse(WHOLE, &[(variable, value)]).expect_err(variable);
        assert!(message.contains(named), "{variable}={value}: {message}");
    }
}

/// An edge that comes by what it is with a token.
const BARE: &str = r#"
    [edge]
    id = "edge-1"
    data_dir = "/var/lib/vectorgate"
    [http]
    listen = "127.0.0.1:8101"
    [enrolment]
    token_file = "/none"
"#;

fn papers() -> edge_protocol::enrolment::Papers {
    edge_protocol::enrolment::Papers {
        certificate: String::new(),
        authorities: String::new(),
        until_s: 1,
        environment: "production".to_owned(),
        region: "eu-central-1".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "7".to_owned())]),
        nodes: vec!["node-1:7300".to_owned()],
    }
}

#[test]
fn an_edge_with_a_token_needs_to_know_little_and_may_not_contradict_it() {
    let mut settings = parse(BARE, &[]).unwrap();
    assert!(
        settings
            .enrolment
            .as_ref()
            .unwrap()
            .token()
            .unwrap()
            .is_none()
    );
    settings.take_papers(&papers()).unwrap();
    assert_eq!(settings.edge.region, "eu-central-1");
    assert_eq!(settings.edge.environment, "production");
    assert_eq!(settings.edge.labels["rack"], "7");
    for (variable, named) in [
        ("VECTORGATE_EDGE__REGION", "`edge.region`"),
        ("VECTORGATE_EDGE__ENVIRONMENT", "`edge.environment`"),
    ] {
        let mut settings = parse(BARE, &[(variable, "other")]).unwrap();
        let message = settings.take_papers(&papers()).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn settings_and_join_token_agree_on_which_environment_is_meant() {
    let id = |random| EnvironmentId::new(Seed { unix_ms: 1, random });
    let told = |here: Option<u64>, by_token: Option<u64>| {
        let here = here.map(|random| format!("[trust]\nenvironment_id = \"{}\"\n", id(random)));
        let text = format!("{WHOLE}{}", here.unwrap_or_default());
        let settings = parse(&text, &[]).unwrap();
        assert_eq!(settings.trusted().unwrap(), None);
        let by_token = by_token.map(id);
        let told = settings.environment_id(by_token.as_ref());
        told.map_err(|error| error.to_string())
    };
    assert_eq!(told(None, None), Ok(None));
    assert_eq!(told(Some(1), None), Ok(Some(id(1))));
    assert_eq!(told(None, Some(2)), Ok(Some(id(2))));
    assert_eq!(told(Some(2), Some(2)), Ok(Some(id(2))));
    let message = told(Some(1), Some(2)).unwrap_err();
    assert!(message.contains("`trust.environment_id`"), "{message}");
    let message = parse(&format!("{WHOLE}[trust]\nenvironment_id = \"rt_1\"\n"), &[]);
    assert!(message.is_err());
}

#[test]
fn a_token_stands_in_one_place_and_does_not_show() {
    let token = ("VECTORGATE_ENROLMENT__TOKEN", "vg_join_v2_secret");
    let message = parse(BARE, &[token]).unwrap_err();
    assert!(message.contains("`enrolment.token`"), "{message}");
    let bare = BARE.replace("token_file = \"/none\"", "");
    let settings = parse(&bare, &[token]).unwrap();
    assert!(!format!("{settings:?}").contains("secret"));
    let message = settings.enrolment.unwrap().token().unwrap_err().to_string();
    assert!(
        message.contains("`enrolment.token`") && !message.contains("secret"),
        "{message}"
    );
    let both = format!("{WHOLE}[enrolment]\n");
    assert!(parse(&both, &[]).unwrap_err().contains("`enrolment`"));
    let neither = bare.replace("[enrolment]", "");
    assert!(parse(&neither, &[]).unwrap_err().contains("`tls`"));
}

#[test]
fn a_missing_field_is_named_and_broken_toml_is_refused() {
    for (line, named) in [
        ("id = \"edge-1\"", "edge.id"),
        ("listen = \"127.0.0.1:8101\"", "http.listen"),
        ("ca_file = \"ca.pem\"", "tls.ca_file"),
    ] {
        let message = parse(&WHOLE.replace(line, ""), &[]).expect_err(line);
        assert!(message.contains(named), "{line}: {message}");
    }
    assert!(parse("[edge", &[]).is_err());
}
