//! Answers that the edge gives by itself: those that rules make, and errors.

use std::collections::BTreeMap;

use domain::content::{Action, Criteria, PathPattern, ValuePattern};
use domain::model::IpRange;
use http::Request;

use crate::client::{ask, empty, get, talk};
use crate::origin::{Origin, nobody};
use crate::publish::{Draft, forward};
use crate::world::{Options, World, run};

fn path(pattern: PathPattern) -> Criteria {
    Criteria {
        path: vec![pattern],
        ..Criteria::default()
    }
}

fn prefix(text: &str) -> Criteria {
    path(PathPattern::Prefix(text.to_owned()))
}

fn fixed(status: u16, body: &str) -> Action {
    Action::FixedResponse {
        status,
        headers: BTreeMap::from([("x-by".to_owned(), "rule".to_owned())]),
        body: body.to_owned(),
    }
}

fn redirect(url: &str, preserve_path: bool) -> Action {
    Action::Redirect {
        url: url.to_owned(),
        status: 308,
        preserve_path,
    }
}

/// Contract.
#[test]
fn the_first_rule_that_matches_decides() {
    run(async {
        let origin = Origin::saying("origin").await;
        let header = Criteria {
            header: BTreeMap::from([(
                "x-beta".to_owned(),
                vec![ValuePattern::Exact("1".to_owned())],
            )]),
            ..Criteria::default()
        };
        let elsewhere = Criteria {
            region: vec!["us-east-1".to_owned()],
            ..Criteria::default()
        };
        let put = Criteria {
            method: vec!["PUT".to_owned()],
            ..Criteria::default()
        };
        let mut draft = Draft::to(origin.address);
        draft.rules = vec![
            (elsewhere, fixed(500, "wrong region")),
            (header, fixed(200, "beta")),
            (put, fixed(405, "no")),
            (
                path(PathPattern::Regex("/v[0-9]+/old".to_owned())),
                fixed(410, "gone"),
            ),
            (prefix("/v1"), forward(&[("main", 1)])),
            (prefix("/"), fixed(404, "nothing")),
        ];
        let world = World::with(draft).await;
        let beta = Request::get("/v1")
            .header("host", "api.example.net")
            .header("x-beta", "1");
        assert_eq!(
            ask(world.address, beta.body(empty()).unwrap()).await.text(),
            "beta"
        );
        let put = Request::put("/v1").header("host", "api.example.net");
        assert_eq!(
            ask(world.address, put.body(empty()).unwrap()).await.status,
            405
        );
        for (path, text) in [
            ("/v1/old", "gone"),
            ("/v1/x", "origin"),
            ("/v1", "origin"),
            ("/v12", "nothing"),
        ] {
            assert_eq!(ask(world.address, get(path)).await.text(), text, "{path}");
        }
    });
}

/// Contract: D-40.
#[test]
fn rules_see_the_query_the_host_and_the_client() {
    run(async {
        let query = |value: &str| Criteria {
            query: BTreeMap::from([(
                "debug mode".to_owned(),
                vec![ValuePattern::Exact(value.to_owned())],
            )]),
            ..Criteria::default()
        };
        let host = Criteria {
            host: vec!["b.example.net".to_owned()],
            ..Criteria::default()
        };
        let network = |text: &str| Criteria {
            ip_cidr: vec![IpRange::parse(text).unwrap()],
            ..Criteria::default()
        };
        let rules = vec![
            (query("on"), fixed(403, "no debugging")),
            (host, fixed(200, "b")),
            (network("192.0.2.0/24"), fixed(200, "a stranger")),
            (network("127.0.0.0/8"), fixed(200, "at home")),
        ];
        let world = World::with(Draft {
            hostname: "*.example.net".to_owned(),
            ..Draft::of(rules)
        })
        .await;
        for (host, path, text) in [
            ("a.example.net", "/", "at home"),
            ("B.Example.Net:80", "/", "b"),
            ("b.example.net", "/?x=1&debug%20mode=o%6e", "no debugging"),
            ("a.example.net", "/?debug+mode=on", "no debugging"),
            ("a.example.net", "/?debug+mode=off", "at home"),
        ] {
            let request = Request::get(path)
                .header("host", host)
                // Whoever asks for a way around does not get it.
                .header("x-forwarded-for", "192.0.2.1");
            let answer = ask(world.address, request.body(empty()).unwrap()).await;
            assert_eq!(answer.text(), text, "{host} {path}");
        }
        let many = format!("/?{}debug+mode=on", "a=1&".repeat(1000));
        let request = Request::get(many).header("host", "a.example.net");
        let answer = ask(world.address, request.body(empty()).unwrap()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_path")
        );
    });
}

