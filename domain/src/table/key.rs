//! Keys: how ids, numbers and texts become bytes that sort as they do, and back.

use crate::id::{
    ApiKeyId, CertificateId, EdgeTokenId, EnvironmentId, RouteId, RuleId, SnapshotId, UpstreamId,
    WebhookDeliveryId, WebhookEndpointId, WorkspaceId, packed,
};
use crate::model::{
    IdempotencyKey, KeyHash, ManifestVersion, MemberId, Priority, RuleStatus, RuleVersionNumber,
    SecretGeneration, SigningKeyId, SnapshotVersion,
};
use crate::time::{Revision, Timestamp};
use crate::tree::Hash;

/// One part of a key.
pub trait Part: Sized {
    /// Appends the part.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads the part off the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// A whole key: a tuple of parts.
pub trait Key: Sized {
    /// The key as references to its parts.
    type Ref<'a>: Copy;

    /// Appends the key.
    fn write(key: Self::Ref<'_>, out: &mut Vec<u8>);

    /// Reads a whole key.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// The leading parts of a key `K`.
pub trait Leads<K>: Copy {
    /// Appends the parts.
    fn write(self, out: &mut Vec<u8>);
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn read_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let text = take(bytes, end)?;
    take(bytes, 1)?;
    std::str::from_utf8(text).ok()
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

impl Part for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        read_text(bytes).map(str::to_owned)
    }
}

macro_rules! packed_parts {
    ($($id:ty),*) => {$(
        impl Part for $id {
            fn write(&self, out: &mut Vec<u8>) {
                packed::write_part(self, out);
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                packed::read_part(bytes)
            }
        }
    )*};
}

packed_parts!(
    ApiKeyId,
    EnvironmentId,
    IdempotencyKey,
    RouteId,
    RuleId,
    SnapshotId,
    UpstreamId,
    CertificateId,
    EdgeTokenId,
    WebhookDeliveryId,
    WebhookEndpointId,
    WorkspaceId
);

macro_rules! number_parts {
    ($($name:ident as $number:ty),*) => {$(
        impl Part for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0.to_be_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let bytes = take(bytes, size_of::<$number>())?;
                Some(Self(<$number>::from_be_bytes(bytes.try_into().ok()?)))
            }
        }
    )*};
}

number_parts!(
    Priority as u32,
    RuleVersionNumber as u32,
    SecretGeneration as u32,
    SnapshotVersion as u64,
    ManifestVersion as u64,
    MemberId as u64,
    Timestamp as u64,
    Revision as u64
);

macro_rules! hash_parts {
    ($($name:ident),*) => {$(
        impl Part for $name {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self(take(bytes, 32)?.try_into().ok()?))
            }
        }
    )*};
}

hash_parts!(Hash, KeyHash);

impl Part for SigningKeyId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self(take(bytes, 16)?.try_into().ok()?))
    }
}

impl Part for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        match take(bytes, 1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

impl Part for RuleStatus {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Draft => 0,
            Self::Active => 1,
            Self::Paused => 2,
            Self::Archived => 3,
        });
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let place = *take(bytes, 1)?.first()?;
        Self::ALL.get(usize::from(place)).copied()
    }
}

macro_rules! keys {
    ($($part:ident)*) => {
        impl<$($part: Part + 'static),*> Key for ($($part,)*) {
            type Ref<'a> = ($(&'a $part,)*);

            #[allow(non_snake_case, unused_variables, reason = "one macro writes all tuples, the empty one too")]
            fn write(key: Self::Ref<'_>, out: &mut Vec<u8>) {
                let ($($part,)*) = key;
                $($part.write(out);)*
            }

            #[allow(unused_mut, reason = "one macro writes all tuples, the empty one too")]
            fn read(bytes: &[u8]) -> Option<Self> {
                let mut rest = bytes;
                let key = ($($part::read(&mut rest)?,)*);
                rest.is_empty().then_some(key)
            }
        }
    };
}

keys!();
keys!(A);
keys!(A B);
keys!(A B C);
keys!(A B C D);
keys!(A B C D E);

macro_rules! leads {
    ($($lead:ident)* : $($rest:ident)*) => {
        impl<$($lead: Part,)* $($rest: Part),*> Leads<($($lead,)* $($rest,)*)> for ($(&$lead,)*) {
            #[allow(non_snake_case, reason = "one macro writes all tuples")]
            fn write(self, out: &mut Vec<u8>) {
                let ($($lead,)*) = self;
                $($lead.write(out);)*
            }
        }
    };
}

leads!(A : B);
leads!(A : B C);
leads!(A B : C);
leads!(A : B C D);
leads!(A B : C D);
leads!(A B C : D);
leads!(A : B C D E);
leads!(A B : C D E);
leads!(A B C : D E);
leads!(A B C D : E);
