//! Webhook endpoints and deliveries.

use super::super::super::error::Code;
use super::super::super::object::{Deleted, WebhookDeliveryObject, WebhookEndpointObject};
use super::super::super::operation::*;
use super::super::super::webhook_test::WebhookTestObject;
use super::super::described::{Described, by, delete, get, patch, post, under};
use super::super::request::webhooks::{
    RotateSecret, WebhookEndpointCreate, WebhookEndpointUpdate, WebhookTestRequest,
};

pub(super) fn rows() -> Vec<Described> {
    let mut rows = endpoints();
    rows.extend(deliveries());
    under("Webhooks", rows)
}

fn endpoints() -> Vec<Described> {
    vec![
        get(WEBHOOKS_LIST, "List webhook endpoints")
            .about("By creation; up to 50 in an environment.")
            .lists::<WebhookEndpointObject<'_>>(),
        post(WEBHOOKS_CREATE, "Create a webhook endpoint")
            .about("The answer has its `secret`, which is not shown again.")
            .takes::<WebhookEndpointCreate>()
            .makes::<WebhookEndpointObject<'_>>()
            .refused(&[Code::LimitExceeded])
            .leads("/v2/webhook_endpoints/{id}", "$response.body#/id"),
        get(WEBHOOKS_GET, "Get a webhook endpoint").gives::<WebhookEndpointObject<'_>>(),
        patch(WEBHOOKS_UPDATE, "Change a webhook endpoint")
            .about("Changes the fields that are there.")
            .takes::<WebhookEndpointUpdate>()
            .gives::<WebhookEndpointObject<'_>>(),
        delete(WEBHOOKS_DELETE, "Delete a webhook endpoint")
            .about("Its pending deliveries fail; what was delivered stays to be read.")
            .gives::<Deleted<'_>>(),
        post(WEBHOOKS_ENABLE, "Enable a webhook endpoint")
            .about("Deliveries that wait go on.")
            .gives::<WebhookEndpointObject<'_>>(),
        post(WEBHOOKS_DISABLE, "Disable a webhook endpoint")
            .about("What happens from now on is not sent later.")
            .gives::<WebhookEndpointObject<'_>>(),
        post(WEBHOOKS_ROTATE, "Rotate a webhook secret")
            .about("The answer has the new `secret`; the one before signs as well for a while.")
            .may_take::<RotateSecret>()
            .gives::<WebhookEndpointObject<'_>>(),
        post(WEBHOOKS_TEST, "Send a sample")
            .about("At once, about objects that do not exist. Nothing is stored, and no retry follows.")
            .may_take::<WebhookTestRequest>()
            .gives::<WebhookTestObject<'_>>(),
    ]
}

fn deliveries() -> Vec<Described> {
    vec![
        get(DELIVERIES_LIST, "List deliveries")
            .about("The newest first.")
            .lists::<WebhookDeliveryObject<'_>>()
            .with([
                by(
                    "endpoint_id",
                    "WebhookEndpointId",
                    "Only to this endpoint. A scan.",
                ),
                by("event_id", "EventId", "Only of this event. A scan."),
                by("status", "DeliveryStatus", "Only in this state. A scan."),
            ])
            .leads("/v2/webhook_deliveries/{id}", "$response.body#/data/0/id"),
        get(DELIVERIES_GET, "Get a delivery").gives::<WebhookDeliveryObject<'_>>(),
        post(DELIVERIES_RETRY, "Retry a delivery")
            .about("An attempt now, and the whole course of retries after it.")
            .gives::<WebhookDeliveryObject<'_>>()
            .refused(&[Code::EndpointDisabled]),
    ]
}
