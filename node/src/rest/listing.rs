//! A list from its request to its answer: what lists have in common around the page itself, which
//! each of them finds and shows in its own way.

use domain::rows::View;
use http::StatusCode;

use super::Api;
use super::answer::{Answer, Answered, JSON};
use super::auth::Caller;
use super::cursor::{Position, Scope};
use super::error::ApiError;
use super::page::{self, Paging, Scanned};
use super::pipeline::Call;
use crate::control_plane::Consistency;

/// Which list is asked for, and how much of it.
pub(crate) struct Listing {
    /// What cursors call the list.
    pub(crate) name: &'static str,
    /// The filters in a canonical form: a cursor goes with these alone.
    pub(crate) filter: String,
    pub(crate) paging: Paging,
}

impl Listing {
    /// Answers with the page that `find` finds behind a position, up to a number of items. An item
    /// stands at its `position`; `show` appends its JSON. What `find` refuses is the answer instead.
    pub(crate) async fn answer<T: Send>(
        self,
        api: &Api,
        caller: &Caller,
        consistency: Consistency,
        find: impl FnOnce(&dyn View, Option<Position>, usize) -> Result<Scanned<T>, ApiError> + Send,
        position: impl Fn(&T) -> Position,
        show: impl Fn(&mut Vec<u8>, &T),
    ) -> Answered {
        let Self {
            name,
            filter,
            paging,
        } = self;
        let scope = Scope {
            environment_id: &caller.environment_id,
            list: name,
            filter,
        };
        let after = paging.after(&api.cursors, &scope)?;
        let limit = paging.limit();
        let seen = api
            .read(consistency, |view| find(view, after, limit))
            .await?;
        let encode = |position: &Position| api.cursors.encode(&scope, position);
        let bytes = page::envelope(seen.value?, position, encode, show);
        Ok(Answer::bytes(StatusCode::OK, JSON, bytes).at(seen.revision))
    }
}

/// Answers with a page of what an environment has of a kind of which there are few: `all` of them, in the order of
/// their identifiers. There is nothing to filter by. An item stands at its `position`; `show` appends its JSON.
pub(crate) async fn few<T: Send>(
    name: &'static str,
    (api, caller, mut call): (&Api, &Caller, Call),
    all: impl FnOnce(&dyn View) -> Vec<T> + Send,
    position: fn(&T) -> Position,
    show: impl Fn(&mut Vec<u8>, &T),
) -> Answered {
    let mut query = std::mem::take(&mut call.query);
    let paging = Paging::take(&mut query)?;
    query.finish()?;
    let listing = Listing {
        name,
        filter: String::new(),
        paging,
    };
    let find = |view: &dyn View, after: Option<Position>, limit| {
        Ok(page::gathered(all(view), after.as_ref(), limit, position))
    };
    listing
        .answer(api, caller, call.consistency, find, position, show)
        .await
}
