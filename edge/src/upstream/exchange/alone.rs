//! Connections that are for one use each: for what is no exchange, or becomes something else after
//! one. Their use counts at their target as a request does, for as long as it lasts.

use std::future::Future;
use std::io;

use platform::Network;
use tokio::time::Instant;

use super::super::dial::{connect, dial};
use super::super::lead::Lead;
use super::super::pool::Gauge;
use super::super::wire::Wire;
use super::{ExchangeError, Upstreams, Waits};
use crate::health::{Occupancy, TargetHealth};
use crate::route::Target;

/// A place among what is under way to a target, until it is dropped.
#[derive(Debug)]
pub struct Hold(Occupancy<Gauge>);

impl Hold {
    /// The target failed.
    pub(in super::super) fn failed(&self) {
        self.0.target().as_ref().failed();
    }
}

impl<N: Network> Upstreams<N> {
    /// A connection on which nothing was said yet, not even of TLS: for bytes that pass through.
    ///
    /// # Errors
    /// When there is none in time, or the target has as much under way as it takes.
    pub(crate) async fn connect_bare(
        &self,
        target: &Target,
    ) -> Result<(N::Stream, Hold), ExchangeError> {
        self.connect_by(target, |until| connect(&self.network, target, until))
            .await
    }

    /// A connection for one exchange in HTTP/1.1, with TLS where the target has that.
    ///
    /// # Errors
    /// When there is none in time, or the target has as much under way as it takes.
    pub(crate) async fn connect_alone(
        &self,
        target: &Target,
    ) -> Result<(Wire<N::Stream>, Hold), ExchangeError> {
        self.connect_by(target, |until| dial(&self.network, target, until))
            .await
    }

    async fn connect_by<T, F>(
        &self,
        target: &Target,
        connecting: impl FnOnce(Instant) -> F,
    ) -> Result<(T, Hold), ExchangeError>
    where
        F: Future<Output = io::Result<(T, Lead)>>,
    {
        let gauge = self.pool.bucket(&target.pool_key).gauge(&target.health);
        let occupancy = TargetHealth::occupy(gauge, self.lane);
        let hold = Hold(occupancy.ok_or(ExchangeError::Overloaded)?);
        let _waits = Waits::begin(target)?;
        let until = Instant::now() + self.timeouts.connect();
        let (connection, _) = self.in_time(until, connecting).await?;
        Ok((connection, hold))
    }
}
