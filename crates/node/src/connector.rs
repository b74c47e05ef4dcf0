//! Opening connections.

use crate::{
    ConnectOptions, Family, OptionsError, busy::Servers, link::Link, probe, replication::Follower, tls::Tls, trouble,
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, select_ok},
};
use operations::port::{
    Dialer, NodeError, NodeLink, ReplicationDialer, ReplicationLink, ReplicationOptions, TlsTrouble, Trouble,
};
use rustls::pki_types::ServerName;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use topology::{Host, NodeAddr};

/// A server that speaks TLS has begun to within this time, as a rule.
const SILENT: Duration = Duration::from_millis(300);

/// A stream to a server, in clear text or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A server that was reached.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// The address of the host that answered.
    pub(crate) ip: IpAddr,
    pub(crate) tls: bool,
}

/// Opens authenticated links to servers, all in the same way.
#[derive(Clone)]
pub struct Connector {
    options: Arc<ConnectOptions>,
    tls: Option<Tls>,
    busy: Arc<Servers>,
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
        if options.credentials.user.is_some() && options.credentials.password.is_none() {
            return Err(OptionsError::UserWithoutPassword);
        }
        let tls = options.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self { options: Arc::new(options), tls, busy: Arc::default() })
    }

    async fn open(&self, address: &NodeAddr) -> Result<Link, Trouble> {
        let Connection { stream, ip, tls } = self.reach(address).await?;
        Link::open(address.clone(), ip, stream, tls, &self.options, self.busy.at(address)).await
    }

    /// Connects and agrees on TLS where that is asked for; nothing was said yet.
    async fn reach(&self, address: &NodeAddr) -> Result<Connection, Trouble> {
        let deadline = Instant::now() + self.options.connect_timeout;
        let late = |_| Trouble::ConnectTimedOut(self.options.connect_timeout);
        let candidates = timeout_at(deadline, self.resolve(address)).await.map_err(late)??;
        let (stream, ip) = timeout_at(deadline, connect(&candidates, self.options.source)).await.map_err(late)??;
        // Commands are small and come in batches already.
        stream.set_nodelay(true).map_err(|error| trouble::of_io(&error, ""))?;
        let Some(tls) = &self.tls else {
            return Ok(Connection { stream: Box::new(stream), ip, tls: false });
        };
        let name = tls.server_name(&address.host).ok_or_else(|| {
            Trouble::Tls(TlsTrouble::Other(format!("{} cannot be the name of a certificate", address.host)))
        })?;
        let busy = self.busy.at(address).longest();
        let handshake = timeout_at(deadline + busy, handshake(tls, name, stream));
        let outcome = tokio::select! {
            outcome = handshake => outcome,
            () = turns_out_plain(SocketAddr::new(ip, address.port)) => {
                return Err(Trouble::Tls(TlsTrouble::ServerSpeaksPlain));
            }
        };
        // It took the connection: what did not come in time is its answer.
        let stream = outcome.map_err(|_| Trouble::ReadTimedOut(self.options.connect_timeout + busy))?;
        match stream {
            Ok(stream) => Ok(Connection { stream: Box::new(stream), ip, tls: true }),
            Err(Trouble::Closed) if probe::speaks_plain(SocketAddr::new(ip, address.port)).await => {
                Err(Trouble::Tls(TlsTrouble::ServerSpeaksPlain))
            }
            Err(trouble) => Err(trouble),
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

/// Connects to whichever address of the name answers first: one that does not must not use up the time of the others.
async fn connect(candidates: &[SocketAddr], source: Option<IpAddr>) -> Result<(TcpStream, IpAddr), Trouble> {
    let attempt = |candidate: SocketAddr| {
        async move { connect_from(source, candidate).await.map(|stream| (stream, candidate.ip())) }.boxed()
    };
    let attempts = candidates.iter().copied().map(attempt);
    select_ok(attempts).await.map(|(connected, _)| connected).map_err(|error| trouble::of_io(&error, ""))
}

async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

async fn handshake(tls: &Tls, name: ServerName<'static>, stream: TcpStream) -> Result<TlsStream<TcpStream>, Trouble> {
    let connected: io::Result<_> = TlsConnector::from(Arc::clone(&tls.config)).connect(name.clone(), stream).await;
    connected.map_err(|error| trouble::of_io(&error, &name.to_str()))
}

/// Ends when a server that is silent about TLS turns out to speak clear text; such a one waits for the rest of a command.
async fn turns_out_plain(address: SocketAddr) {
    tokio::time::sleep(SILENT).await;
    if !probe::speaks_plain(address).await {
        std::future::pending::<()>().await;
    }
}

impl Dialer for Connector {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        Box::pin(async move {
            let link = self.open(address).await.map_err(|trouble| NodeError::new(address.clone(), trouble))?;
            Ok(Arc::new(link) as Arc<dyn NodeLink>)
        })
    }

    fn coming_from(&self, source: IpAddr) -> Option<Arc<dyn Dialer>> {
        let options = ConnectOptions { source: Some(source), ..(*self.options).clone() };
        Some(Arc::new(Self { options: Arc::new(options), ..self.clone() }))
    }
}

impl ReplicationDialer for Connector {
    fn follow<'a>(
        &'a self,
        address: &'a NodeAddr,
        options: ReplicationOptions,
    ) -> BoxFuture<'a, Result<Box<dyn ReplicationLink>, NodeError>> {
        Box::pin(async move {
            let opened = async {
                let connection = self.reach(address).await?;
                Follower::open(address.clone(), connection, &self.options, options).await
            };
            let follower = opened.await.map_err(|trouble| NodeError::new(address.clone(), trouble))?;
            Ok(Box::new(follower) as Box<dyn ReplicationLink>)
        })
    }
}
