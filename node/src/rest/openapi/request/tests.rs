//! Each body has the fields that its operation takes, no more and no fewer.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::ToSchema;

use super::super::document;
use super::{access, certificates, edge_tokens, release, rules, upstreams, webhooks};
use crate::rest;

fn check<T: ToSchema>(known: &[&str]) {
    let name = T::name();
    let schema = &document::document()["components"]["schemas"][&*name];
    assert_eq!(
        schema["additionalProperties"], false,
        "{name} refuses others"
    );
    check_names(&name, schema, known);
}

fn check_names(name: &str, schema: &Value, known: &[&str]) {
    let properties = schema["properties"].as_object();
    let described: BTreeSet<&str> = properties
        .unwrap_or_else(|| panic!("{name} has no properties"))
        .keys()
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = known.iter().copied().collect();
    assert_eq!(
        described, known,
        "{name} is described by other fields than are taken"
    );
}

#[test]
fn every_body_is_described_by_the_fields_that_its_operation_takes() {
    check::<rules::RuleCreate>(&rest::rules::CREATED);
    check::<rules::RuleUpdate>(&rest::rules::UPDATED);
    check::<rules::Batch>(&rest::rule_sets::BATCH_FIELDS);
    check::<rules::Reorder>(&rest::rule_sets::REORDER_FIELDS);
    check::<rules::RuleMove>(&rest::rule_sets::MOVE_FIELDS);
    check::<rules::Switch>(&rest::switches::FIELDS);
    check::<rules::Purge>(&rest::purges::FIELDS);
    check::<rules::RouteCreate>(&rest::routes::FIELDS);
    check::<rules::RouteUpdate>(&rest::routes::FIELDS);
    check::<release::Publish>(&rest::release::PUBLISH_FIELDS);
    check::<release::Wait>(&rest::wait::FIELDS);
    check::<release::Rollback>(&rest::release::ROLLBACK_FIELDS);
    check::<upstreams::UpstreamCreate>(&rest::upstreams::FIELDS);
    check::<upstreams::UpstreamUpdate>(&rest::upstreams::FIELDS);
    check::<upstreams::NewTarget>(&rest::upstreams::TARGET_FIELDS);
    check::<upstreams::KeptTarget>(&rest::upstreams::KEPT_TARGET_FIELDS);
    check::<upstreams::TargetUpdate>(&rest::upstreams::TARGET_FIELDS);
    check::<upstreams::ShiftStart>(&rest::shifts::FIELDS);
    check::<upstreams::ShiftAbortOn>(&rest::shifts::ABORT_FIELDS);
    check::<certificates::CertificateCreate>(&rest::certificates::FIELDS);
    check::<certificates::CertificateUpdate>(&rest::certificates::FIELDS);
    check::<edge_tokens::EdgeTokenCreate>(&rest::edge_tokens::FIELDS);
    check::<webhooks::WebhookEndpointCreate>(&rest::webhooks::FIELDS);
    check::<webhooks::WebhookEndpointUpdate>(&rest::webhooks::FIELDS);
    check::<webhooks::RotateSecret>(&rest::webhooks::ROTATE_FIELDS);
    check::<webhooks::WebhookTestRequest>(&rest::webhook_test::FIELDS);
    check::<webhooks::Replay>(&rest::deliveries::REPLAY_FIELDS);
    check::<access::ApiKeyCreate>(&rest::api_keys::CREATED);
    check::<access::NewScopes>(&rest::api_keys::SCOPES);
    check::<access::ApiKeyUpdate>(&rest::api_keys::UPDATED);
    check::<access::Roll>(&rest::api_keys::ROLLED);
    check::<access::EnvironmentCreate>(&rest::environments::FIELDS);
    check::<access::WorkspaceUpdate>(&rest::workspace::FIELDS);
}

#[test]
fn each_operation_of_a_batch_takes_the_fields_of_a_single_one() {
    let schemas = &document::document()["components"]["schemas"];
    let operations = schemas["RuleOperation"]["oneOf"].as_array().unwrap();
    let created: Vec<_> = ["op"].into_iter().chain(rest::rules::CREATED).collect();
    let updated: Vec<_> = ["op", "id"]
        .into_iter()
        .chain(rest::rules::UPDATED)
        .collect();
    for (schema, known) in operations
        .iter()
        .zip([&created[..], &updated, &["op", "id"]])
    {
        check_names("RuleOperation", schema, known);
        assert_eq!(schema["additionalProperties"], false);
    }
    assert_eq!(operations.len(), 3);
}
