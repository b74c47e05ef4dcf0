//! Asking other agents.

use crate::{
    account::Account,
    happening::Happening,
    launch::{Launch, Running},
    neighbours::Neighbour,
    partition::Source,
    token::Token,
};
use futures_util::future::join_all;
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, HOST},
    http::request,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{future::poll_fn, net::SocketAddr, pin::Pin, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};

/// No answer and no line is longer, bytes.
const LONGEST: usize = 64 << 10;
/// How long an agent may take to have its server take settings.
const TAKES: Duration = Duration::from_secs(10);
/// How long an agent may take to begin a stream.
const BEGINS: Duration = Duration::from_secs(1);
/// A stream gives a sign of life more often than this, or is given up.
const SILENT: Duration = Duration::from_secs(30);

/// Why an agent was not asked, or gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection.
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It takes too long.
    #[error("it does not answer in time")]
    Late,
    /// The connection broke.
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    /// It does not do it.
    #[error("it answered with status {0}")]
    Refused(StatusCode),
    /// What came is something else.
    #[error("its answer is not what was asked for")]
    Content,
}

impl CallError {
    /// Whether nobody is there any more: the machine answers, and the process is gone.
    pub(crate) fn is_gone(&self) -> bool {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};
        match self {
            Self::Unreachable(error) => {
                matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
                )
            }
            // It took the connection and ended before it answered.
            Self::Http(_) => true,
            Self::Late | Self::Refused(_) | Self::Content => false,
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    /// What it shows.
    pub(crate) token: &'a Token,
    /// Where its connections come from.
    pub(crate) source: &'a Source,
}

/// A stream of what happens to another server.
pub(crate) struct Watch {
    body: Incoming,
    /// What came and was not read yet.
    buffer: Vec<u8>,
    /// When something came last.
    heard: Instant,
    /// The connection ends when this goes.
    _sender: SendRequest<String>,
}

/// What comes next of a stream.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something happened.
    Happened(Happening),
    /// The stream broke.
    Broken,
    /// No sign of life came for too long.
    Silent,
}

/// What these agents tell of their members, all asked at the same time; those that do not answer within the limit are left out.
pub(crate) async fn accounts(neighbours: &[Neighbour], caller: Caller<'_>, limit: Duration) -> Vec<Account> {
    let ask = async |neighbour: &Neighbour| timeout(limit, account(neighbour.agent, caller)).await.ok()?.ok();
    join_all(neighbours.iter().map(ask)).await.into_iter().flatten().collect()
}

async fn account(agent: SocketAddr, caller: Caller<'_>) -> Result<Account, CallError> {
    let (mut response, _sender) = get(agent, "/v1/member", caller).await?;
    read_json(response.body_mut()).await
}

/// Has the server of this agent take what it is to run with, as far as it does so while it runs; tells what it runs with now.
///
/// # Errors
/// When the agent does not answer in time, or its server does not.
pub async fn take(agent: SocketAddr, token: &Token, launch: &Launch) -> Result<Running, CallError> {
    let text = serde_json::to_string(launch).map_err(|_| CallError::Content)?;
    let caller = Caller { token, source: &Source::default() };
    let put = async {
        let (mut response, _sender) = send(agent, Request::put("/v1/launch"), caller, text).await?;
        read_json(response.body_mut()).await
    };
    timeout(TAKES, put).await.map_err(|_| CallError::Late)?
}

/// What a body says, as JSON; none is longer than any answer.
pub(crate) async fn read_json<T: DeserializeOwned>(body: &mut Incoming) -> Result<T, CallError> {
    let mut text = Vec::new();
    while let Some(bytes) = next_bytes(body).await? {
        text.extend_from_slice(&bytes);
        if text.len() > LONGEST {
            return Err(CallError::Content);
        }
    }
    serde_json::from_slice(&text).map_err(|_| CallError::Content)
}

impl Watch {
    /// Watches the server of the agent at this address.
    pub(crate) async fn begin(agent: SocketAddr, caller: Caller<'_>) -> Result<Self, CallError> {
        let begun = timeout(BEGINS, get(agent, "/v1/watch", caller)).await.map_err(|_| CallError::Late)?;
        let (response, sender) = begun?;
        Ok(Self { body: response.into_body(), buffer: Vec::new(), heard: Instant::now(), _sender: sender })
    }

    /// After the stream broke: another one, where there is an agent; none where nobody is there any more.
    ///
    /// # Errors
    /// When that cannot be told.
    pub(crate) async fn again(agent: SocketAddr, caller: Caller<'_>) -> Result<Option<Self>, CallError> {
        match Self::begin(agent, caller).await {
            Ok(watch) => Ok(Some(watch)),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(happening) => return Next::Happened(happening),
                    // A sign of life, or words of a later version.
                    Err(_) => continue,
                }
            }
            match timeout_at(self.heard + SILENT, next_bytes(&mut self.body)).await {
                Err(_) => return Next::Silent,
                Ok(Ok(Some(bytes))) if self.buffer.len() + bytes.len() <= LONGEST => {
                    self.heard = Instant::now();
                    self.buffer.extend_from_slice(&bytes);
                }
                Ok(_) => return Next::Broken,
            }
        }
    }
}

async fn get(
    agent: SocketAddr,
    path: &str,
    caller: Caller<'_>,
) -> Result<(Response<Incoming>, SendRequest<String>), CallError> {
    send(agent, Request::get(path), caller, String::new()).await
}

async fn send(
    agent: SocketAddr,
    request: request::Builder,
    caller: Caller<'_>,
    body: String,
) -> Result<(Response<Incoming>, SendRequest<String>), CallError> {
    let stream = connect(agent, caller.source).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the answer is read or both halves are dropped.
    tokio::spawn(connection);
    let authorization = caller.token.authorization().ok_or(CallError::Content)?;
    let request = request.header(HOST, agent.to_string()).header(AUTHORIZATION, authorization);
    let response = sender.send_request(request.body(body).map_err(|_| CallError::Content)?).await?;
    if response.status() == StatusCode::OK {
        Ok((response, sender))
    } else {
        Err(CallError::Refused(response.status()))
    }
}

async fn connect(agent: SocketAddr, source: &Source) -> std::io::Result<TcpStream> {
    let Some(source) = source.get().filter(|_| agent.is_ipv4()) else { return TcpStream::connect(agent).await };
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    socket.connect(agent).await
}

/// The next bytes of a body; none at its end.
async fn next_bytes(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(frame) => {
                // What is no data is behind all data.
                if let Ok(bytes) = frame?.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}