/// Contract: R-30.
#[test]
fn among_a_thousand_rules_the_first_that_matches_decides() {
    run(async {
        let tenant = |number: usize, more: &str| Criteria {
            header: BTreeMap::from([(
                "x-tenant".to_owned(),
                vec![ValuePattern::Exact(number.to_string())],
            )]),
            ..prefix(&format!("/tenants{more}"))
        };
        let rules = (0..1000)
            .map(|number| (tenant(number, ""), fixed(200, &number.to_string())))
            .chain([(prefix("/"), fixed(404, "nothing"))])
            .chain([(tenant(7, "/late"), fixed(200, "too late"))]);
        let world = World::with(Draft::of(rules.collect())).await;
        for (path, tenant, text) in [
            ("/tenants/x", "712", "712"),
            ("/tenants/late", "7", "7"),
            ("/tenants", "1000", "nothing"),
            ("/elsewhere", "7", "nothing"),
        ] {
            let request = Request::get(path)
                .header("host", "api.example.net")
                .header("x-tenant", tenant);
            let answer = ask(world.address, request.body(empty()).unwrap()).await;
            assert_eq!(answer.text(), text, "{path} {tenant}");
        }
    });
}

#[test]
fn rules_answer_by_themselves() {
    run(async {
        let rules = vec![
            (prefix("/keep"), redirect("https://new.example/base", true)),
            (prefix("/plain"), redirect("/elsewhere", false)),
            (prefix("/empty"), fixed(204, "never sent")),
            (prefix("/teapot"), fixed(418, "short and stout")),
        ];
        let world = World::with(Draft::of(rules)).await;
        let answer = ask(world.address, get("/keep/a?b=c")).await;
        assert_eq!(answer.status, 308);
        assert_eq!(
            answer.header("location"),
            Some("https://new.example/base/keep/a?b=c")
        );
        assert_eq!(
            ask(world.address, get("/plain/a")).await.header("location"),
            Some("/elsewhere")
        );
        let answer = ask(world.address, get("/teapot")).await;
        assert_eq!(
            (answer.status, answer.text(), answer.header("x-by")),
            (418, "short and stout", Some("rule"))
        );
        assert_eq!(answer.header("content-length"), Some("15"));
        let answer = ask(world.address, get("/empty")).await;
        assert_eq!(
            (
                answer.status,
                answer.text(),
                answer.header("content-length")
            ),
            (204, "", None)
        );
        let head = "HEAD /teapot HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n";
        let text = talk(world.address, head).await;
        assert!(
            text.contains("content-length: 15\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        assert_eq!(
            world.metric("responses_total{by=\"rule\",status=\"3xx\"}"),
            2
        );
    });
}

#[test]
fn the_edges_own_errors_say_what_is_wrong() {
    run(async {
        let mut world = World::start(Options::default()).await;
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "no_configuration")
        );
        let mut none = Draft::to(nobody().await);
        none.hostname = "none.example.net".to_owned();
        none.upstreams[0].1[0].1 = 0;
        let only = Criteria {
            path: vec![PathPattern::Exact("/only".to_owned())],
            ..Criteria::default()
        };
        let refusing = Draft {
            hostname: "*.example.org".to_owned(),
            ..Draft::to(nobody().await)
        };
        world.publish(&[Draft::of(vec![(only, fixed(200, ""))]), none, refusing]);
        for (host, path, status, code) in [
            ("api.example.net", "/other", 404, "no_matching_rule"),
            ("nobody.example.net", "/", 404, "unknown_host"),
            ("127.0.0.1", "/", 404, "unknown_host"),
            ("none.example.net", "/", 503, "no_target"),
            ("a.example.org", "/", 502, "upstream_unreachable"),
            ("a.b.example.org", "/", 404, "unknown_host"),
            ("api.example.net", "/../only", 400, "invalid_path"),
            ("api.example.net", "/%2e%2e/only", 400, "invalid_path"),
            ("api.example.net", "/%00", 400, "invalid_path"),
            ("api@example.net", "/only", 400, "invalid_host"),
        ] {
            let request = Request::get(path)
                .header("host", host)
                .body(empty())
                .unwrap();
            let answer = ask(world.address, request).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{host}{path}"
            );
        }
        assert_eq!(world.metric("errors_total{code=\"unknown_host\"}"), 3);
        assert_eq!(
            world.metric("responses_total{by=\"edge\",status=\"5xx\"}"),
            3
        );
    });
}

