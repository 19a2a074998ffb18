//! What delivering webhooks is made of below the log: how a request is [signed](signature) and which
//! [receivers](address) are allowed. Which events go where, when an attempt is repeated and what is
//! remembered of it are matters of whoever reads the log.

pub(crate) mod address;
pub(crate) mod signature;

#[cfg(test)]
mod tests;
