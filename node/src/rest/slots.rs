//! Slots for answers that go on for long: a node has few of each kind, and of these each key a share,
//! so that nobody keeps the others from theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::ApiKeyId;
use parking_lot::Mutex;

use super::error::ApiError;

/// The slots of one kind.
#[derive(Debug)]
pub(crate) struct Slots {
    /// What they are for, in the plural.
    what: &'static str,
    /// How many there are.
    max: usize,
    /// How many of them a key may have.
    max_of_key: usize,
    taken: Mutex<BTreeMap<ApiKeyId, usize>>,
}

/// A slot that is taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    key: ApiKeyId,
}

impl Slots {
    pub(crate) fn new(what: &'static str, max: usize, max_of_key: usize) -> Arc<Self> {
        Arc::new(Self {
            what,
            max,
            max_of_key,
            taken: Mutex::default(),
        })
    }

    /// Takes a slot for a key.
    ///
    /// # Errors
    /// `rate_limit_exceeded` when the key has its share, or there is none left.
    pub(crate) fn take(self: &Arc<Self>, key: &ApiKeyId) -> Result<Slot, ApiError> {
        let mut taken = self.taken.lock();
        let (what, all) = (self.what, taken.values().sum::<usize>());
        let of_key = taken.get(key).copied().unwrap_or_default();
        let refused = if of_key >= self.max_of_key {
            let max = self.max_of_key;
            format!("The key has {max} {what} at this node already, which is as many as it may.")
        } else if all >= self.max {
            format!("This node serves as many {what} as it can. Retry later, or at another node.")
        } else {
            taken.insert(key.clone(), of_key + 1);
            return Ok(Slot {
                slots: Arc::clone(self),
                key: key.clone(),
            });
        };
        Err(ApiError::rate_limited(1, refused))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::Seed;

    use super::*;

    #[test]
    fn a_key_gets_its_share_and_all_together_what_there_is() {
        let key = |random| ApiKeyId::new(Seed { unix_ms: 1, random });
        let slots = Slots::new("exports", 3, 2);
        let take = |random| slots.take(&key(random));
        let mine = [take(1).unwrap(), take(1).unwrap()];
        let refused = take(1).unwrap_err();
        assert!(refused.message.contains("The key has 2 exports"));
        let other = take(2).unwrap();
        let refused = take(3).unwrap_err();
        assert!(refused.message.contains("as many exports as it can"));
        drop(mine);
        let again = [take(1).unwrap(), take(3).unwrap()];
        assert!(take(2).is_err());
        drop((other, again));
        assert!(slots.taken.lock().is_empty());
    }
}
