//! Edges and regions.

use http::StatusCode;

use super::super::super::edges::EdgeObject;
use super::super::super::operation::*;
use super::super::super::regions::RegionObject;
use super::super::composed::GatheredRegion;
use super::super::described::{Content, Described, Paging, by, get, text, under};
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
            get(REGIONS_LIST, "List regions")
                .about("By name. A region is there as long as an edge of it is remembered.")
                .answers(StatusCode::OK, [Content::FleetList(region())])
                .paged(Paging::Usual),
            get(REGIONS_GET, "Get a region").gives::<GatheredRegion>(),
        ],
    )
}
