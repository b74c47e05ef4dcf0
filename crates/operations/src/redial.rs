//! Links that are dialled again once they have broken.

use crate::port::{Command, Dialer, NodeError, NodeLink, Trouble};
use futures_util::future::BoxFuture;
use std::{net::IpAddr, sync::Arc};
use tokio::sync::Mutex;
use topology::{NodeAddr, Reply};

/// A link that is dialled again when it is used after it broke.
///
/// What was under way when it broke fails: whether the server has carried it out is unknown. Whoever sent it has to look first
/// before sending it again.
pub(crate) struct Redialled {
    address: NodeAddr,
    ip: IpAddr,
    dialer: Arc<dyn Dialer>,
    current: Mutex<Option<Arc<dyn NodeLink>>>,
}

impl Redialled {
    /// A link that begins as this one.
    pub(crate) fn new(link: Arc<dyn NodeLink>, dialer: Arc<dyn Dialer>) -> Self {
        Self { address: link.address().clone(), ip: link.ip(), dialer, current: Mutex::new(Some(link)) }
    }

    /// Dials it for the first time.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the credentials.
    pub(crate) async fn dial(address: &NodeAddr, dialer: &Arc<dyn Dialer>) -> Result<Self, NodeError> {
        Ok(Self::new(dialer.dial(address).await?, Arc::clone(dialer)))
    }

    async fn current(&self) -> Result<Arc<dyn NodeLink>, NodeError> {
        let mut current = self.current.lock().await;
        if let Some(link) = &*current {
            return Ok(Arc::clone(link));
        }
        let link = self.dialer.dial(&self.address).await?;
        *current = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Forgets this link, unless another one has taken its place.
    async fn forget(&self, broken: &Arc<dyn NodeLink>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|link| Arc::ptr_eq(link, broken)) {
            *current = None;
        }
    }
}

impl NodeLink for Redialled {
    fn address(&self) -> &NodeAddr {
        &self.address
    }

    fn ip(&self) -> IpAddr {
        self.ip
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        Box::pin(async move {
            let link = self.current().await?;
            let outcome = link.send(commands).await;
            if let Err(NodeError { trouble: Trouble::Closed | Trouble::ReadTimedOut(_), .. }) = &outcome {
                self.forget(&link).await;
            }
            outcome
        })
    }
}
