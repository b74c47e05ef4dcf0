//! How a cluster is entered.

mod layout;

pub(crate) use layout::Layout;

use crate::{certificates::Certificates, server::Server, servers::Servers, wait::comes_true};
use redis::{
    Client, ClientTlsConfig, Connection, IntoConnectionInfo, RedisResult, TlsCertificates,
    cluster::{ClusterClientBuilder, ClusterConnection},
};
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// How long a client waits for a connection and for a reply, before it tries again.
const TIMEOUT: Duration = Duration::from_millis(500);
const ENTER_DEADLINE: Duration = Duration::from_secs(10);

/// A cluster that tests write to and read from: through any of these addresses, wherever its slots are by then.
#[derive(Clone, Debug)]
pub struct Cluster {
    addresses: Vec<String>,
    password: Option<String>,
    tls: Option<Certificates>,
    standalone: bool,
}

impl Cluster {
    /// A server that is no cluster node, as one that owns all slots.
    pub fn standalone(server: &Server) -> Self {
        let tls = server.how.tls.as_ref().map(|tls| tls.certificates.clone());
        Self { addresses: vec![server.address()], password: server.how.password.clone(), tls, standalone: true }
    }

    /// The cluster behind these addresses: `127.0.0.1:PORT`. Without a password and without TLS unless told otherwise.
    pub fn at(addresses: &[String]) -> Self {
        Self { addresses: addresses.to_vec(), password: None, tls: None, standalone: false }
    }

    /// The cluster that these servers are, with their password and TLS.
    pub fn of(servers: &Servers) -> Self {
        let how = servers.first().map(|server| &server.how);
        let password = how.and_then(|how| how.password.clone());
        let tls = how.and_then(|how| how.tls.as_ref()).map(|tls| tls.certificates.clone());
        Self { addresses: servers.addresses(), password, tls, standalone: false }
    }

    /// The default user's password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// TLS: servers have to be of this authority, and are shown the client's certificate.
    #[must_use]
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        self.tls = Some(certificates.clone());
        self
    }

    /// A connection to one node, `127.0.0.1:PORT`, with `timeout` for connecting and for every read and write.
    pub(crate) fn connect(&self, address: &str, database: u32, timeout: Duration) -> RedisResult<Connection> {
        let info = self.url(address).into_connection_info()?;
        let mut settings = info.redis_settings().clone().set_db(database.into());
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let info = info.set_redis_settings(settings);
        let client = match self.certificates()? {
            Some(certificates) => Client::build_with_tls(info, certificates)?,
            None => Client::open(info)?,
        };
        let connection = client.get_connection_with_timeout(timeout)?;
        connection.set_read_timeout(Some(timeout))?;
        connection.set_write_timeout(Some(timeout))?;
        Ok(connection)
    }

    /// A stock cluster client's connection.
    pub(crate) fn enter(&self, timeout: Duration) -> RedisResult<ClusterConnection> {
        let seeds: Vec<String> = self.addresses.iter().map(|address| self.url(address)).collect();
        let mut builder = ClusterClientBuilder::new(seeds)
            .connection_timeout(timeout)
            .response_timeout(timeout)
            // The crate's own waits of over a second would hide how long a cluster does not answer.
            .min_retry_wait(5)
            .max_retry_wait(50);
        if let Some(password) = &self.password {
            builder = builder.password(password);
        }
        if let Some(certificates) = self.certificates()? {
            builder = builder.certs(certificates);
        }
        builder.build()?.get_connection()
    }

    /// The same for a client that goes on through outages; panics where the cluster cannot be entered at first.
    #[track_caller]
    pub(crate) fn enter_in_time(&self) -> ClusterConnection {
        let mut entered = None;
        comes_true(ENTER_DEADLINE, || {
            entered = Some(self.enter(TIMEOUT));
            matches!(entered, Some(Ok(_)))
        });
        match entered {
            Some(Ok(client)) => client,
            failed => panic!("the cluster cannot be entered: {:?}", failed.and_then(Result::err)),
        }
    }

    /// The client, or another one as soon as there can be one where it is lost; none where it is to stop.
    pub(crate) fn reenter<'a>(
        &self,
        client: &'a mut Option<ClusterConnection>,
        stop: &AtomicBool,
    ) -> Option<&'a mut ClusterConnection> {
        comes_true(Duration::MAX / 4, || {
            if client.is_none() {
                *client = self.enter(TIMEOUT).ok();
            }
            client.is_some() || stop.load(Ordering::Relaxed)
        });
        client.as_mut()
    }

    fn url(&self, address: &str) -> String {
        format!("{}://{address}", if self.tls.is_some() { "rediss" } else { "redis" })
    }

    fn certificates(&self) -> RedisResult<Option<TlsCertificates>> {
        let Some(tls) = &self.tls else { return Ok(None) };
        // An error is that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = tls.client();
        let client_tls =
            ClientTlsConfig { client_cert: fs::read(client.certificate)?, client_key: fs::read(client.key)? };
        Ok(Some(TlsCertificates { client_tls: Some(client_tls), root_cert: Some(fs::read(tls.ca())?) }))
    }
}

impl From<&Servers> for Cluster {
    fn from(servers: &Servers) -> Self {
        Self::of(servers)
    }
}
