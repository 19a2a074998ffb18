//! Which epoch this node is in, said with every call to another node, and compared with what is said by
//! whoever calls. A cluster that was restored, or recovered from one member, is in an epoch of its own: members
//! of before may come back, be more, and agree with one another, but their votes, entries and questions are
//! refused here, as are this node's there.
//!
//! An epoch begins while a node is stopped, so a process knows one for good once it knows any: a node that is
//! new learns it with the state. Until then it says nothing, and is not refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::query;
use parking_lot::Mutex;
use raft_store::Reader;
use raft_store::types::NodeId;
use tonic::Status;

/// The header in which a node says it.
pub(crate) const HEADER: http::HeaderName = http::HeaderName::from_static("vectorgate-epoch");

/// The epoch of this node. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Era {
    reader: Option<Reader>,
    /// 0 until it is known; epochs begin at 1.
    known: Arc<AtomicU64>,
    /// Who was refused: said once.
    refused: Arc<Mutex<BTreeSet<NodeId>>>,
}

impl Era {
    /// What the state says.
    pub(crate) fn of(reader: Reader) -> Self {
        Self {
            reader: Some(reader),
            ..Self::default()
        }
    }

    /// The epoch, once it is known.
    pub(crate) fn epoch(&self) -> Option<u64> {
        let known = self.known.load(Ordering::Relaxed);
        if known != 0 {
            return Some(known);
        }
        // Where the storage has failed, the process is being told by whoever reads first.
        let read = self.reader.as_ref()?.read(|view| query::signing(view));
        let epoch = read.ok()??.epoch.0;
        self.known.store(epoch, Ordering::Relaxed);
        Some(epoch)
    }

    /// Fails where the caller says another epoch than this node's.
    pub(crate) fn check(
        &self,
        caller: NodeId,
        metadata: &tonic::metadata::MetadataMap,
    ) -> Result<(), Status> {
        let Some(said) = metadata.get(HEADER.as_str()) else {
            return Ok(());
        };
        let said = said.to_str().ok().and_then(|text| text.parse::<u64>().ok());
        let Some(said) = said else {
            return Err(Status::invalid_argument("an epoch is a number"));
        };
        match self.epoch() {
            Some(own) if own != said => Err(self.refuse(caller, said, own)),
            _ => Ok(()),
        }
    }

    fn refuse(&self, caller: NodeId, said: u64, own: u64) -> Status {
        if self.refused.lock().insert(caller) {
            tracing::warn!(
                node = caller,
                its_epoch = said,
                own_epoch = own,
                "refused a node of another epoch: the cluster was restored or recovered without one of the two"
            );
        }
        Status::failed_precondition(format!(
            "node {caller} is in epoch {said}, and this node in epoch {own}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic::metadata::MetadataMap;

    use super::*;

    fn era(epoch: u64) -> Era {
        Era {
            known: Arc::new(AtomicU64::new(epoch)),
            ..Era::default()
        }
    }

    fn said(text: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert("vectorgate-epoch", text.parse().unwrap());
        metadata
    }

    #[test]
    fn nodes_of_another_epoch_are_refused_both_ways() {
        let code = |era: &Era, text| era.check(2, &said(text)).map_err(|status| status.code());
        assert_eq!(code(&era(2), "2"), Ok(()));
        assert_eq!(code(&era(2), "1"), Err(Code::FailedPrecondition));
        assert_eq!(code(&era(1), "2"), Err(Code::FailedPrecondition));
        assert_eq!(code(&era(1), "x"), Err(Code::InvalidArgument));
    }

    #[test]
    fn who_does_not_know_an_epoch_yet_is_not_refused_and_refuses_nobody() {
        assert_eq!(era(0).epoch(), None);
        assert!(era(0).check(2, &said("7")).is_ok());
        assert!(era(7).check(2, &MetadataMap::new()).is_ok());
    }
}
