//! Commands about signing keys. Keys are drawn and sealed here, before the log sees them, so that applying
//! asks for nothing.

use domain::command::{ChangeSigningKeys, Command, NewSigningKey, SigningChange};
use domain::id::ClusterId;
use domain::model::{KekId, Signing, SigningKeyId};
use domain::time::Timestamp;
use edge_protocol::signing::KeyPair;
use platform::Entropy;
use zeroize::Zeroizing;

use super::signer::{SigningError, open};
use crate::keys::KeyRing;

/// The cluster begins to sign, with a key that is drawn now and sealed under what is [active](crate::sealing::active); one
/// that does already goes on as it was.
///
/// # Errors
/// When this node lacks the key that is sealed under.
pub fn founding(
    (keys, under): (&KeyRing, Option<KekId>),
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Command, SigningError> {
    let cluster_id = ClusterId::new(entropy.seed(now));
    let (key, _) = draw((keys, under), &cluster_id, entropy)?;
    Ok(command(SigningChange::Found { cluster_id, key }))
}

/// Another key signs, which is drawn now and vouched for by the one that signs.
///
/// # Errors
/// When that one does not open, or this node lacks the key that is sealed under.
pub fn next_key(
    (keys, under): (&KeyRing, Option<KekId>),
    signing: &Signing,
    entropy: &dyn Entropy,
) -> Result<(SigningKeyId, Command), SigningError> {
    let active = open(keys, signing)?;
    let (key, pair) = draw((keys, under), &signing.cluster_id, entropy)?;
    let voucher = active.vouch(&signing.cluster_id, &pair.public());
    let change = SigningChange::Rotate { key, voucher };
    Ok((pair.id(), command(change)))
}

/// What the key signed is not believed any more.
#[must_use]
pub fn retirement(key: SigningKeyId) -> Command {
    command(SigningChange::Retire { key })
}

fn command(change: SigningChange) -> Command {
    Command::ChangeSigningKeys(ChangeSigningKeys { change })
}

fn draw(
    (keys, under): (&KeyRing, Option<KekId>),
    cluster_id: &ClusterId,
    entropy: &dyn Entropy,
) -> Result<(NewSigningKey, KeyPair), SigningError> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed);
    let pair = KeyPair::new(&*seed)?;
    let public = pair.public();
    let private = keys.seal_signing_key(under, cluster_id, (&public, &*seed), entropy)?;
    Ok((NewSigningKey { public, private }, pair))
}
