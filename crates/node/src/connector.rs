//! Opening connections.

use crate::{ConnectOptions, Family, OptionsError, link::Link, probe, tls::Tls, trouble};
use futures_util::future::BoxFuture;
use operations::port::{Dialer, NodeError, NodeLink, TlsTrouble, Trouble};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use topology::{Host, NodeAddr};

/// Opens authenticated links to servers, all in the same way.
#[derive(Clone)]
pub struct Connector {
    options: Arc<ConnectOptions>,
    tls: Option<Tls>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector by these options.
    ///
    /// # Errors
    /// When a file that the options name cannot be read or used: without it there would be less protection than asked for.
    pub fn new(options: ConnectOptions) -> Result<Self, OptionsError> {
        let tls = options.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self { options: Arc::new(options), tls })
    }

    async fn open(&self, address: &NodeAddr) -> Result<Link, Trouble> {
        let deadline = Instant::now() + self.options.connect_timeout;
        let late = |_| Trouble::ConnectTimedOut(self.options.connect_timeout);
        let candidates = timeout_at(deadline, self.resolve(address)).await.map_err(late)??;
        let (stream, ip) = timeout_at(deadline, connect(&candidates)).await.map_err(late)??;
        // Commands are small and come in batches already.
        stream.set_nodelay(true).map_err(|error| trouble::of_io(&error, ""))?;
        let Some(tls) = &self.tls else {
            return Link::open(address.clone(), ip, stream, false, &self.options).await;
        };
        match timeout_at(deadline, handshake(tls, &address.host, stream)).await {
            Ok(Ok(stream)) => Link::open(address.clone(), ip, stream, true, &self.options).await,
            failed => {
                let expected = failed.map_or_else(late, |outcome| outcome.err().unwrap_or(Trouble::Closed));
                let puzzling = matches!(expected, Trouble::ConnectTimedOut(_) | Trouble::Closed);
                if puzzling && probe::speaks_plain(SocketAddr::new(ip, address.port)).await {
                    return Err(Trouble::Tls(TlsTrouble::ServerSpeaksPlain));
                }
                Err(expected)
            }
        }
    }

    async fn resolve(&self, address: &NodeAddr) -> Result<Vec<SocketAddr>, Trouble> {
        let name = match &address.host {
            Host::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, address.port)]),
            Host::Name(name) => name,
        };
        let found = lookup_host((name.as_str(), address.port)).await;
        let found = found.map_err(|_| Trouble::Unresolvable("the name is not known".to_owned()))?;
        let wanted = |candidate: &SocketAddr| match self.options.family {
            Family::Any => true,
            Family::V4 => candidate.is_ipv4(),
            Family::V6 => candidate.is_ipv6(),
        };
        let found: Vec<SocketAddr> = found.filter(wanted).collect();
        if found.is_empty() {
            return Err(Trouble::Unresolvable("the name has no address of the family asked for".to_owned()));
        }
        Ok(found)
    }
}

async fn connect(candidates: &[SocketAddr]) -> Result<(TcpStream, std::net::IpAddr), Trouble> {
    let mut last = Trouble::Unresolvable("the name has no address".to_owned());
    for candidate in candidates {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok((stream, candidate.ip())),
            Err(error) => last = trouble::of_io(&error, ""),
        }
    }
    Err(last)
}

async fn handshake(tls: &Tls, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = tls
        .server_name(host)
        .ok_or_else(|| Trouble::Tls(TlsTrouble::Other(format!("{host} cannot be the name of a certificate"))))?;
    let connected: io::Result<_> = TlsConnector::from(Arc::clone(&tls.config)).connect(name.clone(), stream).await;
    connected.map_err(|error| trouble::of_io(&error, &name.to_str()))
}

impl Dialer for Connector {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        Box::pin(async move {
            let link = self.open(address).await.map_err(|trouble| NodeError::new(address.clone(), trouble))?;
            Ok(Arc::new(link) as Arc<dyn NodeLink>)
        })
    }
}
