//! The signature of every delivery verifies, as the documentation tells receivers to verify it: the
//! HMAC-SHA256 (RFC 2104) of timestamp, a full stop and the body, under the whole text of one of the
//! endpoint's secrets. It is computed here anew, from the hash alone.

use sha2::{Digest, Sha256};

use super::calm::Calm;
use super::deliveries::endpoint;
use crate::history::{Delivery, Effect, Endpoint, History};
use crate::ports::START_UNIX_MS;

/// How old a signature may be, in seconds.
const TOLERANCE_S: u64 = 300;
/// The block of SHA-256.
const BLOCK: usize = 64;

/// The violations in `history`.
pub(crate) fn check(history: &History) -> Vec<String> {
    let calm = Calm::new(history);
    history
        .deliveries
        .iter()
        .filter_map(|delivery| {
            // The client that made it may not have heard of the endpoint it made.
            let endpoint = endpoint(history, delivery)?;
            let clocks = calm.any(0, delivery.at_us, |effect| {
                matches!(effect, Effect::Clock(_))
            });
            let wrong = wrong(endpoint, delivery, !clocks)?;
            Some(format!("{wrong}: {delivery:?}"))
        })
        .collect()
}

fn wrong(endpoint: &Endpoint, delivery: &Delivery, timely: bool) -> Option<&'static str> {
    let Some(header) = delivery.header("vectorgate-signature") else {
        return Some("there is no signature");
    };
    let Some((timestamp, claimed)) = header.split_once(',') else {
        return Some("the signature has no timestamp");
    };
    let secrets = endpoint.secrets.iter().map(|(_, secret)| secret);
    let mut signed = timestamp.as_bytes().to_vec();
    signed.push(b'.');
    signed.extend_from_slice(&delivery.body);
    let verifies = |secret: &String| hex::encode(hmac(secret.as_bytes(), &signed)) == claimed;
    if !secrets.into_iter().any(verifies) {
        return Some("no secret of the endpoint made the signature");
    }
    let now = START_UNIX_MS / 1_000 + delivery.at_us / 1_000_000;
    let fresh = timestamp
        .parse::<u64>()
        .is_ok_and(|at| at.abs_diff(now) < TOLERANCE_S);
    (timely && !fresh).then_some("the signature is of another time")
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::deliveries::made_up::{delivery, history};
    use super::{START_UNIX_MS, check, hmac};
    use crate::history::Delivery;

    fn signed(secret: &str, timestamp: u64) -> Delivery {
        let mut delivery = delivery("evt_1", 0, 200);
        let mut message = format!("{timestamp}.").into_bytes();
        message.extend_from_slice(&delivery.body);
        let signature = hex::encode(hmac(secret.as_bytes(), &message));
        let header = format!("{timestamp},{signature}");
        delivery
            .headers
            .push(("vectorgate-signature".to_owned(), header));
        delivery
    }

    fn found(delivery: Delivery) -> usize {
        check(&history(vec![], vec![delivery])).len()
    }

    /// Test cases 1 and 6 of RFC 4231.
    #[test]
    fn the_hmac_is_the_known_one() {
        assert_eq!(
            hex::encode(hmac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            hex::encode(hmac(&[0xaa; 131], message)),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_signature_that_is_missing_or_anothers_or_old_or_of_another_body_is_found() {
        let now = START_UNIX_MS / 1_000;
        assert_eq!(found(signed("whsec_secret", now)), 0);
        assert_eq!(found(signed("whsec_another", now)), 1);
        assert_eq!(found(signed("whsec_secret", now - 301)), 1);
        assert_eq!(found(delivery("evt_1", 0, 200)), 1);
        let mut tampered = signed("whsec_secret", now);
        tampered.body.push(b' ');
        assert_eq!(found(tampered), 1);
    }
}
