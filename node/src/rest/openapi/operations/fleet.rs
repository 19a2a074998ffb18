//! Edges and regions.

use http::StatusCode;

use super::super::super::edges::EdgeObject;
use super::super::super::error::Code;
use super::super::super::object::{Deleted, EdgeRevocationObject, EdgeTokenObject};
use super::super::super::operation::*;
use super::super::super::regions::RegionObject;
use super::super::composed::GatheredRegion;
use super::super::described::{Content, Described, Paging, by, delete, get, post, text, under};
use super::super::request::edge_tokens::EdgeTokenCreate;
use super::super::schemas::Typed;

pub(super) fn rows() -> Vec<Described> {
    let edge = || Typed::of::<EdgeObject<'_>>();
    let region = || Typed::of::<RegionObject<'_>>();
    under(
        "Edges",
        vec![
            get(EDGES_LIST, "List edges")
                .about("By identifier, as the nodes see them now.")
                .answers(StatusCode::OK, [Content::FleetList(edge())])
                .paged(Paging::Usual)
                .with([
                    text("region", "Only edges in this region."),
                    by("status", "EdgeStatus", "Only edges in this state."),
                ]),
            get(EDGES_GET, "Get an edge")
                .about("While members do not answer, one that nobody knows of is 503.")
                .gives::<EdgeObject<'_>>(),
            post(EDGES_REVOKE, "Revoke an edge")
                .about(
                    "Its connections end within seconds, and it gets nothing any more. Its name is not used again for 30 days, and never if it had its certificate from somebody else. It goes on serving by what it has.",
                )
                .gives::<EdgeRevocationObject<'_>>()
                .refused(&[Code::LimitExceeded]),
            get(EDGE_TOKENS_LIST, "List join tokens")
                .about("By creation; those that expired a day ago are gone.")
                .lists::<EdgeTokenObject<'_>>(),
            post(EDGE_TOKENS_CREATE, "Create a join token")
                .about(
                    "It lets one edge into the key's environment, once, within a quarter of an hour. The answer has its text, which is not shown again.",
                )
                .takes::<EdgeTokenCreate>()
                .makes::<EdgeTokenObject<'_>>()
                .refused(&[Code::InvalidConfig, Code::LimitExceeded])
                .leads("/v2/edge_tokens/{id}", "$response.body#/id"),
            get(EDGE_TOKENS_GET, "Get a join token").gives::<EdgeTokenObject<'_>>(),
            delete(EDGE_TOKENS_DELETE, "Delete a join token")
                .about("An edge that came by it stays.")
                .gives::<Deleted<'_>>(),
            get(REGIONS_LIST, "List regions")
                .about("By name. A region is there as long as an edge of it is remembered.")
                .answers(StatusCode::OK, [Content::FleetList(region())])
                .paged(Paging::Usual),
            get(REGIONS_GET, "Get a region").gives::<GatheredRegion>(),
        ],
    )
}
