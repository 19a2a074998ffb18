//! The audit log as a chain: what is exported holds, by what the proof says and by itself.

use domain::audit::{Finding, Proof, Report, Verifier};
use domain::model::JOURNAL_KEPT_MS;
use serde_json::{Value, json};

use super::support::World;

async fn export(world: &World) -> Vec<String> {
    let exported = world.get("/v2/audit_log?format=ndjson").send().await;
    exported.text().lines().map(str::to_owned).collect()
}

async fn proof(world: &World) -> Proof {
    let reply = world.get("/v2/audit_log/proof").send().await;
    Proof::parse(reply.text().as_bytes()).unwrap()
}

fn verify(lines: &[String], proofs: Vec<Proof>) -> Result<Report, Finding> {
    let mut verifier = Verifier::new(proofs);
    for line in lines {
        verifier.line(line.as_bytes())?;
    }
    verifier.finish()
}

/// Changes of many kinds: some that versions of rules tell of, some with numbers, one with a key.
async fn busy(world: &World) -> String {
    let (route, _) = world.route("api.example.net").await;
    let rule = world.rule(&route, 1).await;
    world.rule(&route, 2).await;
    let path = format!("/v2/rules/{rule}");
    let renamed = json!({"name": "renamed \u{1f680} \"so\"", "metadata": {"owner": "edge"}});
    world.patch(&path, renamed).ok().await;
    world.advance_ms(2_500);
    world.publish(&route).await;
    let matching = json!({"match": {"path": "/a/*", "header": {"x": "1e2"}}});
    world.patch(&path, matching).ok().await;
    let rollback = format!("/v2/routes/{route}/rollback");
    world.publish(&route).await;
    world
        .post(&rollback, json!({"steps": 1, "reset_draft": true}))
        .ok()
        .await;
    world
        .post("/v2/api_keys", json!({"name": "deploys", "type": "live"}))
        .created()
        .await;
    world.delete(&path).send().await;
    route
}

/// Contract: D-63.
#[tokio::test]
async fn an_export_is_a_chain_that_ends_with_what_the_proof_names() {
    let world = World::new();
    let before = proof(&world).await;
    assert_eq!((before.base.index, before.head.index), (0, 0));
    busy(&world).await;
    let lines = export(&world).await;
    let proof = proof(&world).await;
    assert_eq!(proof.head.index, u64::try_from(lines.len()).unwrap());
    let report = verify(&lines, vec![before, proof.clone()]).unwrap();
    assert_eq!(
        (report.first.index, report.last.index),
        (1, proof.head.index)
    );
    assert_eq!(report.environment, "production");
    // A single entry, and a page, show the same.
    let listed = world.get("/v2/audit_log?limit=1").ok().await;
    let newest: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(listed["data"][0], newest);
    let path = format!("/v2/audit_log/{}", newest["id"].as_str().unwrap());
    assert_eq!(world.get(&path).ok().await, newest);
    assert_eq!(newest["chain"]["index"], lines.len());
    // Other environments have chains of their own.
    let other = world.get("/v2/audit_log/proof").key(&world.test).ok().await;
    assert_eq!(other["head"]["index"], 0);
    assert_eq!(other["environment"], "sandbox");
}

/// Contract: D-63.
#[tokio::test]
async fn what_is_changed_left_out_moved_or_cut_off_in_an_export_shows() {
    let world = World::new();
    busy(&world).await;
    let (lines, proof) = (export(&world).await, proof(&world).await);
    let found = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        verify(&lines, vec![proof.clone()]).unwrap_err().index()
    };
    assert_eq!(
        found(&|lines| lines[4] = lines[4].replace("renamed", "untouched")),
        5
    );
    assert_eq!(found(&|lines| drop(lines.remove(2))), 3);
    assert_eq!(found(&|lines| lines.swap(1, 2)), 2);
    assert_eq!(found(&|lines| lines.truncate(5)), 6);
}

/// Contract: D-63.
#[tokio::test]
async fn once_the_oldest_entries_have_gone_the_proof_says_where_the_chain_begins() {
    let world = World::new();
    let route = busy(&world).await;
    let before = export(&world).await;
    world.advance_ms(JOURNAL_KEPT_MS + 60_000);
    world.rule(&route, 40).await;
    let (lines, proof) = (export(&world).await, proof(&world).await);
    assert!(proof.base.index > 0, "some have gone");
    let report = verify(&lines, vec![proof.clone()]).unwrap();
    assert_eq!(report.first.index, proof.base.index + 1);
    // What was exported before goes on in what is exported now.
    let kept = lines.iter().filter(|line| !before.contains(line)).cloned();
    let joined: Vec<_> = before.iter().cloned().chain(kept).collect();
    assert!(verify(&joined, vec![proof]).is_ok());
}
