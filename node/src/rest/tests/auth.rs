//! Keys: what is accepted, what is refused, and at what cost.

use std::sync::atomic::Ordering;

use super::support::World;

/// Contract: R-10, D-11.
#[tokio::test]
async fn a_key_works_and_without_one_nothing_does() {
    let world = World::new();
    world.get("/v2/rules").ok().await;
    let reply = world
        .get("/v2/rules")
        .without("authorization")
        .fails(401, "invalid_api_key", None)
        .await;
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

/// Contract: D-11.
#[tokio::test]
async fn malformed_keys_are_refused_without_touching_the_state() {
    let world = World::new();
    let mut wrong_checksum = world.live.clone();
    let last = if wrong_checksum.ends_with('A') {
        "B"
    } else {
        "A"
    };
    wrong_checksum.replace_range(wrong_checksum.len() - 1.., last);
    let reads = world.control.reads.load(Ordering::Relaxed);
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer vg_live_sk_v2_Xk9mP3rQ2nL8wT5",
        "Bearer vg_rk_v2_Xk9mP3rQ2nL8wT5",
        &format!("Bearer {wrong_checksum}"),
        &format!("Bearer {}x", world.live),
        &format!("Token {}", world.live),
        &world.live,
    ] {
        world
            .get("/v2/rules")
            .header("authorization", bad)
            .fails(401, "invalid_api_key", None)
            .await;
    }
    assert_eq!(world.control.reads.load(Ordering::Relaxed), reads);
    assert_eq!(world.control.barriers.load(Ordering::Relaxed), 0);
    // The scheme's case does not matter (RFC 9110).
    world
        .get("/v2/rules")
        .header("authorization", &format!("bearer {}", world.live))
        .ok()
        .await;
}

/// Contract: D-11.
#[tokio::test]
async fn an_unknown_key_is_refused_after_one_fresh_look_and_a_stale_reader_does_not_wait() {
    let world = World::new();
    let (secret, _) =
        super::support::keys().mint(domain::model::KeyKind::Live, &platform::SystemEntropy);
    world
        .get("/v2/rules")
        .key(secret.reveal())
        .fails(401, "invalid_api_key", None)
        .await;
    assert_eq!(world.control.barriers.load(Ordering::Relaxed), 1);
    let stale = world
        .get("/v2/rules")
        .key(secret.reveal())
        .header("vectorgate-consistency", "stale");
    stale.fails(401, "invalid_api_key", None).await;
    assert_eq!(world.control.barriers.load(Ordering::Relaxed), 1);
}

/// Contract: D-11.
#[tokio::test]
async fn an_address_that_tries_many_keys_is_told_to_wait_and_good_keys_pass_from_it() {
    let world = World::new();
    let unknown = || {
        let keys = super::support::keys();
        let (secret, _) = keys.mint(domain::model::KeyKind::Live, &platform::SystemEntropy);
        world.get("/v2/rules").key(secret.reveal())
    };
    let (there, elsewhere) = ("192.0.2.1", "192.0.2.2");
    for asking in [unknown(), world.get("/v2/rules").key("vg_live_sk_v2_x")] {
        for _ in 0..10 {
            let asking = asking.clone().from(there);
            asking.fails(401, "invalid_api_key", None).await;
        }
    }
    let barriers = world.control.barriers.load(Ordering::Relaxed);
    for asking in [unknown(), world.get("/v2/rules").key("vg_live_sk_v2_x")] {
        let reply = asking
            .from(there)
            .fails(429, "rate_limit_exceeded", None)
            .await;
        assert_eq!(reply.header("retry-after"), Some("60"));
    }
    assert_eq!(world.control.barriers.load(Ordering::Relaxed), barriers);
    world.get("/v2/rules").from(there).ok().await;
    let without = world.get("/v2/rules").without("authorization").from(there);
    without.fails(401, "invalid_api_key", None).await;
    let other = unknown().from(elsewhere);
    other.fails(401, "invalid_api_key", None).await;
    world.advance_ms(60_000);
    let later = unknown().from(there);
    later.fails(401, "invalid_api_key", None).await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_the_others_go_on() {
    let world = World::new();
    world.revoke(&world.live_key_id);
    world
        .get("/v2/rules")
        .fails(401, "invalid_api_key", None)
        .await;
    world.get("/v2/rules").key(&world.test).ok().await;
}

#[tokio::test]
async fn a_read_that_catches_up_with_the_end_of_its_key_is_not_answered() {
    let world = World::new();
    // As on a node that lags: it knows of the revocation when it may read, and not before.
    world.revoke_meanwhile(&world.live_key_id);
    world
        .get("/v2/rules")
        .fails(401, "invalid_api_key", None)
        .await;
}

#[tokio::test]
async fn keys_in_the_url_are_refused_before_they_are_looked_at() {
    let world = World::new();
    let path = format!("/v2/rules?api_key={}", world.live);
    let reply = world
        .get(&path)
        .without("authorization")
        .fails(400, "invalid_parameter", Some("api_key"))
        .await;
    assert!(!reply.text().contains(&world.live));
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let world = World::new();
    let mut request = http::Request::new(axum::body::Body::empty());
    *request.uri_mut() = "/v2/rules".parse().unwrap();
    for _ in 0..2 {
        request.headers_mut().append(
            "authorization",
            format!("Bearer {}", world.live).parse().unwrap(),
        );
    }
    let response = tower::ServiceExt::oneshot(world.router.clone(), request)
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 401);
}

#[tokio::test]
async fn process_endpoints_need_no_key() {
    let world = World::new();
    for path in ["/livez", "/readyz", "/readyz?verbose", "/metrics"] {
        let reply = world.get(path).without("authorization").send().await;
        assert_eq!(reply.status.as_u16(), 200, "{path}: {}", reply.text());
    }
}
