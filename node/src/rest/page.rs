//! Lists: pages by cursor, in the envelope that every list has.
//!
//! A page is bounded three times: in items by `limit`, in bytes, and, where a filter has no index,
//! in the rows that are looked at for one page. A page that a bound other than `limit` cut short
//! says `has_more` and gives a cursor like any other.

use domain::query::Page;
use serde::Serialize;

use super::cursor::{Cursors, Position, Scope};
use super::error::ApiError;
use super::query::Query;
use super::render;

/// The most items on a page.
pub(crate) const LIMIT_MAX: u64 = 100;

/// How many items a page has, unless the client says.
pub(crate) const LIMIT_DEFAULT: u64 = 20;

/// The most rows that are looked at for one page under a filter without an index: some
/// milliseconds of work.
const SCAN_ROWS_MAX: usize = 1_000;

/// How many rows are fetched at a time while filtering: one of the biggest kind has hundreds of
/// kilobytes.
const SCAN_STEP: usize = 20;

/// A page ends after the item that makes it longer than this, so that a hundred rules of the
/// biggest kind do not become one answer of 13 MB.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a client asked of a list, apart from filters.
#[derive(Debug)]
pub(crate) struct Paging {
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Paging {
    /// Takes `limit` and `cursor`.
    pub(crate) fn take(query: &mut Query) -> Result<Self, ApiError> {
        let limit = query.integer("limit", 1, LIMIT_MAX)?;
        Ok(Self {
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(1)),
            cursor: query.text("cursor"),
        })
    }

    /// The same of a list with another default of `limit`.
    pub(crate) fn or_limit(mut self, default: usize) -> Self {
        self.limit.get_or_insert(default);
        self
    }

    /// How many items are wanted.
    pub(crate) fn limit(&self) -> usize {
        let default = usize::try_from(LIMIT_DEFAULT).unwrap_or(1);
        self.limit.unwrap_or(default)
    }

    /// Where to go on.
    pub(crate) fn after(
        &self,
        cursors: &Cursors,
        scope: &Scope<'_>,
    ) -> Result<Option<Position>, ApiError> {
        self.cursor
            .as_deref()
            .map(|text| cursors.decode(scope, text))
            .transpose()
    }
}

/// Items, and where the next page starts if there may be one.
#[derive(Debug)]
pub(crate) struct Scanned<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<Position>,
}

/// One page without a filter of our own.
pub(crate) fn whole<T>(page: Page<T>, position: impl Fn(&T) -> Position) -> Scanned<T> {
    let next = page.items.last().filter(|_| page.has_more).map(position);
    Scanned {
        items: page.items,
        next,
    }
}

/// Collects up to `limit` items that pass `keep`, looking at [`SCAN_ROWS_MAX`] rows at most.
pub(crate) fn filtered<T>(
    limit: usize,
    after: Option<Position>,
    position: impl Fn(&T) -> Position,
    fetch: impl FnMut(Option<&Position>, usize) -> Page<T>,
    keep: impl Fn(&T) -> bool,
) -> Scanned<T> {
    spread(limit, after, fetch, |item| {
        std::iter::once((position(&item), Some(item).filter(&keep)))
    })
}

/// The same of rows that have several items or none: `parts` of a row, which are never none at all,
/// are where one can go on, with the items that are kept.
pub(crate) fn spread<R, T, I: IntoIterator<Item = (Position, Option<T>)>>(
    limit: usize,
    mut after: Option<Position>,
    mut fetch: impl FnMut(Option<&Position>, usize) -> Page<R>,
    parts: impl Fn(R) -> I,
) -> Scanned<T> {
    let mut items = Vec::new();
    let mut looked_at = 0;
    loop {
        let page = fetch(after.as_ref(), SCAN_STEP);
        let fetched = page.items.len();
        let mut rows = page.items.into_iter();
        while let Some(row) = rows.next() {
            let mut parts = parts(row).into_iter().peekable();
            while let Some((position, item)) = parts.next() {
                after = Some(position);
                items.extend(item);
                if items.len() == limit {
                    let more = parts.peek().is_some() || rows.len() > 0 || page.has_more;
                    let next = after.filter(|_| more);
                    return Scanned { items, next };
                }
            }
        }
        looked_at += fetched;
        if !page.has_more || fetched == 0 {
            return Scanned { items, next: None };
        }
        if looked_at >= SCAN_ROWS_MAX {
            return Scanned { items, next: after };
        }
    }
}