#[test]
fn request_identifiers_differ() {
    run(async {
        let world = World::start(Options::default()).await;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let answer = ask(world.address, get("/")).await;
            assert!(seen.insert(answer.header("vectorgate-request-id").unwrap().to_owned()));
        }
    });
}

#[test]
fn connect_trace_and_the_asterisk_are_refused() {
    run(async {
        let origin = Origin::saying("x").await;
        let world = World::with(Draft::to(origin.address)).await;
        for (line, status) in [
            ("CONNECT api.example.net:443", "405"),
            ("TRACE /", "405"),
            ("OPTIONS *", "400"),
        ] {
            let text = talk(
                world.address,
                &format!("{line} HTTP/1.1\r\nhost: api.example.net\r\nconnection: close\r\n\r\n"),
            )
            .await;
            assert!(
                text.starts_with(&format!("HTTP/1.1 {status}")),
                "{line}: {text}"
            );
        }
        assert_eq!(origin.count(), 0);
    });
}

#[test]
fn a_request_that_comes_back_is_stopped() {
    run(async {
        let mut world = World::start(Options::default()).await;
        // The edge is its own origin.
        world.publish(&[Draft::to(world.address)]);
        let answer = ask(world.address, get("/")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (508, "loop_detected")
        );
    });
}

#[test]
fn the_admin_address_tells_how_the_edge_is() {
    run(async {
        let mut world = World::start(Options::default()).await;
        let status = async |world: &World, path: &str| ask(world.admin, get(path)).await.status;
        assert_eq!(status(&world, "/livez").await, 200);
        assert_eq!(status(&world, "/readyz").await, 503);
        let verbose = ask(world.admin, get("/readyz?verbose")).await;
        assert!(
            verbose
                .text()
                .contains("[-]configuration failed: nothing was ever loaded\n")
        );
        world.publish(&[]);
        assert_eq!(status(&world, "/readyz").await, 200);
        let verbose = ask(world.admin, get("/readyz?verbose")).await;
        assert_eq!(
            verbose.text(),
            "[+]configuration ok: manifest 1.1, 0 routes\n[+]serving ok: accepting connections\n"
        );
        ask(world.address, get("/")).await;
        let metrics = ask(world.admin, get("/metrics")).await;
        assert!(
            metrics
                .header("content-type")
                .unwrap()
                .starts_with("application/openmetrics-text")
        );
        assert!(
            metrics
                .text()
                .contains("vectorgate_edge_errors_total{code=\"unknown_host\"} 1\n")
        );
        assert_eq!(status(&world, "/other").await, 404);
        let post = Request::post("/livez")
            .header("host", "x")
            .body(empty())
            .unwrap();
        assert_eq!(ask(world.admin, post).await.status, 405);
    });
}
