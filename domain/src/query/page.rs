//! Pages of lists: how several index ranges are read as one, a page at a time.

use crate::rows::View;
use crate::table::{Key, Span, Table};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The page of the objects that `keys` name. Each index row has its object, so one that
    /// is missing is a broken invariant, and left out.
    pub(super) fn of<K>(
        keys: Vec<K>,
        limit: usize,
        view: &(impl View + ?Sized),
        get: impl Fn(&K) -> Option<T>,
    ) -> Self {
        let has_more = keys.len() > limit;
        let items = keys.iter().take(limit).filter_map(|key| {
            let item = get(key);
            if item.is_none() {
                view.broken("an index row has no object");
            }
            item
        });
        Self {
            items: items.collect(),
            has_more,
        }
    }
}

/// The first `limit + 1` keys after `after` in several ranges of an index, in the order that
/// `sort` gives and that each range has. Each range is asked for no more than could be on the page.
pub(super) fn merged<K, S>(
    view: &(impl View + ?Sized),
    table: &Table<K, ()>,
    spans: impl IntoIterator<Item = Span>,
    limit: usize,
    sort: impl Fn(&K) -> S,
) -> Vec<K>
where
    K: Key,
    S: Ord,
{
    let wanted = limit.saturating_add(1);
    let rows = spans
        .into_iter()
        .flat_map(|span| table.scan(view, &span, wanted));
    let mut keys: Vec<K> = rows.map(|(key, ())| key).collect();
    keys.sort_by_key(sort);
    keys.truncate(wanted);
    keys
}
