//! Signing keys: samples of their bytes, and changes at random.

use domain::command::{ChangeSigningKeys, Command, NewSigningKey, SigningChange};
use domain::id::ClusterId;
use domain::model::{
    Epoch, SealedKey, SignatureBytes, Signing, SigningKey, SigningPublicKey, Voucher,
};
use domain::time::Timestamp;
use proptest::prelude::*;

use crate::samples;

fn public(number: u8) -> SigningPublicKey {
    SigningPublicKey([number; 32])
}

fn sealed(number: u8) -> SealedKey {
    SealedKey {
        nonce: [number; 12],
        sealed: vec![number; 48],
    }
}

fn key(number: u8) -> NewSigningKey {
    NewSigningKey {
        public: public(number),
        private: sealed(number),
    }
}

fn cluster_id() -> ClusterId {
    ClusterId::new(samples::seed(14))
}

fn voucher(number: u8) -> Voucher {
    Voucher {
        by: public(number).id(),
        signature: SignatureBytes::read(&[[1; 32], [2; 32]].concat()).unwrap(),
    }
}

fn change(change: SigningChange) -> Command {
    Command::ChangeSigningKeys(ChangeSigningKeys { change })
}

/// One of each change.
pub(crate) fn commands() -> Vec<Command> {
    vec![
        change(SigningChange::Found {
            cluster_id: cluster_id(),
            key: key(1),
        }),
        change(SigningChange::Rotate {
            key: key(2),
            voucher: voucher(1),
        }),
        change(SigningChange::Retire {
            key: public(1).id(),
        }),
    ]
}

pub(crate) fn signing() -> Signing {
    Signing {
        cluster_id: cluster_id(),
        epoch: Epoch(1),
        serial: 3,
        active: public(2).id(),
        private: sealed(2),
    }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey {
        public: public(2),
        voucher: Some(voucher(1)),
        created_at: Timestamp(1_714_320_000_123),
        retired_at: Some(Timestamp(1_714_320_000_456)),
    }
}

/// Changes among a few keys.
pub(crate) fn arbitrary() -> impl Strategy<Value = Command> {
    let number = || 1..5_u8;
    prop_oneof![
        number().prop_map(|number| SigningChange::Found {
            cluster_id: cluster_id(),
            key: key(number),
        }),
        (number(), number()).prop_map(|(before, after)| SigningChange::Rotate {
            key: key(after),
            voucher: voucher(before),
        }),
        number().prop_map(|number| SigningChange::Retire {
            key: public(number).id(),
        }),
    ]
    .prop_map(change)
}
