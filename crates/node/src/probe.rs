//! Which protocol a port speaks: asked only after the one that was expected has failed.

use crate::tls::Tls;
use rustls::pki_types::ServerName;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// A server that is well answers within this; one that is not is not worth more.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether a server answers in clear text there.
pub(crate) async fn speaks_plain(address: SocketAddr) -> bool {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await.ok()?;
        stream.read_u8().await.ok()
    };
    // +PONG, or -NOAUTH and the like.
    matches!(timeout(PATIENCE, talk).await, Ok(Some(b'+' | b'-')))
}

/// Whether a server answers with TLS there: with a handshake, or with a refusal in TLS's own form.
pub(crate) async fn speaks_tls(address: SocketAddr) -> bool {
    let Some(tls) = Tls::for_probing() else { return false };
    let talk = async {
        let stream = TcpStream::connect(address).await.ok()?;
        match TlsConnector::from(tls.config).connect(ServerName::from(address.ip()), stream).await {
            Ok(_) => Some(()),
            Err(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                inner.filter(|error| matches!(error, rustls::Error::AlertReceived(_))).map(drop)
            }
        }
    };
    matches!(timeout(PATIENCE, talk).await, Ok(Some(())))
}
