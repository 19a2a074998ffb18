//! With which keys the cluster signs: one at a time, each vouched for by the one before. A key that no
//! longer signs is believed until it is retired, so that whoever is behind has time to follow.

use super::cluster::write_down;
use super::{Context, Judgement, id_taken, not_found, nothing};
use crate::command::{ChangeSigningKeys, NewSigningKey, Origin, SigningChange};
use crate::event::Event;
use crate::id::{ClusterId, RequestId};
use crate::machine::Decision;
use crate::model::{
    ClusterChange, Epoch, SIGNING_KEYS_MAX, Signing, SigningKey, SigningKeyId, Voucher,
};
use crate::outcome::Outcome;
use crate::query;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{CLUSTER, SIGNING, SIGNING_KEYS};

type Asked<'a> = (&'a RequestId, &'a Origin);

pub(super) fn change<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: Asked<'_>,
    command: &ChangeSigningKeys,
) -> Judgement {
    match &command.change {
        SigningChange::Found { cluster_id, key } => found(context, asked, cluster_id, key),
        SigningChange::Rotate { key, voucher } => rotate(context, asked, key, *voucher),
        SigningChange::Retire { key } => retire(context, asked, key),
    }
}

fn found<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: Asked<'_>,
    cluster_id: &ClusterId,
    key: &NewSigningKey,
) -> Judgement {
    if SIGNING.has(context.view, ()) {
        return nothing(Outcome::Recorded);
    }
    let signing = Signing {
        cluster_id: cluster_id.clone(),
        epoch: Epoch(1),
        serial: 1,
        active: key.public.id(),
        private: key.private.clone(),
    };
    let events = vec![Event::SigningKeyChanged(SigningKey {
        public: key.public,
        voucher: None,
        created_at: context.at,
        retired_at: None,
    })];
    let change = ClusterChange::SigningKeyAdded {
        key: key.public.id(),
    };
    Ok(settled(context, asked, &change, signing, events))
}

fn rotate<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: Asked<'_>,
    key: &NewSigningKey,
    voucher: Voucher,
) -> Judgement {
    let id = key.public.id();
    let before = signing(context)?;
    if before.active == id {
        return nothing(Outcome::Recorded);
    }
    if before.active != voucher.by {
        return Err(Rejection::PreconditionFailed {
            param: "key".to_owned(),
            message: format!(
                "The key {} signs now, and not {}; ask again.",
                before.active, voucher.by
            ),
        });
    }
    if SIGNING_KEYS.has(context.view, (&id,)) {
        return Err(id_taken(&id));
    }
    let mut events = make_room(context)?;
    events.push(Event::SigningKeyChanged(SigningKey {
        public: key.public,
        voucher: Some(voucher),
        created_at: context.at,
        retired_at: None,
    }));
    let after = Signing {
        serial: before.serial + 1,
        active: id,
        private: key.private.clone(),
        ..before
    };
    let change = ClusterChange::SigningKeyAdded { key: id };
    Ok(settled(context, asked, &change, after, events))
}

fn retire<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: Asked<'_>,
    id: &SigningKeyId,
) -> Judgement {
    let before = signing(context)?;
    let key = SIGNING_KEYS
        .get(context.view, (id,))
        .ok_or_else(|| not_found("signing_key", id, Some("key")))?;
    if before.active == *id {
        return Err(Rejection::PreconditionFailed {
            param: "key".to_owned(),
            message: format!("The key {id} signs; rotate first."),
        });
    }
    if key.retired_at.is_some() {
        return nothing(Outcome::Recorded);
    }
    let events = vec![Event::SigningKeyChanged(SigningKey {
        retired_at: Some(context.at),
        ..key
    })];
    let after = Signing {
        serial: before.serial + 1,
        ..before
    };
    let change = ClusterChange::SigningKeyRetired { key: *id };
    Ok(settled(context, asked, &change, after, events))
}

fn signing<V: View + ?Sized>(context: &Context<'_, V>) -> Result<Signing, Rejection> {
    SIGNING
        .get(context.view, ())
        .ok_or_else(|| Rejection::PreconditionFailed {
            param: "key".to_owned(),
            message: "The cluster does not sign yet; ask again in a moment.".to_owned(),
        })
}

/// Forgets the oldest key where there are as many as may be; it must be a retired one. A younger one is not forgotten
/// while the one that vouches for it is trusted: whoever stole it could have edges believe it again.
fn make_room<V: View + ?Sized>(context: &Context<'_, V>) -> Result<Vec<Event>, Rejection> {
    let keys = query::signing_keys(context.view);
    if keys.len() < SIGNING_KEYS_MAX {
        return Ok(Vec::new());
    }
    let Some(oldest) = keys.first().filter(|key| key.retired_at.is_some()) else {
        return Err(Rejection::LimitExceeded {
            param: "key".to_owned(),
            message: format!(
                "There are {SIGNING_KEYS_MAX} signing keys, and the oldest is trusted; retire it first."
            ),
        });
    };
    Ok(vec![Event::SigningKeyForgotten {
        key: oldest.public.id(),
    }])
}

fn settled<V: View + ?Sized>(
    context: &Context<'_, V>,
    asked: Asked<'_>,
    change: &ClusterChange,
    after: Signing,
    mut events: Vec<Event>,
) -> Decision {
    events.push(Event::SigningSettled(Box::new(after)));
    let settings = CLUSTER.get(context.view, ()).unwrap_or_default();
    write_down(context, asked, change, settings, &mut events);
    Decision {
        events,
        outcome: Outcome::Recorded,
    }
}
