//! What delivering webhooks is made of below the log: how a request is [signed](signature), which
//! [receivers](address) are allowed, whom to [trust](roots), and the [sending](sender) of one
//! attempt. Which events go where, when an attempt is repeated and what is remembered of it are
//! matters of whoever reads the log.

pub(crate) mod address;
pub(crate) mod roots;
pub(crate) mod sender;
pub(crate) mod signature;

#[cfg(test)]
mod tests;
