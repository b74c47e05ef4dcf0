//! What all tests need: an event loop, options, and one way to ask a server.

use node::{Authorities, ConnectOptions, Connector, Credentials, TlsOptions, Verification};
use operations::{
    observe::dial_and_ask,
    port::{Dialer, NodeLink, TlsTrouble, Trouble},
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use testservers::{CertificateFiles, Certificates, Ports, free_ports};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use topology::{NodeAddr, NodeView};

/// No test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs one test's connections, on this thread alone as the program does.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async { timeout(PATIENCE, test).await }).expect("the test hangs");
    // A resolver may take longer than anybody wants to wait.
    runtime.shutdown_background();
    outcome
}

pub(crate) fn plain() -> ConnectOptions {
    ConnectOptions::default()
}

pub(crate) fn credentials(user: Option<&str>, password: &str) -> Credentials {
    Credentials { user: user.map(str::to_owned), password: Some(password.into()) }
}

pub(crate) fn with_password(user: Option<&str>, password: &str) -> ConnectOptions {
    ConnectOptions { credentials: credentials(user, password), ..plain() }
}

pub(crate) fn with_tls(tls: TlsOptions) -> ConnectOptions {
    ConnectOptions { tls: Some(tls), ..plain() }
}

/// TLS that trusts these certificates' authority.
pub(crate) fn trusting(certificates: &Certificates, verification: Verification) -> TlsOptions {
    TlsOptions { authorities: Authorities::File(certificates.ca()), verification, ..TlsOptions::default() }
}

pub(crate) fn showing(tls: TlsOptions, client: CertificateFiles) -> TlsOptions {
    TlsOptions { client_certificate: Some(pair(client)), ..tls }
}

pub(crate) fn pair(files: CertificateFiles) -> (PathBuf, PathBuf) {
    (files.certificate, files.key)
}

pub(crate) fn address(text: &str) -> NodeAddr {
    text.parse().unwrap()
}

pub(crate) async fn dial(options: &ConnectOptions, to: &str) -> Result<Arc<dyn NodeLink>, Trouble> {
    let link = Connector::new(options.clone()).unwrap().dial(&address(to)).await;
    link.map_err(|error| {
        assert_eq!(error.address, address(to));
        error.trouble
    })
}

/// Dials the server and asks for its whole view, as every command of the program begins.
pub(crate) async fn ask(options: &ConnectOptions, of: &str) -> Result<NodeView, Trouble> {
    let answer = dial_and_ask(&Connector::new(options.clone()).unwrap(), &address(of)).await;
    answer.map(|answer| answer.view).map_err(|error| {
        assert_eq!(error.address, address(of));
        error.trouble
    })
}

pub(crate) fn asked(options: &ConnectOptions, of: &str) -> Result<NodeView, Trouble> {
    run(ask(options, of))
}

/// What is wrong with a server that should not answer.
#[track_caller]
pub(crate) fn trouble(options: &ConnectOptions, of: &str) -> Trouble {
    asked(options, of).expect_err("the server answers")
}

/// What is wrong with the TLS of a server that should not answer.
#[track_caller]
pub(crate) fn tls_trouble(tls: TlsOptions, of: &str) -> TlsTrouble {
    match trouble(&with_tls(tls), of) {
        Trouble::Tls(trouble) => trouble,
        other => panic!("not a trouble with TLS: {other:?}"),
    }
}

/// Takes `act`'s time.
pub(crate) async fn timed<T>(act: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let outcome = act.await;
    (outcome, start.elapsed())
}

/// A listener of ours, where no server is.
pub(crate) struct Listener {
    pub(crate) address: String,
    queue: TcpListener,
    _ports: Ports,
}

impl Listener {
    pub(crate) fn new(backlog: u32) -> Self {
        let ports = free_ports(1);
        let address = format!("127.0.0.1:{}", ports[0]);
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        Self { address, queue: socket.listen(backlog).unwrap(), _ports: ports }
    }

    /// Does the same with everybody who connects, in the background.
    pub(crate) fn serve<F: Future<Output = ()> + Send>(
        behave: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> (String, impl Drop) {
        let Self { address, queue, _ports: ports } = Self::new(16);
        let served = tokio::spawn(async move {
            let _ports = ports;
            while let Ok((stream, _)) = queue.accept().await {
                behave(stream).await;
            }
        });
        (address, EndsOnDrop(served))
    }
}

struct EndsOnDrop(tokio::task::JoinHandle<()>);

impl Drop for EndsOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