/// One page of what is at hand whole and in the order of identifiers.
pub(crate) fn gathered<T>(
    mut items: Vec<T>,
    after: Option<&Position>,
    limit: usize,
    position: impl Fn(&T) -> Position,
) -> Scanned<T> {
    if let Some(after) = after {
        items.retain(|item| position(item).id > after.id);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(position);
    Scanned { items, next }
}

/// Renders a list that is complete and never goes on.
pub(crate) fn complete<T>(items: &[T], show: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + 768 * items.len());
    bytes.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        show(&mut bytes, item);
    }
    bytes.extend_from_slice(b"],\"has_more\":false,\"next_cursor\":null}");
    bytes
}

/// Adds a field to a rendered object, after those that it has.
pub(crate) fn add_field<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, name: &str, value: &T) {
    // The object ends with its brace; what comes is told before that.
    bytes.pop();
    bytes.push(b',');
    render::append(bytes, name);
    bytes.push(b':');
    render::append(bytes, value);
    bytes.push(b'}');
}

/// Renders a page; `show` appends an item's JSON.
pub(crate) fn envelope<T>(
    scanned: Scanned<T>,
    position: impl Fn(&T) -> Position,
    encode: impl Fn(&Position) -> String,
    show: impl Fn(&mut Vec<u8>, &T),
) -> Vec<u8> {
    let Scanned { items, mut next } = scanned;
    let mut bytes = Vec::with_capacity(64 + 768 * items.len());
    bytes.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    let count = items.len();
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        show(&mut bytes, &item);
        if bytes.len() > PAGE_BYTES_MAX && index + 1 < count {
            next = Some(position(&item));
            break;
        }
    }
    let cursor = next.as_ref().map(encode);
    bytes.extend_from_slice(if cursor.is_some() {
        b"],\"has_more\":true"
    } else {
        b"],\"has_more\":false"
    });
    bytes.extend_from_slice(b",\"next_cursor\":");
    render::append(&mut bytes, &cursor);
    bytes.push(b'}');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(item: &u64) -> Position {
        Position {
            id: item.to_string(),
            key: *item,
        }
    }

    /// Pages over `0..end`.
    fn numbers(end: u64) -> impl FnMut(Option<&Position>, usize) -> Page<u64> {
        move |after, limit| {
            let from = after.map_or(0, |after| after.key + 1);
            let items: Vec<_> = (from..end).take(limit).collect();
            Page {
                has_more: from + (items.len() as u64) < end,
                items,
            }
        }
    }

    #[test]
    fn a_filtered_walk_finds_everything_once_whatever_the_page_size() {
        for (end, limit, every) in [
            (0, 5, 1),
            (7, 5, 1),
            (250, 10, 7),
            (2500, 3, 1000),
            (100, 100, 1),
            (1000, 7, 5000),
        ] {
            let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = filtered(limit, after, position, numbers(end), |item| {
                    item % every == 0
                });
                assert!(page.items.len() <= limit);
                found.extend(page.items);
                pages += 1;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let expected: Vec<_> = (0..end).filter(|item| item % every == 0).collect();
            assert_eq!(found, expected);
            assert!(
                pages <= 3 + end as usize / SCAN_ROWS_MAX + expected.len() / limit,
                "{pages} pages"
            );
        }
    }

    #[test]
    fn a_page_that_grows_too_long_ends_early_with_a_cursor() {
        let scanned = Scanned {
            items: vec![1, 2, 3],
            next: None,
        };
        let encode = |position: &Position| position.id.clone();
        let bytes = envelope(scanned, position, encode, |bytes, _| {
            bytes.extend(vec![b'1'; PAGE_BYTES_MAX / 2 + 1])
        });
        let page: serde_json::Value =
            serde_json::from_slice(&bytes[bytes.len() - 40..]).unwrap_or_default();
        assert!(page.is_null());
        assert!(bytes.ends_with(b"],\"has_more\":true,\"next_cursor\":\"2\"}"));
    }
}
